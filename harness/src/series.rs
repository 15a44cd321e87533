//! Every operation of a run over time, small enough that a report can draw each of them.
//!
//! A client whose operation ended with an unknown outcome goes on as a new process. Processes that follow each other like that share
//! a *lane*, so that a run has as many lanes as it had clients.
//!
//! Invariant: bounded: [`OPERATIONS_MAX`] operations, those after them are counted; times are exact to the microsecond.

use std::collections::BTreeMap;

use crate::op::{EventKind, HistoryEvent};

/// Operations that are kept.
pub const OPERATIONS_MAX: usize = 1_500_000;
/// The longest run of which each millisecond is known to have served an operation or not: twelve hours.
const MILLISECONDS_MAX: usize = 12 * 3_600_000;
/// Names of functions, and of nodes, that have a number of their own.
pub const NAMES_MAX: usize = 255;

/// The operations of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// In order of invocation.
    pub operations: Vec<OperationSpan>,
    /// Operations that were too many.
    pub omitted: u64,
    /// Workload and function, such as `register read`, by number.
    pub functions: Names,
    /// Nodes that were asked, by number.
    pub nodes: Names,
    /// The processes of each lane, in order.
    pub lanes: Vec<Vec<u64>>,
    /// The last event, in nanoseconds since the run began.
    pub end_ns: u64,
    processes: BTreeMap<u64, Process>,
    /// Operations of the history that is being read, by id: places in `operations`.
    open: BTreeMap<u64, usize>,
    /// A bit a millisecond: whether an operation succeeded in it.
    served: Vec<u64>,
    first_ns: Option<u64>,
}

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationSpan {
    /// Its invocation, microseconds since the run began.
    pub begin_us: u64,
    /// Until its completion; none when there was no completion.
    pub micros: Option<u32>,
    /// Its lane.
    pub lane: u32,
    /// Its function, by number.
    pub function: u8,
    /// The node that was asked, by number.
    pub node: u8,
    /// How it ended.
    pub ending: Ending,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It took effect.
    Ok,
    /// It certainly had no effect.
    Fail,
    /// Unknown, or it did not end.
    Info,
}

/// A time in which no operation succeeded, in nanoseconds since the run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// Its begin.
    pub from_ns: u64,
    /// Its end.
    pub to_ns: u64,
}

/// Names by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(Vec<String>);

#[derive(Debug, Clone, Copy, PartialEq)]
struct Process {
    number: u32,
    first_ns: u64,
    last_ns: u64,
}

impl Names {
    /// The names in order of their numbers.
    pub fn all(&self) -> &[String] {
        &self.0
    }

    /// Those after [`NAMES_MAX`] share the last number.
    fn number(&mut self, name: &str) -> u8 {
        let known = self.0.iter().position(|known| known == name);
        let number = known.unwrap_or_else(|| {
            if self.0.len() < NAMES_MAX {
                self.0.push(name.to_owned());
            }
            self.0.len() - 1
        });
        u8::try_from(number).unwrap_or(u8::MAX)
    }
}

impl Series {
    /// Takes an event of operation `op`; `function` is the workload and the function.
    pub(crate) fn add(&mut self, event: &HistoryEvent, op: u64, function: &str) {
        self.end_ns = self.end_ns.max(event.time_ns);
        let first = self.first_ns.get_or_insert(event.time_ns);
        *first = (*first).min(event.time_ns);
        let number = u32::try_from(self.processes.len()).unwrap_or(u32::MAX);
        let process = self.processes.entry(event.process.unwrap_or_default());
        let process = process.or_insert(Process {
            number,
            first_ns: event.time_ns,
            last_ns: event.time_ns,
        });
        process.first_ns = process.first_ns.min(event.time_ns);
        process.last_ns = process.last_ns.max(event.time_ns);
        let number = process.number;
        match event.kind {
            EventKind::Invoke => self.begin(event, op, function, number),
            EventKind::Ok => {
                self.serve(event.time_ns);
                self.end(event, op, Ending::Ok);
            }
            EventKind::Fail => self.end(event, op, Ending::Fail),
            EventKind::Info => self.end(event, op, Ending::Info),
            EventKind::FaultBegin | EventKind::FaultOk | EventKind::FaultEnd => {}
        }
    }

    fn begin(&mut self, event: &HistoryEvent, op: u64, function: &str, process: u32) {
        if self.operations.len() >= OPERATIONS_MAX {
            self.omitted += 1;
            return;
        }
        self.open.insert(op, self.operations.len());
        let (function, node) = (
            self.functions.number(function),
            self.nodes.number(event.node.as_deref().unwrap_or("")),
        );
        self.operations.push(OperationSpan {
            begin_us: event.time_ns / 1000,
            micros: None,
            lane: process,
            function,
            node,
            ending: Ending::Info,
        });
    }

    fn end(&mut self, event: &HistoryEvent, op: u64, ending: Ending) {
        let Some(operation) = self.open.remove(&op).and_then(|at| self.operations.get_mut(at)) else {
            return;
        };
        let micros = (event.time_ns / 1000).saturating_sub(operation.begin_us);
        operation.micros = Some(u32::try_from(micros).unwrap_or(u32::MAX));
        operation.ending = ending;
    }

    fn serve(&mut self, time_ns: u64) {
        let millisecond = usize::try_from(time_ns / 1_000_000).unwrap_or(usize::MAX);
        if millisecond < MILLISECONDS_MAX {
            let (word, bit) = (millisecond / 64, millisecond % 64);
            let length = self.served.len().max(word + 1);
            self.served.resize(length, 0);
            self.served[word] |= 1 << bit;
        }
    }

    /// Ids of operations mean something within one history.
    pub(crate) fn end_of_history(&mut self) {
        self.open.clear();
    }

    /// Gives processes their lanes, and puts the operations of all histories in order.
    pub(crate) fn finish(&mut self) {
        let mut processes: Vec<(u64, Process)> = std::mem::take(&mut self.processes).into_iter().collect();
        processes.sort_by_key(|(id, process)| (process.first_ns, *id));
        let mut free_from: Vec<u64> = Vec::new();
        let mut lane_of = vec![0; processes.len()];
        for (id, process) in processes {
            let lane = free_from.iter().position(|free| *free < process.first_ns);
            let lane = lane.unwrap_or_else(|| {
                free_from.push(0);
                self.lanes.push(Vec::new());
                free_from.len() - 1
            });
            free_from[lane] = process.last_ns;
            self.lanes[lane].push(id);
            lane_of[process.number as usize] = lane;
        }
        for operation in &mut self.operations {
            operation.lane = u32::try_from(lane_of[operation.lane as usize]).unwrap_or(u32::MAX);
        }
        self.operations.sort_by_key(|operation| operation.begin_us);
    }

    /// The longest time in which no operation succeeded, to the millisecond; `None` when none did at all.
    pub fn longest_outage(&self) -> Option<Outage> {
        let served = self.served.iter().enumerate().flat_map(|(word, bits)| {
            let set = (0..64).filter(move |bit| bits >> bit & 1 == 1);
            set.map(move |bit| (word * 64 + bit) as u64 * 1_000_000)
        });
        let begin = self.first_ns?;
        let mut last = None;
        let mut longest = Outage {
            from_ns: begin,
            to_ns: begin,
        };
        for at in served.chain([self.end_ns]) {
            let from_ns = last.unwrap_or(begin);
            if at.saturating_sub(from_ns) > longest.to_ns - longest.from_ns {
                longest = Outage { from_ns, to_ns: at };
            }
            last = Some(at);
        }
        self.served.iter().any(|bits| *bits != 0).then_some(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn series(events: &[(u64, u64, EventKind, u64)]) -> Series {
        let mut series = Series::default();
        for &(process, op, kind, at) in events {
            let invocation = HistoryEvent::invoke(process, op, "read").node("n1");
            let event = match kind {
                EventKind::Invoke => invocation,
                kind => HistoryEvent::complete(&invocation, kind),
            };
            series.add(&event.at_time(at * MS), op, "register read");
        }
        series.end_of_history();
        series.finish();
        series
    }

    #[test]
    fn a_process_that_follows_an_unknown_outcome_goes_on_in_its_lane() {
        let series = series(&[
            (0, 0, EventKind::Invoke, 1),
            (1, 1, EventKind::Invoke, 2),
            (0, 0, EventKind::Info, 5),
            (2, 2, EventKind::Invoke, 6),
            (1, 1, EventKind::Ok, 8),
            (2, 2, EventKind::Fail, 9),
        ]);
        assert_eq!(series.lanes, [vec![0, 2], vec![1]]);
        let spans = series.operations.iter();
        let spans: Vec<_> = spans
            .map(|op| (op.lane, op.begin_us, op.micros, op.ending))
            .collect();
        let expected = [
            (0, 1000, Some(4000), Ending::Info),
            (1, 2000, Some(6000), Ending::Ok),
            (0, 6000, Some(3000), Ending::Fail),
        ];
        assert_eq!(spans, expected);
        assert_eq!(series.nodes.all(), ["n1"]);
    }

    #[test]
    fn the_longest_outage_is_between_two_successes_or_at_an_end() {
        let (invoke, ok) = (EventKind::Invoke, EventKind::Ok);
        let between = series(&[
            (0, 0, invoke, 1),
            (0, 0, ok, 2),
            (0, 1, invoke, 3),
            (0, 1, ok, 200),
        ]);
        let outage = |from, to| {
            Some(Outage {
                from_ns: from * MS,
                to_ns: to * MS,
            })
        };
        assert_eq!(between.longest_outage(), outage(2, 200));
        let at_the_end = series(&[(0, 0, invoke, 1), (0, 0, ok, 2), (0, 1, invoke, 500)]);
        assert_eq!(at_the_end.longest_outage(), outage(2, 500));
        assert_eq!(series(&[(0, 0, invoke, 1)]).longest_outage(), None);
    }
}

//! What a recorded history holds: operations by function, by phase, errors by code, latencies.
//!
//! Invariant: read from the file, not from the memory of the run, so that the report speaks of what a
//! checker would see.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use crate::history::{HistoryError, HistoryReader};
use crate::op::{EventKind, HistoryEvent};
use crate::results::{Counts, PhaseResult};
use crate::series::Series;

/// The figures of one history.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    /// All operations.
    pub operations: Counts,
    /// Operations by workload and function, such as `register read`.
    pub functions: BTreeMap<String, FunctionTally>,
    /// How often each error code came, and whether it was definite.
    pub errors: BTreeMap<(String, bool), u64>,
    /// One entry a phase.
    pub phases: Vec<PhaseResult>,
    /// What ended in each [`STRETCH_NS`] of the run; `invoked` counts what began.
    pub stretches: Vec<Counts>,
    /// Decisions of the nemesis that could not be carried out.
    pub decisions_skipped: u64,
    /// Each operation over time.
    pub series: Series,
}

/// The length of a stretch of [`Tally::stretches`], in nanoseconds.
pub const STRETCH_NS: u64 = 250_000_000;

/// Stretches that are kept: twelve hours.
const STRETCHES_MAX: usize = 172_800;

/// The figures of one function.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FunctionTally {
    /// Its operations.
    pub operations: Counts,
    /// Nanoseconds that successful operations took, sorted.
    pub latencies: Vec<u64>,
}

/// A phase to count operations in: its name, begin and end in nanoseconds of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// Its name in reports.
    pub name: &'static str,
    /// Begin.
    pub from_ns: u64,
    /// End.
    pub to_ns: u64,
}

impl Tally {
    /// Counts the histories at `paths`, one a workload.
    ///
    /// # Errors
    ///
    /// When a file is no history.
    pub fn read(paths: &[PathBuf], phases: &[Phase]) -> Result<Self, HistoryError> {
        let mut tally = Self {
            phases: phases.iter().map(empty).collect(),
            ..Self::default()
        };
        for path in paths {
            tally.add(path)?;
        }
        for function in tally.functions.values_mut() {
            // What was not completed may still take effect.
            let Counts {
                invoked, ok, fail, ..
            } = function.operations;
            function.operations.info = invoked - ok - fail;
            function.latencies.sort_unstable();
        }
        tally.series.finish();
        Ok(tally)
    }

    fn add(&mut self, path: &Path) -> Result<(), HistoryError> {
        let mut reader = HistoryReader::new(BufReader::new(File::open(path)?))?;
        let workload = reader.header().workload.clone();
        let mut open = BTreeMap::new();
        while let Some(event) = reader.next_event()? {
            self.count(&event, &workload, &mut open);
        }
        self.operations.info += open.len() as u64;
        self.series.end_of_history();
        Ok(())
    }

    fn count(&mut self, event: &HistoryEvent, workload: &str, open: &mut BTreeMap<u64, u64>) {
        let (Some(op), false) = (event.op(), event.kind.is_fault()) else {
            return;
        };
        let name = format!("{workload} {}", event.function);
        self.series.add(event, op, &name);
        let function = self.functions.entry(name).or_default();
        let phase = self
            .phases
            .iter_mut()
            .find(|phase| (phase.from_ns..phase.to_ns).contains(&event.time_ns));
        let stretch = usize::try_from(event.time_ns / STRETCH_NS).unwrap_or(usize::MAX);
        if stretch < STRETCHES_MAX {
            let length = self.stretches.len().max(stretch + 1);
            self.stretches.resize(length, Counts::default());
            bump(&mut self.stretches[stretch], event.kind);
        }
        bump(&mut self.operations, event.kind);
        bump(&mut function.operations, event.kind);
        if let Some(phase) = phase {
            bump(&mut phase.operations, event.kind);
        }
        if event.kind == EventKind::Invoke {
            open.insert(op, event.time_ns);
        } else if let Some(began) = open.remove(&op)
            && event.kind == EventKind::Ok
        {
            function.latencies.push(event.time_ns.saturating_sub(began));
        }
        if let Some(error) = &event.error {
            *self
                .errors
                .entry((error.code.to_string(), error.definite))
                .or_default() += 1;
        }
    }
}

impl FunctionTally {
    /// The latency that `percent` (nearest rank) of the successful operations did not exceed, in nanoseconds.
    pub fn percentile(&self, percent: usize) -> Option<u64> {
        let rank = (self.latencies.len() * percent).div_ceil(100);
        self.latencies.get(rank.saturating_sub(1)).copied()
    }
}

fn empty(phase: &Phase) -> PhaseResult {
    PhaseResult {
        name: phase.name.to_owned(),
        from_ns: phase.from_ns,
        to_ns: phase.to_ns,
        operations: Counts::default(),
    }
}

fn bump(counts: &mut Counts, kind: EventKind) {
    match kind {
        EventKind::Invoke => counts.invoked += 1,
        EventKind::Ok => counts.ok += 1,
        EventKind::Fail => counts.fail += 1,
        EventKind::Info => counts.info += 1,
        EventKind::FaultBegin | EventKind::FaultOk | EventKind::FaultEnd => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Header, HistoryWriter};

    fn counts(invoked: u64, ok: u64, fail: u64, info: u64) -> Counts {
        Counts {
            invoked,
            ok,
            fail,
            info,
        }
    }

    #[test]
    fn operations_are_counted_by_function_phase_and_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let file = File::create(&path).unwrap();
        let mut writer = HistoryWriter::new(file, &Header::new("register")).unwrap();
        let read = HistoryEvent::invoke(0, 0, "read").key("r").at_time(10);
        let write = HistoryEvent::invoke(1, 1, "write").key("r").value(1).at_time(20);
        let lost = HistoryEvent::invoke(2, 2, "write").key("r").value(2).at_time(110);
        let mut events = [
            read.clone(),
            write.clone(),
            HistoryEvent::complete(&read, EventKind::Ok).at_time(50),
            HistoryEvent::fault(EventKind::FaultBegin, "kill-one", serde_json::json!({})).at_time(60),
            HistoryEvent::complete(&write, EventKind::Info)
                .error("timeout", false)
                .at_time(105),
            lost,
        ];
        for event in &mut events {
            writer.record(event).unwrap();
        }
        writer.finish().unwrap();
        let phases = [
            Phase {
                name: "warmup",
                from_ns: 0,
                to_ns: 100,
            },
            Phase {
                name: "faults",
                from_ns: 100,
                to_ns: 200,
            },
        ];
        let tally = Tally::read(&[path], &phases).unwrap();
        assert_eq!(tally.operations, counts(3, 1, 0, 2));
        assert_eq!(tally.phases[0].operations, counts(2, 1, 0, 0));
        assert_eq!(tally.phases[1].operations, counts(1, 0, 0, 1));
        assert_eq!(tally.functions["register write"].operations.info, 2);
        assert_eq!(tally.functions["register read"].percentile(99), Some(40));
        assert_eq!(tally.errors[&("timeout".to_owned(), false)], 1);
        let stretches = vec![counts(3, 1, 0, 1)];
        assert_eq!(tally.stretches, stretches);
    }
}

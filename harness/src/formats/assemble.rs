//! Ties completions to invocations: events in, a [`Recording`] out.
//!
//! Invariant: events are numbered densely in the order given; each operation is entered once, at its
//! invocation, and finished at most once. A completion that contradicts its invocation is marked, and what makes
//! the order of events doubtful is noted: both are for the checkers to judge.

use super::open::Open;
use crate::model::NEVER;
use crate::op::EventKind;
use crate::recording::budget::{Budget, Limit, Meter};
use crate::recording::datum::{Datum, Pool};
use crate::recording::hash::FastMap;
use crate::recording::times::Times;
use crate::recording::{
    FUNCTIONS_MAX, FaultEvent, NAMED_PROCESSES, Operation, Recording, ResultKind, Status,
};

/// An event as a reader understood it, its values in the recording's pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) kind: EventKind,
    /// Its number, where the format promises dense ones.
    pub(crate) index: Option<u64>,
    /// Its number, where the format promises that they rise.
    pub(crate) order: Option<u64>,
    pub(crate) function: Function<'a>,
    pub(crate) process: Process,
    pub(crate) op: Option<u64>,
    pub(crate) key: Datum,
    pub(crate) value: Datum,
    pub(crate) result: ResultKind,
    pub(crate) time_ns: Option<u64>,
    pub(crate) log_index: Option<u64>,
    pub(crate) node: Option<&'a [u8]>,
}

/// What an operation is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function<'a> {
    Absent,
    Named(&'a [u8]),
    /// It is called by a value that is no name.
    Other(Datum),
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    Absent,
    Number(u64),
    /// A client that has a name.
    Named(Datum),
    /// The process that injects faults.
    Nemesis,
}

impl Process {
    /// The process that a value other than a small number represents.
    pub(crate) fn named(pool: &Pool, name: Datum) -> Self {
        match pool.as_name(name) {
            Some("nemesis") => Self::Nemesis,
            _ if name.is_nil() => Self::Absent,
            _ => Self::Named(name),
        }
    }
}

/// How a completion finds its invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pairing {
    /// By operation id; anything out of order is an error.
    ByOp,
    /// By process; a process that begins again leaves its last operation unknown.
    ByProcess,
}

/// Why an event was not taken.
pub(crate) enum Refusal {
    /// Something else was expected.
    Expected(String),
    /// The budget ran out.
    Budget(Limit),
}

/// How often the memory is looked at.
const EVENTS_PER_LOOK: u32 = 1024;

/// Builds a recording event by event.
pub(crate) struct Assembler {
    pub(crate) recording: Recording,
    pairing: Pairing,
    open: Open,
    next: u32,
    /// The greatest number so far of events that promise to rise.
    order: Option<u64>,
    /// Whether the events of clients have a process; one that has none is an only client.
    has_processes: Option<bool>,
    /// Numbers of processes that have names.
    named: FastMap<Datum, u64>,
    budget: Budget,
    meter: Meter,
    /// Room was made for what is expected.
    expected: bool,
}

impl Assembler {
    pub(crate) fn new(pairing: Pairing, budget: &Budget) -> Self {
        Self {
            recording: Recording::default(),
            pairing,
            open: Open::new(),
            next: 0,
            order: None,
            has_processes: None,
            named: FastMap::default(),
            budget: budget.clone(),
            meter: budget.meter(),
            expected: false,
        }
    }

    /// Makes room for all operations at once, given how many times as many are to come in all.
    /// A list that grows by doubling holds itself three times over for a moment.
    pub(crate) fn expect(&mut self, total_to_consumed: Option<f64>) {
        let Some(ratio) = total_to_consumed.filter(|_| !self.expected) else {
            return;
        };
        self.expected = true;
        let more = |length: usize| (length as f64 * (ratio - 1.0) * 1.02) as usize;
        let recording = &mut self.recording;
        let (operations, times) = (more(recording.operations.len()), more(recording.times.len()));
        let bytes = operations * size_of::<Operation>() + times * Times::BYTES_EACH;
        if self
            .meter
            .hold(recording.growing_bytes() + self.open.bytes() + bytes)
            .is_ok()
        {
            recording.operations.reserve_exact(operations);
            recording.times.reserve_exact(times);
        }
    }

    /// Takes the next event; an error says what was expected.
    pub(crate) fn event(&mut self, entry: &Entry<'_>) -> Result<(), Refusal> {
        if self.next.is_multiple_of(EVENTS_PER_LOOK) {
            // Tables that grow hold their old and new halves for a moment.
            let open = self.open.bytes();
            self.budget.check_cancelled().map_err(Refusal::Budget)?;
            self.meter
                .hold(self.recording.growing_bytes() + open)
                .map_err(Refusal::Budget)?;
        }
        self.place(entry).map_err(Refusal::Expected)
    }

    fn place(&mut self, entry: &Entry<'_>) -> Result<(), String> {
        let at = self.next;
        self.next = at
            .checked_add(1)
            .filter(|next| *next != NEVER)
            .ok_or("fewer than 2^32 - 1 events")?;
        if let Some(index) = entry.index.filter(|index| *index != u64::from(at)) {
            return Err(format!("event i={at}, found i={index}"));
        }
        self.in_order(at, entry.order);
        self.time(at, entry.time_ns);
        let status = match entry.kind {
            EventKind::FaultBegin => return self.fault(entry, at, "begin"),
            EventKind::FaultOk => return self.fault(entry, at, "ok"),
            EventKind::FaultEnd => return self.fault(entry, at, "end"),
            _ if entry.process == Process::Nemesis => return self.fault(entry, at, ""),
            EventKind::Invoke => None,
            EventKind::Ok => Some(Status::Ok),
            EventKind::Fail => Some(Status::Fail),
            EventKind::Info => Some(Status::Info),
        };
        let process = self.process(entry.process)?;
        match status {
            None => self.invoke(entry, at, process),
            Some(status) => self.complete(entry, at, process, status),
        }
    }

    /// Numbers that do not rise leave open which event came first.
    fn in_order(&mut self, at: u32, order: Option<u64>) {
        let Some(order) = order else { return };
        if let Some(before) = self.order.filter(|before| *before >= order) {
            self.recording.doubt(format!(
                "event {at} has index {order}, but comes after index {before}: the order of events is not known"
            ));
        }
        self.order = self.order.max(Some(order));
    }

    /// The number of a process.
    fn process(&mut self, process: Process) -> Result<u64, String> {
        let has_one = process != Process::Absent;
        let others_have = *self.has_processes.get_or_insert(has_one);
        match process {
            Process::Absent if self.pairing == Pairing::ByOp => Err("a process".to_owned()),
            Process::Absent if others_have => Err("a process, as other operations have one".to_owned()),
            _ if others_have != has_one => Err("no process, as other operations have none".to_owned()),
            Process::Absent | Process::Nemesis => Ok(0),
            Process::Number(number) if number < u64::from(NAMED_PROCESSES) => Ok(number),
            Process::Number(number) => {
                let name = self.recording.pool.text(&number.to_string());
                self.name(name)
            }
            Process::Named(name) => self.name(name),
        }
    }

    fn name(&mut self, name: Datum) -> Result<u64, String> {
        if let Some(number) = self.named.get(&name) {
            return Ok(*number);
        }
        let number = self.recording.add_process(name).map(u64::from);
        let number = number.ok_or_else(|| "fewer than 2^31 processes".to_owned())?;
        self.named.insert(name, number);
        Ok(number)
    }

    /// All events were given; what is still open stays unknown.
    pub(crate) fn finish(mut self) -> Recording {
        let counts = &mut self.recording.counts;
        counts.info = counts.invoked - counts.ok - counts.fail;
        self.recording.operations.shrink_to_fit();
        self.recording.times.shrink_to_fit();
        // Less than was held while it grew.
        let held = self.meter.hold(self.recording.bytes());
        debug_assert!(held.is_ok(), "what is given back cannot exceed the budget");
        self.recording.meter = Some(self.meter);
        self.recording
    }

    fn time(&mut self, at: u32, time_ns: Option<u64>) {
        if let Some(time_ns) = time_ns {
            let times = &mut self.recording.times;
            // Events without a time take that of the one before.
            let before = times.last().unwrap_or(time_ns);
            (times.len()..at as usize).for_each(|_| times.push(before));
            times.push(time_ns);
        }
    }

    fn invoke(&mut self, entry: &Entry<'_>, at: u32, process: u64) -> Result<(), String> {
        let id = self.recording.operations.len() as u32;
        let token = self.token(entry, process)?;
        if self.open.insert(token, id).is_some() && self.pairing == Pairing::ByOp {
            return Err(format!("a new operation id, found {token} invoked before"));
        }
        let function = self.function(entry.function)?;
        let process = u32::try_from(process).map_err(|_| "a process number below 2^32".to_owned())?;
        self.recording.operations.push(Operation {
            process,
            key: entry.key.or_nil(),
            input: entry.value,
            output: Datum::ABSENT,
            call: at,
            ret: NEVER,
            function,
            status: Status::Info,
            result: ResultKind::Plain,
        });
        self.recording.counts.invoked += 1;
        if let Some(node) = entry.node.and_then(|node| std::str::from_utf8(node).ok()) {
            self.note_node(id, node);
        }
        Ok(())
    }

    /// Remembers nodes only while that stays small beside the operations.
    fn note_node(&mut self, id: u32, node: &str) {
        const NODES_MAX: usize = 100_000;
        if self.recording.nodes.len() < NODES_MAX {
            self.recording.nodes.insert(id, node.into());
        }
    }

    fn token(&self, entry: &Entry<'_>, process: u64) -> Result<u64, String> {
        match self.pairing {
            Pairing::ByProcess => Ok(process),
            Pairing::ByOp => entry.op.ok_or_else(|| "an operation id (op)".to_owned()),
        }
    }

    fn function(&mut self, function: Function<'_>) -> Result<u16, String> {
        match function {
            // Histories of transactions alone leave it out.
            Function::Absent => self.function_named(b"txn"),
            Function::Named(name) => self.function_named(name),
            Function::Other(value) => {
                let shown = self.recording.pool.show(value);
                self.function_named(shown.as_bytes())
            }
        }
    }

    fn function_named(&mut self, name: &[u8]) -> Result<u16, String> {
        if let Some(id) = self.recording.function_id_of_bytes(name) {
            return Ok(id);
        }
        let text = std::str::from_utf8(name).map_err(|_| "a function name in UTF-8".to_owned())?;
        let added = self.recording.add_function(text);
        added.ok_or_else(|| format!("at most {FUNCTIONS_MAX} different functions"))
    }

    fn complete(&mut self, entry: &Entry<'_>, at: u32, process: u64, status: Status) -> Result<(), String> {
        let token = self.token(entry, process)?;
        let Some(id) = self.open.remove(token) else {
            return match (entry.process, status) {
                // A process that has a name and never began an operation injects faults, or takes notes.
                (Process::Named(_), Status::Info) => self.fault(entry, at, ""),
                (Process::Named(name), _) => {
                    let name = self.recording.pool.show(name);
                    Err(format!("an open operation of process {name} to complete"))
                }
                (Process::Absent | Process::Nemesis | Process::Number(_), _) => {
                    Err(format!("an open operation of process {process} to complete"))
                }
            };
        };
        let other_key = self.is_of_other_key(entry, id);
        let contradicts = other_key || self.is_of_other_function(entry, id)?;
        let operation = &mut self.recording.operations[id as usize];
        operation.status = status;
        operation.result = if contradicts {
            ResultKind::Contradicts
        } else {
            entry.result
        };
        if status != Status::Info {
            operation.ret = at;
            operation.output = entry.value;
            if operation.key.is_nil() {
                operation.key = entry.key.or_nil();
            }
        }
        if other_key {
            // It may have been about either.
            operation.key = Datum::NIL;
        }
        match status {
            Status::Ok => self.recording.counts.ok += 1,
            Status::Fail => self.recording.counts.fail += 1,
            Status::Info => {}
        }
        if let Some(index) = entry.log_index {
            self.recording.log_indexes.push((id, index));
        }
        Ok(())
    }

    fn is_of_other_key(&self, entry: &Entry<'_>, id: u32) -> bool {
        let key = self.recording.operations[id as usize].key;
        !entry.key.is_nil() && !key.is_nil() && entry.key != key
    }

    fn is_of_other_function(&mut self, entry: &Entry<'_>, id: u32) -> Result<bool, String> {
        let operation = self.recording.operations[id as usize];
        Ok(match entry.function {
            Function::Absent => false,
            Function::Named(name) => self.recording.function(&operation).as_bytes() != name,
            Function::Other(_) => self.function(entry.function)? != operation.function,
        })
    }

    fn fault(&mut self, entry: &Entry<'_>, at: u32, step: &'static str) -> Result<(), String> {
        const FAULTS_MAX: usize = 10_000;
        const DETAILS_CHARS_MAX: usize = 120;
        let name = match entry.function {
            Function::Absent => String::new(),
            Function::Named(name) => String::from_utf8_lossy(name).into_owned(),
            Function::Other(value) => self.recording.pool.show(value),
        };
        if self.recording.faults.len() < FAULTS_MAX {
            let details = self
                .recording
                .pool
                .show(entry.value)
                .chars()
                .take(DETAILS_CHARS_MAX)
                .collect();
            self.recording.faults.push(FaultEvent {
                at,
                time_ns: entry.time_ns.unwrap_or_default(),
                step,
                name,
                details,
            });
        }
        Ok(())
    }
}

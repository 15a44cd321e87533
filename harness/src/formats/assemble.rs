//! Ties completions to invocations: events in, a [`Recording`] out.
//!
//! Invariant: events are numbered densely in the order given; each operation is entered once, at its
//! invocation, and finished at most once.

use super::open::Open;
use crate::checker::budget::{Budget, Limit, Meter};
use crate::checker::datum::Datum;
use crate::checker::recording::{FaultEvent, NEVER, Operation, Recording, ResultKind, Status};
use crate::checker::times::Times;
use crate::op::EventKind;

/// An event as a reader understood it, its values in the recording's pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) kind: EventKind,
    /// Its number, where the format promises dense ones.
    pub(crate) index: Option<u64>,
    pub(crate) function: &'a [u8],
    pub(crate) process: Option<u64>,
    pub(crate) op: Option<u64>,
    pub(crate) key: Datum,
    pub(crate) value: Datum,
    pub(crate) result: ResultKind,
    pub(crate) time_ns: Option<u64>,
    pub(crate) log_index: Option<u64>,
    pub(crate) node: Option<&'a [u8]>,
}

/// How a completion finds its invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pairing {
    /// By operation id; anything out of order is an error.
    ByOp,
    /// By process; a process that begins anew leaves its last operation unknown.
    ByProcess,
}

/// Why an event was not taken.
pub(crate) enum Refusal {
    /// Something else was expected.
    Expected(String),
    /// The budget ran out.
    Budget(Limit),
}

/// Different functions in one history.
const FUNCTIONS_MAX: usize = 256;
/// How often the memory is looked at.
const EVENTS_PER_LOOK: u32 = 1024;

/// Builds a recording event by event.
pub(crate) struct Assembler {
    pub(crate) recording: Recording,
    pairing: Pairing,
    open: Open,
    next: u32,
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
        self.time(at, entry.time_ns);
        match entry.kind {
            EventKind::Invoke => self.invoke(entry, at),
            EventKind::Ok => self.complete(entry, at, Status::Ok),
            EventKind::Fail => self.complete(entry, at, Status::Fail),
            EventKind::Info => self.complete(entry, at, Status::Info),
            EventKind::FaultBegin => self.fault(entry, at, "begin"),
            EventKind::FaultOk => self.fault(entry, at, "ok"),
            EventKind::FaultEnd => self.fault(entry, at, "end"),
        }
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

    fn invoke(&mut self, entry: &Entry<'_>, at: u32) -> Result<(), String> {
        let Some(process) = entry.process else {
            return Err("a process on an invocation".to_owned());
        };
        let id = self.recording.operations.len() as u32;
        let token = self.token(entry, process)?;
        if self.open.insert(token, id).is_some() && self.pairing == Pairing::ByOp {
            return Err(format!("a new operation id, found {token} invoked before"));
        }
        let function = self.function(entry.function)?;
        let process = u32::try_from(process).map_err(|_| "a process number below 2^32".to_owned())?;
        self.recording.operations.push(Operation {
            process,
            key: self.recording.pool.canonical(entry.key),
            input: entry.value,
            output: Datum::NIL,
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

    fn function(&mut self, name: &[u8]) -> Result<u16, String> {
        // A history has few functions; comparing beats hashing.
        let known = self
            .recording
            .functions
            .iter()
            .position(|known| known.as_bytes() == name);
        if let Some(id) = known {
            return Ok(id as u16);
        }
        let text = std::str::from_utf8(name).map_err(|_| "a function name in UTF-8".to_owned())?;
        let count = self.recording.functions.len();
        if count == FUNCTIONS_MAX {
            return Err(format!("at most {FUNCTIONS_MAX} different functions"));
        }
        self.recording.functions.push(text.into());
        Ok(count as u16)
    }

    fn complete(&mut self, entry: &Entry<'_>, at: u32, status: Status) -> Result<(), String> {
        let Some(process) = entry.process else {
            return self.fault(entry, at, "");
        };
        let token = self.token(entry, process)?;
        let Some(id) = self.open.remove(token) else {
            return Err(format!("an open operation of process {process} to complete"));
        };
        let operation = &mut self.recording.operations[id as usize];
        operation.status = status;
        operation.result = entry.result;
        if status != Status::Info {
            operation.ret = at;
            operation.output = entry.value;
            if operation.key.is_nil() {
                operation.key = self.recording.pool.canonical(entry.key);
            }
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

    fn fault(&mut self, entry: &Entry<'_>, at: u32, step: &'static str) -> Result<(), String> {
        const FAULTS_MAX: usize = 10_000;
        const DETAILS_CHARS_MAX: usize = 120;
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
                name: String::from_utf8_lossy(entry.function).into_owned(),
                details,
            });
        }
        Ok(())
    }
}

//! A whole history in memory: one compact [`Operation`] an invocation, in order of invocation.
//!
//! Invariant: `call` and `ret` are positions in the history's order of events, all distinct;
//! an operation whose outcome is unknown has `ret` = [`NEVER`](crate::model::NEVER). Failed operations are kept, because
//! an explanation may need them; checkers skip them.

pub mod budget;
pub mod datum;
pub mod hash;
mod show;
pub mod times;

use std::path::PathBuf;

use self::budget::Meter;
use self::datum::{Datum, Pool};
use self::hash::FastMap;
use self::times::Times;
use crate::results::Counts;

/// Numbers from here on stand for processes that have names, see [`Recording::process`].
pub const NAMED_PROCESSES: u32 = 1 << 31;

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It took effect.
    Ok,
    /// It never will.
    Fail,
    /// It is not known.
    Info,
}

/// An operation, from its invocation to its completion.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// Process that did it.
    pub process: u32,
    /// Key it touched, or nil.
    pub key: Datum,
    /// Value of the invocation, [`Datum::ABSENT`] without one.
    pub input: Datum,
    /// Result: value read, value a compare-and-set saw, position of an append, token of a lock;
    /// [`Datum::ABSENT`] without one.
    pub output: Datum,
    /// Position of the invocation in the order of events.
    pub call: u32,
    /// Position of the completion, or [`NEVER`](crate::model::NEVER).
    pub ret: u32,
    /// Number of the function, see [`Recording::function_name`].
    pub function: u16,
    /// How it ended.
    pub status: Status,
    /// What `output` says.
    pub result: ResultKind,
}

/// What the output of an operation says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultKind {
    /// The plain result.
    Plain,
    /// A compare-and-set reported which value it found.
    Saw,
    /// A log read reached the end of the log.
    End,
    /// An append reported the position of its record.
    At,
    /// An append reported how many records came before its own.
    Offset,
    /// The completion contradicts the invocation: it is about another function or key.
    Contradicts,
    /// In a history of `[key value]` pairs it has no key.
    Keyless,
}

/// A history as the checkers take it.
#[derive(Debug, Default)]
pub struct Recording {
    /// Operations in order of invocation.
    pub operations: Vec<Operation>,
    /// Time of each event in nanoseconds, if the history has it.
    pub times: Times,
    /// Values.
    pub pool: Pool,
    /// Names of the processes from [`NAMED_PROCESSES`] on.
    process_names: Vec<Datum>,
    /// Why the order of events, or what they say, is not known for certain: at most [`DOUBTS_MAX`].
    doubts: Vec<String>,
    /// Names of functions, all different: at most [`FUNCTIONS_MAX`].
    functions: Vec<Box<str>>,
    /// Nodes that were asked, by operation, if the history has it.
    pub nodes: FastMap<u32, Box<str>>,
    /// Log index in the reply, by operation, if the history has it.
    pub log_indexes: Vec<(u32, u64)>,
    /// Faults, in order.
    pub faults: Vec<FaultEvent>,
    /// Workload named by the history.
    pub workload: Option<String>,
    /// Initial value named by the history.
    pub initial: Option<Datum>,
    /// A failed compare-and-set says that it found another value than expected (it does in some logs;
    /// elsewhere a failure only says that nothing happened).
    pub failed_cas_differs: bool,
    /// Where it came from.
    pub path: Option<PathBuf>,
    /// Counts of all operations.
    pub counts: Counts,
    /// Keeps its memory charged to the budget it was read under.
    pub(crate) meter: Option<Meter>,
}

/// A step of a fault, placed in the order of events.
#[derive(Clone, Debug)]
pub struct FaultEvent {
    /// Position in the order of events.
    pub at: u32,
    /// Nanoseconds since the run began.
    pub time_ns: u64,
    /// `begin`, `ok` or `end`, if the history says which.
    pub step: &'static str,
    /// Name of the fault.
    pub name: String,
    /// Details, in short.
    pub details: String,
}

impl Recording {
    /// Name of an operation's function.
    pub fn function(&self, operation: &Operation) -> &str {
        self.function_name(operation.function)
    }

    /// Name of the function with the number `id`.
    ///
    /// # Panics
    ///
    /// When no operation has such a function.
    pub fn function_name(&self, id: u16) -> &str {
        &self.functions[usize::from(id)]
    }

    /// Names of all functions, in order of first appearance.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.functions.iter().map(|name| &**name)
    }

    /// The number of another function; `None` when there are too many. `name` is new.
    pub(crate) fn add_function(&mut self, name: &str) -> Option<u16> {
        let id = self.functions.len();
        if id == FUNCTIONS_MAX {
            return None;
        }
        self.functions.push(name.into());
        Some(id as u16)
    }

    /// The number of another process that has a name; `None` when there are too many. `name` is new.
    pub(crate) fn add_process(&mut self, name: Datum) -> Option<u32> {
        let named = u32::try_from(self.process_names.len()).ok()?;
        let number = NAMED_PROCESSES
            .checked_add(named)
            .filter(|number| *number < u32::MAX)?;
        self.process_names.push(name);
        Some(number)
    }

    /// What a process is called: `p3`, or its name.
    pub fn process(&self, process: u32) -> String {
        let named = process.checked_sub(NAMED_PROCESSES).map(|at| at as usize);
        match named.and_then(|at| self.process_names.get(at)) {
            Some(name) => self.pool.show(*name),
            None => format!("p{process}"),
        }
    }

    /// Why the order of events, or what they say, is not known for certain; the first few reasons.
    pub fn doubts(&self) -> &[String] {
        &self.doubts
    }

    /// Notes what leaves the verdict open, a few times.
    pub(crate) fn doubt(&mut self, doubt: String) {
        if self.doubts.len() < DOUBTS_MAX {
            self.doubts.push(doubt);
        }
    }

    /// Number of the function called `name`, if any operation has it.
    pub fn function_id(&self, name: &str) -> Option<u16> {
        self.function_id_of_bytes(name.as_bytes())
    }

    /// As [`Recording::function_id`], for a name that may not be UTF-8. A history has few functions: comparing beats hashing.
    pub(crate) fn function_id_of_bytes(&self, name: &[u8]) -> Option<u16> {
        self.functions
            .iter()
            .position(|function| function.as_bytes() == name)
            .map(|id| id as u16)
    }

    /// Operations that did or may have taken effect.
    pub fn effective(&self) -> impl Iterator<Item = (u32, &Operation)> {
        (0_u32..)
            .zip(&self.operations)
            .filter(|(_, operation)| operation.status != Status::Fail)
    }

    /// Time of the event at `position`.
    pub fn time(&self, position: u32) -> Option<u64> {
        self.times.get(position as usize)
    }

    /// Bytes held while operations are added: a list that is nearly full holds itself three times over
    /// when it doubles.
    pub(crate) fn growing_bytes(&self) -> usize {
        let list = |length: usize, capacity: usize, size: usize| {
            let nearly_full = length + 2048 > capacity;
            if nearly_full {
                3 * capacity * size
            } else {
                capacity * size
            }
        };
        list(
            self.operations.len(),
            self.operations.capacity(),
            size_of::<Operation>(),
        ) + list(self.times.len(), self.times.capacity(), Times::BYTES_EACH)
            + self.pool.growing_bytes()
    }

    /// Bytes held, for the memory budget.
    pub fn bytes(&self) -> usize {
        self.operations.capacity() * size_of::<Operation>()
            + self.times.capacity() * Times::BYTES_EACH
            + self.pool.bytes()
    }
}

/// Doubts that are shown; more say nothing else.
const DOUBTS_MAX: usize = 4;
/// Different functions in one history.
pub(crate) const FUNCTIONS_MAX: usize = 256;

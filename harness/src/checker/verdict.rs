//! What an engine answers.

use super::budget::Limit;
use super::{log, unique};

/// The answer of an engine about one part of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order; the ids of the operations in it (operations that need not have happened are
    /// left out).
    Valid(Vec<u32>),
    /// There is none, and this is why.
    Invalid(Violation),
    /// The budget ran out.
    Unknown(Exhausted),
}

/// How far a check got before its budget ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// What ran out.
    pub limit: Limit,
    /// Operations whose return had been placed.
    pub decided: u32,
    /// Operations there were.
    pub total: u32,
}

/// Why no order fits, by engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Found by the register engine.
    Register(unique::RegisterViolation),
    /// Found by the log engine.
    Log(log::LogViolation),
    /// Found by a search.
    Stuck(Stuck),
    /// Found by one of the other engines, which tells it itself.
    Told(Told),
}

/// A violation in the words of its engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What happened, in a few words.
    pub title: String,
    /// The operations involved.
    pub operations: Vec<u32>,
    /// Why no order fits, sentence by sentence; operations appear as [`mention`] writes them.
    pub why: Vec<String>,
}

/// An operation inside a sentence of [`Told`]; the report puts its letter there.
pub fn mention(id: u32) -> String {
    format!("{MENTION}{id}{MENTION}")
}

/// Surrounds the id of a mentioned operation.
pub(crate) const MENTION: char = '\u{1}';

/// An operation that fits nowhere: when it returned, every possible history had excluded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The operation.
    pub op: u32,
    /// The last operation that changed each state that was possible then; `None` for the initial
    /// state. At most [`STUCK_STATES_MAX`], the most recent ones.
    pub after: Vec<Option<u32>>,
    /// How many different states were possible.
    pub states: u32,
}

/// States an explanation names.
pub const STUCK_STATES_MAX: usize = 3;

impl Violation {
    /// The operations that cannot be ordered, at least one, at most four.
    pub fn operations(&self) -> Vec<u32> {
        let mut ids = match self {
            Self::Register(violation) => violation.operations(),
            Self::Log(violation) => violation.operations(),
            Self::Stuck(stuck) => {
                let states = stuck.after.iter().copied().flatten();
                std::iter::once(stuck.op).chain(states).collect()
            }
            Self::Told(told) => told.operations.clone(),
        };
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

//! What an engine answers.

use super::violation::Violation;
use crate::recording::budget::Limit;

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

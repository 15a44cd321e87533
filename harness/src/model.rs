//! What a checker has to know of a system: its states and what one operation does to them.
//!
//! The specification is written here a second time on purpose: no model uses the daemon's own code.

use std::hash::Hash;

/// A sequential specification.
///
/// Invariant: `step` is a function of its arguments; `Eq` and `Hash` of states and operations agree.
pub trait Model {
    /// State of the system, or of the one key that is checked.
    type State: Clone + Eq + Hash;
    /// An operation together with the result its caller saw.
    type Op: Clone + Eq + Hash;

    /// State before the first operation.
    fn init(&self) -> Self::State;

    /// State after `op`, or `None` when `op` cannot have had its result in `state`.
    fn step(&self, state: &Self::State, op: &Self::Op) -> Option<Self::State>;

    /// True only if `op` leaves every state as it is. Engines then place it as soon as it fits.
    fn is_read(&self, op: &Self::Op) -> bool {
        let _ = op;
        false
    }
}

/// `ret` of an operation that was never seen to return.
pub const NEVER: u32 = u32::MAX;

/// An operation as the engines see it: an interval in the order of events, and what it did.
///
/// Invariant: `call < ret`, and no two intervals share an end. `ret` is
/// [`NEVER`] when the outcome is unknown: such an operation may take effect at
/// any time after its call, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<O> {
    /// Name under which verdicts mention it.
    pub id: u32,
    /// When it was invoked.
    pub call: u32,
    /// When it returned.
    pub ret: u32,
    /// What it did.
    pub op: O,
}

impl<O> Call<O> {
    /// True when it was never seen to return.
    pub fn is_open(&self) -> bool {
        self.ret == NEVER
    }
}

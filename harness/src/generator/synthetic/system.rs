//! A simulated system.

use serde_json::Value;

use crate::generator::random::Random;
use crate::op::HistoryEvent;

/// Kinds of systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Read, write, compare-and-set.
    Register,
    /// Append, read, tail.
    Log,
}

/// A simulated system: what an operation asks, and what it answers when it takes effect.
pub(super) trait System {
    /// An operation to invoke: function, value.
    fn request(&mut self, random: &mut Random, key: usize) -> (&'static str, Value);
    /// Lets the operation take effect and completes it.
    fn apply(&mut self, invocation: &HistoryEvent, key: usize) -> HistoryEvent;
    /// A value that is not used otherwise.
    fn fresh(&mut self) -> i64;
    /// A position that is free, behind the last one and before the next.
    fn free_position(&self, key: usize) -> Value;
}

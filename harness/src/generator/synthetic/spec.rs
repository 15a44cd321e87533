//! What to generate.

use super::plant::Planted;
use super::system::Workload;

/// What to generate.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Kind of system.
    pub workload: Workload,
    /// Operations, planted ones included.
    pub operations: u64,
    /// Processes that work at the same time.
    pub clients: usize,
    /// Keys.
    pub keys: usize,
    /// Probability that an operation's outcome is unknown.
    pub info: f64,
    /// Share of compare-and-sets among the operations on registers.
    pub cas: f64,
    /// Whether every value is written once.
    pub values: Values,
    /// Source of every choice.
    pub seed: u64,
    /// Violation to plant in the middle.
    pub violation: Option<Planted>,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Every value once.
    Unique,
    /// One of this many values.
    Repeated(u64),
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            workload: Workload::Register,
            operations: 1000,
            clients: 5,
            keys: 1,
            info: 0.0,
            cas: 0.2,
            values: Values::Unique,
            seed: 0,
            violation: None,
        }
    }
}

//! The parts of the simulated world: data with its own methods.
//!
//! Invariant: no part knows the world, and what a part draws comes from a generator of its own.

pub(crate) mod checks;
pub(crate) mod disk;
pub(crate) mod history;
pub(crate) mod network;
pub(crate) mod node;
mod power;
pub(crate) mod queue;
pub(crate) mod trace;

//! The parts of the simulated world: data with its own methods.
//!
//! Invariant: no part knows the world, and what a part draws comes from a generator of its own.

pub(crate) mod aim;
pub(crate) mod alike;
pub(crate) mod checks;
pub(crate) mod clients;
pub(crate) mod commands;
pub(crate) mod connections;
pub(crate) mod crash;
pub(crate) mod crossing;
pub(crate) mod disk;
mod doing;
pub(crate) mod event;
pub(crate) mod hello;
pub(crate) mod job;
pub(crate) mod lanes;
pub(crate) mod levels;
pub(crate) mod members;
pub(crate) mod network;
pub(crate) mod node;
pub(crate) mod phase;
pub(crate) mod pipelines;
pub(crate) mod probes;
pub(crate) mod queue;
pub(crate) mod retriers;
pub(crate) mod rot;
pub(crate) mod rule;
pub(crate) mod semantics;
pub(crate) mod stale;
pub(crate) mod stale_readers;
pub(crate) mod table;
pub(crate) mod transactors;
pub(crate) mod transfers;
pub(crate) mod voters;

/// A microsecond of virtual time.
pub(crate) const MICRO: u64 = 1000;
/// A millisecond of virtual time.
pub(crate) const MILLI: u64 = 1_000_000;

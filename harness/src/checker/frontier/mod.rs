//! Registers, values repeated: the lazy frontier. Exact.
//!
//! A configuration is the current value, which open operations have been placed, and the time T of the
//! last *explicit* write. Nothing is placed before it must be: only when an operation returns unplaced
//! is it placed, with what it needs, in one of two ways.
//! - *Now*: an open write becomes the explicit one, or none does, and open compare-and-sets lead from
//!   its value to the operation. Before that write, compare-and-sets may have used the value that it
//!   overwrites: those are chosen here, because later that value is gone.
//! - *Hidden*, just before the last explicit write, which overwrites it at once: a write called before
//!   T, compare-and-sets that lead on from its value, and all reads that fit on the way. Such a group
//!   depends on nothing before it, so it can wait until one of its operations returns.
//!
//! A read is placed as soon as its value is current. An explicit write is placed at the latest possible
//! time, since a larger T hides more. Of equal operations the one that returns first is used first; those
//! that never return are only counted, so they cost nothing once no configuration needs them. Of two
//! configurations one is dropped when the other can do all that it can. Where no operation is open,
//! what remains is the set of values that are possible: the history is divided there by itself.
//! Cost: per event, the number of configurations, which grows with the compare-and-sets that succeed
//! at the same time but not with the writes and reads; memory does not depend on the length.

use super::register::RegisterOp;
use super::verdict::Verdict;
use crate::model::Call;
use crate::recording::budget::{Budget, Limit};
use crate::recording::datum::Datum;

mod checkpoint;
mod core;
mod dominance;
mod effort;
mod engine;
mod kind;
mod ladder;
mod patience;
mod pending;
mod place;
mod spent;
mod stuck;
mod task;
mod unreturned;
mod walk;
mod window;

use task::{Task, unknown};

/// Decides `calls`, in order of invocation, all of one register.
pub fn check(initial: Datum, calls: &[Call<RegisterOp>], budget: &Budget) -> Verdict {
    let mut meter = budget.meter();
    if let Err(limit) = meter.hold(calls.len() * size_of::<(u32, u32)>()) {
        return unknown(limit, 0, calls);
    }
    let task = Task::new(Some(initial), calls);
    match task.open_max() {
        0..=64 => ladder::raise::<1>(&task, budget),
        65..=128 => ladder::raise::<2>(&task, budget),
        129..=512 => ladder::raise::<8>(&task, budget),
        513..=4096 => ladder::raise::<64>(&task, budget),
        _ => unknown(Limit::Memory, 0, calls),
    }
}

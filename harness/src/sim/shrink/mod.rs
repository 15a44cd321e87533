//! Shrinking: a smaller plan that still breaks the same rule in the same place.
//!
//! A changed plan is another run with the same seed: whatever is drawn after the change is drawn otherwise, so that a plan may
//! pass although it lacks nothing that the failure needs. Each candidate is therefore tried with many seeds.
//!
//! | module | what it owns |
//! |-|-|
//! | `search` | what is tried next, with which seeds, and how much of it |
//! | `steps` | the ways to make a plan smaller |
//!
//! Invariant: the plan in hand was seen to fail, with the seed that is in it, with the signature that it had at first. What comes
//! out depends on the plan, the seed and the number of events alone.

mod search;
mod steps;

use super::{Lines, simulate};
use crate::plan::Plan;
use search::{Ran, Search};

/// A plan that fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// The plan, with its seed in it.
    pub plan: Plan,
    /// The seed.
    pub seed: u64,
    /// The broken rule.
    pub rule: String,
    /// Where.
    pub place: String,
}

/// What a search for a smaller plan says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// What makes the plan smaller, or what is tried now.
    pub what: &'a str,
    /// The smaller plan, when one was found.
    pub found: Option<&'a Failing>,
    /// How much of the events has been spent, in percent.
    pub spent_percent: u64,
}

/// Shrinks `failing` for at most `events_max` events of the simulation, and the rest of a run. `report` gets what is tried, and
/// each smaller plan.
pub fn shrink(failing: Failing, events_max: u64, report: impl FnMut(Progress<'_>)) -> Failing {
    Search::new(failing, events_max, ran, report).smallest()
}

/// Runs `plan` with `seed`: the plan that was drawn, and what it breaks.
pub fn failure_of(plan: &Plan, seed: u64) -> Option<Failing> {
    ran(plan, seed).failing
}

/// Enough for nearly all failures, most of which need less: a minute of a processor, or two.
pub const EVENTS: u64 = 40_000_000;

fn ran(plan: &Plan, seed: u64) -> Ran {
    let run = simulate(plan, seed, Lines::None);
    Ran {
        events: run.trace.events,
        failing: run.broken().map(|rule| Failing {
            rule,
            place: run.place(),
            seed,
            plan: run.plan,
        }),
    }
}

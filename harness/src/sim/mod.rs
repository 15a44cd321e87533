//! The simulated world: the daemon's replica and store, in one thread, with virtual time.
//!
//! The same code that runs in production handles the same inputs; only bytes on disk are faked, behind the
//! store's own seam, and the network, the clocks and the clients are events in one queue. The plan, the
//! workloads, the schedule of faults, the histories, the checkers and the report are those of `harness run`.
//!
//! | module | what it owns |
//! |-|-|
//! | `parts` | data with its own methods: the queue of events, nodes, disks, links, clients, checks |
//! | `journal` | what is recorded: the trace, histories, figures, kinds of states |
//! | `world` | acts: what each event does to the parts, and what of it is recorded |
//! | `judge` | the verdict |
//! | `topologies` | every directed topology of a few nodes, instead of a plan |
//! | `campaign`, `folder`, `shrink` | many seeds; what is kept of a failure; a smaller one |
//! | `steer` | which plan runs next, by what the runs before reached |
//! | `baseline` | the kinds of states that a campaign reached, as a file, and compared with those of an earlier one |
//!
//! Invariant: a plan and a seed name one trace, in every process, on every machine.

mod baseline;
pub mod campaign;
pub mod folder;
mod journal;
mod judge;
mod panics;
mod parts;
pub mod shrink;
mod steer;
pub mod topologies;
mod world;

pub use baseline::{Comparison, Incomparable, Reached, ReachedError};
pub use journal::counters::{Counters, DiskCounters, ProcessCounters};
pub use journal::coverage::Coverage;
pub use journal::history::WorkloadHistory;
pub use journal::trace::Lines;
pub use parts::rule::{BrokenRule, Rule};
pub use steer::{Steering, Trial};

use std::collections::BTreeMap;

use crate::nemesis::Decision;
use crate::nodes::NodeSample;
use crate::plan::Plan;
use crate::results::{Outcome, Results};
use world::World;

/// A trace in two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceSum {
    /// The hash of everything that happened.
    pub hash: u64,
    /// How many events that was.
    pub events: u64,
}

/// A run that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulated {
    /// What was run: drawn from a swarm's plan, where it was one.
    pub plan: Plan,
    /// The seed.
    pub seed: u64,
    /// Everything that happened, as its trace sums it up.
    pub trace: TraceSum,
    /// Virtual time, in nanoseconds.
    pub virtual_ns: u64,
    /// The rule that was broken while it ran.
    pub violation: Option<BrokenRule>,
    /// The verdict.
    pub results: Results,
    /// Where each part of the run began, by name, in nanoseconds.
    pub phases: Vec<(&'static str, u64)>,
    /// Each workload's history.
    pub histories: Vec<WorkloadHistory>,
    /// What the nemesis decided.
    pub decisions: Decisions,
    /// What happened, in figures.
    pub counters: Counters,
    /// What each node was over time, when lines were wanted.
    pub samples: Vec<NodeSample>,
    /// The files of each node's disk in the end, when lines were wanted.
    pub disks: Vec<BTreeMap<String, Vec<u8>>>,
    /// The last lines of the trace, when they were wanted.
    pub lines: Vec<String>,
    /// The kinds of states that were reached, when they were counted.
    pub coverage: Option<Coverage>,
}

/// What the nemesis decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Decisions {
    /// Every decision.
    pub made: Vec<Decision>,
    /// How many of them could not be carried out.
    pub skipped: u64,
}

impl Simulated {
    /// The verdict.
    pub fn verdict(&self) -> Outcome {
        self.results.verdict
    }

    /// The rule that is broken, in a few words: the same for the same kind of failure.
    pub fn broken(&self) -> Option<String> {
        if let Some(violation) = &self.violation {
            return Some(violation.rule.to_string());
        }
        let checks = &self.results.checks;
        let invalid = checks.iter().find(|check| check.verdict == Outcome::Invalid);
        invalid.map(|check| format!("{}: not linearizable", check.model))
    }
}

impl Simulated {
    /// Where it is broken: the line of source that panicked, or the name of the check.
    pub fn place(&self) -> String {
        if let Some(BrokenRule {
            rule: Rule::NoPanic,
            detail,
            ..
        }) = &self.violation
            && let Some((_, place)) = detail.rsplit_once('(')
        {
            return place.trim_end_matches(')').to_owned();
        }
        let mut checks = self.results.checks.iter();
        let broken = checks.find(|check| check.verdict == Outcome::Invalid);
        broken.map(|check| check.model.clone()).unwrap_or_default()
    }
}

/// Runs `plan`, or what `seed` draws from it.
pub fn simulate(plan: &Plan, seed: u64, lines: Lines) -> Simulated {
    let plan = plan.drawn(seed);
    let world = World::new(&plan, seed, lines);
    finish(plan, seed, world)
}

/// As [`simulate`], and counts the kinds of states that are reached. Counting changes nothing of what happens.
pub fn simulate_counted(plan: &Plan, seed: u64) -> Simulated {
    let plan = plan.drawn(seed);
    let mut world = World::new(&plan, seed, Lines::None);
    world.count_states();
    finish(plan, seed, world)
}

fn finish(plan: Plan, seed: u64, mut world: World) -> Simulated {
    if let Err(panic) = panics::caught(|| world.run()) {
        world.fail(Rule::NoPanic, panic);
    }
    judge::judge(plan, seed, world)
}

//! How hard the frontier tries: first what decides most histories, then what decides all.
//!
//! Each stage proves what it answers, so stages can only differ in cost.
//! - *Patient*: keeps a few configurations and goes back for more where it must ([`super::patience`]). An
//!   order that it finds is one; getting stuck proves something only if nothing was given up, or if the
//!   operations around it have no order by themselves.
//! - *Unlimited*: operations of unknown outcome may be used again and again, so that how many were
//!   used need not be remembered. Getting stuck even so proves that there is no order; not getting
//!   stuck proves nothing.
//! - *Wide*, then *full*: the first with more and more configurations.

use super::core;
use super::effort::{Effort, StageEnd, WIDTH};
use super::engine::Frontier;
use super::task::{Task, unknown};
use crate::checker::verdict::Verdict;
use crate::checker::violation::{Stuck, Violation};
use crate::recording::budget::{Budget, Limit};

/// Tries one stage after the other until one decides.
pub(super) fn raise<const W: usize>(task: &Task<'_>, budget: &Budget) -> Verdict {
    let has_unknown = task.returns.len() < task.calls.len();
    let mut last = unknown(Limit::Steps, 0, task.calls);
    for effort in LADDER {
        if effort.unlimited && !has_unknown {
            continue;
        }
        let budget = budget.with_steps(budget.steps_max() / effort.steps_divisor);
        match run::<W>(task, &budget, effort) {
            StageEnd::Order(order) if !effort.unlimited => return Verdict::Valid(order),
            StageEnd::Stuck(stuck) if !effort.unlimited => {
                return invalid::<W>(task, stuck, &budget);
            }
            StageEnd::Stuck(stuck) | StageEnd::Later(stuck) => {
                let stuck = earlier::<W>(task, &budget, stuck);
                return invalid::<W>(task, stuck, &budget);
            }
            StageEnd::Order(_) | StageEnd::GaveUp => {}
            StageEnd::Limit(limit, decided) => last = unknown(limit, decided, task.calls),
        }
        if budget.check_cancelled().is_err() {
            break;
        }
    }
    last
}

fn invalid<const W: usize>(task: &Task<'_>, stuck: Stuck, budget: &Budget) -> Verdict {
    let core = core::find::<W>(task, &stuck, budget);
    Verdict::Invalid(Violation::Stuck(Stuck { core, ..stuck }))
}

fn run<const W: usize>(task: &Task<'_>, budget: &Budget, effort: Effort) -> StageEnd {
    let frontier = Frontier::<W>::new(task, budget, effort);
    if effort.width == WIDTH {
        frontier.run_patiently(budget)
    } else {
        frontier.run()
    }
}

/// The first operation that fits nowhere. A later one may have been found;
/// if it takes long to find the first, the later one stays: it is as true.
fn earlier<const W: usize>(task: &Task<'_>, budget: &Budget, later: Stuck) -> Stuck {
    let budget = budget.with_steps(STEPS_EARLIER.min(budget.steps_max()));
    match Frontier::<W>::new(task, &budget, Effort::FULL).run() {
        StageEnd::Stuck(stuck) => stuck,
        StageEnd::Order(_) | StageEnd::GaveUp | StageEnd::Later(_) | StageEnd::Limit(..) => later,
    }
}

/// Steps spent on a better explanation of what is already decided.
const STEPS_EARLIER: u64 = 1_000_000;
/// One after the other, until one decides.
const LADDER: [Effort; 4] = [Effort::PATIENT, Effort::UNLIMITED, Effort::WIDE, Effort::FULL];

//! How hard the frontier tries: first what decides most histories, then what decides all.
//!
//! Each stage proves what it answers, so stages can only differ in cost.
//! - *Narrow*: keeps a bounded number of configurations. An order that it finds is one; getting stuck
//!   proves something only if nothing was given up.
//! - *Unlimited*: operations of unknown outcome may be used again and again, so that how many were
//!   used need not be remembered. Getting stuck even so proves that there is no order; not getting
//!   stuck proves nothing.
//! - *Wide*, then *full*: the first with more and more configurations.

use super::{Frontier, unknown};
use crate::checker::budget::{Budget, Limit};
use crate::checker::datum::Datum;
use crate::checker::register::RegisterOp;
use crate::checker::verdict::{Stuck, Verdict, Violation};
use crate::model::Call;

/// What a stage allows itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// Configurations kept.
    pub(super) width: usize,
    /// Operations of unknown outcome may be used more than once.
    pub(super) unlimited: bool,
    /// Share of the steps that it may take.
    steps_divisor: u64,
}

impl Effort {
    /// True when configurations may be given up.
    pub(super) fn is_bounded(self) -> bool {
        self.width != usize::MAX
    }
}

const NARROW: Effort = Effort {
    width: 64,
    unlimited: false,
    steps_divisor: 1,
};
const UNLIMITED: Effort = Effort {
    width: usize::MAX,
    unlimited: true,
    steps_divisor: 4,
};
const WIDE: Effort = Effort {
    width: 4096,
    unlimited: false,
    steps_divisor: 4,
};
const FULL: Effort = Effort {
    width: usize::MAX,
    unlimited: false,
    steps_divisor: 1,
};

/// How a stage ended.
pub(super) enum Outcome {
    /// With an order of the operations.
    Order(Vec<u32>),
    /// Without any configuration, nothing having been given up.
    Stuck(Stuck),
    /// Without any configuration, after some had been given up.
    GaveUp,
    /// What ran out, and after how many returns.
    Limit(Limit, u32),
}

/// Tries one stage after the other until one decides.
pub(super) fn raise<const W: usize>(initial: Datum, calls: &[Call<RegisterOp>], budget: &Budget) -> Verdict {
    let has_unknown = calls.iter().any(Call::is_open);
    let mut last = unknown(Limit::Steps, 0, calls);
    for effort in [NARROW, UNLIMITED, WIDE, FULL] {
        if effort.unlimited && !has_unknown {
            continue;
        }
        let budget = budget.with_steps(budget.steps_max() / effort.steps_divisor);
        match Frontier::<W>::new(initial, calls, &budget, effort).run() {
            Outcome::Order(order) if !effort.unlimited => return Verdict::Valid(order),
            Outcome::Stuck(stuck) => {
                let stuck = if effort.unlimited {
                    earlier::<W>(initial, calls, &budget, stuck)
                } else {
                    stuck
                };
                return Verdict::Invalid(Violation::Stuck(stuck));
            }
            Outcome::Order(_) | Outcome::GaveUp => {}
            Outcome::Limit(limit, decided) => last = unknown(limit, decided, calls),
        }
        if budget.check_cancelled().is_err() {
            break;
        }
    }
    last
}

/// The first operation that fits nowhere. With unlimited operations a later one may have been found;
/// if it takes long to find the first, the later one stays: it is as true.
fn earlier<const W: usize>(
    initial: Datum,
    calls: &[Call<RegisterOp>],
    budget: &Budget,
    later: Stuck,
) -> Stuck {
    let budget = budget.with_steps(STEPS_EARLIER.min(budget.steps_max()));
    match Frontier::<W>::new(initial, calls, &budget, FULL).run() {
        Outcome::Stuck(stuck) => stuck,
        Outcome::Order(_) | Outcome::GaveUp | Outcome::Limit(..) => later,
    }
}

/// Steps spent on a better explanation of what is already decided.
const STEPS_EARLIER: u64 = 1_000_000;

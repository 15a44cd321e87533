//! Any model: breadth and depth in competition.
//!
//! Neither engine is better on all histories, and each is exact, so they take turns with a budget of
//! steps that grows each round; the first to finish decides. An engine whose memory ran out leaves the
//! competition. The answer does not depend on timing. The cost is at most a small multiple of the
//! cheaper one's.

use super::verdict::Verdict;
use super::{breadth, depth};
use crate::model::{Call, Model};
use crate::recording::budget::{Budget, Limit};

/// Steps of the first round.
const STEPS_FIRST: u64 = 200_000;
/// The same, for each operation: enough for a history with a few configurations at a time.
const STEPS_PER_CALL_FIRST: u64 = 64;
/// How much longer each round is than the one before.
const GROWTH: u64 = 8;

/// Decides `calls`, in order of invocation; says which engine did.
pub fn check<M: Model>(model: &M, calls: &[Call<M::Op>], budget: &Budget) -> (&'static str, Verdict) {
    let engines: [Engine<'_>; 2] = [
        ("breadth", &|round| breadth::check(model, calls, round)),
        ("depth", &|round| depth::check(model, calls, round)),
    ];
    race(engines, calls.len(), budget)
}

/// A name, and what decides within a budget.
pub(crate) type Engine<'a> = (&'static str, &'a dyn Fn(&Budget) -> Verdict);

/// Lets two engines take turns on a history of so many `calls`.
pub(crate) fn race(engines: [Engine<'_>; 2], calls: usize, budget: &Budget) -> (&'static str, Verdict) {
    let mut steps = STEPS_FIRST.max(STEPS_PER_CALL_FIRST * calls as u64);
    let mut racing = [true, true];
    loop {
        let round = budget.with_steps(steps.min(budget.steps_max()));
        let mut last = None;
        for ((name, engine), racing) in engines.iter().zip(&mut racing).filter(|(_, racing)| **racing) {
            let verdict = engine(&round);
            match &verdict {
                Verdict::Valid(_) | Verdict::Invalid(_) => return (name, verdict),
                Verdict::Unknown(exhausted) if exhausted.limit == Limit::Steps => {}
                Verdict::Unknown(_) => *racing = false,
            }
            last = Some((*name, verdict));
        }
        let over =
            steps >= budget.steps_max() || racing == [false, false] || budget.check_cancelled().is_err();
        match last {
            Some(answer) if over => return answer,
            Some(_) | None => steps = steps.saturating_mul(GROWTH),
        }
    }
}

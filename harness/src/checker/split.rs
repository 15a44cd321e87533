//! Divides a history by key and checks the parts on a fixed pool of threads.
//!
//! Sound because every operation touches one key and keys do not share state: a history has an order
//! iff every part has one. The largest part goes first. A violation stops the parts behind it, not
//! those before, so that the answer does not depend on timing; a part that is unknown does not hide
//! another's violation.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::usage::{Taken, UsageCount};
use crate::model::Call;
use crate::recording::budget::{Budget, Limit, Meter};
use crate::recording::datum::Datum;
use crate::recording::hash::FastMap;
use crate::recording::{Operation, Recording};

/// The operations of one key, in order of invocation.
#[derive(Debug)]
pub(crate) struct Part<O> {
    pub(crate) key: Datum,
    pub(crate) calls: Vec<Call<O>>,
}

/// All parts, largest first; their memory stays charged.
#[derive(Debug)]
pub(crate) struct Parts<O> {
    pub(crate) parts: Vec<Part<O>>,
    /// What became of each operation.
    pub(crate) tally: UsageCount,
    _meter: Meter,
}

/// Converts and divides; operations that `convert` cannot use are left out, and counted.
pub(crate) fn by_key<O>(
    recording: &Recording,
    budget: &Budget,
    convert: impl Fn(&Operation) -> Taken<O>,
) -> Result<Parts<O>, Limit> {
    let mut meter = budget.meter();
    meter.hold(recording.operations.len() * size_of::<Call<O>>())?;
    let (part_of, counts) = count_keys(recording);
    let mut parts: Vec<Part<O>> = counts
        .iter()
        .map(|(key, count)| Part {
            key: *key,
            calls: Vec::with_capacity(*count),
        })
        .collect();
    let mut last = (Datum::NIL, 0_usize);
    let mut tally = UsageCount::default();
    for (id, operation) in (0_u32..).zip(&recording.operations) {
        if operation.key != last.0 || id == 0 {
            last = (operation.key, part_of[&operation.key]);
        }
        let taken = convert(operation);
        tally.note(operation, &taken);
        if let Ok((op, ret)) = taken {
            parts[last.1].calls.push(Call {
                id,
                call: operation.call,
                ret,
                op,
            });
        }
    }
    parts.retain(|part| !part.calls.is_empty());
    parts.sort_by_key(|part| std::cmp::Reverse(part.calls.len()));
    Ok(Parts {
        parts,
        tally,
        _meter: meter,
    })
}

fn count_keys(recording: &Recording) -> (FastMap<Datum, usize>, Vec<(Datum, usize)>) {
    let mut part_of: FastMap<Datum, usize> = FastMap::default();
    let mut counts: Vec<(Datum, usize)> = Vec::new();
    let mut last = usize::MAX;
    for operation in &recording.operations {
        if counts.get(last).is_none_or(|(key, _)| *key != operation.key) {
            last = *part_of.entry(operation.key).or_insert_with(|| {
                counts.push((operation.key, 0));
                counts.len() - 1
            });
        }
        counts[last].1 += 1;
    }
    (part_of, counts)
}

/// Steps that each part has in the first round.
const STEPS_FIRST: u64 = 200_000;
/// How much longer each round is than the one before.
const GROWTH: u64 = 8;

/// Applies `check` to every part in rounds: first with few steps, then those that ran out of them with more. So one
/// part that is hard to decide does not keep a violation in another from being found. Returns the answers in order, up to and
/// including the first that `is_final`.
pub(crate) fn check_in_rounds<O: Sync, R: Send>(
    parts: &[Part<O>],
    threads: usize,
    budget: &Budget,
    check: impl Fn(&Part<O>, &Budget) -> R + Sync,
    is_final: impl Fn(&R) -> bool + Sync,
    is_short_of_steps: impl Fn(&R) -> bool,
) -> Vec<R> {
    let mut answers: Vec<Option<R>> = parts.iter().map(|_| None).collect();
    let mut open: Vec<usize> = (0..parts.len()).collect();
    let mut steps = STEPS_FIRST;
    while !open.is_empty() {
        let round = budget.with_steps(steps.min(budget.steps_max()));
        let refs: Vec<&Part<O>> = open.iter().map(|at| &parts[*at]).collect();
        let found = check_parts(&refs, threads, |part| check(part, &round), &is_final);
        let over = found.last().is_some_and(&is_final) || steps >= budget.steps_max();
        let mut again = Vec::new();
        for (at, answer) in open.iter().zip(found) {
            if is_short_of_steps(&answer) {
                again.push(*at);
            }
            answers[*at] = Some(answer);
        }
        if over || budget.check_cancelled().is_err() {
            break;
        }
        (open, steps) = (again, steps.saturating_mul(GROWTH));
    }
    answers.into_iter().flatten().collect()
}

/// Applies `check` to every part, on at most `threads` threads, until one answer `is_final`.
/// Returns the answers in order, up to and including the first final one.
fn check_parts<O: Sync, R: Send>(
    parts: &[&Part<O>],
    threads: usize,
    check: impl Fn(&Part<O>) -> R + Sync,
    is_final: impl Fn(&R) -> bool + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let stop_at = AtomicUsize::new(parts.len());
    let answers: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::new());
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= parts.len() || at > stop_at.load(Ordering::Relaxed) {
                return;
            }
            let answer = check(parts[at]);
            if is_final(&answer) {
                stop_at.fetch_min(at, Ordering::Relaxed);
            }
            answers
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((at, answer));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(parts.len()) {
            scope.spawn(work);
        }
        work();
    });
    let mut answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    answers.sort_unstable_by_key(|(at, _)| *at);
    let last = stop_at.into_inner();
    answers
        .into_iter()
        .filter(|(at, _)| *at <= last)
        .map(|(_, answer)| answer)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(count: u32) -> Vec<Part<u32>> {
        let part = |at: u32| Part {
            key: Datum::NIL,
            calls: vec![Call {
                id: at,
                call: at,
                ret: at + 1,
                op: at,
            }],
        };
        (0..count).map(part).collect()
    }

    #[test]
    fn a_part_that_is_hard_to_decide_does_not_keep_a_violation_from_being_found() {
        let budget = Budget::new(1 << 20, u64::MAX);
        let most = std::sync::atomic::AtomicU64::new(0);
        let check = |part: &Part<u32>, round: &Budget| match part.calls[0].op {
            0 => {
                most.fetch_max(round.steps_max(), Ordering::Relaxed);
                "hard"
            }
            1 => "violation",
            _ => "fine",
        };
        let answers = check_in_rounds(
            &parts(3),
            1,
            &budget,
            check,
            |one| *one == "violation",
            |one| *one == "hard",
        );
        assert_eq!(answers, ["hard", "violation"]);
        assert_eq!(most.into_inner(), STEPS_FIRST);
    }

    #[test]
    fn what_ran_out_of_steps_is_tried_again_with_more_until_the_budget_ends() {
        let budget = Budget::new(1 << 20, 100 * STEPS_FIRST);
        let check = |part: &Part<u32>, round: &Budget| match part.calls[0].op {
            0 => round.steps_max() >= 50 * STEPS_FIRST,
            _ => true,
        };
        let answers = check_in_rounds(&parts(2), 1, &budget, check, |_| false, |decided| !decided);
        assert_eq!(answers, [true, true]);
    }
}

//! Divides a history by key and checks the parts on a fixed pool of threads.
//!
//! Sound because every operation touches one key and keys do not share state: a history has an order
//! iff every part has one. The largest part goes first. A violation stops the parts behind it, not
//! those before, so that the answer does not depend on timing; a part that is unknown does not hide
//! another's violation.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::budget::{Budget, Limit, Meter};
use super::datum::Datum;
use super::hash::FastMap;
use super::recording::{Operation, Recording};
use super::usage::{Taken, Tally};
use crate::model::Call;

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
    pub(crate) tally: Tally,
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
    let mut tally = Tally::default();
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

/// Applies `check` to every part, on at most `threads` threads, until one answer `is_final`.
/// Returns the answers in order, up to and including the first final one.
pub(crate) fn check_parts<O: Sync, R: Send>(
    parts: &[Part<O>],
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
            let answer = check(&parts[at]);
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

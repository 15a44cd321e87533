//! The few operations that have no order by themselves, out of a history that has none.
//!
//! First the shortest stretch before the operation that fits nowhere is found that excludes it (see
//! [`window`]), then one operation after the other is allowed not to happen, as long as what is left still
//! has no order. What remains is a proof that names only these. The effort is bounded: where it
//! ends early, or the proof counts how often an operation of unknown outcome is used, there is none.

use super::task::Task;
use super::window::{self, Window};
use crate::checker::register::RegisterOp;
use crate::checker::violation::{Core, Stuck};
use crate::model::Call;
use crate::recording::budget::Budget;

/// Attempts to leave something out.
const ATTEMPTS_MAX: usize = 300;
/// Steps of an attempt.
const STEPS_MAX: u64 = 20_000;
/// Returns a stretch may have.
const RETURNS_MAX: usize = 1 << 14;

/// What proves that `stuck` fits nowhere.
pub(super) fn find<const W: usize>(task: &Task<'_>, stuck: &Stuck, budget: &Budget) -> Option<Core> {
    let last = task
        .returns
        .iter()
        .position(|(_, i)| task.calls[*i as usize].id == stuck.op)?;
    let from = latest_start::<W>(task, last, stuck, budget)?;
    let window = Window::of(task, from..last + 1);
    let (bound, is_minimal) = minimise::<W>(&window, stuck.op, budget);
    let bound = || bound.iter().map(|at| &window.calls[*at]);
    Some(Core {
        operations: bound().map(|call| call.id).collect(),
        since: bound()
            .map(|call| call.call)
            .min()
            .filter(|_| window.initial.is_none()),
        is_minimal,
    })
}

/// The latest return from which on the operations up to `last` exclude it.
fn latest_start<const W: usize>(
    task: &Task<'_>,
    last: usize,
    stuck: &Stuck,
    budget: &Budget,
) -> Option<usize> {
    let excludes = |from: usize| {
        let found = window::refute::<W>(task, from..last + 1, budget);
        matches!(found, Ok(Some(found)) if found.op == stuck.op)
    };
    let mut length = 1;
    let mut too_late = last + 1;
    let mut from = last;
    while !excludes(from) {
        if from == 0 || length > RETURNS_MAX {
            return None;
        }
        too_late = from;
        length *= 2;
        from = last.saturating_sub(length);
    }
    while from + 1 < too_late {
        let middle = from.midpoint(too_late);
        if excludes(middle) {
            from = middle;
        } else {
            too_late = middle;
        }
    }
    Some(from)
}

/// Which operations of `window` have to happen for `last` to fit nowhere; true when none of them can be
/// spared.
fn minimise<const W: usize>(window: &Window, last: u32, budget: &Budget) -> (Vec<usize>, bool) {
    let calls = &window.calls;
    let mut bound: Vec<usize> = (0..calls.len()).filter(|at| !calls[*at].is_open()).collect();
    let mut attempts = 0;
    let mut size = bound.len();
    while size > 1 {
        size = size.div_ceil(2);
        let mut at = 0;
        while at < bound.len() {
            if attempts == ATTEMPTS_MAX {
                return (bound, false);
            }
            attempts += 1;
            let part = at..bound.len().min(at + size);
            let mut fewer = bound.clone();
            fewer.retain(|one| calls[*one].id == last || !bound[part.clone()].contains(one));
            let is_smaller = fewer.len() < bound.len();
            if is_smaller && excludes::<W>(window, &fewer, budget) {
                at += bound[part].iter().filter(|one| calls[**one].id == last).count();
                bound = fewer;
            } else {
                at += size;
            }
        }
    }
    (bound, true)
}

/// True when the operations `bound`, with the others free not to happen, have no order.
fn excludes<const W: usize>(window: &Window, bound: &[usize], budget: &Budget) -> bool {
    let choose = |(at, call): (usize, &Call<RegisterOp>)| {
        if bound.binary_search(&at).is_ok() {
            Some(*call)
        } else {
            window::unbind(call)
        }
    };
    let calls = window.calls.iter().enumerate().filter_map(choose).collect();
    matches!(
        window::stuck::<W>(window.initial, calls, budget, STEPS_MAX),
        Ok(Some(_))
    )
}

//! Whether the operations of some time alone have no order.
//!
//! What came before is replaced by anything it might have done: the register may hold any value, and
//! what was open may have taken effect or may still do so. What returns later may take effect or not, and
//! operations of unknown outcome may be used again and again. If even so no order exists, none does.

use std::ops::Range;

use super::effort::{Effort, StageEnd};
use super::engine::Frontier;
use super::task::Task;
use crate::checker::register::{RegisterOp, drop_unseen};
use crate::checker::violation::Stuck;
use crate::model::{Call, NEVER};
use crate::recording::budget::{Budget, Limit};
use crate::recording::datum::Datum;
use crate::recording::hash::FastSet;

/// Steps spent for each return.
const STEPS_PER_RETURN: u64 = 2_000;

/// An operation that the returns in `returns` alone exclude.
pub(super) fn refute<const W: usize>(
    task: &Task<'_>,
    returns: Range<usize>,
    budget: &Budget,
) -> Result<Option<Stuck>, Limit> {
    let steps = STEPS_PER_RETURN * returns.len() as u64;
    let window = Window::of(task, returns);
    stuck::<W>(window.initial, window.calls, budget, steps)
}

/// Some operations, those they may use, and the value before them; `None` if it may have been any.
pub(super) struct Window {
    pub(super) initial: Option<Datum>,
    pub(super) calls: Vec<Call<RegisterOp>>,
}

impl Window {
    pub(super) fn of(task: &Task<'_>, returns: Range<usize>) -> Self {
        let begin = returns.start.checked_sub(1).map(|last| task.returns[last].0);
        let end = task.returns.get(returns.end).map_or(NEVER, |(ret, _)| *ret);
        Self {
            initial: task.initial.filter(|_| begin.is_none()),
            calls: between(task.calls, begin, end),
        }
    }
}

/// The operation that has no place among `calls`, if that is found within `steps`.
pub(super) fn stuck<const W: usize>(
    initial: Option<Datum>,
    mut calls: Vec<Call<RegisterOp>>,
    budget: &Budget,
    steps: u64,
) -> Result<Option<Stuck>, Limit> {
    drop_unseen(&mut calls);
    let task = Task::new(initial, &calls);
    let budget = budget.with_steps(steps.min(budget.steps_max()));
    match Frontier::<W>::new(&task, &budget, Effort::UNLIMITED).run() {
        StageEnd::Stuck(stuck) => Ok(Some(stuck)),
        StageEnd::Limit(Limit::Cancelled, _) => Err(Limit::Cancelled),
        StageEnd::Order(_) | StageEnd::GaveUp | StageEnd::Later(_) | StageEnd::Limit(..) => Ok(None),
    }
}

/// The operations between two events, as far as those bind them.
fn between(calls: &[Call<RegisterOp>], begin: Option<u32>, end: u32) -> Vec<Call<RegisterOp>> {
    let until = calls.partition_point(|call| call.call < end);
    let mut unknown = FastSet::default();
    let mut inside = Vec::new();
    for call in &calls[..until] {
        let is_before = begin.is_some_and(|begin| call.ret <= begin);
        if is_before {
            continue;
        }
        let is_bound = begin.is_none_or(|begin| call.call > begin) && call.ret < end;
        if is_bound {
            inside.push(*call);
        } else if unknown.insert(call.op) {
            inside.extend(unbind(call));
        }
    }
    inside
}

/// The same operation when it need not have happened; `None` when nothing is left of it.
pub(super) fn unbind(call: &Call<RegisterOp>) -> Option<Call<RegisterOp>> {
    is_change(call.op).then_some(Call { ret: NEVER, ..*call })
}

fn is_change(op: RegisterOp) -> bool {
    match op {
        RegisterOp::Write(_) | RegisterOp::Cas(..) => true,
        RegisterOp::Read(_) | RegisterOp::Differs(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datum(value: i64) -> Datum {
        Datum::int(value).expect("small")
    }

    /// Whether the returns in `returns` refute `(call, return, what)` of a register that is 0 at first.
    fn refuted(operations: &[(u32, u32, RegisterOp)], returns: Range<usize>) -> bool {
        let calls: Vec<Call<RegisterOp>> = (0..)
            .zip(operations)
            .map(|(id, &(call, ret, op))| Call { id, call, ret, op })
            .collect();
        let task = Task::new(Some(datum(0)), &calls);
        let answer = refute::<1>(&task, returns, &Budget::default());
        answer.expect("the budget is large").is_some()
    }

    #[test]
    fn what_was_open_before_may_take_effect() {
        let open = [
            (0, 10, RegisterOp::Write(datum(1))),
            (1, 2, RegisterOp::Write(datum(2))),
            (3, 4, RegisterOp::Write(datum(3))),
            (5, 6, RegisterOp::Read(datum(1))),
        ];
        assert!(!refuted(&open, 1..4));
        let closed = [(0, 1, RegisterOp::Write(datum(1)))];
        assert!(refuted(&[&closed[..], &open[1..]].concat(), 2..4));
    }

    #[test]
    fn a_write_is_hidden_for_nothing_only_if_its_value_can_be_had_otherwise() {
        let operations = [
            (0, NEVER, RegisterOp::Write(datum(1))),
            (1, 10, RegisterOp::Read(datum(2))),
            (2, 9, RegisterOp::Write(datum(2))),
            (4, 8, RegisterOp::Read(datum(1))),
        ];
        assert!(!refuted(&operations, 0..3));
    }

    #[test]
    fn an_unknown_operation_may_be_used_again_and_again() {
        let operations = [
            (0, NEVER, RegisterOp::Write(datum(1))),
            (1, 2, RegisterOp::Read(datum(1))),
            (3, 4, RegisterOp::Write(datum(2))),
            (5, 6, RegisterOp::Read(datum(1))),
        ];
        assert!(!refuted(&operations, 0..3));
    }
}

//! A model of one's own: a queue, checked against what clients of some system saw.
//!
//! `cargo run -p harness --example own_model`
//!
//! A model is a state, and what one operation with its result does to it. The search that decides knows nothing else: it
//! looks for an order of the operations, within their intervals of real time, in which each had its result.

use harness::checker::{self, BadHistory, Budget, NEVER, Verdict};
use harness::model::{Call, Model};

/// A queue: first in, first out.
pub(crate) struct Queue;

/// An operation, and what its caller saw.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum QueueOp {
    /// Appended this.
    Push(u32),
    /// Took this from the front, or found the queue empty.
    Pop(Option<u32>),
}

impl Model for Queue {
    type State = Vec<u32>;
    type Op = QueueOp;

    fn init(&self) -> Vec<u32> {
        Vec::new()
    }

    fn step(&self, queue: &Vec<u32>, op: &QueueOp) -> Option<Vec<u32>> {
        match op {
            QueueOp::Push(value) => Some([queue.as_slice(), &[*value]].concat()),
            QueueOp::Pop(None) => queue.is_empty().then(Vec::new),
            QueueOp::Pop(Some(value)) => (queue.first() == Some(value)).then(|| queue[1..].to_vec()),
        }
    }
}

/// An operation that was called and returned at these moments. Only their order matters, and no two are equal.
pub(crate) fn seen(id: u32, call: u32, ret: u32, op: QueueOp) -> Call<QueueOp> {
    Call { id, call, ret, op }
}

/// Decides a history.
pub(crate) fn check(calls: &[Call<QueueOp>]) -> Result<Verdict, BadHistory> {
    checker::decide(&Queue, calls, &Budget::default())
}

/// Two pushes at the same time, and two pops that saw them in one order; a third push of unknown outcome.
pub(crate) fn valid() -> Vec<Call<QueueOp>> {
    vec![
        seen(0, 0, 3, QueueOp::Push(1)),
        seen(1, 1, 2, QueueOp::Push(2)),
        seen(2, 4, NEVER, QueueOp::Push(3)),
        seen(3, 5, 6, QueueOp::Pop(Some(2))),
        seen(4, 7, 8, QueueOp::Pop(Some(1))),
        seen(5, 9, 10, QueueOp::Pop(None)),
    ]
}

/// The same, but the first push had returned before the second was called.
pub(crate) fn invalid() -> Vec<Call<QueueOp>> {
    let mut calls = valid();
    calls[0] = seen(0, 0, 1, QueueOp::Push(1));
    calls[1] = seen(1, 2, 3, QueueOp::Push(2));
    calls
}

#[allow(dead_code, reason = "a test runs this file as a module")]
fn main() -> Result<(), BadHistory> {
    for (name, calls) in [("overlapping pushes", valid()), ("pushes in sequence", invalid())] {
        match check(&calls)? {
            Verdict::Valid(order) => println!("{name}: valid, for instance in the order {order:?}"),
            Verdict::Invalid(violation) => println!("{name}: invalid: {violation:?}"),
            Verdict::Unknown(exhausted) => println!("{name}: unknown: {exhausted:?}"),
        }
    }
    Ok(())
}

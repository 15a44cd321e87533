//! What is to be decided.

use crate::checker::register::RegisterOp;
use crate::checker::verdict::{Exhausted, Verdict};
use crate::model::Call;
use crate::recording::budget::Limit;
use crate::recording::datum::Datum;

/// What is to be decided.
pub(super) struct Task<'a> {
    /// Value at the beginning; `None` when it may have been any.
    pub(super) initial: Option<Datum>,
    pub(super) calls: &'a [Call<RegisterOp>],
    /// Those that return: when, and which.
    pub(super) returns: Vec<(u32, u32)>,
}

impl<'a> Task<'a> {
    pub(super) fn new(initial: Option<Datum>, calls: &'a [Call<RegisterOp>]) -> Self {
        let mut returns = Vec::with_capacity(calls.len());
        let known = (0..).zip(calls).filter(|(_, call)| !call.is_open());
        returns.extend(known.map(|(i, call)| (call.ret, i)));
        returns.sort_unstable();
        Self {
            initial,
            calls,
            returns,
        }
    }

    /// How many of those that return are open at once, at most.
    pub(super) fn open_max(&self) -> usize {
        let mut called = self.calls.iter().filter(|call| !call.is_open()).peekable();
        let (mut open, mut max) = (0, 0);
        for (ret, _) in &self.returns {
            while called.next_if(|call| call.call < *ret).is_some() {
                open += 1;
            }
            max = max.max(open);
            open -= 1;
        }
        max
    }
}

pub(super) fn unknown(limit: Limit, decided: u32, calls: &[Call<RegisterOp>]) -> Verdict {
    let total = calls.iter().filter(|call| !call.is_open()).count() as u32;
    Verdict::Unknown(Exhausted {
        limit,
        decided,
        total,
    })
}

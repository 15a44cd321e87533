//! How long a log is at the instant of each operation, and whether that fits real time.
//!
//! Invariant: the length never shrinks.

use super::op::LogOp;
use crate::checker::verdict::{Exhausted, Verdict};
use crate::checker::violation::LogViolation;
use crate::model::Call;
use crate::recording::budget::Limit;

/// What an operation says about the length of the log just after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// It is an append; `None` bounds: it was not seen to happen.
    pub(super) is_append: bool,
    pub(super) at_least: u32,
    pub(super) at_most: u32,
}

/// An operation and the length it was given, in the order of the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sized {
    pub(super) length: u32,
    pub(super) is_read: bool,
    pub(super) call: u32,
    pub(super) call_index: u32,
    /// The operation whose return made it this long (itself, unless it was raised).
    pub(super) cause: u32,
}

/// Gives every operation the least length it can have: its own bound, or that of anything that
/// returned before its call.
pub(super) fn raise<O>(calls: &[Call<O>], bounds: &[Option<Bounds>]) -> Result<Vec<Sized>, LogViolation> {
    let mut returns: Vec<(u32, u32)> = (0..)
        .zip(calls)
        .filter(|(i, call)| !call.is_open() && bounds[*i as usize].is_some())
        .map(|(i, call)| (call.ret, i))
        .collect();
    returns.sort_unstable();
    let mut returned = returns.into_iter().peekable();
    let mut lengths = vec![(0, 0); calls.len()];
    let mut longest = (0, 0);
    let mut sized = Vec::with_capacity(calls.len());
    for (i, call) in (0_u32..).zip(calls) {
        while let Some((_, done)) = returned.next_if(|(ret, _)| *ret < call.call) {
            longest = longest.max(lengths[done as usize]);
        }
        let Some(bound) = bounds[i as usize] else { continue };
        let mut length = (bound.at_least, i);
        if !bound.is_append && longest.0 > length.0 {
            if longest.0 > bound.at_most {
                let later = calls[longest.1 as usize].id;
                return Err(LogViolation::RealTime {
                    earlier: call.id,
                    later,
                });
            }
            length = longest;
        }
        lengths[i as usize] = length;
        sized.push(Sized {
            length: length.0,
            is_read: !bound.is_append,
            call: call.call,
            call_index: i,
            cause: length.1,
        });
    }
    Ok(sized)
}

/// In the order of the log, no operation returns before one that precedes it was called.
pub(super) fn real_time<O>(calls: &[Call<O>], sized: &[Sized]) -> Result<(), LogViolation> {
    let mut latest: Option<&Call<O>> = None;
    for one in sized {
        let call = &calls[one.call_index as usize];
        if let Some(earlier) = latest.filter(|latest| call.ret < latest.call) {
            let later = calls[one.cause as usize].id;
            return Err(LogViolation::RealTime {
                earlier: earlier.id,
                later,
            });
        }
        if latest.is_none_or(|latest| latest.call < call.call) {
            latest = Some(call);
        }
    }
    Ok(())
}

pub(super) fn exhausted(limit: Limit, calls: &[Call<LogOp>]) -> Verdict {
    Verdict::Unknown(Exhausted {
        limit,
        decided: 0,
        total: calls.len() as u32,
    })
}

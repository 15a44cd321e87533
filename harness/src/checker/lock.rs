//! A lock that gives a fencing token with each acquisition: `acquire` (ok carries the token), `release`
//! (of a token). Exact; O(n log n).
//!
//! Tokens grow, so they order the acquisitions: acquire t1, release t1, acquire t2, ... That one order
//! must not contradict real time, and every token but the last must have been released (perhaps by
//! a release of unknown outcome). An acquisition of unknown outcome, whose token is not known,
//! cannot be released, so it can only be the last one and is dropped.

use super::usage::{FAILED, Left, NO_FUNCTION, Taken, change_fits};
use super::verdict::Verdict;
use super::violation::{Explained, Violation, mention};
use crate::model::{Call, Model, NEVER};
use crate::recording::datum::Pool;
use crate::recording::hash::FastMap;
use crate::recording::{Operation, Recording, Status};

/// An operation on a lock, with its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockOp {
    /// It was acquired, with this token.
    Acquire(i128),
    /// The holder of this token gave it back.
    Release(i128),
}

/// The specification: free, or held under a token; tokens grow.
#[derive(Clone, Copy, Debug)]
pub struct Lock;

impl Model for Lock {
    /// The last token, and whether it is held.
    type State = (i128, bool);
    type Op = LockOp;

    fn init(&self) -> (i128, bool) {
        (i128::MIN, false)
    }

    fn step(&self, (last, held): &(i128, bool), op: &LockOp) -> Option<(i128, bool)> {
        match *op {
            LockOp::Acquire(token) => (!held && token > *last).then_some((token, true)),
            LockOp::Release(token) => (*held && token == *last).then_some((token, false)),
        }
    }
}

pub(crate) struct Converter<'a> {
    pool: &'a Pool,
    acquire: Option<u16>,
    release: Option<u16>,
}

const NO_TOKEN: &str = "no fencing token";

impl<'a> Converter<'a> {
    pub(crate) fn new(recording: &'a Recording) -> Self {
        Self {
            pool: &recording.pool,
            acquire: recording.function_id("acquire"),
            release: recording.function_id("release"),
        }
    }

    pub(crate) fn convert(&self, operation: &Operation) -> Taken<LockOp> {
        let function = Some(operation.function);
        change_fits(self.pool, operation)?;
        let token = |datum| self.pool.as_integer(datum);
        let no_token = Left::change(operation, NO_TOKEN);
        if function == self.acquire {
            match operation.status {
                Status::Fail => Err(FAILED),
                Status::Info => Err(UNRELEASABLE),
                Status::Ok => {
                    let token = token(operation.output).ok_or(no_token)?;
                    Ok((LockOp::Acquire(token), operation.ret))
                }
            }
        } else if function == self.release {
            let token = token(operation.input).or_else(|| token(operation.output));
            match operation.status {
                Status::Fail => Err(FAILED),
                Status::Info => Ok((LockOp::Release(token.ok_or(no_token)?), NEVER)),
                Status::Ok => Ok((LockOp::Release(token.ok_or(no_token)?), operation.ret)),
            }
        } else {
            Err(Left::change(operation, NO_FUNCTION))
        }
    }
}

/// Its token is not known, so it was not released: at most the last one of all.
const UNRELEASABLE: Left = Left::harmless("outcome unknown");

/// Decides `calls`, all of one lock; `held` is the token under which it was held at the beginning.
pub fn check(held: Option<i128>, calls: &[Call<LockOp>]) -> Verdict {
    match order(held, calls).and_then(|order| real_time(calls, order)) {
        Ok(witness) => Verdict::Valid(witness),
        Err(explained) => Verdict::Invalid(Violation::Explained(explained)),
    }
}

/// Operations by token, each acquisition before its release.
fn order(held: Option<i128>, calls: &[Call<LockOp>]) -> Result<Vec<u32>, Explained> {
    let mut acquired: FastMap<i128, u32> = FastMap::default();
    let mut order: Vec<(i128, bool, bool, u32)> = Vec::with_capacity(calls.len());
    for (i, call) in (0_u32..).zip(calls) {
        match call.op {
            LockOp::Acquire(token) => {
                if let Some(other) = acquired.insert(token, i) {
                    return Err(same_token(calls[other as usize].id, call.id, token));
                }
                order.push((token, false, false, i));
            }
            LockOp::Release(token) => order.push((token, true, call.is_open(), i)),
        }
    }
    order.sort_unstable();
    if let Some(held) = held
        && let Some((token, _, _, i)) = order
            .iter()
            .find(|(token, is_release, ..)| *token <= held && !is_release)
    {
        return Err(held_before(calls[*i as usize].id, held, *token));
    }
    // Who holds it before the first operation has no number.
    let mut before = held;
    let mut kept: Vec<(i128, bool, u32)> = Vec::with_capacity(order.len());
    for (token, is_release, is_open, i) in order {
        let id = calls[i as usize].id;
        if let Some(held) = before.take() {
            match (is_release, token == held) {
                (true, true) => {
                    kept.push((token, is_release, i));
                    continue;
                }
                (true, false) if is_open => {
                    before = Some(held);
                    continue;
                }
                (true, false) => return Err(not_held(id, token)),
                (false, _) => return Err(held_before(id, held, token)),
            }
        }
        match kept.last() {
            Some((held, false, holder)) if !is_release => {
                return Err(two_holders(calls[*holder as usize].id, id, *held, token));
            }
            Some((held, false, _)) if is_release && *held == token => {}
            _ if !is_release => {}
            // A release that need not have happened.
            _ if is_open => continue,
            _ => return Err(not_held(id, token)),
        }
        kept.push((token, is_release, i));
    }
    Ok(kept.into_iter().map(|(_, _, i)| i).collect())
}

fn real_time(calls: &[Call<LockOp>], order: Vec<u32>) -> Result<Vec<u32>, Explained> {
    let mut latest: Option<&Call<LockOp>> = None;
    for i in &order {
        let call = &calls[*i as usize];
        if let Some(before) = latest.filter(|before| call.ret < before.call) {
            return Err(Explained {
                title: "the lock was given to two holders, or tokens do not grow".to_owned(),
                operations: vec![before.id, call.id],
                why: vec![
                    format!(
                        "By their tokens {} comes before {}.",
                        mention(before.id),
                        mention(call.id)
                    ),
                    format!(
                        "But {} returned before {} was called.",
                        mention(call.id),
                        mention(before.id)
                    ),
                ],
            });
        }
        if latest.is_none_or(|latest| latest.call < call.call) {
            latest = Some(call);
        }
    }
    Ok(order.into_iter().map(|i| calls[i as usize].id).collect())
}

fn same_token(one: u32, other: u32, token: i128) -> Explained {
    Explained {
        title: format!("token {token} was given twice"),
        operations: vec![one, other],
        why: vec![format!(
            "{} and {} both got token {token}; each is given once.",
            mention(one),
            mention(other)
        )],
    }
}

fn two_holders(one: u32, other: u32, held: i128, token: i128) -> Explained {
    Explained {
        title: "the lock was given to two holders".to_owned(),
        operations: vec![one, other],
        why: vec![format!(
            "{} got token {held} and it was not released, yet {} got the lock with token {token}.",
            mention(one),
            mention(other)
        )],
    }
}

fn held_before(id: u32, held: i128, token: i128) -> Explained {
    Explained {
        title: "the lock was given to two holders".to_owned(),
        operations: vec![id],
        why: vec![format!(
            "At the beginning it was held with token {held}; that had not been released when {} got token {token}.",
            mention(id)
        )],
    }
}

fn not_held(release: u32, token: i128) -> Explained {
    Explained {
        title: "a lock was released that was not held".to_owned(),
        operations: vec![release],
        why: vec![format!(
            "{} released token {token}, which was not held at that time.",
            mention(release)
        )],
    }
}

//! A lock that gives a fencing token with each acquisition: `acquire` (ok carries the token), `release`
//! (of a token). Exact; O(n log n).
//!
//! Tokens grow, so they order the acquisitions: acquire t1, release t1, acquire t2, ... That one order
//! must not contradict real time, and every token but the last must have been released (perhaps by
//! a release of unknown outcome). An acquisition of unknown outcome, whose token nobody knows,
//! cannot be released, so it can only be the last one and is dropped.

use super::datum::Datum;
use super::hash::FastMap;
use super::recording::{NEVER, Operation, Recording, Status};
use super::verdict::{Told, Verdict, Violation, mention};
use crate::model::{Call, Model};

/// An operation on a lock, with its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockOp {
    /// It was acquired, with this token.
    Acquire(i64),
    /// The holder of this token gave it back.
    Release(i64),
}

/// The specification: free, or held under a token; tokens grow.
#[derive(Clone, Copy, Debug)]
pub struct Lock;

impl Model for Lock {
    /// The last token, and whether it is held.
    type State = (i64, bool);
    type Op = LockOp;

    fn init(&self) -> (i64, bool) {
        (i64::MIN, false)
    }

    fn step(&self, (last, held): &(i64, bool), op: &LockOp) -> Option<(i64, bool)> {
        match *op {
            LockOp::Acquire(token) => (!held && token > *last).then_some((token, true)),
            LockOp::Release(token) => (*held && token == *last).then_some((token, false)),
        }
    }
}

pub(crate) struct Converter {
    acquire: Option<u16>,
    release: Option<u16>,
}

impl Converter {
    pub(crate) fn new(recording: &Recording) -> Self {
        Self {
            acquire: recording.function_id("acquire"),
            release: recording.function_id("release"),
        }
    }

    pub(crate) fn convert(&self, operation: &Operation) -> Option<(LockOp, u32)> {
        let function = Some(operation.function);
        let known = operation.status == Status::Ok;
        if function == self.acquire && known {
            operation
                .output
                .as_int()
                .map(|token| (LockOp::Acquire(token), operation.ret))
        } else if function == self.release && operation.status != Status::Fail {
            let token = operation.input.as_int().or(operation.output.as_int());
            token.map(|token| (LockOp::Release(token), if known { operation.ret } else { NEVER }))
        } else {
            None
        }
    }
}

/// Decides `calls`, all of one lock.
pub fn check(calls: &[Call<LockOp>]) -> Verdict {
    match order(calls).and_then(|order| real_time(calls, order)) {
        Ok(witness) => Verdict::Valid(witness),
        Err(told) => Verdict::Invalid(Violation::Told(told)),
    }
}

/// Operations by token, each acquisition before its release.
fn order(calls: &[Call<LockOp>]) -> Result<Vec<u32>, Told> {
    let mut acquired: FastMap<Datum, u32> = FastMap::default();
    let mut order: Vec<(i64, bool, bool, u32)> = Vec::with_capacity(calls.len());
    for (i, call) in (0_u32..).zip(calls) {
        match call.op {
            LockOp::Acquire(token) => {
                if let Some(other) = Datum::int(token).and_then(|key| acquired.insert(key, i)) {
                    return Err(same_token(calls[other as usize].id, call.id, token));
                }
                order.push((token, false, false, i));
            }
            LockOp::Release(token) => order.push((token, true, call.is_open(), i)),
        }
    }
    order.sort_unstable();
    let mut kept: Vec<(i64, bool, u32)> = Vec::with_capacity(order.len());
    for (token, is_release, is_open, i) in order {
        let id = calls[i as usize].id;
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

fn real_time(calls: &[Call<LockOp>], order: Vec<u32>) -> Result<Vec<u32>, Told> {
    let mut latest: Option<&Call<LockOp>> = None;
    for i in &order {
        let call = &calls[*i as usize];
        if let Some(before) = latest.filter(|before| call.ret < before.call) {
            return Err(Told {
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

fn same_token(one: u32, other: u32, token: i64) -> Told {
    Told {
        title: format!("token {token} was given twice"),
        operations: vec![one, other],
        why: vec![format!(
            "{} and {} both got token {token}; each is given once.",
            mention(one),
            mention(other)
        )],
    }
}

fn two_holders(one: u32, other: u32, held: i64, token: i64) -> Told {
    Told {
        title: "the lock was given to two holders".to_owned(),
        operations: vec![one, other],
        why: vec![format!(
            "{} got token {held} and nobody released it, yet {} got the lock with token {token}.",
            mention(one),
            mention(other)
        )],
    }
}

fn not_held(release: u32, token: i64) -> Told {
    Told {
        title: "a lock was released that was not held".to_owned(),
        operations: vec![release],
        why: vec![format!(
            "{} released token {token}, which was not held at that time.",
            mention(release)
        )],
    }
}

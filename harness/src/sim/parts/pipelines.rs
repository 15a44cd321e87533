//! Clients that do not wait for answers: each appends to a list of its own and reads it, in turn, or, where the plan asks for
//! it, that of another one.
//!
//! Invariant: what is asked over one connection is checked in its order (`checker::session`), as soon as
//! everything before it is answered; every read, also of another list, is as late as it came (`checks::reads`). What a
//! connection that is gone had asked is not looked at.

use std::collections::VecDeque;

use bytes::Bytes;
use noraftd::prng::Prng;
use noraftd::protocol::command::{Parsed, Request, parse};
use noraftd::protocol::outcome::Outcome;
use noraftd::protocol::resp::Reply;
use noraftd::replica::event::RequestId;

use super::checks::body_hash;
use crate::checker::session::{Said, Session, numbers};
use crate::plan::Plan;

/// All of them.
#[derive(Debug)]
pub(crate) struct Pipelines {
    pub(crate) list: Vec<Pipeline>,
    pub(crate) connections: u64,
    elsewhere_permille: u64,
    /// Reads that were looked at.
    pub(crate) reads: u64,
}

impl Pipelines {
    pub(crate) fn new(plan: &Plan, prng: &Prng) -> Self {
        let list = (0..plan.clients.pipelines as u64).map(|slot| Pipeline {
            node: 0,
            life: None,
            connection: 0,
            prng: prng.fork(slot),
            first: 0,
            asked: VecDeque::new(),
            session: Session::default(),
        });
        Self {
            list: list.collect(),
            connections: 0,
            elsewhere_permille: plan.clients.elsewhere_permille,
            reads: 0,
        }
    }

    /// The next requests of one of them.
    pub(crate) fn next_burst(&mut self, at: usize) -> Vec<(u64, Vec<Bytes>, Request)> {
        let lately = self.connections.saturating_sub(self.list.len() as u64) + 1;
        let elsewhere = Elsewhere {
            permille: self.elsewhere_permille,
            connections: (lately, self.connections),
        };
        self.list[at].next_burst(&elsewhere)
    }
}

/// Which other lists are read, and how often.
struct Elsewhere {
    permille: u64,
    /// The first and the last connection that may be in use.
    connections: (u64, u64),
}

#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) node: usize,
    /// The process of the node that it is connected to.
    pub(crate) life: Option<u64>,
    pub(crate) connection: u64,
    pub(crate) prng: Prng,
    /// The number of the first request in `asked`.
    pub(crate) first: u64,
    pub(crate) asked: VecDeque<Asked>,
    pub(crate) session: Session,
}

/// A request without a checked answer.
#[derive(Debug)]
pub(crate) struct Asked {
    /// What it appends; nothing for a read.
    pub(crate) number: Option<u64>,
    /// It is about the list of its own connection.
    is_own: bool,
    /// Names the command, when it writes.
    pub(crate) body: u64,
    pub(crate) outcome: Option<Outcome>,
}

impl Pipeline {
    fn next_burst(&mut self, elsewhere: &Elsewhere) -> Vec<(u64, Vec<Bytes>, Request)> {
        let key = key_of(self.connection);
        let count = self.prng.between(1, BURST_MAX);
        let mut requests = Vec::new();
        for _ in 0..count {
            let number = self.first + self.asked.len() as u64;
            let is_write = self.prng.chance(1, 2);
            let is_own = is_write || elsewhere.permille == 0 || !self.prng.chance(elsewhere.permille, 1000);
            let words = if is_write {
                vec!["APPEND".to_owned(), key.clone(), format!("{number},")]
            } else if is_own {
                vec!["GET".to_owned(), key.clone()]
            } else {
                let (first, last) = elsewhere.connections;
                vec!["GET".to_owned(), key_of(self.prng.between(first, last))]
            };
            let words: Vec<Bytes> = words.into_iter().map(Bytes::from).collect();
            let Ok(Parsed::Replicated(request)) = parse(words.clone()) else {
                unreachable!("both commands are for the state machine");
            };
            self.asked.push_back(Asked {
                number: is_write.then_some(number),
                is_own,
                body: body_hash(&request.body),
                outcome: None,
            });
            requests.push((number, words, request));
        }
        requests
    }

    /// Looks at everything whose turn has come; gives how many reads that were.
    pub(crate) fn check_answered(&mut self) -> Result<u64, String> {
        let mut reads = 0;
        while let Some(Asked {
            number,
            is_own,
            outcome: Some(outcome),
            ..
        }) = self.asked.front()
        {
            match (number, outcome) {
                (None, Outcome::Done(_)) if !is_own => {}
                (Some(number), outcome) => self.session.wrote(*number, said(outcome)),
                (None, Outcome::Done(reply)) => {
                    reads += 1;
                    let list = list(reply).ok_or_else(|| format!("a list is {reply:?}"))?;
                    let checked = self.session.read(&list);
                    checked.map_err(|shown| format!("read {}: {shown}", self.first))?;
                }
                (None, Outcome::Refused(_) | Outcome::Indefinite(_)) => {}
            }
            self.asked.pop_front();
            self.first += 1;
        }
        Ok(reads)
    }
}

/// True when a request is one of ours.
pub(crate) fn is_pipelined(id: RequestId) -> bool {
    id.0 & PIPELINED != 0
}

fn key_of(connection: u64) -> String {
    format!("pipeline:{connection}")
}

fn said(outcome: &Outcome) -> Said {
    match outcome {
        Outcome::Done(_) => Said::Done,
        Outcome::Refused(_) => Said::Refused,
        Outcome::Indefinite(_) => Said::Unknown,
    }
}

fn list(reply: &Reply) -> Option<Vec<u64>> {
    match reply {
        Reply::Null => Some(Vec::new()),
        Reply::Bulk(value) => numbers(value),
        Reply::Status(_) | Reply::Error(_) | Reply::Integer(_) | Reply::NullArray => None,
        Reply::Double(_)
        | Reply::Line(_)
        | Reply::Array(_)
        | Reply::Set(_)
        | Reply::Map(_)
        | Reply::Pairs(_)
        | Reply::Rows(_)
        | Reply::Push(_)
        | Reply::Several(_) => None,
    }
}

/// Distinguishes these requests from others.
pub(crate) const PIPELINED: u64 = 1 << 62;

/// A [`RequestId`] names a client and the number of its request.
pub(crate) const NUMBER_BITS: u32 = 40;

pub(crate) const NUMBER_MASK: u64 = (1 << NUMBER_BITS) - 1;

/// Requests sent together.
const BURST_MAX: u64 = 16;

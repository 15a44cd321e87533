//! Simulated clients that do not wait for answers: each appends to a list of its own and reads it, in turn.
//!
//! Invariant: what is asked over one connection is checked in its order (`checker::session`), as soon as
//! everything before it is answered. What a connection that is gone had asked is not looked at.

use std::collections::VecDeque;

use bytes::Bytes;
use noraftd::prng::Prng;
use noraftd::protocol::command::{Parsed, Request, parse};
use noraftd::protocol::outcome::Outcome;
use noraftd::protocol::resp::Reply;
use noraftd::replica::event::{ConnectionId, Input, RequestId};

use super::{MILLI, Phase, World};
use crate::checker::session::{Said, Session, numbers};
use crate::plan::Plan;
use crate::sim::parts::checks::body_hash;
use crate::sim::parts::network::delay;
use crate::sim::parts::queue::Event;

/// All of them.
#[derive(Debug)]
pub(crate) struct Pipelines {
    list: Vec<Pipeline>,
    connections: u64,
    /// Reads that were looked at.
    pub(crate) reads: u64,
}

#[derive(Debug)]
struct Pipeline {
    node: usize,
    /// The process of the node that it is connected to.
    life: Option<u64>,
    connection: u64,
    prng: Prng,
    /// The number of the first request in `asked`.
    first: u64,
    asked: VecDeque<Asked>,
    session: Session,
}

/// A request without a checked answer.
#[derive(Debug)]
struct Asked {
    /// What it appends; nothing for a read.
    number: Option<u64>,
    /// Names the command, when it writes.
    body: u64,
    outcome: Option<Outcome>,
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
            reads: 0,
        }
    }
}

/// True when a request is one of ours.
pub(super) fn is_pipelined(id: RequestId) -> bool {
    id.0 & PIPELINED != 0
}

impl World {
    pub(super) fn begin_pipelines(&mut self) {
        for pipeline in 0..self.pipelines.list.len() {
            self.queue.push(MILLI, Event::Burst { pipeline });
        }
    }

    /// A client sends the next requests, whether the last ones are answered or not.
    pub(super) fn burst(&mut self, at: usize) {
        if self.phase != Phase::Disturbed {
            return;
        }
        let nodes = self.nodes.len() as u64;
        let pipeline = &mut self.pipelines.list[at];
        let wait = pipeline.prng.between(1, BURST_EVERY_MAX) * MILLI;
        self.queue.push(self.now + wait, Event::Burst { pipeline: at });
        if pipeline.asked.len() > UNANSWERED_MAX {
            return;
        }
        let is_lost = pipeline
            .life
            .is_none_or(|life| self.nodes[pipeline.node].life != life);
        if is_lost || pipeline.prng.chance(1, MOVE_ONE_IN) {
            self.pipelines.connections += 1;
            pipeline.connection = self.pipelines.connections;
            pipeline.node = pipeline.prng.below(nodes) as usize;
            pipeline.first += pipeline.asked.len() as u64;
            pipeline.asked.clear();
            pipeline.session = Session::default();
        }
        let node = &self.nodes[pipeline.node];
        pipeline.life = node.process.is_some().then_some(node.life);
        let Some(life) = pipeline.life else { return };
        let requests = pipeline.next_burst();
        self.trace.note(
            self.now,
            &[0xb0, at as u64, pipeline.connection, requests.len() as u64],
            || {
                format!(
                    "pipeline {at} asks {} requests over connection {}",
                    requests.len(),
                    pipeline.connection
                )
            },
        );
        let sent = Event::Pipelined {
            node: pipeline.node,
            life,
            connection: pipeline.connection,
            requests: requests
                .into_iter()
                .map(|(number, request)| (PIPELINED | (at as u64) << NUMBER_BITS | number, request))
                .collect(),
        };
        let arrives = self.now + delay(&mut self.prng, DELAY_US);
        self.queue.push(arrives, sent);
    }

    pub(super) fn pipelined_arrive(
        &mut self,
        node: usize,
        life: u64,
        connection: u64,
        requests: Vec<(u64, Request)>,
    ) {
        if self.nodes[node].process.is_none() || self.nodes[node].life != life {
            return;
        }
        for (id, request) in requests {
            let input = Input::Client {
                id: RequestId(id),
                connection: ConnectionId(CONNECTIONS | connection),
                request,
            };
            self.arrive(node, input);
        }
    }

    pub(super) fn pipeline_answered(&mut self, id: RequestId, outcome: Outcome) {
        let (at, number) = (((id.0 & !PIPELINED) >> NUMBER_BITS) as usize, id.0 & NUMBER_MASK);
        self.trace.note(self.now, &[0xb1, at as u64, number], || {
            format!("pipeline {at}, request {number}: {outcome:?}")
        });
        let pipeline = &mut self.pipelines.list[at];
        let place = number.checked_sub(pipeline.first);
        let Some(asked) = place.and_then(|place| pipeline.asked.get_mut(place as usize)) else {
            return;
        };
        if let (Some(_), Outcome::Done(_)) = (asked.number, &outcome) {
            let checked = self.checks.acknowledged(asked.body);
            asked.outcome = Some(outcome);
            self.check(checked);
        } else {
            asked.outcome = Some(outcome);
        }
        let pipeline = &mut self.pipelines.list[at];
        match pipeline.check_answered() {
            Ok(reads) => self.pipelines.reads += reads,
            Err(said) => self.fail((
                "order of a connection".to_owned(),
                format!("pipeline {at} of n{}, {said}", self.pipelines.list[at].node + 1),
            )),
        }
    }
}

impl Pipeline {
    fn next_burst(&mut self) -> Vec<(u64, Request)> {
        let key = format!("pipeline:{}", self.connection);
        let count = self.prng.between(1, BURST_MAX);
        let mut requests = Vec::new();
        for _ in 0..count {
            let number = self.first + self.asked.len() as u64;
            let is_write = self.prng.chance(1, 2);
            let words = if is_write {
                vec!["APPEND".to_owned(), key.clone(), format!("{number},")]
            } else {
                vec!["GET".to_owned(), key.clone()]
            };
            let Ok(Parsed::Replicated(request)) = parse(words.into_iter().map(Bytes::from).collect()) else {
                unreachable!("both commands are for the state machine");
            };
            self.asked.push_back(Asked {
                number: is_write.then_some(number),
                body: body_hash(&request.body),
                outcome: None,
            });
            requests.push((number, request));
        }
        requests
    }

    /// Looks at everything whose turn has come; gives how many reads that were.
    fn check_answered(&mut self) -> Result<u64, String> {
        let mut reads = 0;
        while let Some(Asked {
            number,
            outcome: Some(outcome),
            ..
        }) = self.asked.front()
        {
            match (number, outcome) {
                (Some(number), outcome) => self.session.wrote(*number, said(outcome)),
                (None, Outcome::Done(reply)) => {
                    reads += 1;
                    let list = list(reply).ok_or_else(|| format!("a list is {reply:?}"))?;
                    let checked = self.session.read(&list);
                    checked.map_err(|told| format!("read {}: {told}", self.first))?;
                }
                (None, Outcome::Refused(_) | Outcome::Indefinite(_)) => {}
            }
            self.asked.pop_front();
            self.first += 1;
        }
        Ok(reads)
    }
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
        Reply::Array(_) | Reply::Map(_) | Reply::Pairs(_) => None,
    }
}

/// Tells these requests from others.
const PIPELINED: u64 = 1 << 62;
/// A [`RequestId`] names a client and the number of its request.
const NUMBER_BITS: u32 = 40;
const NUMBER_MASK: u64 = (1 << NUMBER_BITS) - 1;
/// Tells these connections from others.
const CONNECTIONS: u64 = 1 << 62;
/// Requests sent together.
const BURST_MAX: u64 = 16;
/// Milliseconds between two bursts.
const BURST_EVERY_MAX: u64 = 60;
/// With so many unanswered it waits.
const UNANSWERED_MAX: usize = 64;
/// Now and then a client takes another connection, or all would stay where they are.
const MOVE_ONE_IN: u64 = 40;
/// Clients are near their nodes.
const DELAY_US: u64 = 30;

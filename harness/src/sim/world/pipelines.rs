//! What clients do that do not wait for answers: send a burst, and look at what comes back.
//!
//! Invariant: a burst goes over one connection, to one process of one node.

use noraftd::protocol::command::{Class, Request};
use noraftd::protocol::outcome::Outcome;
use noraftd::replica::event::{ConnectionId, Input, RequestId};

use super::World;
use super::table::door_of;
use crate::checker::session::Session;
use crate::sim::journal::happening::{ClientHappening, Happening};
use crate::sim::parts::MILLI;
use crate::sim::parts::checks::reads::Asker;
use crate::sim::parts::event::{Event, NodeEvent, RunEvent};
use crate::sim::parts::network::delay;
use crate::sim::parts::phase::Phase;
use crate::sim::parts::pipelines::{NUMBER_BITS, NUMBER_MASK, PIPELINED, is_pipelined};
use crate::sim::parts::rule::Rule;
use crate::sim::parts::transactors::transacted;

impl World {
    pub(super) fn begin_pipelines(&mut self) {
        for pipeline in 0..self.clients.pipelines.list.len() {
            self.queue.push(MILLI, Event::Run(RunEvent::Burst { pipeline }));
        }
    }

    /// A client sends the next requests, whether the last ones are answered or not.
    pub(super) fn burst(&mut self, at: usize) {
        if self.progress.phase != Phase::Disturbed {
            return;
        }
        let nodes = self.doors();
        let pipeline = &mut self.clients.pipelines.list[at];
        let wait = pipeline.prng.between(1, BURST_EVERY_MAX) * MILLI;
        self.queue
            .after(wait, Event::Run(RunEvent::Burst { pipeline: at }));
        if pipeline.asked.len() > UNANSWERED_MAX {
            return;
        }
        let is_lost = pipeline
            .life
            .is_none_or(|life| self.nodes[pipeline.node].life != life);
        if is_lost || pipeline.prng.chance(1, MOVE_ONE_IN) {
            self.clients.pipelines.connections += 1;
            pipeline.connection = self.clients.pipelines.connections;
            let door = pipeline.prng.below(nodes);
            pipeline.node = door_of(&self.nodes, door);
            let next = pipeline.first + pipeline.asked.len() as u64;
            self.checks
                .reads
                .lost(request_id(at, pipeline.first)..request_id(at, next));
            pipeline.first = next;
            pipeline.asked.clear();
            pipeline.session = Session::default();
        }
        let node = &self.nodes[pipeline.node];
        pipeline.life = node.process.is_some().then_some(node.life);
        let Some(life) = pipeline.life else { return };
        let requests = self.clients.pipelines.next_burst(at);
        for (_, words, request) in &requests {
            self.note_meaning(request, words);
        }
        let pipeline = &self.clients.pipelines.list[at];
        self.journal.note(
            self.queue.now(),
            Happening::Client(ClientHappening::Bursts {
                pipeline: at,
                connection: pipeline.connection,
                requests: requests.len(),
            }),
        );
        let sent = Event::node(
            pipeline.node,
            life,
            NodeEvent::Pipelined {
                connection: pipeline.connection,
                requests: requests
                    .into_iter()
                    .map(|(number, _, request)| (request_id(at, number), request))
                    .collect(),
            },
        );
        let arrives = self.queue.now() + delay(&mut self.prng, DELAY_US);
        self.queue.push(arrives, sent);
    }

    /// The process that these clients talk to is gone: no read of theirs is answered any more.
    pub(super) fn lose_pipelines(&mut self, node: usize) {
        for (at, pipeline) in self.clients.pipelines.list.iter().enumerate() {
            if pipeline.node == node {
                let next = pipeline.first + pipeline.asked.len() as u64;
                self.checks
                    .reads
                    .lost(request_id(at, pipeline.first)..request_id(at, next));
            }
        }
    }

    pub(super) fn pipelined_arrive(&mut self, node: usize, connection: u64, requests: Vec<(u64, Request)>) {
        for (id, request) in requests {
            // Those of clients that ask for anything have a rule of their own, with a second implementation.
            let is_looked_at = is_pipelined(RequestId(id)) || transacted(RequestId(id)).is_some();
            if is_looked_at && request.class == Class::Read {
                let came_to = self.as_leader(node);
                let asker = Asker::Pipelined(id);
                let now = self.queue.now();
                let log_end = self.log_end(node);
                self.checks
                    .reads
                    .came(now, (asker, id), &request.body, came_to, log_end);
            }
            let now = self.queue.now();
            self.checks.answers.asked(now, self.nodes[node].id, RequestId(id));
            let input = Input::Client {
                id: RequestId(id),
                connection: ConnectionId(CONNECTIONS | connection),
                request,
            };
            self.arrive(node, input);
        }
    }

    pub(super) fn pipeline_answered(&mut self, node: usize, id: RequestId, outcome: Outcome) {
        let (at, number) = (((id.0 & !PIPELINED) >> NUMBER_BITS) as usize, id.0 & NUMBER_MASK);
        self.journal.note(
            self.queue.now(),
            Happening::Client(ClientHappening::BurstIsAnswered {
                pipeline: at,
                number,
                outcome: &outcome,
            }),
        );
        let reply = match &outcome {
            Outcome::Done(reply) => Some(reply),
            Outcome::Refused(_) | Outcome::Indefinite(_) => None,
        };
        if reply.is_some() {
            self.check_confirmed(Asker::Pipelined(id.0), id, self.as_leader(node));
        }
        let checked = self.checks.reads.pipelined(id.0, reply, &self.answerer(node));
        self.check(checked);
        let pipeline = &mut self.clients.pipelines.list[at];
        let place = number.checked_sub(pipeline.first);
        let Some(asked) = place.and_then(|place| pipeline.asked.get_mut(place as usize)) else {
            return;
        };
        let written = asked.number.is_some().then_some(asked.body);
        asked.outcome = Some(outcome.clone());
        if let Some(body) = written {
            self.check_written(body, &outcome);
        }
        let pipeline = &mut self.clients.pipelines.list[at];
        match pipeline.check_answered() {
            Ok(reads) => self.clients.pipelines.reads += reads,
            Err(said) => self.fail(
                Rule::ConnectionOrder,
                format!(
                    "pipeline {at} of n{}, {said}",
                    self.clients.pipelines.list[at].node + 1
                ),
            ),
        }
    }
}

fn request_id(pipeline: usize, number: u64) -> u64 {
    PIPELINED | (pipeline as u64) << NUMBER_BITS | number
}

/// Distinguishes these connections from others.
const CONNECTIONS: u64 = 1 << 62;

/// Milliseconds between two bursts.
const BURST_EVERY_MAX: u64 = 60;

/// With so many unanswered it waits.
const UNANSWERED_MAX: usize = 64;

/// Now and then a client takes another connection, or all would stay where they are.
const MOVE_ONE_IN: u64 = 40;

/// Clients are near their nodes.
const DELAY_US: u64 = 30;

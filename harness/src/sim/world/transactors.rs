//! What clients do that move amounts between accounts, and how their answers are looked at.

use noraftd::protocol::command::{Class, Request};
use noraftd::protocol::outcome::Outcome;
use noraftd::replica::event::RequestId;

use super::World;
use crate::sim::journal::happening::{ClientHappening, Happening, SessionHappening};
use crate::sim::parts::MILLI;
use crate::sim::parts::checks::body_hash;
use crate::sim::parts::checks::reads::Asker;
use crate::sim::parts::event::{Event, NodeEvent, RunEvent};
use crate::sim::parts::network::delay;
use crate::sim::parts::phase::Phase;
use crate::sim::parts::rule::Rule;
use crate::sim::parts::transactors::{Next, Transactors};

impl World {
    pub(super) fn begin_transactors(&mut self) {
        for client in 0..self.clients.transactors.list.len() {
            self.queue.push(MILLI, Event::Run(RunEvent::Transact { client }));
        }
    }

    /// A client begins with the next thing, if it waits for nothing.
    pub(super) fn transact(&mut self, at: usize) {
        if self.progress.phase != Phase::Disturbed {
            return;
        }
        let nodes = self.nodes.len() as u64;
        let transactor = &mut self.clients.transactors.list[at];
        let wait = transactor.prng.between(1, EVERY_MAX) * MILLI;
        self.queue
            .after(wait, Event::Run(RunEvent::Transact { client: at }));
        let is_lost = transactor
            .life
            .is_none_or(|life| self.nodes[transactor.node].life != life);
        if is_lost || transactor.prng.chance(1, MOVE_ONE_IN) {
            let given_up = self.clients.transactors.reconnect(at, nodes);
            self.checks.reads.over(Asker::Pipelined(given_up));
        }
        let transactor = &mut self.clients.transactors.list[at];
        let node = &self.nodes[transactor.node];
        transactor.life = node.process.is_some().then_some(node.life);
        if transactor.life.is_some()
            && let Some(request) = transactor.begin()
        {
            self.send_transacted(at, request);
        }
    }

    fn send_transacted(&mut self, at: usize, request: Request) {
        let transactor = &mut self.clients.transactors.list[at];
        let (node, connection) = (transactor.node, transactor.connection);
        let Some(life) = transactor.life else { return };
        let id = transactor.note(at);
        if request.class == Class::Write {
            let body = body_hash(&request.body);
            self.checks.may_be_committed(body);
            self.clients.transactors.list[at].body = Some(body);
        }
        self.journal.note(
            self.queue.now(),
            Happening::Client(ClientHappening::Session(SessionHappening::Transacts {
                client: at,
                node,
            })),
        );
        let requests = vec![(id, request)];
        let sent = Event::node(node, life, NodeEvent::Pipelined { connection, requests });
        let arrives = self.queue.now() + delay(&mut self.prng, DELAY_US);
        self.queue.push(arrives, sent);
    }

    pub(super) fn transact_answered(&mut self, node: usize, (at, number): (usize, u64), outcome: &Outcome) {
        self.journal.note(
            self.queue.now(),
            Happening::Client(ClientHappening::Session(SessionHappening::TransactIsAnswered {
                client: at,
                number,
                outcome,
            })),
        );
        let id = Transactors::name_of(at, number);
        let body = self.clients.transactors.take_body(at, number);
        let reply = match outcome {
            Outcome::Done(reply) => Some(reply),
            Outcome::Refused(_) | Outcome::Indefinite(_) => None,
        };
        match body {
            Some(body) => self.check_written(body, outcome),
            None => {
                if reply.is_some() {
                    self.check_confirmed(Asker::Pipelined(id), RequestId(id), self.as_leader(node));
                }
                let checked = self.checks.reads.pipelined(id, reply, &self.answerer(node));
                self.check(checked);
            }
        }
        match self.clients.transactors.answered(at, number, outcome) {
            Next::Ask(request) => self.send_transacted(at, request),
            Next::Rest => {}
            Next::Wrong(said) => self.fail(Rule::BlocksAreWhole, format!("n{}: {said}", node + 1)),
        }
    }
}

/// Milliseconds between two times that a client may begin.
const EVERY_MAX: u64 = 40;
/// Now and then a client takes another connection, or all would stay where they are.
const MOVE_ONE_IN: u64 = 60;
/// Clients are near their nodes.
const DELAY_US: u64 = 30;

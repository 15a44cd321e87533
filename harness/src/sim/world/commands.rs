//! What clients do that ask for anything, and how their answers, and the states behind them, are looked at.

use std::rc::Rc;

use bytes::BytesMut;
use noraftd::protocol::command::{Class, Parsed, Request, parse};
use noraftd::protocol::outcome::Outcome;
use noraftd::protocol::resp::{Reply, RespVersion};

use super::World;
use crate::keyspace::understand;
use crate::sim::journal::happening::{ClientHappening, Happening};
use crate::sim::parts::MILLI;
use crate::sim::parts::checks::body_hash;
use crate::sim::parts::commands::{OpenCommand, of_leaders};
use crate::sim::parts::event::{Event, NodeEvent, RunEvent};
use crate::sim::parts::network::delay;
use crate::sim::parts::phase::Phase;
use crate::sim::parts::rule::Rule;
use crate::sim::parts::semantics::words_shown;

impl World {
    pub(super) fn begin_commands(&mut self) {
        for body in of_leaders() {
            self.checks.may_be_committed_often(body);
        }
        for client in 0..self.clients.commands.list.len() {
            self.queue.push(MILLI, Event::Run(RunEvent::Commands { client }));
        }
    }

    /// A client asks for a few things at once.
    pub(super) fn ask_commands(&mut self, at: usize) {
        if self.progress.phase != Phase::Disturbed {
            return;
        }
        let nodes = self.nodes.len() as u64;
        let commander = &mut self.clients.commands.list[at];
        let wait = commander.prng.between(1, EVERY_MAX) * MILLI;
        self.queue
            .after(wait, Event::Run(RunEvent::Commands { client: at }));
        let is_lost = commander
            .life
            .is_none_or(|life| self.nodes[commander.node].life != life);
        let is_stuck = commander.open.len() > UNANSWERED_MAX;
        if is_lost || is_stuck || commander.prng.chance(1, MOVE_ONE_IN) {
            self.clients.commands.reconnect(at, nodes);
        }
        let commander = &mut self.clients.commands.list[at];
        let (node, connection) = (commander.node, commander.connection);
        let target = &self.nodes[node];
        commander.life = target.process.is_some().then_some(target.life);
        let count = commander.prng.between(1, TOGETHER_MAX);
        let Some(life) = commander.life else { return };
        let drawn = (0..count).filter_map(|_| self.draw_command(at));
        let requests: Vec<(u64, Request)> = drawn.collect();
        self.journal.note(
            self.queue.now(),
            Happening::Client(ClientHappening::Draws {
                client: at,
                node,
                requests: requests.len(),
            }),
        );
        let sent = Event::node(node, life, NodeEvent::Pipelined { connection, requests });
        let arrives = self.queue.now() + delay(&mut self.prng, DELAY_US);
        self.queue.push(arrives, sent);
    }

    /// The next command of a client; none when the daemon's parser refuses it, as it should.
    fn draw_command(&mut self, at: usize) -> Option<(u64, Request)> {
        let wall = self.nodes[at % self.nodes.len()].clock.stamp(self.queue.now());
        let words = self.clients.commands.draw(at, wall);
        let request = match (parse(words.clone()), understand(&words)) {
            (Ok(Parsed::Replicated(request)), Ok(_)) => request,
            (Err(reply), Err(answer)) if in_resp(&reply) == answer.to_resp() => return None,
            (parsed, expected) => {
                self.fail(
                    Rule::Semantics,
                    format!(
                        "{} is understood as {parsed:?}; expected was {expected:?}",
                        words_shown(&words)
                    ),
                );
                return None;
            }
        };
        let body = body_hash(&request.body);
        let commands = &mut self.clients.commands;
        let since = commands.semantics.last();
        let meant = match commands.semantics.asked(body, &words) {
            Ok(meant) => meant,
            Err(problem) => {
                self.fail(Rule::Semantics, problem);
                return None;
            }
        };
        if meant.writes() != (request.class == Class::Write) {
            let said = format!("{} is a {:?}", words_shown(&words), request.class);
            self.fail(Rule::Semantics, said);
            return None;
        }
        if meant.writes() {
            self.checks.may_be_committed(body);
        }
        let open = OpenCommand {
            words,
            request: meant,
            body,
            since,
        };
        let id = self.clients.commands.list[at].note(at, open);
        Some((id, request))
    }

    /// A client of a workload asks for a write: the second implementation has to know what it means.
    pub(super) fn note_meaning(&mut self, request: &Request, words: &[bytes::Bytes]) {
        if self.clients.commands.are_checked() && request.class == Class::Write {
            let body = body_hash(&request.body);
            if let Err(problem) = self.clients.commands.semantics.asked(body, words) {
                self.fail(Rule::Semantics, problem);
            }
        }
    }

    pub(super) fn command_answered(&mut self, client: usize, number: u64, outcome: &Outcome) {
        self.journal.note(
            self.queue.now(),
            Happening::Client(ClientHappening::DrawnIsAnswered {
                client,
                number,
                outcome,
            }),
        );
        let commands = &mut self.clients.commands;
        let open = commands.list.get_mut(client).and_then(|c| c.open.remove(&number));
        let Some(open) = open else { return };
        if let (true, Outcome::Refused(_)) = (open.request.writes(), outcome) {
            self.check_written(open.body, outcome);
        }
        let Outcome::Done(reply) = outcome else {
            return;
        };
        let OpenCommand {
            words,
            request,
            body,
            since,
        } = open;
        let request = Rc::clone(&request);
        let commands = &mut self.clients.commands;
        let checked = commands.semantics.check(&request, body, since, &in_resp(reply));
        if let Err(said) = checked {
            self.fail(Rule::Semantics, format!("{}: {said}", words_shown(&words)));
        }
    }

    /// Carries out what was committed since.
    pub(super) fn follow_commits(&mut self) {
        if !self.clients.commands.are_checked() {
            return;
        }
        let semantics = &mut self.clients.commands.semantics;
        let entries = self.checks.committed_after(semantics.last());
        let carried_out = entries.into_iter().try_for_each(|entry| semantics.commit(entry));
        if let Err(problem) = carried_out {
            self.fail(Rule::Semantics, problem);
        }
    }

    /// The states of all nodes are those that the commands lead to.
    pub(super) fn compare_with_semantics(&mut self) {
        if !self.clients.commands.are_checked() {
            return;
        }
        for at in 0..self.nodes.len() {
            let Some(process) = self.nodes[at].process.as_ref() else {
                continue;
            };
            let machine = process.replica.machine();
            let image = || {
                machine
                    .chunks()
                    .fold(Vec::new(), |all, chunk| [all, chunk.to_vec()].concat())
            };
            let semantics = &mut self.clients.commands.semantics;
            if let Err(said) = semantics.check_state(machine.applied_index().get(), image) {
                self.fail(Rule::Semantics, format!("n{}: {said}", at + 1));
            }
        }
    }
}

fn in_resp(reply: &Reply) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    reply.encode(RespVersion::V2, &mut bytes);
    bytes.to_vec()
}

/// Milliseconds between two times that a client asks.
const EVERY_MAX: u64 = 60;
/// So many at once.
const TOGETHER_MAX: u64 = 6;
/// With so many unanswered it takes another connection.
const UNANSWERED_MAX: usize = 64;
/// Now and then a client takes another connection, or all would stay where they are.
const MOVE_ONE_IN: u64 = 40;
/// Clients are near their nodes.
const DELAY_US: u64 = 30;

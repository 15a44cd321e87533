//! What clients do that ask for each thing until it is answered, and how the true state is compared with their answers.

use noraftd::protocol::outcome::Outcome;

use super::World;
use crate::sim::journal::happening::{ClientHappening, Happening, SessionHappening};
use crate::sim::parts::MILLI;
use crate::sim::parts::checks::body_hash;
use crate::sim::parts::event::{Event, NodeEvent, RunEvent};
use crate::sim::parts::network::delay;
use crate::sim::parts::phase::Phase;
use crate::sim::parts::retriers::true_state;
use crate::sim::parts::rule::Rule;

impl World {
    pub(super) fn begin_retriers(&mut self) {
        for client in 0..self.clients.retriers.list.len() {
            self.queue.push(MILLI, Event::Run(RunEvent::Retry { client }));
        }
    }

    /// A client goes on, if it has waited long enough.
    pub(super) fn retry(&mut self, at: usize) {
        if self.progress.phase == Phase::Over {
            return;
        }
        let nodes = self.nodes.len() as u64;
        let client = &mut self.clients.retriers.list[at];
        let wait = client.prng.between(1, EVERY_MAX) * MILLI;
        self.queue.after(wait, Event::Run(RunEvent::Retry { client: at }));
        let is_lost = client
            .life
            .is_none_or(|life| self.nodes[client.node].life != life);
        if is_lost || client.prng.chance(1, LEAVE_ONE_IN) {
            self.clients.retriers.reconnect(at, nodes);
        }
        let client = &mut self.clients.retriers.list[at];
        let (node, connection) = (client.node, client.connection);
        client.life = self.nodes[node]
            .process
            .is_some()
            .then_some(self.nodes[node].life);
        let Some(life) = client.life else { return };
        let may_begin = self.progress.phase == Phase::Disturbed;
        let Some((id, request)) = self.clients.retriers.next(at, may_begin) else {
            return;
        };
        self.checks.may_be_committed(body_hash(&request.body));
        self.journal.note(
            self.queue.now(),
            Happening::Client(ClientHappening::Session(SessionHappening::Retries {
                client: at,
                node,
            })),
        );
        let requests = vec![(id, request)];
        let sent = Event::node(node, life, NodeEvent::Pipelined { connection, requests });
        let arrives = self.queue.now() + delay(&mut self.prng, DELAY_US);
        self.queue.push(arrives, sent);
    }

    pub(super) fn retry_answered(&mut self, node: usize, (at, number): (usize, u64), outcome: &Outcome) {
        self.journal.note(
            self.queue.now(),
            Happening::Client(ClientHappening::Session(SessionHappening::RetryIsAnswered {
                client: at,
                number,
                outcome,
            })),
        );
        if let Some(body) = self.clients.retriers.body(at, number) {
            self.check_written(body, outcome);
        }
        if let Err(said) = self.clients.retriers.answered(at, number, outcome) {
            self.fail(Rule::AppliedOnce, format!("n{}: {said}", node + 1));
        }
    }

    /// Compares what was answered with the latest state that there is; in the end, when all nodes have the same, it is the last of all.
    pub(super) fn compare_retried(&mut self, is_last: bool) {
        if self.clients.retriers.list.is_empty() {
            return;
        }
        let processes = self.nodes.iter().filter_map(|node| node.process.as_ref());
        let latest = processes.max_by_key(|process| process.replica.machine().applied_index());
        let Some(machine) = latest.map(|process| process.replica.machine()) else {
            return;
        };
        let [log, text, count] = true_state().map(|request| machine.query(&request.body));
        if let Err(said) = self.clients.retriers.compare([&log, &text, &count], is_last) {
            self.fail(Rule::AppliedOnce, said);
        }
    }
}

/// Milliseconds between two times that a client may go on.
const EVERY_MAX: u64 = 40;
/// How often a client gives up waiting, and goes to another node.
const LEAVE_ONE_IN: u64 = 8;
/// Clients are near their nodes.
const DELAY_US: u64 = 30;

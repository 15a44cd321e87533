//! What clients of `READONLY` do, and how their answers are looked at.

use noraftd::protocol::command::{Class, Request};
use noraftd::protocol::outcome::Outcome;
use noraftd::replica::event::{ConnectionId, Input, RequestId};

use super::World;
use crate::sim::journal::happening::{ClientHappening, Happening, SessionHappening};
use crate::sim::parts::MILLI;
use crate::sim::parts::clients::request_of;
use crate::sim::parts::event::{Event, NodeEvent, RunEvent};
use crate::sim::parts::network::delay;
use crate::sim::parts::phase::Phase;
use crate::sim::parts::rule::Rule;
use crate::sim::parts::stale_readers::stale_read;
use crate::workload::Part;

impl World {
    pub(super) fn begin_stale_readers(&mut self) {
        if self.clients.stale_readers.are_there() {
            self.checks.reads.keep_states();
        }
        for reader in 0..self.clients.stale_readers.list.len() {
            self.queue.push(MILLI, Event::Run(RunEvent::ReadStale { reader }));
        }
    }

    /// A client reads a few things at once.
    pub(super) fn read_stale(&mut self, at: usize) {
        if self.progress.phase != Phase::Disturbed {
            return;
        }
        let nodes = self.nodes.len() as u64;
        let reader = &mut self.clients.stale_readers.list[at];
        let wait = reader.prng.between(1, EVERY_MAX) * MILLI;
        self.queue
            .after(wait, Event::Run(RunEvent::ReadStale { reader: at }));
        if reader.asked.len() > UNANSWERED_MAX {
            return;
        }
        let is_lost = reader
            .life
            .is_none_or(|life| self.nodes[reader.node].life != life);
        if is_lost || reader.prng.chance(1, MOVE_ONE_IN) {
            self.clients.stale_readers.reconnect(at, nodes);
        }
        let reader = &mut self.clients.stale_readers.list[at];
        let (node, connection) = (reader.node, reader.connection);
        let target = &self.nodes[node];
        reader.life = target.process.is_some().then_some(target.life);
        let count = reader.prng.between(1, TOGETHER_MAX);
        let Some(life) = reader.life else { return };
        let requests: Vec<(u64, Request)> = (0..count).filter_map(|_| self.draw_read(at)).collect();
        self.journal.note(
            self.queue.now(),
            Happening::Client(ClientHappening::Session(SessionHappening::Reads {
                reader: at,
                node,
                requests: requests.len(),
            })),
        );
        let sent = Event::node(node, life, NodeEvent::StaleReads { connection, requests });
        let arrives = self.queue.now() + delay(&mut self.prng, DELAY_US);
        self.queue.push(arrives, sent);
    }

    /// A read of one of the workloads.
    fn draw_read(&mut self, at: usize) -> Option<(u64, Request)> {
        let reader = &mut self.clients.stale_readers.list[at];
        let workload = reader.prng.choose(&self.clients.workloads)?;
        let operation = workload.next(Part::Reader, &mut reader.prng);
        let request = request_of(&operation)
            .ok()
            .filter(|request| request.class == Class::Read)?;
        Some((reader.note(at, request.body.clone()), request))
    }

    pub(super) fn stale_reads_arrive(&mut self, node: usize, connection: u64, requests: Vec<(u64, Request)>) {
        for (id, request) in requests {
            let id = RequestId(id);
            let Some((at, number)) = stale_read(id) else {
                continue;
            };
            let now = self.queue.now();
            self.checks.answers.asked(now, self.nodes[node].id, id);
            let reader = &mut self.clients.stale_readers.list[at];
            let instant = self.nodes[node].clock.instant(now);
            let floor = self.checks.staleness.floor(node, instant, reader.staleness_max);
            reader.came(number, (floor, self.checks.reads.committed_index()));
            let input = Input::StaleRead {
                id,
                connection: ConnectionId(connection),
                request,
                staleness_max: reader.staleness_max,
            };
            self.arrive(node, input);
        }
    }

    pub(super) fn stale_answered(&mut self, (at, number): (usize, u64), outcome: Outcome) {
        self.journal.note(
            self.queue.now(),
            Happening::Client(ClientHappening::Session(SessionHappening::IsAnswered {
                reader: at,
                number,
                outcome: &outcome,
            })),
        );
        self.clients.stale_readers.list[at].answered(number, outcome);
        while let Some(seen) = self.clients.stale_readers.list[at].next_answer() {
            let reader = &self.clients.stale_readers.list[at];
            let (node, max) = (reader.node, reader.staleness_max);
            let found = self.checks.reads.first_state(seen.from, &seen.body, &seen.reply);
            match found {
                Some(index) => self.clients.stale_readers.looked_at(at, &seen, index),
                None => self.fail(
                    Rule::ReadsAreYoung,
                    format!(
                        "n{} answers a read that may be old by {max:?} with {:?}, which is the state of no index from {} on",
                        node + 1,
                        seen.reply,
                        seen.from
                    ),
                ),
            }
        }
    }

    /// A node is driven: what is committed anywhere, by its own clock.
    pub(super) fn note_staleness(&mut self, at: usize) {
        if !self.clients.stale_readers.are_there() {
            return;
        }
        let node = &self.nodes[at];
        let (life, instant) = (node.life, node.clock.instant(self.queue.now()));
        let committed = self.checks.reads.committed_index();
        self.checks.staleness.driven(at, life, instant, committed);
    }
}

/// Milliseconds between two times that a client reads.
const EVERY_MAX: u64 = 40;
/// So many at once.
const TOGETHER_MAX: u64 = 4;
/// With so many unanswered it waits.
const UNANSWERED_MAX: usize = 64;
/// Now and then a client takes another connection, or all would stay where they are.
const MOVE_ONE_IN: u64 = 60;
/// Clients are near their nodes.
const DELAY_US: u64 = 30;

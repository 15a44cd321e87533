//! Requests passed on: by a follower to the leader it knows, and accepted by that leader.
//!
//! Invariant: a write is sent on again only after a definite refusal, so it is never appended twice by its own
//! node; and a leader accepts the writes of each (node, boot) in its own term in the order of their ids, each at most
//! once: a duplicated or overtaken frame is not appended, and a later write that was done says that no earlier one is
//! still to come. Replies are matched by id and boot, never by order.

use std::collections::{BTreeMap, BTreeSet};

use noraft::{NodeId, Term};

use crate::protocol::command::{Class, Request};
use crate::protocol::peer::{Features, PeerMessage};
use crate::time::Instant;

use super::Replica;
use super::pending::Turn;
use super::pending::{Origin, Pending};
use crate::protocol::outcome::{Doubt, Outcome, Refusal};

/// How long, in request timeouts, a write in doubt keeps reads of its connection from the leader that it was sent
/// to. No frame is on its way for so long; and a connection must become usable again.
const DOUBT_TIMEOUTS: u32 = 10;

#[derive(Debug)]
pub(super) struct Forwards {
    /// Distinguishes this process from earlier ones of the same node.
    boot: u64,
    last_id: u64,
    sent: BTreeMap<u64, Sent>,
    deadlines: BTreeSet<(Instant, u64)>,
    /// The last term this node led, and what it was sent as leader of that term.
    led: Option<Term>,
    seen: BTreeMap<(NodeId, u64), LastId>,
}

#[derive(Debug)]
pub(super) struct Sent {
    id: u64,
    leader: NodeId,
    term: Term,
    pub(super) pending: Pending,
}

/// The id of the last write that was accepted.
#[derive(Debug, Default)]
struct LastId(u64);

impl LastId {
    /// Remembers `id`; false when it or a later one was accepted before.
    fn insert(&mut self, id: u64) -> bool {
        let fresh = id > self.0;
        self.0 = self.0.max(id);
        fresh
    }
}

impl Forwards {
    pub(super) fn new(boot: u64) -> Self {
        Self {
            boot,
            last_id: 0,
            sent: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            led: None,
            seen: BTreeMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sent.len()
    }

    pub(super) fn earliest_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<Sent> {
        let (_, id) = *self.deadlines.first().filter(|(deadline, _)| *deadline <= now)?;
        self.take_sent(id)
    }

    /// A tenure begins: requests addressed to earlier ones are no longer accepted.
    pub(super) fn start_accepting(&mut self, term: Term) {
        self.led = Some(term);
        self.seen.clear();
    }

    /// Remembers the write `id` of a process; false when it or a later one was accepted before.
    fn see(&mut self, process: (NodeId, u64), id: u64) -> bool {
        self.seen.entry(process).or_default().insert(id)
    }

    /// A name for something that is sent to another node, and what distinguishes it from those of earlier processes.
    pub(super) fn next_id(&mut self) -> (u64, u64) {
        self.last_id += 1;
        (self.last_id, self.boot)
    }

    fn take_sent(&mut self, id: u64) -> Option<Sent> {
        let sent = self.sent.remove(&id)?;
        self.deadlines.remove(&(sent.pending.deadline, id));
        Some(sent)
    }

    fn push(&mut self, leader: NodeId, term: Term, pending: Pending) -> u64 {
        let (id, _) = self.next_id();
        self.deadlines.insert((pending.deadline, id));
        let sent = Sent {
            id,
            leader,
            term,
            pending,
        };
        self.sent.insert(id, sent);
        id
    }

    /// Takes back what went to a node that `stranded` names, if it is of `class`.
    fn take_stranded(&mut self, class: Class, stranded: impl Fn(NodeId) -> bool) -> Vec<Sent> {
        let stranded = |sent: &Sent| stranded(sent.leader) && sent.pending.request.class == class;
        let sent = self.sent.iter();
        let ids: Vec<u64> = sent
            .filter(|(_, sent)| stranded(sent))
            .map(|(id, _)| *id)
            .collect();
        ids.into_iter().filter_map(|id| self.take_sent(id)).collect()
    }
}

impl Replica {
    /// Passes a client's request to the leader. Without a connection to it the request stays here, where it
    /// can still be refused definitely: a message without a connection is lost, and a write with it.
    pub(super) fn forward(&mut self, pending: Pending) {
        let Some(leader) = self.reachable_leader() else {
            return self.waiting.queued.requeue([pending].into_iter());
        };
        if self.features_of(leader).level() < pending.request.known_from() {
            return self.answer(pending.origin, Outcome::Refused(Refusal::LevelTooLow));
        }
        if pending.request.asks_for_index() && !self.features_of(leader).has(Features::READ_INDEX) {
            return self.answer(pending.origin, Outcome::Refused(Refusal::NotLeader));
        }
        let request = pending.request.clone();
        let (boot, term) = (self.waiting.forwards.boot, self.node.current_term());
        self.waiting
            .order
            .went_away(pending.turn, request.class, (leader, term));
        let id = self.waiting.forwards.push(leader, term, pending);
        self.outputs.send(
            leader,
            PeerMessage::Forward {
                id,
                boot,
                term,
                request,
            },
        );
    }

    /// A leader is known again: reads that went elsewhere are asked again.
    pub(super) fn redirect_reads(&mut self) {
        if let Some(leader) = self.leader() {
            let reads = self
                .waiting
                .forwards
                .take_stranded(Class::Read, |asked| asked != leader);
            self.ask_again(reads);
        }
    }

    fn ask_again(&mut self, reads: Vec<Sent>) {
        for read in &reads {
            self.waiting.order.came_back(read.pending.turn, Class::Read);
        }
        self.waiting
            .queued
            .requeue(reads.into_iter().map(|sent| sent.pending));
    }

    /// It is unknown whether a write that was sent to a leader will take effect there.
    pub(super) fn give_up_forward(&mut self, sent: Sent, doubt: Doubt) {
        let turn = self.doubt_forward(&sent);
        self.answer(sent.pending.origin, Outcome::Indefinite(doubt));
        self.go_on(turn);
    }

    fn doubt_forward(&mut self, sent: &Sent) -> Turn {
        let turn = sent.pending.turn;
        let until = self.now + self.config.request_timeout * DOUBT_TIMEOUTS;
        self.waiting.order.came_back(turn, Class::Write);
        self.waiting
            .order
            .doubt(turn, (sent.leader, sent.term), sent.id, until);
        turn
    }

    /// The connection to `peer` ended, and with it, perhaps, what was on its way there: reads are asked again,
    /// of a write it is unknown whether it arrived.
    pub(super) fn give_up_forwards(&mut self, peer: NodeId) {
        for write in self
            .waiting
            .forwards
            .take_stranded(Class::Write, |asked| asked == peer)
        {
            self.give_up_forward(write, Doubt::ForwardLost);
        }
        let reads = self
            .waiting
            .forwards
            .take_stranded(Class::Read, |asked| asked == peer);
        self.ask_again(reads);
    }

    /// A follower passes a request to this node, which it believes to lead `term`.
    pub(super) fn accept_forward(&mut self, node: NodeId, id: u64, boot: u64, term: Term, request: Request) {
        // Not a term we remember leading: an earlier copy may have been appended, so say nothing.
        if self.waiting.forwards.led != Some(term) {
            return;
        }
        let is_write = request.class == Class::Write;
        if is_write && !self.waiting.forwards.see((node, boot), id) {
            return;
        }
        let origin = Origin::Peer { node, boot, id };
        if self.is_leader() && self.node.current_term() == term {
            self.accept_request(origin, None, request);
        } else {
            self.answer(origin, Outcome::Refused(Refusal::NotLeader));
        }
    }

    /// The leader's answer. A definite refusal for want of leadership sends the request on its way again.
    pub(super) fn on_forwarded(&mut self, id: u64, boot: u64, outcome: Outcome) {
        if boot != self.waiting.forwards.boot {
            return;
        }
        if self.on_index(id, &outcome) {
            return;
        }
        let Some(sent) = self.waiting.forwards.take_sent(id) else {
            return;
        };
        let (turn, class) = (sent.pending.turn, sent.pending.request.class);
        match outcome {
            Outcome::Refused(Refusal::NotLeader | Refusal::NoLeader) => {
                self.leadership.forget_leader(sent.leader);
                self.waiting.order.came_back(turn, class);
                self.waiting.queued.requeue([sent.pending].into_iter());
            }
            Outcome::Indefinite(_) if class == Class::Write => {
                self.doubt_forward(&sent);
                self.answer(sent.pending.origin, outcome);
            }
            outcome @ (Outcome::Done(_) | Outcome::Refused(_) | Outcome::Indefinite(_)) => {
                let is_done = class == Class::Write && matches!(outcome, Outcome::Done(_));
                self.waiting.order.came_back(turn, class);
                self.answer(sent.pending.origin, outcome);
                if is_done && self.waiting.order.settle((sent.leader, sent.term), id) {
                    self.go_on_all();
                }
            }
        }
        self.go_on(turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_accepted_in_order_and_once() {
        let mut seen = LastId::default();
        assert!(seen.insert(1) && seen.insert(3));
        assert!(!seen.insert(2), "a later one was accepted");
        assert!(!seen.insert(3) && seen.insert(4));
    }
}

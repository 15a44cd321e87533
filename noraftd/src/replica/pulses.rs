//! Pulses: what a leader and its followers say to each other that must not wait behind payloads.
//!
//! They go over a second connection to each peer that has one. Since they overtake AppendEntries, they say nothing
//! about the log: a round that was echoed proves loss (`progress`), a pulse proves only that its follower followed this
//! leader when it arrived. That is what reads have to know (thesis 6.4), and what check-quorum and the followers'
//! election timers wait for. AppendEntries go on as before, heartbeats among them: commit index and loss are their matter.
//!
//! Invariant: a follower answers a pulse only in a term that is durable at it; a leader believes pulses of a follower that answers no AppendEntries only for [`PATIENCE`], for the log's
//! connection may be dead.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use noraft::{LogIndex, NodeId, Term};

use crate::protocol::peer::PeerMessage;
use crate::time::Instant;

use super::Replica;
use super::deferred::{Deferred, Pulse};

/// Election timeouts without an answer to AppendEntries after which a follower counts as silent. A batch of the largest
/// entries takes a link of 5 MB/s six or seven of the default ones, and its answer waits for as many again.
const PATIENCE: u32 = 20;

#[derive(Debug, Default)]
pub(super) struct Pulses {
    /// The nodes that have a second connection from here.
    reachable: BTreeSet<NodeId>,
    /// The number of the last pulse of this leader's term, and of the one that is wanted.
    last: u64,
    wanted: u64,
    /// What each follower answered last in this term.
    answered: BTreeMap<NodeId, Answered>,
}

#[derive(Debug)]
struct Answered {
    pulse: u64,
    at: Instant,
}

impl Pulses {
    /// Asks for a pulse to all peers; its number.
    pub(super) fn want(&mut self) -> u64 {
        self.wanted = self.last + 1;
        self.wanted
    }

    /// The number of the pulse that is to be sent now, if one is wanted.
    pub(super) fn take_wanted(&mut self) -> Option<u64> {
        if self.wanted <= self.last {
            return None;
        }
        self.last = self.wanted;
        Some(self.last)
    }

    /// A new term is led.
    pub(super) fn begin_term(&mut self) {
        (self.last, self.wanted) = (0, 0);
        self.answered.clear();
    }

    /// True when `peer` is sent pulses.
    pub(super) fn reach(&self, peer: NodeId) -> bool {
        self.reachable.contains(&peer)
    }

    /// True when `id` has answered this pulse or a later one.
    pub(super) fn echoed(&self, id: NodeId, pulse: u64) -> bool {
        self.answered.get(&id).is_some_and(|last| last.pulse >= pulse)
    }

    /// When `id` last answered a pulse of this term.
    pub(super) fn last_heard(&self, id: NodeId) -> Option<Instant> {
        self.answered.get(&id).map(|last| last.at)
    }

    /// True when `id` has answered a pulse of this term during the last `timeout`.
    fn heard_since(&self, id: NodeId, now: Instant, timeout: Duration) -> bool {
        self.answered
            .get(&id)
            .is_some_and(|last| now.saturating_since(last.at) < timeout)
    }
}

impl Replica {
    pub(super) fn on_urgent_connected(&mut self, peer: NodeId) {
        self.pulses.reachable.insert(peer);
    }

    pub(super) fn on_urgent_disconnected(&mut self, peer: NodeId) {
        self.pulses.reachable.remove(&peer);
    }

    /// A pulse arrived. In this node's own term it needs no sync, and does not wait for one.
    pub(super) fn on_pulse(&mut self, from: NodeId, pulse: Pulse) {
        match pulse.term.cmp(&self.node.current_term()) {
            Ordering::Greater => self.inbox.push(from, Deferred::Pulse(pulse)),
            Ordering::Less => self.answer_pulse(from, 0),
            // Two leaders of one term: the other one broke the protocol.
            Ordering::Equal if self.is_leader() => {}
            Ordering::Equal => {
                self.follow(from, pulse.last_index);
                self.answer_pulse(from, pulse.pulse);
            }
        }
    }

    /// The answer to one arrived.
    pub(super) fn on_pulsed(&mut self, from: NodeId, term: Term, pulse: u64) {
        match term.cmp(&self.node.current_term()) {
            Ordering::Greater => self.inbox.push(from, Deferred::Pulsed { term, pulse }),
            Ordering::Less => {}
            Ordering::Equal => self.note_pulsed(from, pulse),
        }
    }

    /// A pulse of a later term has waited for a sync. The term is adopted; the next pulse is answered.
    pub(super) fn feed_pulse(&mut self, from: NodeId, pulse: Pulse) {
        if pulse.term <= self.node.current_term() {
            return self.on_pulse(from, pulse);
        }
        self.adopt_later_term(from, pulse.term);
        if pulse.term == self.node.current_term() {
            self.follow(from, pulse.last_index);
        }
    }

    /// An answer from a later term has waited for a sync: this leader is deposed.
    pub(super) fn feed_pulsed(&mut self, from: NodeId, term: Term, pulse: u64) {
        if term <= self.node.current_term() {
            return self.on_pulsed(from, term, pulse);
        }
        self.adopt_later_term(from, term);
    }

    /// `from` leads the current term. Nothing is known about this node's log.
    fn follow(&mut self, from: NodeId, last_index: LogIndex) {
        let known = self.leader() == Some(from);
        self.leadership.hear(from);
        let term = self.node.current_term();
        self.elections.on_leader_heard(self.now, term, last_index, None);
        self.arm_election();
        if !known {
            self.redirect_reads();
        }
    }

    /// Nothing is said in a term that may be forgotten.
    fn answer_pulse(&mut self, to: NodeId, pulse: u64) {
        let is_durable = !self.durability.hard_state_in_flight() && !self.node.actions().save_current_term;
        if is_durable {
            let term = self.node.current_term();
            self.outputs.send(to, PeerMessage::Pulsed { term, pulse });
        }
    }

    /// `from` has answered a pulse of this term.
    fn note_pulsed(&mut self, from: NodeId, pulse: u64) {
        if !self.is_leader() || !self.leadership.progress.contains_key(&from) {
            return;
        }
        let before = self.pulses.answered.get(&from).map_or(0, |last| last.pulse);
        let answered = Answered {
            pulse: pulse.max(before),
            at: self.now,
        };
        self.pulses.answered.insert(from, answered);
    }

    /// True when `id` follows this leader: it has answered AppendEntries lately; or a pulse, and AppendEntries not very
    /// long ago, for a large batch is on its way.
    pub(super) fn follows_me(&self, id: NodeId) -> bool {
        let (now, timeout) = (self.now, self.config.election_timeout);
        self.leadership.heard_since(id, now, timeout)
            || (self.pulses.heard_since(id, now, timeout)
                && self.leadership.heard_since(id, now, PATIENCE * timeout))
    }
}

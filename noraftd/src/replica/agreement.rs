//! Whether the nodes still hold the same: their states, and the content of their logs.
//!
//! Raft compares positions. A bit that flips in memory, a forged entry, a bug that applies one entry
//! differently: none of them shows in a position. So each second every node reports to the others, for some places, the
//! chain of its log (`chain.rs`) and the digest of its state. Which places: the last few at which it stopped applying,
//! and round numbers, so that nodes at different speeds have some in common. And a leader's AppendEntries says the
//! chain at the position that it continues: a follower whose log differs there does not take it.
//!
//! **Which node is wrong** is decided by the majority of the members. Where two nodes differ at a place, each asks all
//! others what they hold there. A node that differs from a majority *stops*: it serves no client, takes no part in
//! elections and replication, and keeps its directory. A node that is with a majority goes on. While no majority holds
//! the one or the other, no node that differs serves: such a node is *in doubt*. It goes on voting and replicating,
//! because a node that comes back may decide it.
//!
//! **Why the process goes on.** A process that ends is started again by whatever watches it, and serves wrong answers
//! until it has compared again. One that stays says what happened whenever it is asked, and nothing is lost: a person
//! looks, and then restarts it, or sets it up again with `noraftd rejoin`.
//!
//! Invariant: a node stops only when more than half of the members, without itself, hold one and the same other thing.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use noraft::{ClusterConfig, LogIndex, LogPosition, Node, NodeId};

use crate::protocol::peer::{Features, PeerMessage, Print};
use crate::time::Instant;

use super::Replica;
use super::applied::Applied;
use super::content::{Content, position_at};
use super::counts::EndReason;
use super::event::Divergence;
use super::leadership::Leadership;
use super::outputs::Outputs;
use crate::protocol::outcome::{Outcome, Refusal};

#[derive(Debug, Default)]
pub(super) struct Agreement {
    /// What was here at the last places where applying stopped, and at multiples of each of [`STRIDES`].
    recent: VecDeque<Print>,
    strides: [VecDeque<Print>; STRIDES.len()],
    report_after: Instant,
    /// Where another node holds something else, and nothing is decided.
    dispute: Option<Dispute>,
    /// This node differs from a majority at this place.
    wrong: Option<LogIndex>,
    /// Nodes that differ from this one and a majority, and where that was last seen.
    others_wrong: BTreeMap<NodeId, LogIndex>,
}

/// A place where the nodes differ.
#[derive(Debug)]
struct Dispute {
    own: Print,
    /// Where the nodes were first seen to differ.
    first: LogIndex,
    since: Instant,
    ask_after: Instant,
    /// What others hold there.
    claims: BTreeMap<NodeId, Print>,
}

/// What a dispute has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    /// A majority holds what this node holds.
    Right,
    /// A majority holds something else.
    Wrong,
    /// No majority is known to hold the one or the other.
    Open,
}

impl Agreement {
    /// The state after the entry at `print`'s position is this.
    fn note(&mut self, print: Print) {
        for (stride, ring) in STRIDES.iter().zip(&mut self.strides) {
            if print.position.index.get().is_multiple_of(*stride) {
                remember(ring, print);
            }
        }
        remember(&mut self.recent, print);
    }

    fn remembered(&self) -> impl Iterator<Item = &Print> {
        self.strides.iter().rev().flatten().chain(&self.recent)
    }

    fn digest_at(&self, position: LogPosition) -> Option<u64> {
        let mut prints = self.remembered();
        prints.find(|print| print.position == position)?.digest
    }

    pub(super) fn is_wrong(&self) -> bool {
        self.wrong.is_some()
    }

    /// At this place another node holds something else.
    pub(super) fn dispute(&mut self, now: Instant, from: NodeId, own: Print, theirs: Print) {
        let dispute = self.dispute.get_or_insert_with(|| Dispute {
            own,
            first: own.position.index,
            since: now,
            ask_after: now,
            claims: BTreeMap::new(),
        });
        let is_later = own.position.index > dispute.own.position.index;
        if dispute.own.position == theirs.position {
            dispute.claims.insert(from, theirs);
        } else if is_later && now - dispute.since >= DECIDE_WITHIN {
            // The others may remember nothing of the earlier place any more; they differ here as well.
            (dispute.own, dispute.ask_after) = (own, now);
            dispute.claims = BTreeMap::from([(from, theirs)]);
        }
    }

    /// A node that differed holds the same again at a later place: it was replaced, or what differed was overwritten.
    fn reconcile(&mut self, from: NodeId, pairs: &[(Print, Print)]) {
        let latest = pairs.iter().filter(|(own, theirs)| agrees(own, theirs));
        let Some(latest) = latest.map(|(own, _)| own.position.index).max() else {
            return;
        };
        self.others_wrong
            .retain(|id, index| *id != from || *index >= latest);
        if let Some(dispute) = &mut self.dispute {
            let own = dispute.own;
            let is_over = |claim: &mut Print| differs(&own, claim) && latest > own.position.index;
            dispute.claims.retain(|id, claim| *id != from || !is_over(claim));
            if !dispute.claims.values().any(|claim| differs(&own, claim)) {
                self.dispute = None;
            }
        }
    }

    /// Decides what a majority of the members of `config` decides; `own_id` is this node.
    fn decide(&mut self, config: &ClusterConfig, own_id: NodeId) {
        let Some(dispute) = &self.dispute else {
            return;
        };
        let members: Vec<NodeId> = config.unique_nodes().collect();
        let (own, index) = (dispute.own, dispute.first);
        match dispute.decide(&members, own_id) {
            Decision::Open => {}
            Decision::Wrong => {
                self.wrong = Some(index);
                self.dispute = None;
            }
            Decision::Right => {
                let others = dispute.claims.iter().filter(|(_, claim)| differs(&own, claim));
                let others: Vec<NodeId> = others.map(|(id, _)| *id).collect();
                self.dispute = None;
                for id in others {
                    self.others_wrong.entry(id).or_insert(index);
                }
            }
        }
    }
}

impl Dispute {
    fn decide(&self, members: &[NodeId], own: NodeId) -> Decision {
        let is_majority = |count: usize| count > members.len() / 2;
        let holders = |what: &Print| {
            let claims = self.claims.iter().filter(|(id, _)| members.contains(id));
            claims.filter(|(_, claim)| agrees(what, claim)).count()
        };
        if is_majority(holders(&self.own) + usize::from(members.contains(&own))) {
            return Decision::Right;
        }
        let mut others = self.claims.values().filter(|claim| differs(&self.own, claim));
        if others.any(|claim| is_majority(holders(claim))) {
            return Decision::Wrong;
        }
        Decision::Open
    }
}

fn remember(ring: &mut VecDeque<Print>, print: Print) {
    if ring.back().is_some_and(|last| last.position == print.position) {
        return;
    }
    if ring.len() == RING {
        ring.pop_front();
    }
    ring.push_back(print);
}

fn pairs<'a>(one: &'a Print, other: &'a Print) -> impl Iterator<Item = (u64, u64)> + 'a {
    [one.chain.zip(other.chain), one.digest.zip(other.digest)]
        .into_iter()
        .flatten()
}

/// True when the two, of one position, cannot both be right.
fn differs(one: &Print, other: &Print) -> bool {
    pairs(one, other).any(|(one, other)| one != other)
}

/// True when something of the two can be compared, and all of that is equal.
fn agrees(one: &Print, other: &Print) -> bool {
    pairs(one, other).next().is_some() && !differs(one, other)
}

/// Compares what nodes hold: reads log and state, and changes neither.
pub(super) struct Comparer<'a> {
    own: NodeId,
    now: Instant,
    node: &'a Node,
    content: &'a Content,
    applied: &'a Applied,
    leadership: &'a Leadership,
    agreement: &'a mut Agreement,
    outputs: &'a mut Outputs,
}

impl Comparer<'_> {
    /// Remembers the state after the entry that was applied last, if its place is a round number.
    pub(super) fn note_round(&mut self, index: LogIndex) {
        if index.get().is_multiple_of(STRIDES[0]) {
            self.note_state(index);
        }
    }

    /// Remembers the state after the entry that was applied last, as `index`.
    pub(super) fn note_state(&mut self, index: LogIndex) {
        if let Some(print) = position_at(self.node.log(), index).map(|position| self.print_of(position, true))
        {
            self.agreement.note(print);
        }
    }

    /// Reports to the others what is held here, when it is time; and asks them where something is in dispute.
    pub(super) fn compare(&mut self) {
        self.drop_members_gone();
        if self.now >= self.agreement.report_after {
            self.agreement.report_after = self.now + REPORT_EVERY;
            let applied = self.applied.index();
            self.note_state(applied);
            let prints: Vec<Print> = self.agreement.remembered().copied().collect();
            if !prints.is_empty() {
                self.report_to_peers(&PeerMessage::Compare { asks: false, prints });
            }
        }
        self.ask_about_dispute();
        self.decide();
    }

    fn ask_about_dispute(&mut self) {
        let now = self.now;
        let due = self
            .agreement
            .dispute
            .as_mut()
            .filter(|dispute| now >= dispute.ask_after);
        let Some(dispute) = due else { return };
        dispute.ask_after = now + REPORT_EVERY;
        let prints = vec![dispute.own];
        self.report_to_peers(&PeerMessage::Compare { asks: true, prints });
    }

    fn report_to_peers(&mut self, message: &PeerMessage) {
        let peers: Vec<NodeId> = self.node.peers().collect();
        for to in peers {
            if self.leadership.features_of(to).has(Features::DIGEST) {
                self.outputs.send(to, message.clone());
            }
        }
    }

    fn drop_members_gone(&mut self) {
        let config = self.node.config();
        self.agreement.others_wrong.retain(|id, _| config.contains(*id));
    }

    /// Another node reports what it holds.
    pub(super) fn on_compare(&mut self, from: NodeId, asks: bool, prints: &[Print]) {
        let own: Vec<(Print, Print)> = prints
            .iter()
            .filter_map(|theirs| Some((self.own_print(theirs.position)?, *theirs)))
            .collect();
        let wanted = own.iter().filter(|(own, theirs)| asks || differs(own, theirs));
        let prints: Vec<Print> = wanted.map(|(own, _)| *own).collect();
        if !prints.is_empty() && self.leadership.features_of(from).has(Features::DIGEST) {
            self.outputs.send(from, PeerMessage::Compared { prints });
        }
        self.weigh(from, &own);
    }

    /// Another node answers what it holds.
    pub(super) fn on_compared(&mut self, from: NodeId, prints: &[Print]) {
        let own: Vec<(Print, Print)> = prints
            .iter()
            .filter_map(|theirs| Some((self.own_print(theirs.position)?, *theirs)))
            .collect();
        if let Some(dispute) = &mut self.agreement.dispute {
            for theirs in prints
                .iter()
                .filter(|theirs| theirs.position == dispute.own.position)
            {
                dispute.claims.insert(from, *theirs);
            }
        }
        self.weigh(from, &own);
    }

    /// Takes what another node holds into account; each pair is of one position.
    fn weigh(&mut self, from: NodeId, pairs: &[(Print, Print)]) {
        if self.agreement.wrong.is_some() {
            return;
        }
        let differing = pairs.iter().filter(|(own, theirs)| differs(own, theirs));
        // The roundest number: the others remember it for the longest time.
        let roundest = differing.max_by_key(|(own, _)| own.position.index.get().trailing_zeros());
        match roundest {
            Some((own, theirs)) => self.agreement.dispute(self.now, from, *own, *theirs),
            None => self.agreement.reconcile(from, pairs),
        }
        self.decide();
    }

    fn print_of(&self, position: LogPosition, is_state: bool) -> Print {
        Print {
            position,
            chain: self.content.chain_at(self.node.log(), position),
            digest: is_state.then(|| self.applied.machine().state_hash()),
        }
    }

    /// What is known here of a place; nothing, if nothing can be compared.
    fn own_print(&self, position: LogPosition) -> Option<Print> {
        let is_state = position.index == self.applied.index()
            && position_at(self.node.log(), position.index) == Some(position);
        let mut print = self.print_of(position, is_state);
        print.digest = print.digest.or_else(|| self.agreement.digest_at(position));
        (print.chain.is_some() || print.digest.is_some()).then_some(print)
    }

    fn decide(&mut self) {
        self.agreement.decide(self.node.config(), self.own);
    }
}

impl Replica {
    pub(super) fn comparer(&mut self) -> Comparer<'_> {
        Comparer {
            own: self.config.id,
            now: self.now,
            node: &self.node,
            content: &self.content,
            applied: &self.applied,
            leadership: &self.leadership,
            agreement: &mut self.agreement,
            outputs: &mut self.outputs,
        }
    }

    /// True while clients may be answered from this node's state and log.
    pub(super) fn serves(&self) -> bool {
        self.agreement.wrong.is_none() && !self.is_in_doubt()
    }

    fn is_in_doubt(&self) -> bool {
        let dispute = self.agreement.dispute.as_ref();
        dispute.is_some_and(|dispute| self.now - dispute.since >= DECIDE_WITHIN)
    }

    /// Where the nodes were last seen to differ, if they were.
    pub fn divergence(&self) -> Option<Divergence> {
        let agreement = &self.agreement;
        if let Some(index) = agreement.wrong {
            return Some(Divergence::Here { index });
        }
        if let (true, Some(dispute)) = (self.is_in_doubt(), &agreement.dispute) {
            let index = dispute.first;
            return Some(Divergence::Undecided { index });
        }
        let (node, index) = agreement.others_wrong.iter().next()?;
        Some(Divergence::Elsewhere {
            node: *node,
            index: *index,
        })
    }

    /// When to compare again.
    pub(super) fn compare_deadline(&self) -> Option<Instant> {
        let dispute = self.agreement.dispute.as_ref();
        let doubt = dispute.map(|dispute| dispute.since + DECIDE_WITHIN);
        let due = [
            Some(self.agreement.report_after),
            dispute.map(|dispute| dispute.ask_after),
            doubt.filter(|doubt| *doubt > self.now),
        ];
        self.node.peers().next()?;
        due.into_iter().flatten().min()
    }

    /// Refuses what has not been appended, while this node must not serve.
    pub(super) fn refuse_in_doubt(&mut self) {
        if self.serves() {
            return;
        }
        while let Some(pending) = self.waiting.queued.pop_proposable() {
            self.waiting.order.proposed(pending.turn, None);
            self.answer(pending.origin, Outcome::Refused(Refusal::Divergent));
            self.go_on(pending.turn);
        }
        for pending in self.waiting.reads.take_all() {
            self.answer(pending.origin, Outcome::Refused(Refusal::Divergent));
            self.read_is_over(pending.turn);
        }
        for pending in self.waiting.queued.take_unrouted() {
            self.answer(pending.origin, Outcome::Refused(Refusal::Divergent));
        }
    }

    /// A node that is wrong does not lead and asks for no votes. Only while no sync is in flight.
    pub(super) fn withdraw(&mut self) {
        if self.is_leader() {
            self.step_down(EndReason::Divergence);
        }
        self.arm_election();
    }
}

/// How often nodes compare what they hold.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How long a difference may stay undecided before no node that differs serves any more: two exchanges.
const DECIDE_WITHIN: Duration = Duration::from_secs(2);
/// Places remembered of each kind: together with the recent ones, half of what one message may hold.
const RING: usize = 16;
/// Distances between places: at 100,000 entries a second the last covers 40 seconds.
const STRIDES: [u64; 3] = [64, 4096, 262_144];

//! Which node leads, as far as known here; and, while it leads itself, its peers' progress.
//!
//! Invariant: `progress` is empty unless this node is the leader of `term`; rounds count up within a term, so
//! an echoed round proves that its sender followed this leader after the round went out.

use std::collections::BTreeMap;
use std::time::Duration;

use noraft::{ClusterConfig, LogIndex, LogPosition, NodeId, Role, Term};

use crate::protocol::peer::Features;
use crate::time::Instant;

use super::Replica;
use super::counts::EndReason;
use super::event::FollowerStatus;
use super::notes::{LossReason, Note};
use super::progress::Progress;

#[derive(Debug)]
pub(super) struct Leadership {
    role: Role,
    term: Term,
    /// The node whose AppendEntries of `term` arrived last, unless it has been silent for an election timeout.
    leader: Option<NodeId>,
    /// Since when no leader is known.
    leaderless_since: Option<Instant>,
    /// The nodes that this one has a connection to, and what they understand.
    connected: BTreeMap<NodeId, Features>,
    /// The leader whose rounds are counted, and the highest one that was handled.
    followed: Option<(NodeId, Term)>,
    handled_round: u64,
    /// The last round that this node sent as leader of `term`.
    pub(super) round: u64,
    /// Every peer is to be sent a message at least as new as this round.
    pub(super) round_wanted: u64,
    /// And, where pulses do not reach, as new as this one.
    pub(super) read_round_wanted: u64,
    pub(super) progress: BTreeMap<NodeId, Progress>,
    /// Why it has just stopped leading by itself.
    pub(super) end_reason: Option<EndReason>,
    /// The configuration that `progress` was last fitted to.
    pub(super) fitted_to: ClusterConfig,
}

impl Leadership {
    /// Of a node that knows of no leader; `config` is the last in its log.
    pub(super) fn new(config: ClusterConfig) -> Self {
        Self {
            role: Role::Follower,
            term: Term::ZERO,
            leader: None,
            leaderless_since: None,
            connected: BTreeMap::new(),
            followed: None,
            handled_round: 0,
            round: 0,
            round_wanted: 0,
            read_round_wanted: 0,
            progress: BTreeMap::new(),
            end_reason: None,
            fitted_to: config,
        }
    }

    /// The number of the next round.
    pub(super) fn next_round(&mut self) -> u64 {
        self.round += 1;
        self.round
    }

    /// Asks for a message to every peer, even if there is nothing to say; returns its lowest round.
    pub(super) fn want_round(&mut self) -> u64 {
        self.round_wanted = self.round + 1;
        self.round_wanted
    }

    /// Asks for a message to every peer that pulses do not reach; returns its lowest round.
    pub(super) fn want_read_round(&mut self) -> u64 {
        self.read_round_wanted = self.round + 1;
        self.read_round_wanted
    }

    /// True when `id` has answered in this term during the last `timeout`.
    pub(super) fn heard_since(&self, id: NodeId, now: Instant, timeout: Duration) -> bool {
        self.progress
            .get(&id)
            .is_some_and(|peer| now - peer.last_heard() < timeout)
    }

    /// True when `id` has handled a message of `round` or later.
    pub(super) fn echoed(&self, id: NodeId, round: u64) -> bool {
        self.progress.get(&id).is_some_and(|peer| peer.echo() >= round)
    }

    /// True when `round` is the latest that `id` has handled.
    pub(super) fn echoed_last(&self, id: NodeId, round: u64) -> bool {
        self.progress.get(&id).is_some_and(|peer| peer.echo() <= round)
    }

    /// True while there is a connection to `peer`.
    pub(super) fn is_connected(&self, peer: NodeId) -> bool {
        self.connected.contains_key(&peer)
    }

    /// What `peer` understands: nothing beyond version 1 while there is no connection to it.
    pub(super) fn features_of(&self, peer: NodeId) -> Features {
        self.connected.get(&peer).copied().unwrap_or_default()
    }

    /// `leader` leads the current term.
    pub(super) fn hear(&mut self, leader: NodeId) {
        self.leader = Some(leader);
    }

    /// Remembers that `round` of `leader`, in the current term, was handled.
    pub(super) fn on_append_handled(&mut self, leader: NodeId, round: u64) {
        self.leader = Some(leader);
        if self.followed != Some((leader, self.term)) {
            (self.followed, self.handled_round) = (Some((leader, self.term)), 0);
        }
        self.handled_round = self.handled_round.max(round);
    }

    /// `leader` says that it no longer leads: wait until a leader is heard again before asking it again.
    pub(super) fn forget_leader(&mut self, leader: NodeId) {
        if self.leader == Some(leader) {
            self.leader = None;
        }
    }

    /// What to echo in a reply to `leader` in `term`.
    pub(super) fn handled_round(&self, leader: NodeId, term: Term) -> u64 {
        if self.followed == Some((leader, term)) {
            self.handled_round
        } else {
            0
        }
    }
}

impl Replica {
    /// The leader of the current term, if known.
    pub fn leader(&self) -> Option<NodeId> {
        if self.is_leader() {
            Some(self.config.id)
        } else {
            self.leadership.leader
        }
    }

    /// The node that leads, if it is another and a message can be sent to it.
    pub(super) fn reachable_leader(&self) -> Option<NodeId> {
        let Leadership {
            leader, connected, ..
        } = &self.leadership;
        leader.filter(|leader| connected.contains_key(leader))
    }

    /// A leader that is not heard is not named, and nothing is sent there: it may have been deposed long ago.
    pub(super) fn forget_silent_leader(&mut self) {
        if self.leader_silence().is_some_and(|silence| silence <= self.now) {
            self.note_leader_lost(LossReason::Silent);
            self.leadership.leader = None;
        }
    }

    fn note_leader_lost(&mut self, why: LossReason) {
        if let Some(leader) = self.leadership.leader {
            let term = self.leadership.term;
            self.notes.push(Note::LeaderLost { leader, term, why });
        }
    }

    /// When the leader that this node follows will have been silent for too long. Never while a message of it waits for
    /// this node's own disk.
    pub(super) fn leader_silence(&self) -> Option<Instant> {
        let leader = self.leadership.leader?;
        if self.is_leader() || self.inbox.has_append_of(leader) {
            return None;
        }
        Some(self.leader_heard()? + self.config.election_timeout)
    }

    pub(super) fn watch_leader(&mut self) {
        let since = self.leadership.leaderless_since.unwrap_or(self.now);
        self.leadership.leaderless_since = self.leader().is_none().then_some(since);
    }

    /// True when there has been no leader for so long that there is no point in waiting for one.
    pub(super) fn is_hopeless(&self) -> bool {
        let patience = self.config.election_timeout * LEADERLESS_TIMEOUTS;
        let since = self.leadership.leaderless_since;
        self.leader().is_none() && since.is_some_and(|since| self.now - since >= patience)
    }

    /// Notices what the last message did to role and term; called after each.
    pub(super) fn follow_role_change(&mut self) {
        let (role, term) = (self.node.role(), self.node.current_term());
        let (was, was_in) = (self.leadership.role, self.leadership.term);
        if (role, term) == (was, was_in) {
            return;
        }
        if was.is_leader() {
            self.stop_leading();
        }
        if term != was_in {
            self.leadership.leader = None;
        }
        (self.leadership.role, self.leadership.term) = (role, term);
        if role.is_leader() {
            self.start_leading();
        }
    }

    fn start_leading(&mut self) {
        self.counts.won += 1;
        self.leadership.leader = None;
        self.elections.stop_abstaining();
        self.elections.end_canvass();
        (self.leadership.round, self.leadership.round_wanted) = (0, 0);
        self.leadership.read_round_wanted = 0;
        self.pulses.begin_term();
        self.waiting.forwards.start_accepting(self.node.current_term());
        let before = self.position_before_tail();
        let now = self.now;
        self.leadership.fitted_to = self.node.config().clone();
        self.leadership.progress = self
            .node
            .peers()
            .map(|id| (id, Progress::new(before, now)))
            .collect();
        self.timers.arm_heartbeat(now + self.config.heartbeat_interval);
        self.timers.arm_quorum_check(now + self.config.election_timeout);
        self.redirect_reads();
        self.go_on_all();
    }

    fn stop_leading(&mut self) {
        self.snapshots.stop_sending();
        for (peer, progress) in std::mem::take(&mut self.leadership.progress) {
            self.counts.note_resent(peer, progress.resent());
        }
        let (term, why) = (self.leadership.term, self.leadership.end_reason.take());
        self.counts.ends.note(why);
        self.notes.push(Note::LeadsNoMore { term, why });
        self.elections.forget_leader();
        self.return_forwarded();
        self.interrupt_reads();
        self.waiting.order.end_tenure(self.applied.index(), self.now);
    }

    /// A configuration was appended: peers come and go.
    pub(super) fn follow_membership(&mut self) {
        if !self.is_leader() {
            return;
        }
        let (tail, now) = (self.node.log().last_position(), self.now);
        let peers: Vec<NodeId> = self.node.peers().collect();
        self.leadership.progress.retain(|id, _| peers.contains(id));
        self.snapshots.send_only_to(&peers);
        for id in peers {
            self.leadership
                .progress
                .entry(id)
                .or_insert_with(|| Progress::new(tail, now));
        }
    }

    /// A leader whose connection ended may be gone: nothing is forwarded to it, and the next election does not
    /// wait for its silence to last. If it is there, the others refuse the pre-vote and it is heard again at once.
    pub(super) fn on_disconnected(&mut self, peer: NodeId) {
        self.leadership.connected.remove(&peer);
        if self.leadership.leader == Some(peer) {
            self.note_leader_lost(LossReason::Disconnected);
            self.elections.forget_leader();
            let spread = 2 * self.config.heartbeat_interval;
            self.timers.hasten_election(self.now, spread);
        }
        self.leadership.forget_leader(peer);
        self.give_up_forwards(peer);
        self.give_up_transfer_to(peer);
    }

    /// What `peer` understands: nothing beyond version 1 while there is no connection to it.
    pub fn features_of(&self, peer: NodeId) -> Features {
        self.leadership.features_of(peer)
    }

    pub(super) fn on_connected(&mut self, peer: NodeId, features: Features) {
        self.leadership.connected.insert(peer, features);
        // In a cluster that never had a leader there is none to wait for.
        if self.node.current_term() == Term::ZERO {
            let spread = 2 * self.config.heartbeat_interval;
            self.timers.hasten_election(self.now, spread);
        }
        let matched = self
            .node
            .follower_match_index(peer)
            .and_then(|index| self.position_at(index));
        if let (Some(progress), Some(matched)) = (self.leadership.progress.get_mut(&peer), matched) {
            progress.on_connected(matched);
        }
        if self.leadership.leader == Some(peer) {
            self.go_on_all();
        }
    }

    /// What this leader knows of the others.
    pub(super) fn follower_status(&self) -> FollowerStatus {
        let (now, timeout) = (self.now, self.config.election_timeout);
        let heard = |id: &NodeId| self.leadership.heard_since(*id, now, timeout);
        let matched = |id| Some((id, self.node.follower_match_index(id)?));
        FollowerStatus {
            match_indexes: self.node.peers().filter_map(matched).collect(),
            heard: self.node.peers().filter(heard).collect(),
        }
    }

    /// A new leader's first guess: all followers have what it had before its first entry of this term.
    fn position_before_tail(&self) -> LogPosition {
        let tail = self.node.log().last_position();
        let before = tail.index.get().checked_sub(1).map(LogIndex::new);
        before.and_then(|index| self.position_at(index)).unwrap_or(tail)
    }
}

/// For so many election timeouts a request waits for a leader: an election takes one to two, a few if votes are split.
const LEADERLESS_TIMEOUTS: u32 = 4;

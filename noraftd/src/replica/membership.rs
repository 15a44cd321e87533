//! Changes of the voters at runtime: joint consensus (Raft 6), one change at a time. Where there is a membership table, the
//! configuration follows that instead (`members`).
//!
//! The leader appends a joint configuration, which is in force at once; when it is committed, by majorities of the
//! old and of the new voters, the core appends the final one. Which configuration is in force follows from the log
//! alone: what a later leader cuts off takes its configuration with it. A node that is no voter any more receives
//! nothing until it is added again; its pre-votes are refused while the others hear from a leader.
//!
//! The client gets a true answer, as for a write: done when the final configuration is applied here, refused when
//! nothing was appended, or when another entry has its place permanently, else indefinite. Voters that are voters
//! already cost no entry, but a round: a deposed leader does not know which nodes are voters.
//!
//! Invariant: every change that was asked for is answered exactly once, at the latest at its deadline; no change
//! begins before the one before it is applied here.

use std::collections::{BTreeSet, VecDeque};

use noraft::{ClusterConfig, LogIndex, LogPosition, NodeId};

use crate::level::Level;
use crate::protocol::resp::Reply;
use crate::time::Instant;

use super::Replica;
use super::event::RequestId;
use super::quorum::has_quorum;
use crate::protocol::outcome::{Doubt, Outcome, Refusal};

#[derive(Debug, Default)]
pub(super) struct Membership {
    /// Asked for while a sync was in flight.
    wanted: VecDeque<Wanted>,
    begun: Vec<Begun>,
}

/// A change that has not begun.
#[derive(Debug)]
struct Wanted {
    id: RequestId,
    voters: BTreeSet<NodeId>,
    deadline: Instant,
}

/// A change whose outcome is not known yet.
#[derive(Debug)]
struct Begun {
    wanted: Wanted,
    proof: Proof,
}

/// What shows that it is done.
#[derive(Debug, Clone, Copy)]
enum Proof {
    /// This entry, the joint configuration, is applied, and then the final one.
    Entry(LogPosition),
    /// A majority has echoed this round: the voters are those already.
    Round(u64),
}

impl Membership {
    pub(super) fn len(&self) -> usize {
        self.wanted.len() + self.begun.len()
    }

    pub(super) fn earliest_deadline(&self) -> Option<Instant> {
        let begun = self.begun.iter().map(|change| change.wanted.deadline);
        self.wanted
            .iter()
            .map(|change| change.deadline)
            .chain(begun)
            .min()
    }

    fn take(&mut self, is_over: impl Fn(&Begun) -> bool) -> Vec<Begun> {
        self.begun.extract_if(.., |change| is_over(change)).collect()
    }
}

impl Replica {
    pub(super) fn accept_change(&mut self, id: RequestId, voters: BTreeSet<NodeId>) {
        if self.waiting.len() >= self.config.limits.requests_max {
            return self.outputs.reply(id, Outcome::Refused(Refusal::Overloaded));
        }
        let deadline = self.now + self.config.request_timeout;
        self.waiting
            .changes
            .wanted
            .push_back(Wanted { id, voters, deadline });
    }

    /// Begins with what is asked for, or says why not. Only while no sync is in flight.
    pub(super) fn begin_changes(&mut self) {
        if self.is_handing_over() {
            return;
        }
        while let Some(wanted) = self.waiting.changes.wanted.pop_front() {
            if let Some(refusal) = self.refusal_of(&wanted) {
                self.outputs.reply(wanted.id, Outcome::Refused(refusal));
            } else {
                self.begin_change(wanted);
            }
        }
    }

    fn refusal_of(&self, wanted: &Wanted) -> Option<Refusal> {
        if wanted.voters.is_empty() || !wanted.voters.is_subset(&self.config.members) {
            return Some(Refusal::NotMembers);
        }
        if wanted.voters.iter().any(|voter| self.is_too_old(*voter)) {
            return Some(Refusal::NotSupported);
        }
        if !self.serves() {
            return Some(Refusal::Divergent);
        }
        if !self.is_leader() {
            return Some(Refusal::NotLeader);
        }
        if !self.space.is_plenty() || self.is_silent() {
            return Some(Refusal::DiskFull);
        }
        if !self.members().is_empty() {
            return Some(Refusal::HasTable);
        }
        // From level 1 on a table may be on its way, which wants the voters of now.
        if self.level() > Level::FIRST && !self.may_change_parts() {
            return Some(Refusal::ChangeInProgress);
        }
        (!self.is_settled()).then_some(Refusal::ChangeInProgress)
    }

    /// True when no change of the voters is in progress, as far as this node has applied the log. That the configuration
    /// it has applied is equal says nothing: voters of long ago may be about to become voters again.
    pub(super) fn is_settled(&self) -> bool {
        let is_applied = self.node.log().latest_config_index() <= self.applied.index();
        is_applied && !self.node.config().is_joint_consensus()
    }

    fn applied_config(&self) -> Option<&ClusterConfig> {
        let applied = self.node.log().get_position_and_config(self.applied.index());
        applied.map(|(_, config)| config)
    }

    fn begin_change(&mut self, wanted: Wanted) {
        let config = self.node.config();
        if config.voters == wanted.voters {
            let proof = Proof::Round(self.leadership.want_round());
            return self.waiting.changes.begun.push(Begun { wanted, proof });
        }
        let adding: Vec<NodeId> = wanted.voters.difference(&config.voters).copied().collect();
        let removing: Vec<NodeId> = config.voters.difference(&wanted.voters).copied().collect();
        let joint = config.to_joint_consensus(&adding, &removing);
        let position = self.node.propose_config(joint);
        if position.is_invalid() {
            return self
                .outputs
                .reply(wanted.id, Outcome::Refused(Refusal::NotLeader));
        }
        self.give_up_superseded(position.index);
        let proof = Proof::Entry(position);
        self.waiting.changes.begun.push(Begun { wanted, proof });
    }

    /// The entry at `position` was applied.
    pub(super) fn resolve_changes(&mut self, position: LogPosition) {
        if self.waiting.changes.begun.is_empty() {
            return;
        }
        let another_is_there = |change: &Begun| match change.proof {
            Proof::Entry(at) => at.index == position.index && at != position,
            Proof::Round(_) => false,
        };
        for change in self.waiting.changes.take(another_is_there) {
            // Another entry is committed at its index, so it never will be.
            self.outputs
                .reply(change.wanted.id, Outcome::Refused(Refusal::NotLeader));
        }
        let Some(config) = self
            .applied_config()
            .filter(|config| !config.is_joint_consensus())
        else {
            return;
        };
        let voters = config.voters.clone();
        let is_final = |change: &Begun| match change.proof {
            Proof::Entry(at) => at.index < position.index && change.wanted.voters == voters,
            Proof::Round(_) => false,
        };
        for change in self.waiting.changes.take(is_final) {
            self.outputs.reply(change.wanted.id, DONE);
        }
    }

    /// Answers those whose voters are voters already.
    pub(super) fn confirm_changes(&mut self) {
        if self.waiting.changes.begun.is_empty() {
            return;
        }
        let is_round = |change: &Begun| matches!(change.proof, Proof::Round(_));
        if !self.is_leader() {
            for change in self.waiting.changes.take(is_round) {
                self.outputs
                    .reply(change.wanted.id, Outcome::Refused(Refusal::NotLeader));
            }
            return;
        }
        let (own, config) = (self.config.id, self.node.config().clone());
        let leadership = &self.leadership;
        let is_known = self.has_committed_in_term() && self.is_settled();
        let is_confirmed = |change: &Begun| match change.proof {
            Proof::Round(round) => {
                let follows = |id| id == own || leadership.echoed(id, round);
                is_known && change.wanted.voters == config.voters && has_quorum(&config, follows)
            }
            Proof::Entry(_) => false,
        };
        for change in self.waiting.changes.take(is_confirmed) {
            self.outputs.reply(change.wanted.id, DONE);
        }
    }

    /// Answers what has waited long enough, with what is known about it.
    pub(super) fn expire_changes(&mut self) {
        let now = self.now;
        while self
            .waiting
            .changes
            .wanted
            .front()
            .is_some_and(|change| change.deadline <= now)
        {
            let change = self
                .waiting
                .changes
                .wanted
                .pop_front()
                .expect("it was there above");
            self.outputs.reply(change.id, Outcome::Refused(Refusal::NoLeader));
        }
        for change in self.waiting.changes.take(|change| change.wanted.deadline <= now) {
            let outcome = match (change.proof, self.is_leader()) {
                (Proof::Round(_), _) => Outcome::Refused(Refusal::ReadTimeout),
                (Proof::Entry(_), true) => Outcome::Indefinite(Doubt::CommitTimeout),
                (Proof::Entry(_), false) => Outcome::Indefinite(Doubt::LeadershipLost),
            };
            self.outputs.reply(change.wanted.id, outcome);
        }
    }

    /// This node's log was cut, and a new tenure uses `index` again.
    pub(super) fn give_up_superseded_changes(&mut self, index: LogIndex) {
        self.give_up_changes(|at| at >= index);
    }

    /// A snapshot of `index` was installed: what became of entries before it is not known here.
    pub(super) fn give_up_covered_changes(&mut self, index: LogIndex) {
        self.give_up_changes(|at| at <= index);
    }

    fn give_up_changes(&mut self, is_void: impl Fn(LogIndex) -> bool) {
        let is_void = |change: &Begun| match change.proof {
            Proof::Entry(at) => is_void(at.index),
            Proof::Round(_) => false,
        };
        for change in self.waiting.changes.take(is_void) {
            self.outputs
                .reply(change.wanted.id, Outcome::Indefinite(Doubt::LeadershipLost));
        }
    }
}

const DONE: Outcome = Outcome::Done(Reply::Status("OK"));

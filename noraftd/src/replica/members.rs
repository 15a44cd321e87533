//! From the membership table to the configuration: what is refused, and what a leader does until both say the same.
//!
//! The table in the state says what is wanted (`machine/members.rs`), the configuration in the log what is in force. A leader
//! that has applied an entry of its own term knows the table as it was when it was elected, and has appended everything since.
//! While no change of the configuration is in progress, it compares the two and proposes what the table wants: so whatever
//! became of the leader that took an order, the order is carried out. Without a table there is nothing to follow.
//!
//! Invariant: a change of the wanted voters is appended only when the configuration is what the table wants, and none is on its
//! way there; so the configuration never falls behind by more than one change.

use std::collections::BTreeSet;
use std::time::Duration;

use noraft::{ClusterConfig, LogIndex, LogPosition, NodeId, Term};

use crate::machine::Members;
use crate::protocol::command::{Member, MemberChange, Part, Request};
use crate::protocol::outcome::Refusal;
use crate::protocol::resp::Reply;

use super::Replica;

#[derive(Debug, Default)]
pub(super) struct Following {
    /// The last entry with which this node, as the leader of its term, changed which nodes the table wants.
    changing: Option<LogPosition>,
    /// The last term in which this leader, which is to leave, began to hand over.
    left_in: Option<Term>,
    /// The table, and the last configuration in the log, when there was nothing left to do.
    agreed: Option<(Members, LogIndex)>,
}

/// How far a follower is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberProgress {
    /// The last index known to be durable there.
    pub match_index: LogIndex,
    /// How long ago it answered the leader.
    pub silent_for: Duration,
}

impl Replica {
    /// The membership table, as far as this node has applied the log.
    pub fn members(&self) -> &Members {
        self.applied.machine().members()
    }

    /// The configuration in force, unless one is not applied here yet or is to be followed by another.
    pub fn settled_config(&self) -> Option<&ClusterConfig> {
        self.is_settled().then(|| self.node.config())
    }

    /// True while this leader has to be asked to begin the table.
    pub fn wants_members(&self) -> bool {
        self.members().is_empty() && self.takes_members() && self.may_change_parts() && self.space.is_plenty()
    }

    /// What a leader knows of the other node.
    pub fn progress_of(&self, id: NodeId) -> Option<MemberProgress> {
        let last_heard = self.leadership.progress.get(&id)?.last_heard();
        let last_heard = self
            .pulses
            .last_heard(id)
            .map_or(last_heard, |at| at.max(last_heard));
        Some(MemberProgress {
            match_index: self.node.follower_match_index(id)?,
            silent_for: self.now.saturating_since(last_heard),
        })
    }

    /// True at a level at which there is a table.
    fn takes_members(&self) -> bool {
        self.level() >= crate::level::Level::FLUSH
    }

    /// True when this leader knows all that earlier leaders did to the table, and nothing changes either.
    pub(super) fn may_change_parts(&self) -> bool {
        let term = self.node.current_term();
        let is_changing = |at: LogPosition| at.term == term && at.index > self.applied.index();
        self.has_applied_in_term()
            && self.is_settled()
            && !self.following.changing.is_some_and(is_changing)
            && !self.is_handing_over()
    }

    /// Why this leader does not append the request, if that lies in the members.
    pub(super) fn refusal_by_members(&self, request: &Request) -> Option<Refusal> {
        let change = Request::member_change(&request.body)?;
        match &change {
            MemberChange::Begin(rows) => {
                let voters = rows.iter().filter(|row| row.part == Part::Voter);
                let are_all = voters
                    .map(|row| row.id)
                    .eq(self.node.config().voters.iter().copied());
                (!are_all || !self.wants_members()).then_some(Refusal::ChangeInProgress)
            }
            _ if self.members().is_empty() => Some(Refusal::NoTable),
            MemberChange::Join { .. } | MemberChange::SetAddress { .. } | MemberChange::Announce { .. } => {
                None
            }
            MemberChange::Promote { force, .. }
            | MemberChange::Remove { force, .. }
            | MemberChange::Replace { force, .. } => self.refusal_of_parts(&change, *force),
        }
    }

    /// Why the table is not to want other voters now.
    fn refusal_of_parts(&self, change: &MemberChange, force: bool) -> Option<Refusal> {
        let mut after = self.members().clone();
        let reply = after.apply(change.clone());
        let (voters, config) = (after.voters(), self.node.config());
        if matches!(reply, Reply::Error(_)) || voters == self.members().voters() {
            // What is impossible is said by the state, which is the same on every node; learners change at any time.
            return None;
        }
        if !self.may_change_parts() || config.voters != self.members().voters() {
            return Some(Refusal::ChangeInProgress);
        }
        let mut new = voters.difference(&config.voters);
        if new.clone().any(|id| self.is_too_old(*id)) {
            return Some(Refusal::NotSupported);
        }
        if !new.all(|id| self.has_caught_up(*id)) {
            return Some(Refusal::NotCaughtUp);
        }
        let is_there = |id: &&NodeId| **id == self.config.id || self.is_at_hand(**id);
        let is_quorum = voters.iter().filter(is_there).count() > voters.len() / 2;
        (!is_quorum && !force).then_some(Refusal::TooFewVoters)
    }

    /// True when the other node has nearly all of the log.
    fn has_caught_up(&self, id: NodeId) -> bool {
        let matched = self.node.follower_match_index(id).map_or(0, LogIndex::get);
        let last = self.node.log().last_position().index.get();
        matched > 0 && last.saturating_sub(matched) <= LAG_MAX && self.is_at_hand(id)
    }

    /// True when it has said in this term that it follows, not long ago, and its connection has not ended since. (A leader that was just
    /// elected takes the others for followers before it has heard from them.)
    pub(super) fn is_at_hand(&self, id: NodeId) -> bool {
        self.follows_me(id) && self.leadership.echoed(id, 1) && self.leadership.is_connected(id)
    }

    /// The request, which is about to be appended there, changes what the table wants.
    pub(super) fn note_member_change(&mut self, position: LogPosition, request: &Request) {
        let changes_parts = match Request::member_change(&request.body) {
            None => false,
            Some(MemberChange::SetAddress { .. } | MemberChange::Announce { .. }) => false,
            Some(
                MemberChange::Begin(_)
                | MemberChange::Join { .. }
                | MemberChange::Promote { .. }
                | MemberChange::Remove { .. }
                | MemberChange::Replace { .. },
            ) => true,
        };
        if changes_parts {
            self.following.changing = Some(position);
        }
    }

    /// Takes the next step towards what the table wants. Only while no sync is in flight.
    pub(super) fn follow_members(&mut self) {
        if self.members().is_empty()
            || self.has_agreed()
            || !self.may_change_parts()
            || !self.space.is_plenty()
        {
            return;
        }
        let (voters, config) = (self.members().voters(), self.node.config().clone());
        let learners: BTreeSet<NodeId> = self.members().learners().difference(&voters).copied().collect();
        if config.voters == voters && config.non_voters == learners {
            let is_joining = |row: &Member| row.part == Part::Joining;
            let is_over = !self.members().iter().any(is_joining);
            let config_index = self.node.log().latest_config_index();
            self.following.agreed = is_over.then(|| (self.members().clone(), config_index));
            return self.promote_joined();
        }
        if self.hands_over_to_one_of(&voters) {
            return;
        }
        let mut next = config.clone();
        if config.voters != voters {
            let adding: Vec<NodeId> = voters.difference(&config.voters).copied().collect();
            let removing: Vec<NodeId> = config.voters.difference(&voters).copied().collect();
            next = config.to_joint_consensus(&adding, &removing);
        }
        next.non_voters = learners;
        let position = self.node.propose_config(next);
        if !position.is_invalid() {
            self.give_up_superseded(position.index);
        }
    }

    /// True when nothing has changed since table and configuration said the same: most batches end here.
    fn has_agreed(&self) -> bool {
        self.following
            .agreed
            .as_ref()
            .is_some_and(|(members, config_index)| {
                members.is_same(self.members()) && *config_index == self.node.log().latest_config_index()
            })
    }

    /// A leader that is to leave hands over first, and the next one goes on. It tries once in its term.
    fn hands_over_to_one_of(&mut self, stay: &BTreeSet<NodeId>) -> bool {
        let (own, term) = (self.config.id, self.node.current_term());
        let leaves = self.node.config().voters.contains(&own) && !stay.contains(&own);
        if !leaves || self.following.left_in == Some(term) {
            return false;
        }
        let may = |id: &&NodeId| self.successor(Some(**id)).is_some();
        let best = stay
            .iter()
            .filter(may)
            .max_by_key(|id| self.node.follower_match_index(**id));
        let Some(best) = best.copied() else { return false };
        self.following.left_in = Some(term);
        self.begin_transfer(None, Some(best));
        true
    }

    /// The first node that joins and has caught up becomes a voter.
    fn promote_joined(&mut self) {
        let is_ready = |id: &NodeId| self.has_caught_up(*id) && !self.is_too_old(*id);
        let joining = self.members().iter().filter(|row| row.part == Part::Joining);
        let Some(id) = joining.map(|row| row.id).find(is_ready) else {
            return;
        };
        let request = Request::to_change_members(&MemberChange::Promote { id, force: false });
        if self.refusal_by_members(&request).is_none()
            && let Some(position) = self.append_own(request.body.clone())
        {
            self.note_member_change(position, &request);
        }
    }
}

/// Entries that a node may lack and be made a voter: a fraction of a second at the rate that a cluster writes.
const LAG_MAX: u64 = 1000;

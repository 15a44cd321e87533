//! One node as it was last observed, and what holds between one observation and the next.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::sync::Arc;

use super::compare::{View, first_difference};
use super::{Checked, Durable, Invariant, ensure};
use crate::{Log, LogIndex, LogPosition, Node, NodeId, Term};

/// One node as it was last observed.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) term: Term,
    pub(super) voted_for: Option<NodeId>,
    pub(super) leader: bool,
    pub(super) commit_index: LogIndex,
    /// Shared with the observation before, as long as nothing was written.
    pub(super) log: Arc<Log>,
    /// Entries of it of which nothing is known but the term.
    pub(super) unread: Arc<BTreeSet<LogIndex>>,
    pub(super) durable: Durable,
    /// The log was compared with those of the other nodes.
    pub(super) compared: bool,
    pub(super) matched: BTreeMap<NodeId, Matched>,
    pub(super) restarts: u64,
    /// Its disk was declared lost: what it promised no longer counts.
    pub(super) wiped: bool,
}

/// What a leader believes of one follower.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matched {
    pub(super) index: LogIndex,
    /// Restarts of the follower that may still show as a fall of the match index.
    pub(super) excused: u64,
}

impl Seen {
    pub(super) fn of(
        node: &Node,
        durable: &Durable,
        unread: &Arc<BTreeSet<LogIndex>>,
        before: Option<&Seen>,
    ) -> Self {
        let same = before.filter(|before| *before.log == *node.log());
        Self {
            term: node.current_term(),
            voted_for: node.voted_for(),
            leader: node.role().is_leader(),
            commit_index: node.commit_index(),
            log: same.map_or_else(|| Arc::new(node.log().clone()), |before| Arc::clone(&before.log)),
            unread: Arc::clone(unread),
            durable: *durable,
            compared: false,
            matched: BTreeMap::new(),
            restarts: 0,
            wiped: false,
        }
    }

    /// Whether `before` was compared with the other nodes, and nothing was written since.
    pub(super) fn was_compared_as(&self, before: &Seen) -> bool {
        let is_same = Arc::ptr_eq(&self.log, &before.log) && self.unread == before.unread;
        before.compared && is_same && self.durable.synced == before.durable.synced
    }

    /// The log as far as its node can read it.
    pub(super) fn view(&self) -> View<'_> {
        View {
            entries: self.log.entries(),
            unread: &self.unread,
        }
    }

    /// Whether all that it has committed was compared with what others did, and nothing came since.
    pub(super) fn committed_as(&self, before: &Seen) -> bool {
        self.was_compared_as(before) && (self.term, self.commit_index) == (before.term, before.commit_index)
    }

    /// A leader whose term or vote a crash could still take back has led no node yet.
    pub(super) fn is_durable_leader(&self) -> bool {
        self.leader && self.durable.term == self.term && self.durable.voted_for == self.voted_for
    }

    /// Whether the log has the position, or a snapshot has taken its place.
    pub(super) fn holds(&self, position: LogPosition) -> bool {
        position.index < self.log.snapshot_position().index || self.log.entries().contains(position)
    }

    /// Compares a node with its own last observation.
    pub(super) fn check_step(&self, before: &Seen, id: NodeId) -> Checked {
        ensure(self.term >= before.term, Invariant::Term, || {
            format!(
                "the term of {id:?} falls from {:?} to {:?}",
                before.term, self.term
            )
        })?;
        ensure(
            self.commit_index >= before.commit_index,
            Invariant::CommitIndex,
            || {
                format!(
                    "the commit index of {id:?} falls from {:?} to {:?}",
                    before.commit_index, self.commit_index
                )
            },
        )?;
        ensure(
            self.commit_index <= self.log.last_position().index,
            Invariant::CommitIndex,
            || {
                format!(
                    "{id:?} commits {:?} beyond its log's {:?}",
                    self.commit_index,
                    self.log.last_position()
                )
            },
        )?;
        let kept = before.commit_index.max(self.log.snapshot_position().index);
        let differs = first_difference(before.view(), self.view(), before.commit_index);
        ensure(
            self.log.last_position().index >= kept && differs.is_none(),
            Invariant::StateMachineSafety,
            || {
                format!(
                    "{id:?} has rewritten {differs:?}, committed up to {:?}",
                    before.commit_index
                )
            },
        )?;
        if !(before.leader && self.leader && before.term == self.term) {
            return Ok(());
        }
        let end = before.log.last_position().index;
        let differs = first_difference(before.view(), self.view(), end);
        ensure(
            self.log.last_position().index >= end && differs.is_none(),
            Invariant::LeaderAppendOnly,
            || {
                format!(
                    "leader {id:?} of {:?} changed its log up to {end:?} at {differs:?}",
                    self.term
                )
            },
        )
    }

    /// Checks that a crash took nothing that was on disk.
    pub(super) fn check_kept(&self, node: &Node, now: &Self, leader: Option<NodeId>) -> Checked {
        let (id, durable) = (node.id(), &self.durable);
        // A vote that was being written may be there although it was not announced yet; a follower takes
        // the leader of its term for its vote.
        let written =
            node.voted_for().is_some() && (durable.voted_for.is_none() || node.voted_for() == leader);
        let vote_kept =
            node.current_term() > durable.term || node.voted_for() == durable.voted_for || written;
        ensure(
            node.current_term() >= durable.term && vote_kept,
            Invariant::Durability,
            || {
                format!(
                    "{id:?} comes back with {:?}, {:?} after {durable:?}",
                    node.current_term(),
                    node.voted_for()
                )
            },
        )?;
        let end = durable.synced.min(self.log.last_position().index);
        let differs = first_difference(self.view(), now.view(), end);
        let kept = node.log().last_position().index >= end && differs.is_none();
        ensure(kept, Invariant::Durability, || {
            format!(
                "{id:?} comes back with a log to {:?}, {end:?} was synced",
                node.log().last_position()
            )
        })
    }
}

/// The follower's disk holds what its leader counts, as long as it has not heard of a later term.
pub(super) fn check_match_is_held(leader: &Node, follower: NodeId, index: LogIndex, seen: &Seen) -> Checked {
    let position = leader
        .log()
        .entries()
        .get_term(index)
        .map(|term| LogPosition { term, index });
    let Some(position) = position.filter(|_| !seen.wiped && seen.term <= leader.current_term()) else {
        return Ok(());
    };
    let held = index <= seen.durable.synced && seen.holds(position);
    ensure(held, Invariant::MatchIndex, || {
        format!(
            "{:?} counts {position:?} at {follower:?}, which has {:?}",
            leader.id(),
            seen.durable
        )
    })
}

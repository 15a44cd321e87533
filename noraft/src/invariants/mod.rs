//! Every invariant of Raft as a check, for tests and simulation. Owns no part of the algorithm.
//!
//! An [`Invariants`] is fed with what a cluster does: a node after each event ([`Invariants::observe`]),
//! a message as it leaves ([`Invariants::sent`]), a node rebuilt after a crash ([`Invariants::restarted`]).
//! It remembers leaders, votes and committed entries over the whole history and says in words what was
//! broken. Only what is on disk is held against a node: a lone voter may lead and commit in memory before
//! it has written anything, and a crash may take that back as long as no other node has learned of it.
//!
//! Source: Raft figure 3 (the five properties), 5.1, 5.2, 5.4, 6, 7.
mod compare;
mod seen;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use crate::{ClusterConfig, Log, LogEntries, LogIndex, LogPosition, Message, Node, NodeId, Term};
use compare::{View, conflict_below_shared_position, extend, first_difference};
use seen::{Matched, Seen, check_match_is_held};

/// Checks every invariant over the whole history of one cluster.
///
/// # Examples
///
/// ```
/// use noraft::invariants::{Durable, Invariants};
/// use noraft::{Node, NodeId};
///
/// let mut invariants = Invariants::new();
/// let mut node = Node::start(NodeId::new(1));
/// node.create_cluster(&[NodeId::new(1)]);
/// invariants.observe(&node, &Durable::everything(&node))?;
/// node.propose_command();
/// invariants.observe(&node, &Durable::everything(&node))?;
/// assert_eq!(invariants.committed().last_position(), node.log().last_position());
/// # Ok::<(), noraft::invariants::Violation>(())
/// ```
#[derive(Debug, Clone)]
pub struct Invariants {
    /// The one leader of each term, ever (Raft 5.2).
    leaders: BTreeMap<Term, NodeId>,
    /// Which candidate got the vote of a node in a term, as far as it was announced.
    votes: BTreeMap<(Term, NodeId), NodeId>,
    /// The last observation of every node, also of one that is down.
    nodes: BTreeMap<NodeId, Seen>,
    /// What each node cannot read of its log.
    unread: BTreeMap<NodeId, Arc<BTreeSet<LogIndex>>>,
    /// Everything known to be committed, from the oldest known entry on.
    committed: Log,
    /// The highest index known to be committed by a node of that term.
    committed_in: BTreeMap<Term, LogIndex>,
}

/// What of a node's state would survive a crash at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durable {
    /// The term on disk.
    pub term: Term,
    /// The vote on disk.
    pub voted_for: Option<NodeId>,
    /// Entries of the node's log up to this index are on disk as they are in memory.
    pub synced: LogIndex,
}

impl Durable {
    /// The state of a node whose every action has been executed.
    pub fn everything(node: &Node) -> Self {
        Self {
            term: node.current_term(),
            voted_for: node.voted_for(),
            synced: node.log().last_position().index,
        }
    }
}

/// Names the invariant that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Invariant {
    /// At most one leader in a term (Raft 5.2).
    ElectionSafety,
    /// A leader only appends to its log (Raft 5.3).
    LeaderAppendOnly,
    /// Logs that share a position are equal up to it (Raft 5.3).
    LogMatching,
    /// A leader holds every entry committed in an earlier term (Raft 5.4).
    LeaderCompleteness,
    /// No two nodes commit different entries at an index (Raft 5.4.3).
    StateMachineSafety,
    /// A commit index never falls and never leaves the log (Raft figure 2).
    CommitIndex,
    /// A match index never falls in a tenure, and the follower holds what it says (Raft figure 2).
    MatchIndex,
    /// A term never falls (Raft 5.1).
    Term,
    /// A node votes once in a term (Raft 5.2).
    Vote,
    /// A snapshot holds committed entries only, and the configuration in force at its end (Raft 7).
    SnapshotBoundary,
    /// What a message promises is on disk before it leaves, and there after a crash (Raft figure 2).
    Durability,
}

/// A broken invariant, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant.
    pub invariant: Invariant,
    /// What was seen.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} violated: {}", self.invariant, self.detail)
    }
}

impl core::error::Error for Violation {}

type Checked = Result<(), Violation>;

impl Default for Invariants {
    fn default() -> Self {
        Self::new()
    }
}

impl Invariants {
    /// Starts with an empty history.
    pub fn new() -> Self {
        Self {
            leaders: BTreeMap::new(),
            votes: BTreeMap::new(),
            nodes: BTreeMap::new(),
            unread: BTreeMap::new(),
            committed: Log::new(ClusterConfig::new(), LogEntries::new(LogPosition::ZERO)),
            committed_in: BTreeMap::new(),
        }
    }

    /// Starts with an empty history of a cluster whose nodes all begin with the same configuration, before
    /// any entry.
    pub fn from_config(config: ClusterConfig) -> Self {
        Self {
            committed: Log::new(config, LogEntries::new(LogPosition::ZERO)),
            ..Self::new()
        }
    }

    /// Checks a node after an event; `durable` is what a crash would leave of it now.
    ///
    /// # Errors
    ///
    /// The first invariant found broken.
    pub fn observe(&mut self, node: &Node, durable: &Durable) -> Checked {
        let unread = self.unread_by(node.id());
        let mut seen = Seen::of(node, durable, &unread, self.nodes.get(&node.id()));
        if let Some(before) = self.nodes.get(&node.id()) {
            seen.restarts = before.restarts;
            seen.wiped = before.wiped;
            seen.check_step(before, node.id())?;
        }
        self.record_leader(node.id(), &seen)?;
        self.check_log_matching(node.id(), &seen)?;
        seen.compared = true;
        self.record_commits(node.id(), &seen)?;
        self.check_snapshot(node.id(), &seen)?;
        self.check_match_indices(node, &mut seen)?;
        let vote_kept = self
            .nodes
            .get(&node.id())
            .map_or(Ok(()), |before| self.check_vote_kept(before, &seen, node.id()));
        let leads = seen.is_durable_leader();
        self.nodes.insert(node.id(), seen);
        if leads {
            self.check_completeness(node.id())?;
        }
        vote_kept
    }

    /// Checks a node just rebuilt from what its disk gave back, and forgets what a crash may take.
    ///
    /// # Errors
    ///
    /// [`Invariant::Durability`] if something that was on disk is gone, else as [`Invariants::observe`].
    pub fn restarted(&mut self, node: &Node) -> Checked {
        let id = node.id();
        let durable = Durable::everything(node);
        let now = Seen::of(node, &durable, &self.unread_by(id), None);
        if let Some(before) = self.nodes.get_mut(&id) {
            let kept = if before.wiped {
                Ok(())
            } else {
                before.check_kept(node, &now, self.leaders.get(&node.current_term()).copied())
            };
            *before = Seen {
                restarts: before.restarts + 1,
                wiped: before.wiped,
                ..now
            };
            kept?;
        }
        self.observe(node, &durable)
    }

    /// Says which entries of its log a node cannot read, from its next observation on until said otherwise. Of those it is
    /// known which term they have, and not whether they set a configuration.
    pub fn unread(&mut self, id: NodeId, indexes: impl IntoIterator<Item = LogIndex>) {
        let indexes: BTreeSet<LogIndex> = indexes.into_iter().collect();
        if indexes.is_empty() {
            self.unread.remove(&id);
        } else {
            self.unread.insert(id, Arc::new(indexes));
        }
    }

    fn unread_by(&self, id: NodeId) -> Arc<BTreeSet<LogIndex>> {
        self.unread.get(&id).map(Arc::clone).unwrap_or_default()
    }

    /// Declares the disk of a node lost, so that its promises are no longer held against it.
    pub fn wiped(&mut self, id: NodeId) {
        if let Some(seen) = self.nodes.get_mut(&id) {
            seen.wiped = true;
        }
    }

    /// Checks a message as it leaves for `to`: what it promises must be durable, and a vote given once.
    ///
    /// # Errors
    ///
    /// [`Invariant::Vote`] or [`Invariant::Durability`].
    pub fn sent(&mut self, to: NodeId, message: &Message, durable: &Durable) -> Checked {
        let (from, term) = (message.from(), message.term());
        ensure(durable.term >= term, Invariant::Durability, || {
            format!(
                "{from:?} sends a message of {term:?} with {:?} on disk: {message:?}",
                durable.term
            )
        })?;
        match message {
            Message::RequestVoteCall { .. } => self.voted(from, term, from, durable),
            Message::RequestVoteReply {
                vote_granted: true, ..
            } => self.voted(from, term, to, durable),
            Message::RequestVoteReply {
                vote_granted: false, ..
            }
            | Message::AppendEntriesCall { .. } => Ok(()),
            Message::AppendEntriesReply { last_position, .. } => {
                self.acknowledged(from, to, term, *last_position, durable)
            }
        }
    }

    /// Everything known to be committed.
    pub fn committed(&self) -> &LogEntries {
        self.committed.entries()
    }

    /// The leader of a term, if one was seen.
    pub fn leader_of(&self, term: Term) -> Option<NodeId> {
        self.leaders.get(&term).copied()
    }

    fn voted(&mut self, voter: NodeId, term: Term, candidate: NodeId, durable: &Durable) -> Checked {
        // A follower takes the leader of its term for its vote, so a late call of that leader may be
        // granted by a node that voted for another: the election is over and cannot change.
        let leads = self.leader_of(term) == Some(candidate);
        let first = *self.votes.entry((term, voter)).or_insert(candidate);
        ensure(first == candidate || leads, Invariant::Vote, || {
            format!("{voter:?} votes for {candidate:?} in {term:?} after it voted for {first:?}")
        })?;
        let follows = |to| self.leader_of(term) == Some(to);
        let on_disk = |to| to == candidate || follows(to);
        let kept = durable.term > term || durable.voted_for.is_some_and(on_disk);
        ensure(kept, Invariant::Durability, || {
            format!("{voter:?} announces its vote for {candidate:?} in {term:?} with {durable:?} on disk")
        })
    }

    fn acknowledged(
        &self,
        follower: NodeId,
        to: NodeId,
        term: Term,
        position: LogPosition,
        durable: &Durable,
    ) -> Checked {
        // Only the leader of the term counts the reply, and only a position that its log has.
        let (Some(seen), Some(leader)) = (self.nodes.get(&follower), self.nodes.get(&to)) else {
            return Ok(());
        };
        let counts = self.leader_of(term) == Some(to) && leader.log.entries().contains(position);
        if seen.term > term || !counts {
            return Ok(());
        }
        let on_disk = position.index <= durable.synced && seen.holds(position);
        ensure(on_disk, Invariant::Durability, || {
            format!("{follower:?} acknowledges {position:?} in {term:?} with {durable:?} on disk")
        })
    }

    fn check_vote_kept(&self, before: &Seen, now: &Seen, id: NodeId) -> Checked {
        if before.term != now.term || before.voted_for == now.voted_for || before.voted_for.is_none() {
            return Ok(());
        }
        let follows = now
            .voted_for
            .is_some_and(|to| self.leader_of(now.term) == Some(to));
        ensure(follows, Invariant::Vote, || {
            format!(
                "{id:?} turns its vote from {:?} to {:?} in {:?}",
                before.voted_for, now.voted_for, now.term
            )
        })
    }

    fn record_leader(&mut self, id: NodeId, seen: &Seen) -> Checked {
        if !seen.is_durable_leader() {
            return Ok(());
        }
        let leader = *self.leaders.entry(seen.term).or_insert(id);
        ensure(leader == id, Invariant::ElectionSafety, || {
            format!("{id:?} leads {:?}, which {leader:?} led", seen.term)
        })
    }

    fn check_log_matching(&self, id: NodeId, seen: &Seen) -> Checked {
        let before = self.nodes.get(&id);
        if before.is_some_and(|before| seen.was_compared_as(before)) {
            return Ok(());
        }
        for (other_id, other) in self.nodes.iter().filter(|(other_id, _)| **other_id != id) {
            let end = seen.durable.synced.min(other.durable.synced);
            let conflict = conflict_below_shared_position(seen.view(), other.view(), end);
            ensure(conflict.is_none(), Invariant::LogMatching, || {
                format!("{id:?} and {other_id:?} share a position above {conflict:?}, where they differ")
            })?;
        }
        Ok(())
    }

    fn record_commits(&mut self, id: NodeId, seen: &Seen) -> Checked {
        let index = seen.commit_index.min(seen.durable.synced);
        let before = self.nodes.get(&id);
        let is_known = before.is_some_and(|before| seen.committed_as(before));
        if is_known || index <= self.committed.entries().prev_position().index {
            return Ok(());
        }
        self.extend_committed(id, seen, index);
        let shared = index.min(self.committed.last_position().index);
        let differs = first_difference(View::whole(self.committed.entries()), seen.view(), shared);
        ensure(differs.is_none(), Invariant::StateMachineSafety, || {
            format!("{id:?} has committed {differs:?} as another entry than an earlier node did")
        })?;
        let known = self.committed_in.entry(seen.term).or_insert(LogIndex::ZERO);
        if *known >= index {
            return Ok(());
        }
        *known = index;
        let later: alloc::vec::Vec<NodeId> = self
            .nodes
            .iter()
            .filter(|(_, other)| other.term > seen.term)
            .filter(|(_, other)| other.is_durable_leader())
            .map(|(id, _)| *id)
            .collect();
        later
            .into_iter()
            .try_for_each(|leader| self.check_completeness(leader))
    }

    /// Takes what a node committed beyond the known history into it.
    fn extend_committed(&mut self, id: NodeId, seen: &Seen, index: LogIndex) {
        // A snapshot may have been taken above the last commit seen here; the log before it is the source.
        let boundary = seen.log.snapshot_position();
        let before = self.nodes.get(&id).map(Seen::view);
        if let Some(source) = before.filter(|source| source.entries.contains(boundary)) {
            extend(&mut self.committed, source, boundary.index);
        }
        extend(&mut self.committed, seen.view(), index);
        if boundary.index > self.committed.last_position().index {
            self.committed = Log::new(seen.log.snapshot_config().clone(), LogEntries::new(boundary));
            extend(&mut self.committed, seen.view(), index);
        }
    }

    fn check_completeness(&self, leader: NodeId) -> Checked {
        let Some(seen) = self.nodes.get(&leader) else {
            return Ok(());
        };
        let Some(index) = self
            .committed_in
            .range(..seen.term)
            .map(|(_, index)| *index)
            .max()
        else {
            return Ok(());
        };
        let end = index.min(self.committed.last_position().index);
        let missing = end > seen.log.last_position().index
            || first_difference(View::whole(self.committed.entries()), seen.view(), end).is_some();
        ensure(!missing, Invariant::LeaderCompleteness, || {
            format!(
                "{leader:?} leads {:?} without what was committed up to {end:?} before",
                seen.term
            )
        })
    }

    fn check_snapshot(&self, id: NodeId, seen: &Seen) -> Checked {
        let boundary = seen.log.snapshot_position();
        ensure(
            boundary.index <= seen.commit_index,
            Invariant::SnapshotBoundary,
            || {
                format!(
                    "the snapshot of {id:?} ends at {boundary:?}, beyond its commit at {:?}",
                    seen.commit_index
                )
            },
        )?;
        let Some((position, config)) = self.committed.get_position_and_config(boundary.index) else {
            return Ok(());
        };
        ensure(position == boundary, Invariant::SnapshotBoundary, || {
            format!("the snapshot of {id:?} ends at {boundary:?}; committed there is {position:?}")
        })?;
        ensure(
            config == seen.log.snapshot_config(),
            Invariant::SnapshotBoundary,
            || {
                format!(
                    "the snapshot of {id:?} at {boundary:?} holds {:?}, not {config:?}",
                    seen.log.snapshot_config()
                )
            },
        )
    }

    fn check_match_indices(&self, node: &Node, seen: &mut Seen) -> Checked {
        let before = self
            .nodes
            .get(&node.id())
            .filter(|before| before.leader && before.term == seen.term);
        for follower in node.peers() {
            let Some(index) = node.follower_match_index(follower) else {
                continue;
            };
            let other = self.nodes.get(&follower);
            let restarts = other.map_or(0, |other| other.restarts);
            let known = before.and_then(|before| before.matched.get(&follower));
            let mut matched = Matched {
                index,
                excused: known.map_or(restarts, |known| known.excused),
            };
            if let Some(known) = known.filter(|known| known.index > index) {
                // A restarted follower may be counted from the start again, once for each restart.
                ensure(matched.excused < restarts, Invariant::MatchIndex, || {
                    format!(
                        "{:?} lets the match index of {follower:?} fall from {known:?} to {index:?}",
                        node.id()
                    )
                })?;
                matched.excused += 1;
            }
            seen.matched.insert(follower, matched);
            if let Some(other) = other {
                check_match_is_held(node, follower, index, other)?;
            }
        }
        Ok(())
    }
}

fn ensure(holds: bool, invariant: Invariant, detail: impl FnOnce() -> String) -> Checked {
    if holds {
        Ok(())
    } else {
        Err(Violation {
            invariant,
            detail: detail(),
        })
    }
}

//! What nodes say to each other (Raft figure 2), and how a newer message replaces a queued one.
//!
//! There is no message for snapshots: their transport belongs to the integrator.

use crate::entries::LogEntries;
use crate::types::{LogIndex, LogPosition, NodeGeneration, NodeId, Term};

/// A message between nodes. Messages may be lost, delayed, duplicated and reordered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Message {
    /// A candidate asks for a vote (Raft 5.2).
    RequestVoteCall {
        /// The candidate.
        from: NodeId,
        /// The candidate's term.
        term: Term,
        /// The last position of the candidate's log.
        last_position: LogPosition,
    },
    /// The answer to a candidate. A vote denied for its log or an earlier vote is not answered at all.
    RequestVoteReply {
        /// The asked node.
        from: NodeId,
        /// The asked node's term.
        term: Term,
        /// Whether the candidate has the vote.
        vote_granted: bool,
    },
    /// A leader replicates entries; without entries it is a heartbeat or a probe (Raft 5.3).
    AppendEntriesCall {
        /// The leader.
        from: NodeId,
        /// The leader's term.
        term: Term,
        /// The leader's commit index.
        commit_index: LogIndex,
        /// The entries, after a position the follower must have.
        entries: LogEntries,
    },
    /// The answer to a leader: no verdict, but where the follower's log ends.
    AppendEntriesReply {
        /// The follower.
        from: NodeId,
        /// The follower's term.
        term: Term,
        /// The follower's generation.
        generation: NodeGeneration,
        /// The last position of the follower's log.
        last_position: LogPosition,
    },
}

impl Message {
    /// Returns the sender.
    pub fn from(&self) -> NodeId {
        match self {
            Self::RequestVoteCall { from, .. }
            | Self::RequestVoteReply { from, .. }
            | Self::AppendEntriesCall { from, .. }
            | Self::AppendEntriesReply { from, .. } => *from,
        }
    }

    /// Returns the sender's term.
    pub fn term(&self) -> Term {
        match self {
            Self::RequestVoteCall { term, .. }
            | Self::RequestVoteReply { term, .. }
            | Self::AppendEntriesCall { term, .. }
            | Self::AppendEntriesReply { term, .. } => *term,
        }
    }

    /// Drops the first `sent_count` entries of an append call, which its receiver has been sent already.
    ///
    /// The previous position moves to the last dropped entry; dropping more entries than there are
    /// leaves a heartbeat at the old end. Returns `false`, and changes nothing, for other messages.
    ///
    /// ```
    /// use noraft::{LogEntries, LogEntry, LogIndex, LogPosition, Message, NodeId, Term};
    ///
    /// let mut message = Message::AppendEntriesCall {
    ///     from: NodeId::new(0),
    ///     term: Term::new(1),
    ///     commit_index: LogIndex::ZERO,
    ///     entries: LogEntries::from_iter(LogPosition::ZERO, [LogEntry::Term(Term::new(1)), LogEntry::Command]),
    /// };
    /// assert!(message.strip_append_entries_prefix(1));
    /// let Message::AppendEntriesCall { entries, .. } = message else { unreachable!() };
    /// assert_eq!(entries.prev_position(), LogPosition::new(Term::new(1), LogIndex::new(1)));
    /// assert!(entries.iter().eq([LogEntry::Command]));
    /// ```
    pub fn strip_append_entries_prefix(&mut self, sent_count: usize) -> bool {
        let Self::AppendEntriesCall { entries, .. } = self else {
            return false;
        };
        let first = entries.prev_position().index;
        let dropped = u64::try_from(sent_count.min(entries.len())).unwrap_or(u64::MAX);
        let rest = first
            .checked_add(LogIndex::new(dropped))
            .and_then(|index| entries.get_term(index).map(|term| LogPosition::new(term, index)))
            .and_then(|anchor| entries.since(anchor));
        if let Some(rest) = rest {
            *entries = rest;
        }
        true
    }

    /// Returns whether this is a call, which speaks for a candidate or leader of its term.
    pub(crate) fn is_call(&self) -> bool {
        match self {
            Self::RequestVoteCall { .. } | Self::AppendEntriesCall { .. } => true,
            Self::RequestVoteReply { .. } | Self::AppendEntriesReply { .. } => false,
        }
    }

    /// Puts `newer`, of the same sender to the same receiver, in the place of this queued message.
    ///
    /// Append calls that continue each other become one. A granted vote is not replaced by a refusal
    /// of the same or an earlier term: that would lose an election for nothing.
    pub(crate) fn supersede(&mut self, newer: Self) {
        if let (
            Self::AppendEntriesCall {
                term,
                commit_index,
                entries,
                ..
            },
            Self::AppendEntriesCall {
                term: newer_term,
                commit_index: newer_commit,
                entries: newer_entries,
                ..
            },
        ) = (&mut *self, &newer)
            && entries.append_suffix(newer_entries)
        {
            *term = *newer_term;
            *commit_index = *newer_commit;
            return;
        }
        if !self.outweighs(&newer) {
            *self = newer;
        }
    }

    /// Returns whether this is a vote that `newer` would take back without a newer term.
    fn outweighs(&self, newer: &Self) -> bool {
        let granted = matches!(
            self,
            Self::RequestVoteReply {
                vote_granted: true,
                ..
            }
        );
        let refused = matches!(
            newer,
            Self::RequestVoteReply {
                vote_granted: false,
                ..
            }
        );
        granted && refused && newer.term() <= self.term()
    }
}

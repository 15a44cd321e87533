//! The role of a node (Raft 5.1) and what each role, and only it, has to know.

use alloc::collections::BTreeSet;

use crate::quorum::Leadership;
use crate::types::NodeId;

/// The role a node plays in its current term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Answers candidates and leaders.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Takes proposals and replicates them.
    Leader,
}

impl Role {
    /// Returns whether this is [`Role::Leader`].
    pub const fn is_leader(self) -> bool {
        matches!(self, Self::Leader)
    }

    /// Returns whether this is [`Role::Follower`].
    pub const fn is_follower(self) -> bool {
        matches!(self, Self::Follower)
    }

    /// Returns whether this is [`Role::Candidate`].
    pub const fn is_candidate(self) -> bool {
        matches!(self, Self::Candidate)
    }
}

/// What became of a proposal, as far as the asked node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommitStatus {
    /// Not decided yet.
    InProgress,
    /// Committed: it will be in the log of every later leader.
    Committed,
    /// Another entry was committed in its place, or in a way that excludes it.
    Rejected,
    /// The position lies below the local snapshot, so its term is no longer known here.
    Unknown,
}

impl CommitStatus {
    /// Returns whether this is [`CommitStatus::InProgress`].
    pub const fn is_in_progress(self) -> bool {
        matches!(self, Self::InProgress)
    }

    /// Returns whether this is [`CommitStatus::Committed`].
    pub const fn is_committed(self) -> bool {
        matches!(self, Self::Committed)
    }

    /// Returns whether this is [`CommitStatus::Rejected`].
    pub const fn is_rejected(self) -> bool {
        matches!(self, Self::Rejected)
    }

    /// Returns whether this is [`CommitStatus::Unknown`].
    pub const fn is_unknown(self) -> bool {
        matches!(self, Self::Unknown)
    }
}

/// The role together with the volatile state that exists in that role only (Raft figure 2).
#[derive(Debug, Clone)]
pub(crate) enum State {
    Follower,
    Candidate {
        /// The voters that granted their vote in the current term, this node among them.
        granted: BTreeSet<NodeId>,
    },
    Leader(Leadership),
}

impl State {
    pub(crate) const fn role(&self) -> Role {
        match self {
            Self::Follower => Role::Follower,
            Self::Candidate { .. } => Role::Candidate,
            Self::Leader(_) => Role::Leader,
        }
    }
}

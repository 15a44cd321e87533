//! What waits for the sync in flight, because the core may want another one after it.
//!
//! Invariant: the queue is bounded; what it holds is fed in the order of its arrival, by `inbound`.

use std::collections::VecDeque;

use noraft::{LogIndex, LogPosition, NodeId, Term};

use crate::record::Record;

/// Most peer messages that wait for a sync; a leader has at most 64 with entries in flight to us.
const INBOX_MAX: usize = 4096;

/// A peer message that waits: its kind is why.
#[derive(Debug)]
pub(super) enum Deferred {
    /// The answer may be a vote, which has to be durable. (Most of these overtake the sync, see `inbound`.)
    RequestVote(VoteRequest),
    /// It may make this node the leader, and the first entry of its term goes into the next batch.
    Vote { term: Term, granted: bool },
    /// A pre-vote was refused in this term: a later one than ours is adopted, and has to be durable.
    PreVoteRefused { term: Term },
    /// Its entries have to be durable before they are acknowledged.
    Append(AppendHead, Vec<Record>),
    /// It may commit entries of this leader that are in the batch in flight.
    Appended(Acknowledgement),
    /// It names a later term, which has to be durable before anything is said in it.
    Pulse(Pulse),
    /// Likewise.
    Pulsed { term: Term, pulse: u64 },
}

/// A candidate asks for a vote.
#[derive(Debug)]
pub(super) struct VoteRequest {
    pub(super) term: Term,
    pub(super) last_position: LogPosition,
    pub(super) unanimous: bool,
}

/// An AppendEntries without its records.
#[derive(Debug)]
pub(super) struct AppendHead {
    pub(super) term: Term,
    pub(super) commit_index: LogIndex,
    pub(super) prev: LogPosition,
    pub(super) chain: Option<u64>,
    pub(super) round: u64,
    pub(super) last_index: LogIndex,
}

/// A follower's answer to AppendEntries.
#[derive(Debug)]
pub(super) struct Acknowledgement {
    pub(super) term: Term,
    pub(super) generation: u64,
    pub(super) last_position: LogPosition,
    pub(super) round: u64,
}

/// A leader says that it is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pulse {
    pub(super) term: Term,
    pub(super) pulse: u64,
    pub(super) last_index: LogIndex,
}

/// What waits, by arrival.
#[derive(Debug, Default)]
pub(super) struct Deferrals(VecDeque<(NodeId, Deferred)>);

impl Deferrals {
    /// Raft tolerates the loss of a message; memory does not tolerate a disk that stalls for minutes.
    pub(super) fn push(&mut self, from: NodeId, message: Deferred) {
        if self.0.len() < INBOX_MAX {
            self.0.push_back((from, message));
        }
    }

    pub(super) fn pop(&mut self) -> Option<(NodeId, Deferred)> {
        self.0.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True while AppendEntries of `leader` wait.
    pub(super) fn has_append_of(&self, leader: NodeId) -> bool {
        let mut waiting = self.0.iter();
        waiting.any(|(from, message)| *from == leader && matches!(message, Deferred::Append(..)))
    }
}

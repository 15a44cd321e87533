//! What a replica is in the middle of, at a glance: for those who count which kinds of states were reached.
//!
//! Invariant: a glance is cheap, allocates nothing and changes nothing; what it does not say is not meant to be compared.

use noraft::LogIndex;

use crate::record::Abstain;

use super::Replica;
use super::event::Room;

/// What a replica is in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glance {
    /// How it is getting on with an election.
    pub election: Canvassing,
    /// Whether it is sure of what it once acknowledged.
    pub abstain: Abstain,
    /// Highest index that is durable here.
    pub durable: LogIndex,
    /// Highest index that is applied.
    pub applied: LogIndex,
    /// What the disk is writing.
    pub sync: Syncing,
    /// Where entries are missing.
    pub holes: Holes,
    /// Snapshots that are being written or sent.
    pub snapshots: SnapshotWork,
    /// What reads wait for.
    pub reads: ReadWork,
    /// What other requests wait for.
    pub requests: RequestWork,
    /// What the disk has left.
    pub room: Room,
    /// True while syncs take longer than they should.
    pub is_slow: bool,
}

/// How far a node is that knows no leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canvassing {
    /// It follows a leader, or is one.
    LeaderKnown,
    /// It waits.
    NoLeader,
    /// Its pre-vote requests are out.
    Canvass,
    /// It won the pre-vote, and campaigns when no sync is in flight.
    Won,
}

/// What is in flight to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syncing {
    /// Nothing.
    Nothing,
    /// A batch.
    Batch,
    /// Term and vote, beside the log.
    Vote,
    /// Both.
    BatchAndVote,
    /// Repaired entries.
    Patch,
}

/// Where entries are missing, by what is known of them here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holes {
    /// Some that are applied.
    pub applied: bool,
    /// Some that are committed, and not applied.
    pub committed: bool,
    /// Some that may not be committed.
    pub open: bool,
}

/// Snapshots that are being written or sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotWork {
    /// One of the own state is being written.
    pub takes: bool,
    /// One is on its way to another node.
    pub sends: bool,
    /// One is on its way to this node.
    pub receipt: Receipt,
}

/// How far a snapshot of another node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// None is on its way.
    Nothing,
    /// The leader has to send the next part.
    Waiting,
    /// The disk writes a part.
    Writing,
    /// It is whole, and not installed yet.
    Whole,
}

/// What reads wait for; the last of these that applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadWork {
    /// There are none.
    Nothing,
    /// The state machine has to reach their index.
    Confirmed,
    /// A round has to begin.
    Waiting,
    /// A majority has to answer the round in flight.
    InRound,
    /// As before, and others wait for the next round.
    InRoundAndWaiting,
}

/// What writes, changes and forwarded requests wait for; the first of these that applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestWork {
    /// The voters have to change.
    Change,
    /// A leader has to be known, or the core to be free.
    Queued,
    /// Some for their entries to be applied, some for another node's answer.
    ProposedAndForwarded,
    /// Their entries have to be applied.
    Proposed,
    /// Another node has to answer.
    Forwarded,
    /// There are none.
    Nothing,
}

impl Replica {
    /// What it is in the middle of.
    pub fn glance(&self) -> Glance {
        let (applied, commit) = (self.applied.index(), self.node.commit_index());
        Glance {
            election: self.elections.progress(self.leader().is_some()),
            abstain: self.elections.abstain(),
            durable: self.durability.durable_index(),
            applied,
            sync: if self.repair.is_writing() {
                Syncing::Patch
            } else {
                self.durability.syncing()
            },
            holes: self.repair.where_holes(applied, commit.max(applied)),
            snapshots: self.snapshots.work(),
            reads: self.waiting.reads.work(),
            requests: self.request_work(),
            room: self.space.room(),
            is_slow: self.durability.is_slow(),
        }
    }

    fn request_work(&self) -> RequestWork {
        let waiting = &self.waiting;
        if waiting.changes.len() > 0 {
            return RequestWork::Change;
        }
        if waiting.queued.len() > 0 {
            return RequestWork::Queued;
        }
        match (waiting.proposals.len(), waiting.forwards.len()) {
            (0, 0) => RequestWork::Nothing,
            (_, 0) => RequestWork::Proposed,
            (0, _) => RequestWork::Forwarded,
            (_, _) => RequestWork::ProposedAndForwarded,
        }
    }
}

//! What goes into a replica and what comes out: the whole of its interface with the world.
//!
//! The contract of use, numbered; the replica asserts its side of it:
//!
//! 1. After each `handle`, `poll` until `None` before the next `handle`.
//! 2. At most one [`Output::Persist`] is in flight. Inputs that could need another one wait in the inbox;
//!    on [`Input::Synced`] they are fed together and the node's actions are drained once. The batch is what
//!    arrived during the last sync: group commit without a timer.
//! 3. Order in a batch: hard state; truncate and append; sync; then messages that promise durability
//!    (votes, append replies), apply, client replies. Nothing that promises leaves before its sync.
//!    Term and vote that change alone go by themselves, as an [`Output::PersistVote`], of which one may be in
//!    flight beside the batch: a vote does not wait for a slow sync. It compares logs with what is in flight counted in.
//!    The next batch carries them again.
//! 4. A leader may send its AppendEntries before its own sync (Raft thesis 10.2.1), because its own entries
//!    count only once they are durable here. A vote request may not: term and vote are synced first.
//! 5. Heartbeats never wait for a sync. A leader whose sync has not returned for `disk_stall_max` stops
//!    sending them, so that the others elect.
//!    Pulses go over a connection of their own and wait for nothing.
//! 6. Payloads are keyed by (term, index), never by index alone. Core messages carry none; the peer
//!    message does.
//! 7. A reply states what is known: done, a *definite* refusal (nothing was appended), or *indefinite*.
//!    When unsure, it is indefinite.
//! 8. A failed sync ends the process; it is never retried, and the replica never learns of it.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use noraft::{LogIndex, LogPosition, NodeId};

use crate::level::Level;
use crate::machine::Machine;
use crate::protocol::command::Request;
use crate::protocol::outcome::Outcome;
use crate::protocol::peer::{Features, PeerMessage};
use crate::record::{Batch, BatchId, HardState, Record, SnapshotHead, SnapshotId};
use crate::time::Stamp;

/// Names one request of one client of this node; never reused while the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names a client's connection; never reused while the process lives. Requests of one connection take effect in
/// the order in which they are handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Something that happened to the replica.
#[derive(Debug)]
pub enum Input {
    /// The instant that `deadline` named has come (or not yet: a spurious one is harmless).
    Deadline,
    /// A message from another node arrived, verified (crc, cluster id, sender).
    Peer {
        /// The node that sent it.
        from: NodeId,
        /// What it says.
        message: PeerMessage,
    },
    /// A new connection to `peer` was made: whatever was in flight to it may be lost.
    Connected {
        /// The node at the other end.
        peer: NodeId,
        /// What that node understands.
        features: Features,
    },
    /// The connection to `peer` ended: what was on its way there may be lost, and the node may be gone.
    Disconnected {
        /// The node at the other end.
        peer: NodeId,
    },
    /// There is a second connection to `peer`, for what must not wait behind payloads.
    UrgentConnected {
        /// The other node.
        peer: NodeId,
    },
    /// It has ended.
    UrgentDisconnected {
        /// The other node.
        peer: NodeId,
    },
    /// A client of this node asks for something.
    Client {
        /// The caller's name for the request, given back in the reply.
        id: RequestId,
        /// The connection that it came over.
        connection: ConnectionId,
        /// What it asks for.
        request: Request,
    },
    /// A client of this node reads this node's own state, as it is, if it is not too old. Otherwise it is asked as
    /// [`Input::Client`] is, and answered here all the same.
    StaleRead {
        /// The caller's name for the request, given back in the reply.
        id: RequestId,
        /// The connection that it came over.
        connection: ConnectionId,
        /// What it reads.
        request: Request,
        /// How old the state may be (see [`Replica::staleness`](super::Replica::staleness)); any age when absent.
        staleness_max: Option<Duration>,
    },
    /// The batch is durable.
    Synced(BatchId),
    /// The answer to [`Output::PersistVote`]: term and vote are durable.
    VoteSynced,
    /// How much room the disk has changed.
    Room(Room),
    /// The answer to [`Output::Fetch`]: consecutive records from `from` on, at least one, each intact.
    Fetched {
        /// The first index that was asked for.
        from: LogIndex,
        /// The records; fewer than asked for when `bytes_max` was reached.
        records: Vec<Record>,
    },
    /// The answer to [`Output::Fetch`] when the entry it began with is damaged on the disk.
    FetchFailed {
        /// The first index that was asked for.
        from: LogIndex,
    },
    /// The scrub found this entry damaged on the disk.
    EntryDamaged {
        /// The entry.
        index: LogIndex,
    },
    /// An operator wants a snapshot, whatever the log's size.
    TakeSnapshot,
    /// An operator wants these nodes to be the voters, and no others. Only the leader can do it; answered once, by
    /// [`Output::Reply`]: done when the configuration is committed and applied here.
    ChangeVoters {
        /// The caller's name for the request, given back in the reply.
        id: RequestId,
        /// The voters from then on: some of the cluster's nodes, at least one.
        voters: BTreeSet<NodeId>,
    },
    /// Another voter is to lead instead of this node: this one, or the one that has most of the log. Answered once, by
    /// [`Output::Reply`] with the node that leads then, if there is an `id`.
    Transfer {
        /// The caller's name for the request.
        id: Option<RequestId>,
        /// The node.
        to: Option<NodeId>,
    },
    /// The answer to [`Output::SaveSnapshot`]: it is durable; `None` when the disk had no room.
    SnapshotSaved(Option<SnapshotId>),
    /// The answer to [`Output::ReadSnapshot`].
    SnapshotRead {
        /// The snapshot.
        position: LogPosition,
        /// The first byte.
        offset: u64,
        /// The bytes; `None` when they cannot be read.
        bytes: Option<Bytes>,
    },
    /// The answer to [`Output::ReceiveSnapshot`].
    SnapshotReceived {
        /// The snapshot.
        id: SnapshotId,
        /// What came of it.
        received: Received,
    },
}

/// What came of a part of another node's snapshot.
#[derive(Debug)]
pub enum Received {
    /// It is written; bytes up to `next` are there.
    Part {
        /// The first byte that is missing.
        next: u64,
    },
    /// It was the last; the whole is durable, and this is its content.
    Whole(Box<Snapshot>),
    /// It could not be written, or the whole is not what was announced. Nothing of it is left.
    Failed,
}

/// A state, and the place in the log that it belongs to.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The place.
    pub head: SnapshotHead,
    /// The state; sharing it costs nothing.
    pub machine: Machine,
}

/// How much room the disk has. Term and vote always have some left: a node votes to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Room {
    /// Enough.
    #[default]
    Plenty,
    /// The log can take what is on its way, and what an election takes; nothing more should be proposed.
    Low,
    /// The log should take no more entries at all.
    Spent,
}

/// Something that the replica wants done.
#[derive(Debug)]
pub enum Output {
    /// Make this durable, then answer [`Input::Synced`].
    Persist(Batch),
    /// Make term and vote durable, beside a batch that may be in flight, then answer [`Input::VoteSynced`]. One at a time.
    PersistVote(HardState),
    /// Read durable records `from..=to`, until `bytes_max` payload bytes are exceeded (at least one), then
    /// answer [`Input::Fetched`]. At most one is in flight.
    Fetch {
        /// First index wanted.
        from: LogIndex,
        /// Last index wanted.
        to: LogIndex,
        /// Stop after the record that reaches this many payload bytes.
        bytes_max: usize,
    },
    /// Write these entries, which the log holds and which are damaged on the disk, again and durably; then answer
    /// [`Input::Synced`]. Counts as a [`Output::Persist`] in flight.
    Patch {
        /// The name that is given back.
        id: BatchId,
        /// The entries, by rising index.
        records: Vec<Record>,
    },
    /// Make this snapshot durable, beside the batches; then answer [`Input::SnapshotSaved`]. One at a time.
    SaveSnapshot(Box<Snapshot>),
    /// Read some of a snapshot's file, at least one byte; then answer [`Input::SnapshotRead`]. One at a time.
    ReadSnapshot {
        /// The snapshot.
        position: LogPosition,
        /// The first byte wanted.
        offset: u64,
        /// The most bytes wanted.
        bytes_max: usize,
    },
    /// Write a part of another node's snapshot; at offset 0 whatever was received before is void. With the last
    /// byte, check the whole against `id` and make it durable. Then answer [`Input::SnapshotReceived`]. One at a
    /// time.
    ReceiveSnapshot {
        /// The snapshot.
        id: SnapshotId,
        /// Where in the file the bytes belong.
        offset: u64,
        /// The bytes.
        bytes: Bytes,
    },
    /// Send this to another node. May be lost, delayed, duplicated, reordered.
    Send {
        /// The destination.
        to: NodeId,
        /// What to say.
        message: PeerMessage,
    },
    /// Answer the request.
    Reply {
        /// The request's name.
        id: RequestId,
        /// What is known about its outcome.
        outcome: Outcome,
    },
}

/// Nodes hold different things at one place: their states, or the content of their logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Divergence {
    /// This node differs from a majority: it serves no client and takes part in nothing until it is started again.
    Here {
        /// The place where it was seen.
        index: LogIndex,
    },
    /// No majority holds the one or the other: no node that differs serves.
    Undecided {
        /// The place where it was seen.
        index: LogIndex,
    },
    /// Another node differs from a majority that this node is with.
    Elsewhere {
        /// That node.
        node: NodeId,
        /// The place where it was seen.
        index: LogIndex,
    },
}

impl std::fmt::Display for Divergence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Here { index } => write!(
                f,
                "at entry {} this node differs from a majority: it serves no client and takes part in nothing. The directory is \
                 as it was; keep a copy of it, then start the node again, or set it up with `noraftd rejoin`",
                index.get()
            ),
            Self::Undecided { index } => write!(
                f,
                "at entry {} the nodes differ, and no majority holds the one or the other: no node that differs serves \
                 until more nodes are there",
                index.get()
            ),
            Self::Elsewhere { node, index } => write!(
                f,
                "at entry {} node {} differs from a majority that this node is with",
                index.get(),
                node.get()
            ),
        }
    }
}

/// What a node reports about itself (`ROLE`, `INFO`, `noraftd status`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// This node.
    pub id: NodeId,
    /// Its role in the current term.
    pub role: noraft::Role,
    /// The current term.
    pub term: u64,
    /// The leader of the current term, when known.
    pub leader: Option<NodeId>,
    /// The level in force, as far as this node has applied the log.
    pub level: Level,
    /// Voters of the configuration in force.
    pub voters: Vec<NodeId>,
    /// While a change of the voters is in progress: the voters after it. Empty otherwise.
    pub new_voters: Vec<NodeId>,
    /// Its log.
    pub log: LogStatus,
    /// What keeps it, or all, from electing.
    pub elections: ElectionStatus,
    /// What is damaged.
    pub damage: DamageStatus,
    /// For a leader: the others.
    pub followers: FollowerStatus,
}

impl Status {
    /// Of a follower that knows nothing yet.
    pub fn unknown(id: NodeId) -> Self {
        Self {
            id,
            role: noraft::Role::Follower,
            term: 0,
            leader: None,
            level: Level::FIRST,
            voters: Vec::new(),
            new_voters: Vec::new(),
            log: LogStatus::default(),
            elections: ElectionStatus::default(),
            damage: DamageStatus::default(),
            followers: FollowerStatus::default(),
        }
    }
}

/// How far a node's log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStatus {
    /// Highest index known to be committed.
    pub commit_index: LogIndex,
    /// Highest index applied to the state machine.
    pub applied_index: LogIndex,
    /// Wall clock of the last entry applied.
    pub applied_stamp: Stamp,
    /// Highest index durable on this node's disk.
    pub durable_index: LogIndex,
    /// The last entry of the log.
    pub last_position: LogPosition,
    /// The log begins after this entry.
    pub base_index: LogIndex,
    /// The newest snapshot on this node's disk.
    pub snapshot: Option<SnapshotId>,
}

impl Default for LogStatus {
    fn default() -> Self {
        Self {
            commit_index: LogIndex::ZERO,
            applied_index: LogIndex::ZERO,
            applied_stamp: Stamp::default(),
            durable_index: LogIndex::ZERO,
            last_position: LogPosition::ZERO,
            base_index: LogIndex::ZERO,
            snapshot: None,
        }
    }
}

/// What keeps a node, or all nodes, from electing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ElectionStatus {
    /// True while the node neither votes nor campaigns (see [`crate::recovered::Recovered::abstain`]).
    pub abstaining: bool,
    /// True when no leader can be elected, because a majority of the voters has lost entries for certain.
    pub lost_majority: bool,
    /// True while the disk syncs too slowly for the election timeout: elections wait for it.
    pub disk_too_slow: bool,
}

/// What is damaged on a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DamageStatus {
    /// Entries of the log that are damaged on this node's disk and not repaired yet.
    pub holes: u64,
    /// Entries that were damaged, and are durable here again.
    pub repaired: u64,
    /// True while no other node's log has what is damaged here, so that only a snapshot can help.
    pub needs_snapshot: bool,
    /// Where the nodes were seen to hold different things.
    pub divergence: Option<Divergence>,
}

/// What a leader knows of the others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FollowerStatus {
    /// Each other member, with the last index known to be durable there.
    pub match_indexes: Vec<(NodeId, LogIndex)>,
    /// The other members that it has heard from within an election timeout.
    pub heard: Vec<NodeId>,
}

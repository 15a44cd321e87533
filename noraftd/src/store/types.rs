//! Whose a directory is, how a store works, and what it has done.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use noraft::NodeId;

use crate::time::Instant;

/// Whose directory it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The cluster.
    pub cluster_id: u64,
    /// The node.
    pub node_id: NodeId,
}

/// Whose directory it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Cluster and node.
    pub owner: Owner,
    /// A random number drawn when the directory was made: a wiped node is not the node that promised.
    pub incarnation: u64,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            owner: Owner { cluster_id, node_id },
            incarnation,
        } = self;
        write!(
            f,
            "cluster {cluster_id:016x} node {} incarnation {incarnation:016x}",
            node_id.get()
        )
    }
}

/// How a store works. Every file remembers the size it was made with.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Bytes of a segment made from now on; rounded up to whole pages, eight at least.
    pub segment_bytes: u64,
    /// Which thread makes the next segment.
    pub spare: SpareBy,
    /// The clock for [`StoreStats`]; the store decides nothing by it.
    pub clock: fn() -> Instant,
    /// Seeds the salts of segments made from now on; draw another for each opening.
    pub salt_seed: u64,
}

impl Options {
    /// The size of a segment by default: a roll costs a few syncs, so it should be rare.
    pub const SEGMENT_BYTES: u64 = 64 << 20;
}

/// Which thread makes the next segment (and whether opening may use several threads).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpareBy {
    /// A thread of the store, ahead of need.
    Thread,
    /// The call that needs it: deterministic.
    Caller,
}

/// What one call did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PersistStats {
    /// Syncs it took: one, unless hard state changed, a segment was full, or the batch was very large.
    pub syncs: u64,
    /// Bytes it wrote.
    pub bytes: u64,
}

impl Add for PersistStats {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            syncs: self.syncs + other.syncs,
            bytes: self.bytes + other.bytes,
        }
    }
}

/// What a store has done since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Batches made durable.
    pub batches: u64,
    /// Syncs of files that succeeded.
    pub syncs: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Segments that hold batches.
    pub segments: u64,
    /// Bytes that entries can still take in the segment that is written.
    pub room_bytes: u64,
    /// True when the next segment is ready.
    pub spare_ready: bool,
    /// True when it is not, because the last attempt to make it failed.
    pub spare_failed: bool,
    /// Bytes of the segment that is written.
    pub segment_bytes: u64,
    /// How long the last sync took.
    pub last_sync: Duration,
}

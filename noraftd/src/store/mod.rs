//! The store: what a node has promised, in bytes that survive crashes and show damage.

pub mod disk;
mod mmap;
pub mod recovery;

use std::io;
use std::sync::Arc;

use noraft::{ClusterConfig, LogIndex, LogPosition, NodeId};

use crate::record::{Batch, Record, Recovered};
use crate::time::Instant;
use disk::Disk;
use recovery::{OpenError, RecoveryReport};

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

/// How a store works. Every file remembers the size it was made with.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Bytes of a segment made from now on; rounded up to whole pages.
    pub segment_bytes: u64,
    /// Who makes the next segment.
    pub spare: SpareBy,
    /// The clock for [`StoreStats`]; the store decides nothing by it.
    pub clock: fn() -> Instant,
    /// Seeds the salts of segments made from now on; draw it anew for each opening.
    pub salt_seed: u64,
}

/// Who makes the next segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpareBy {
    /// A thread of the store, ahead of need.
    Thread,
    /// The call that needs it: deterministic.
    Caller,
}

/// What one [`Store::persist`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PersistStats {
    /// Syncs it took: one, unless hard state changed or a segment was full.
    pub syncs: u32,
    /// Bytes it wrote.
    pub bytes: u64,
}

/// Why a batch was not made durable.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full: nothing of the entries was acknowledged, and the store works on when there is room.
    #[error("{file}: no room on the disk: {source}")]
    Full {
        /// The file that could not be written.
        file: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The batch contradicts the log; nothing was written.
    #[error("refused: {0}")]
    Invalid(String),
    /// The disk failed, now or before: what it acknowledged is all that is known, and the store is done for.
    #[error("{file}: {doing}: {reason}; the store takes no more batches, restart the node")]
    Failed {
        /// The file.
        file: String,
        /// What was tried.
        doing: &'static str,
        /// What the operating system said.
        reason: String,
    },
}

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The log does not hold this index (any more, or yet).
    #[error("index {} is not in the log", .0.get())]
    Absent(LogIndex),
    /// The bytes are not what was written.
    #[error("{file}: byte {offset}: entry {index} is damaged: {found}")]
    Damaged {
        /// The file.
        file: String,
        /// The byte.
        offset: u64,
        /// The entry.
        index: u64,
        /// What was found.
        found: &'static str,
    },
    /// The operating system failed.
    #[error("{file}: {source}")]
    Disk {
        /// The file.
        file: String,
        /// What it said.
        source: io::Error,
    },
}

/// What a store has done since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Batches made durable.
    pub batches: u64,
    /// Syncs of files that took.
    pub syncs: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Segments that hold batches.
    pub segments: u64,
    /// Bytes left in the segment that is written.
    pub room_bytes: u64,
    /// True when the next segment is ready.
    pub spare_ready: bool,
    /// How long the last sync took.
    pub last_sync: std::time::Duration,
}

/// One directory, opened: the only writer of its files.
pub struct Store {
    disk: Arc<dyn Disk>,
}

/// Reads entries that are durable, beside the writer.
#[derive(Clone)]
pub struct LogReader {
    disk: Arc<dyn Disk>,
}

impl LogReader {
    /// Records `from..=to`, fewer when `bytes_max` payload bytes are reached (at least one), each intact.
    ///
    /// # Errors
    ///
    /// When an index is not in the log, or its bytes are damaged.
    pub fn read(&self, from: LogIndex, to: LogIndex, bytes_max: usize) -> Result<Vec<Record>, ReadError> {
        let _ = (&self.disk, to, bytes_max);
        Err(ReadError::Absent(from))
    }
}

impl Store {
    /// Sets up an empty directory: an empty log at position (0, 0) whose configuration is `genesis`.
    ///
    /// # Errors
    ///
    /// When the directory holds a store already, or cannot be written.
    pub fn create(
        disk: Arc<dyn Disk>,
        options: Options,
        identity: Identity,
        genesis: &ClusterConfig,
    ) -> Result<(Self, Recovered), OpenError> {
        let _ = (identity, genesis);
        Self::open(disk, options, identity.owner)
    }

    /// Opens the directory of `owner`.
    ///
    /// # Errors
    ///
    /// When it must not be used as it is; nothing is changed then.
    pub fn open(disk: Arc<dyn Disk>, options: Options, owner: Owner) -> Result<(Self, Recovered), OpenError> {
        let _ = (options, owner);
        Err(OpenError::NoStore {
            directory: disk.describe(),
        })
    }

    /// Makes the batch durable: `Ok` means that it survives a loss of power.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] and [`StoreError::Invalid`] leave the store usable; [`StoreError::Failed`] is final.
    pub fn persist(&mut self, batch: &Batch) -> Result<PersistStats, StoreError> {
        Err(StoreError::Invalid(format!("batch {}: not written", batch.id.0)))
    }

    /// A reader of durable entries, for another thread.
    pub fn reader(&self) -> LogReader {
        LogReader {
            disk: self.disk.clone(),
        }
    }

    /// Marks that nothing is in flight, so that damage to the last batch cannot pass for an interrupted write.
    /// Worth a sync when the node has been idle for a moment; does nothing when the mark is there.
    ///
    /// # Errors
    ///
    /// As for [`Store::persist`].
    pub fn mark_idle(&mut self) -> Result<PersistStats, StoreError> {
        Ok(PersistStats::default())
    }

    /// Marks an orderly stop.
    ///
    /// # Errors
    ///
    /// As for [`Store::persist`].
    pub fn mark_clean_stop(&mut self) -> Result<PersistStats, StoreError> {
        Ok(PersistStats::default())
    }

    /// Ends abstaining, durably: this node has caught up with a current leader.
    ///
    /// # Errors
    ///
    /// As for [`Store::persist`].
    pub fn mark_caught_up(&mut self) -> Result<PersistStats, StoreError> {
        Ok(PersistStats::default())
    }

    /// What the opening found.
    pub fn recovery_report(&self) -> &RecoveryReport {
        const NONE: &RecoveryReport = &RecoveryReport {
            findings: Vec::new(),
            segments: 0,
            batches: 0,
            entries: 0,
            abstain: false,
            tail_damaged: false,
        };
        NONE
    }

    /// The directory's identity.
    pub fn identity(&self) -> Identity {
        Identity {
            owner: Owner {
                cluster_id: 0,
                node_id: NodeId::new(0),
            },
            incarnation: 0,
        }
    }

    /// The last durable position.
    pub fn last_position(&self) -> LogPosition {
        LogPosition::ZERO
    }

    /// What was done since opening.
    pub fn stats(&self) -> StoreStats {
        StoreStats::default()
    }
}

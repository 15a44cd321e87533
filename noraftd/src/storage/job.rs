//! What the writing side of the disk is given to do.

use std::fmt;

use crate::record::{Batch, BatchId, Record};

/// One job; a disk does one after the other.
#[derive(Debug)]
pub enum WriteJob {
    /// Make it durable, then report [`Input::Synced`](crate::replica::event::Input::Synced).
    Persist(Batch),
    /// Make these damaged entries durable again, then report the same.
    Patch {
        /// The name that is reported.
        id: BatchId,
        /// The entries, by rising index.
        records: Vec<Record>,
    },
    /// The node has caught up with a leader: it need not abstain after a restart.
    MarkCaughtUp,
    /// Nothing was written for a while: a later invalid tail is then certain damage.
    MarkIdle,
    /// See whether there is room again.
    LookForRoom,
    /// Mark an orderly stop: the last job.
    MarkCleanStop,
}

impl WriteJob {
    /// The batch that is written, if it is one.
    pub fn batch(&self) -> Option<&Batch> {
        match self {
            Self::Persist(batch) => Some(batch),
            Self::Patch { .. }
            | Self::MarkCaughtUp
            | Self::MarkIdle
            | Self::LookForRoom
            | Self::MarkCleanStop => None,
        }
    }

    /// Entries that it makes durable.
    pub fn entries(&self) -> u64 {
        let entries = match self {
            Self::Persist(batch) => batch.append.as_ref().map_or(0, |append| append.records.len()),
            Self::Patch { records, .. } => records.len(),
            Self::MarkCaughtUp | Self::MarkIdle | Self::LookForRoom | Self::MarkCleanStop => 0,
        };
        entries as u64
    }
}

/// What it does, to follow "cannot".
impl fmt::Display for WriteJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Persist(_) => "make a batch durable",
            Self::Patch { .. } => "make damaged entries durable again",
            Self::MarkCaughtUp => "note that the node caught up",
            Self::MarkIdle => "mark the log as idle",
            Self::LookForRoom => "look for room on the disk",
            Self::MarkCleanStop => "mark an orderly stop",
        })
    }
}

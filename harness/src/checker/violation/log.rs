//! What can be wrong with a log.

use crate::recording::datum::Datum;

/// Why operations on a log have no order. Ids of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogViolation {
    /// A record was seen that was never appended.
    Garbage {
        /// Who saw it.
        read: u32,
        /// The record.
        record: Datum,
    },
    /// Two operations disagree about a position: another record there, or the record elsewhere.
    Conflict {
        /// One of them.
        one: u32,
        /// The other; the same one when it contradicts itself.
        other: u32,
    },
    /// A read returned its records out of order, or from before its range.
    Disorder {
        /// The read.
        read: u32,
    },
    /// A read returned the records on both sides of one and left that out.
    Skipped {
        /// The read.
        read: u32,
        /// Who knows the record between.
        other: u32,
    },
    /// `later` needs a log that is at least as long as `earlier` does, but returned before `earlier`
    /// was called.
    RealTime {
        /// Comes first in the log, was called last.
        earlier: u32,
        /// Comes after it in the log, returned before.
        later: u32,
    },
    /// Nothing can have been appended at an offset by the time at which `later` shows that something does.
    Hole {
        /// The offset.
        offset: u32,
        /// Knows of a higher one.
        later: u32,
    },
    /// A read lacks a record that cannot have been trimmed before it returned.
    Missing {
        /// The read.
        read: u32,
        /// Who knows the record.
        other: u32,
    },
    /// A read saw a record that had been trimmed before it was called.
    Resurrected {
        /// The read.
        read: u32,
        /// The trim, or the read that no longer saw the record.
        other: u32,
    },
}

impl LogViolation {
    /// The operations named.
    pub fn operations(&self) -> Vec<u32> {
        match *self {
            Self::Garbage { read, .. } | Self::Disorder { read } => vec![read],
            Self::Conflict { one, other } => vec![one, other],
            Self::Skipped { read, other }
            | Self::Missing { read, other }
            | Self::Resurrected { read, other } => vec![read, other],
            Self::RealTime { earlier, later } => vec![earlier, later],
            Self::Hole { later, .. } => vec![later],
        }
    }
}

//! What was found when a directory was opened, and what it means.

use std::fmt;
use std::io;

/// What one state of the bytes means: one variant a row of the table in the module documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Batch invalid, a later valid batch of the same salt exists (this or a later segment): damage.
    Damage,
    /// Last batch invalid, nothing valid after: ambiguous tail, cut; the node abstains.
    AmbiguousTail,
    /// Last batch invalid after a SEAL or a clean-stop mark: damage.
    DamageAfterMark,
    /// Header page invalid: the second copy at the segment's end was taken.
    HeaderFromCopy,
    /// Header page invalid, and its copy: damage.
    HeaderLost,
    /// hard_state: one slot valid. The newest valid of slots and stream was taken.
    HardStateOneSlot,
    /// hard_state: none valid. The node must not vote; it can rejoin as a new incarnation.
    HardStateLost,
    /// A segment is missing in the middle.
    SegmentMissing,
    /// Snapshot and log do not meet.
    Gap,
    /// Wrong cluster, node or incarnation id.
    WrongIdentity,
    /// Written by a later version.
    UnknownFormat,
}

/// One verdict, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The row of the table.
    pub verdict: Verdict,
    /// The file.
    pub file: String,
    /// The byte in it.
    pub offset: u64,
    /// What was found there.
    pub found: String,
}

/// What the last opening of the directory found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecoveryReport {
    /// Every row of the table that was met, except for valid batches.
    pub findings: Vec<Finding>,
    /// Segments that hold batches.
    pub segments: usize,
    /// Valid batches.
    pub batches: u64,
    /// Valid entries, those that were truncated later included.
    pub entries: u64,
    /// True when the node must abstain.
    pub abstain: bool,
    /// True when the tail that was cut holds bytes that no interrupted write leaves: damage for certain.
    pub tail_damaged: bool,
}

/// Why a directory was not opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process works in this directory.
    #[error("{directory}: in use by another process; a data directory serves one node at a time")]
    Locked {
        /// The directory.
        directory: String,
    },
    /// There is no store in this directory.
    #[error("{directory}: holds no store; a new node is set up with `create`")]
    NoStore {
        /// The directory.
        directory: String,
    },
    /// There is a store in this directory already.
    #[error("{directory}: holds a store already ({file}); open it, or choose an empty directory")]
    Exists {
        /// The directory.
        directory: String,
        /// A file of it.
        file: String,
    },
    /// The bytes must not be used as they are.
    #[error("{0}")]
    Refused(Finding),
    /// The operating system failed.
    #[error("{file}: {doing}: {source}")]
    Disk {
        /// What was tried.
        doing: &'static str,
        /// The file.
        file: String,
        /// What the operating system said.
        source: io::Error,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at byte {}: {:?}: {}",
            self.file, self.offset, self.verdict, self.found
        )
    }
}

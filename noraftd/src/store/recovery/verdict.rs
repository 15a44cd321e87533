//! The words for what was found when a directory was opened.
//!
//! Invariant: each [`Verdict`] is one row of the table in `recovery/judge/mod.rs`; there is no state of the bytes
//! without a row.

use std::fmt;
use std::io;

use crate::exit::Exit;
use crate::store::error::{StoreError, exit_of};
use crate::store::snapshots::SnapshotError;

/// What one state of the bytes means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Batch invalid, a later valid batch of the same salt exists (this or a later segment).
    Damage,
    /// The same, and which entries it held is not readable.
    DamageCut,
    /// Damage, and no other node can have what it took.
    DamageUncovered,
    /// Last batch invalid, nothing valid after.
    AmbiguousTail,
    /// Last batch invalid after a SEAL, or before a clean-stop or idle mark.
    DamageAtMark,
    /// Header page invalid: second copy at the segment's end.
    HeaderFromCopy,
    /// Header page invalid, and its copy.
    HeaderLost,
    /// hard_state: one slot valid.
    HardStateOneSlot,
    /// hard_state: none valid.
    HardStateLost,
    /// Segment missing in the middle.
    SegmentMissing,
    /// Gap between snapshot and log.
    Gap,
    /// Nothing says where the log begins, or leads there after a loss, but for a snapshot that is whole.
    BaseFromSnapshot,
    /// Newest snapshot damaged: the one before it, and the log from there.
    SnapshotFromOlder,
    /// No snapshot that is whole leads to where the log begins.
    SnapshotLost,
    /// Wrong cluster, node or incarnation id.
    WrongIdentity,
    /// A format version that this code does not know.
    UnknownFormat,
    /// No segment, but a part of a state: the setting up was interrupted.
    SetUpUnfinished,
    /// The cluster begins again out of this directory, and was interrupted when its log was no longer whole.
    BeginningUnfinished,
}

impl Verdict {
    /// True when the directory must not be used as it is.
    pub fn is_fatal(self) -> bool {
        match self {
            Self::Damage
            | Self::DamageCut
            | Self::DamageAtMark
            | Self::AmbiguousTail
            | Self::HeaderFromCopy
            | Self::HeaderLost
            | Self::HardStateOneSlot
            | Self::BaseFromSnapshot
            | Self::SnapshotFromOlder => false,
            Self::DamageUncovered
            | Self::HardStateLost
            | Self::SegmentMissing
            | Self::Gap
            | Self::SnapshotLost
            | Self::WrongIdentity
            | Self::UnknownFormat
            | Self::SetUpUnfinished
            | Self::BeginningUnfinished => true,
        }
    }

    /// The verdict in a few words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Damage => "damage",
            Self::DamageCut => "damage, and what was lost is not known",
            Self::DamageUncovered => "damage that no other node can repair",
            Self::AmbiguousTail => "ambiguous tail",
            Self::DamageAtMark => "damage before a mark or after a SEAL",
            Self::HeaderFromCopy => "header page damaged, its copy is good",
            Self::HeaderLost => "both header pages damaged",
            Self::HardStateOneSlot => "hard state: one slot damaged",
            Self::HardStateLost => "hard state lost",
            Self::SegmentMissing => "segment missing",
            Self::Gap => "gap in the log",
            Self::BaseFromSnapshot => "the log's beginning is damaged, a snapshot is good",
            Self::SnapshotFromOlder => "snapshot damaged",
            Self::SnapshotLost => "snapshot lost",
            Self::WrongIdentity => "wrong identity",
            Self::UnknownFormat => "unknown format version",
            Self::SetUpUnfinished => "not set up to the end",
            Self::BeginningUnfinished => "not begun again to the end",
        }
    }

    /// What was done about it, or what a person can do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::AmbiguousTail => {
                "cut; the node replicates, but neither votes nor campaigns on its own until it has caught up"
            }
            Self::HeaderFromCopy | Self::HardStateOneSlot => {
                "rewritten from the good copy; look after the disk"
            }
            Self::SnapshotFromOlder => {
                "removed; the snapshot before it and the log from there give the same state; look after the disk"
            }
            Self::BaseFromSnapshot => "written again; look after the disk",
            Self::SnapshotLost => {
                "put the file back if it was moved; otherwise give the node a snapshot of a healthy one with \
                 `noraftd repair --from ADDRESS`"
            }
            Self::Damage | Self::DamageAtMark | Self::HeaderLost => {
                "entries that are not readable are fetched from the other nodes; until then the node neither \
                 applies past them nor campaigns; look after the disk"
            }
            Self::DamageCut => {
                "the log ends before it; the node replicates the rest again, but neither votes nor campaigns on \
                 its own until it has caught up; look after the disk"
            }
            Self::DamageUncovered | Self::Gap => {
                "entries that were acknowledged are not readable; nothing was changed. Give the node the state of a \
                 healthy one with `noraftd repair --from ADDRESS`, or set it up again with `noraftd rejoin`. (An older \
                 copy of the directory must not be used: that node forgot its votes.)"
            }
            Self::SegmentMissing => {
                "put the file back if it was moved; otherwise give the node the state of a healthy one with \
                 `noraftd repair --from ADDRESS`"
            }
            Self::HardStateLost => {
                "the node may have voted and cannot know for whom, so it must not start; put this directory aside \
                 and set the node up again, as a new incarnation, with `noraftd rejoin`"
            }
            Self::WrongIdentity => "point the node at its own data directory; nothing was changed",
            Self::SetUpUnfinished => {
                "run the same command again, which begins from the start, or remove the directory; nothing was changed"
            }
            Self::BeginningUnfinished => "repeat `noraftd recover` with --yes, which finishes it",
            Self::UnknownFormat => "start the version that wrote this directory, or a later one",
        }
    }
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

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verdict,
            file,
            offset,
            found,
        } = self;
        write!(
            f,
            "{file}, byte {offset}: {}: {found}; {}",
            verdict.name(),
            verdict.advice()
        )
    }
}

/// What the last opening of the directory found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecoveryReport {
    /// Every row of the table that was met, except for valid batches.
    pub findings: Vec<Finding>,
    /// Segments that hold batches.
    pub segments: u64,
    /// Valid batches.
    pub batches: u64,
    /// Valid entries, those that are void included.
    pub entries: u64,
    /// Entries that are not readable, to be repaired from peers.
    pub holes: u64,
    /// True when the node must abstain, because of this opening or an earlier one.
    pub abstain: bool,
    /// True when the tail that was cut holds bytes that no interrupted write leaves: damage for certain.
    pub tail_damaged: bool,
}

/// Why a directory was not opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process works in this directory.
    #[error("{directory}: in use by another process; a data directory serves one node at a time")]
    Locked {
        /// The directory.
        directory: String,
    },
    /// There is no store in this directory.
    #[error("{directory}: holds no store; a new node needs to be set up first")]
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
    #[error("{directory}/{finding}")]
    Refused {
        /// The directory.
        directory: String,
        /// The first verdict that forbids it.
        finding: Finding,
    },
    /// The operating system failed.
    #[error("{directory}/{file}: {doing}: {source}")]
    Disk {
        /// The directory.
        directory: String,
        /// The file.
        file: String,
        /// What was tried.
        doing: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The end of the log could not be cut off.
    #[error("{directory}: cutting the tail: {source}")]
    Cut {
        /// The directory.
        directory: String,
        /// What the writer met.
        source: StoreError,
    },
    /// A snapshot could not be written, read or removed.
    #[error("{directory}/{source}")]
    Snapshot {
        /// The directory.
        directory: String,
        /// What was met.
        source: SnapshotError,
    },
}

impl OpenError {
    /// The process's exit code, when this is why a node cannot start.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Locked { .. } => Exit::InUse,
            Self::NoStore { .. } | Self::Exists { .. } | Self::Refused { .. } => Exit::Data,
            Self::Disk { source, .. } => exit_of(source),
            Self::Cut { source, .. } => source.exit(),
            Self::Snapshot { source, .. } => source.exit(),
        }
    }
}

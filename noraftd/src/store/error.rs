//! Why a batch is not durable, and why an entry cannot be read.

use std::io;
use std::sync::Arc;

use noraft::LogIndex;

use crate::exit::Exit;
use crate::store::disk::shortage::{is_full, is_shortage};

/// Why a batch was not made durable.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full. Nothing is acknowledged (of a very large batch, a prefix of the entries may be
    /// durable); the same or another batch can be tried when there is room.
    #[error("{file}: no room on the disk: {source}")]
    Full {
        /// The file that could not be written.
        file: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The system has no file descriptor or no memory to give. As for a full disk, nothing is acknowledged, and the
    /// same batch can be tried again.
    #[error("{file}: a shortage of the system, not of the disk: {source}")]
    Short {
        /// The file that could not be opened or written.
        file: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The batch contradicts the log or a limit; nothing was written.
    #[error("refused: {0}")]
    Invalid(String),
    /// The disk failed, now or before: what it acknowledged is all that is known, and nothing is written any more.
    #[error("{file}: {doing}: {source}; nothing more is written, restart the node")]
    Failed {
        /// The file.
        file: String,
        /// What was tried.
        doing: &'static str,
        /// What the operating system said; every later call says it again.
        source: Arc<io::Error>,
    },
}

impl StoreError {
    /// The process's exit code, when this is why a node cannot start.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Full { source, .. } | Self::Short { source, .. } => exit_of(source),
            Self::Failed { source, .. } => exit_of(source),
            // The disk did nothing wrong: what it was given contradicts the log.
            Self::Invalid(_) => Exit::Software,
        }
    }
}

/// The process's exit code for what the operating system said of a file.
pub(in crate::store) fn exit_of(source: &io::Error) -> Exit {
    if is_shortage(source) {
        return Exit::System;
    }
    match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Exit::CannotCreate,
        _ if is_full(source) => Exit::CannotCreate,
        _ => Exit::Disk,
    }
}

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The log does not hold this index (any more, or yet).
    #[error("entry {} is not in the log", .0.get())]
    Absent(LogIndex),
    /// The bytes are not what was written.
    #[error("{file}, byte {offset}: entry {index} is damaged: {found}")]
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

impl ReadError {
    /// True when the system had no memory or descriptor to give, which passes.
    pub fn is_shortage(&self) -> bool {
        match self {
            Self::Disk { source, .. } => is_shortage(source),
            Self::Absent(_) | Self::Damaged { .. } => false,
        }
    }
}

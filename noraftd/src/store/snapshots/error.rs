//! Why a snapshot cannot be used.

use std::io;

use crate::exit::Exit;
use crate::store::disk::shortage::{is_full, is_shortage};
use crate::store::error::exit_of;
use crate::store::snapshots::layout::FORMAT_VERSION;

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The operating system failed.
    #[error("{file}: {doing}: {source}")]
    Disk {
        /// The file.
        file: String,
        /// What was tried.
        doing: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// The bytes are not what was written.
    #[error("{file}, byte {offset}: {found}")]
    Damaged {
        /// The file.
        file: String,
        /// The byte.
        offset: u64,
        /// What was found.
        found: &'static str,
    },
    /// Intact, but of a version that this code does not know.
    #[error(
        "{file}: format version {version}, this code knows {FORMAT_VERSION}; start the version that wrote it, or a later one"
    )]
    Version {
        /// The file.
        file: String,
        /// Its version.
        version: u32,
    },
}

impl SnapshotError {
    /// The process's exit code, when this is why a node cannot start.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Disk { source, .. } => exit_of(source),
            Self::Damaged { .. } | Self::Version { .. } => Exit::Data,
        }
    }

    /// True when what was missing may be there the next time: room, file descriptors, memory.
    pub fn passes(&self) -> bool {
        match self {
            Self::Disk { source, .. } => is_full(source) || is_shortage(source),
            Self::Damaged { .. } | Self::Version { .. } => false,
        }
    }
}

pub(super) fn damaged(file: &str, offset: u64, found: &'static str) -> SnapshotError {
    SnapshotError::Damaged {
        file: file.to_owned(),
        offset,
        found,
    }
}

pub(super) fn failed<'a>(file: &'a str, doing: &'static str) -> impl FnOnce(io::Error) -> SnapshotError + 'a {
    move |source| SnapshotError::Disk {
        file: file.to_owned(),
        doing,
        source,
    }
}

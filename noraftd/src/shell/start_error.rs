//! Why a node does not start: one variant a cause, each with its exit code.

use std::io;
use std::path::PathBuf;

use super::descriptors::TooFew;
use super::sockets::BindError;
use crate::endpoint::Endpoint;
use crate::exit::Exit;
use crate::level::Level;
use crate::secret::SecretsError;
use crate::store::{OpenError, is_shortage};
use crate::tls::TlsError;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be made or read.
    #[error("the data directory {path} cannot be used: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is in the data directory cannot be used.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The secrets cannot be used.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// What TLS needs cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Other machines reach a node that demands no proof.
    #[error(
        "peer_listen: {0} can be reached from other machines, and anyone who reaches it owns the cluster: give every node \
         --peer-secret-file, or a certificate and --peer-ca, or --insecure-peers where something else keeps strangers away"
    )]
    Exposed(Endpoint),
    /// The directory holds a term that no election leads to.
    #[error(
        "{directory} holds term {term}, which no elections lead to: a forged message brought it there, before this \
         release refused such terms. If other nodes are sound, put the directory aside and set this node up with \
         `noraftd rejoin`. If no node is, every node begins again from the newest snapshot that one of them has, with \
         `noraftd snapshot restore`; `noraftd inspect` shows what the directories hold"
    )]
    Term {
        /// The directory.
        directory: String,
        /// The term.
        term: u64,
    },
    /// The state is of a level that this version does not support.
    #[error(
        "{directory} is of a cluster at level {level}, which this version does not support: start a later one"
    )]
    Level {
        /// The directory.
        directory: String,
        /// The level.
        level: Level,
    },
    /// The node was removed from its cluster.
    #[error(
        "{directory} is of a node that was removed from its cluster, and its id is never used again. Put the directory aside; \
         with an empty one the machine can join as another node"
    )]
    Removed {
        /// The directory.
        directory: String,
    },
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The file with the clocks of a test cannot be used.
    #[error("test_clock: {path}: {source}")]
    Clock {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The system lets the process have too few files.
    #[error(transparent)]
    Descriptors(#[from] TooFew),
    /// The system has no thread, timer or signal to give.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

impl StartError {
    /// The process's exit code for this reason.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Directory { source, .. } if is_shortage(source) => Exit::System,
            Self::Directory { .. } => Exit::CannotCreate,
            Self::Store(error) => error.exit(),
            Self::Secrets(_) | Self::Tls(_) | Self::Exposed(_) | Self::Clock { .. } => Exit::Config,
            Self::Term { .. } => Exit::Data,
            Self::Level { .. } => Exit::UnknownEntry,
            Self::Removed { .. } => Exit::Removed,
            Self::Bind(_) => Exit::Unavailable,
            Self::Descriptors(_) | Self::System(_) => Exit::System,
        }
    }
}

//! Why a cluster could not be brought up.

use std::io;
use std::time::Duration;

use super::ProcessError;

/// The cluster could not be brought up: trouble of the harness or the machine, not a verdict.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A file, directory or socket.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A process could not be started.
    #[error("node n{node}: {source}")]
    Process {
        /// Which.
        node: u64,
        /// Why.
        source: ProcessError,
    },
    /// A data directory is not there.
    #[error("node n{node}: its data directory cannot be mounted: {why}")]
    Ground {
        /// Which.
        node: u64,
        /// Why.
        why: String,
    },
    /// The nodes answer, but clients cannot begin.
    #[error("the nodes answer, but clients cannot begin: {0}")]
    Unprepared(String),
    /// A process does not answer.
    #[error("node n{node} does not answer within {within:?} of its start; {state}\n{log}")]
    Silent {
        /// Which.
        node: u64,
        /// How long it had.
        within: Duration,
        /// What became of it.
        state: String,
        /// The end of its log.
        log: String,
    },
}

pub(super) fn io_error(what: &str) -> impl FnOnce(io::Error) -> ClusterError + use<> {
    let what = what.to_owned();
    move |source| ClusterError::Io { what, source }
}

//! What a cluster is made of.

use std::path::PathBuf;

use crate::systems::Installed;

/// The programs that a cluster is made of.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The `harness` program (see [`guard`](super::guard)).
    pub harness: PathBuf,
    /// What is under test.
    pub subject: Subject,
}

/// What is under test.
#[derive(Debug, Clone)]
pub enum Subject {
    /// This project's daemon, with everything that the harness knows of it.
    Noraftd {
        /// The daemon.
        program: PathBuf,
        /// An older daemon, for a plan that rolls the cluster over.
        old: Option<PathBuf>,
    },
    /// A system that a file declares.
    System(Box<Installed>),
}

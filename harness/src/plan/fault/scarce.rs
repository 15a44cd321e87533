//! What a process gets too little of.

use serde::{Deserialize, Serialize};

/// What a process gets too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scarce {
    /// It runs for a fifth of the time: it is stopped and goes on every few milliseconds, in which other processes run.
    Processor,
    /// It may take some MiB more than it has (`RLIMIT_AS`).
    Memory,
    /// It may open one or two files or sockets more than it has (`RLIMIT_NOFILE`).
    Descriptors,
}

impl Scarce {
    /// The name used in plans.
    pub fn name(self) -> &'static str {
        match self {
            Self::Processor => "processor",
            Self::Memory => "memory",
            Self::Descriptors => "descriptors",
        }
    }
}

//! What the store hands the replica when a directory is opened.

use noraft::{Log, LogPosition};

use crate::chain::Chain;
use crate::record::{Abstain, HardState, Hole};
use crate::time::Stamp;

/// What a node finds when it opens its directory.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// Term and vote.
    pub hard_state: HardState,
    /// Shape of the log (terms and configurations; payloads are read on demand).
    pub log: Log,
    /// Whether to replicate, but neither vote nor campaign, until caught up with a current leader.
    pub abstain: Abstain,
    /// Entries of the log that are not readable here, by rising index.
    pub holes: Vec<Hole>,
    /// The chain over the log's content, as far as it could be read.
    pub chain: Chain,
    /// The greatest stamp of the entries that could be read.
    pub stamp: Stamp,
}

impl Recovered {
    /// The last position that is durable.
    pub fn last_position(&self) -> LogPosition {
        self.log.last_position()
    }
}

//! The state machine: what committed entries do to the key space and the streams.
//!
//! Invariant: a pure function of the entries in order. No clock, no randomness, no hash order.

use noraft::LogIndex;

use crate::protocol::resp::Reply;
use crate::time::Stamp;

/// The replicated state.
#[derive(Debug)]
pub struct Machine {
    applied_index: LogIndex,
}

impl Machine {
    /// The state before the first entry.
    pub fn new() -> Self {
        Self {
            applied_index: LogIndex::ZERO,
        }
    }

    /// Applies the command in the entry at `index` and gives its reply.
    ///
    /// Deterministic for any bytes: what does not decode changes nothing and answers an error.
    ///
    /// # Panics
    ///
    /// When `index` was applied before.
    pub fn apply(&mut self, index: LogIndex, stamp: Stamp, body: &[u8]) -> Reply {
        let _ = (index, stamp, body);
        todo!()
    }

    /// Notes that the entry at `index`, which is no command, was applied.
    ///
    /// # Panics
    ///
    /// When `index` was applied before.
    pub fn advance(&mut self, index: LogIndex) {
        self.applied_index = index;
    }

    /// Answers a command that only reads; any other gets an error.
    pub fn query(&self, body: &[u8]) -> Reply {
        let _ = body;
        todo!()
    }

    /// A digest of keys, values and streams: equal states have equal digests, in every process and version.
    pub fn state_hash(&self) -> u64 {
        todo!()
    }

    /// The last index applied.
    pub fn applied_index(&self) -> LogIndex {
        self.applied_index
    }

    /// Number of keys.
    pub fn key_count(&self) -> usize {
        todo!()
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

//! The content of the log, kept beside the core's log, which knows positions only: the payloads, and the chain over all.
//!
//! Invariant: at every position that the log holds, the chain is the one of the records that were given for the
//! entries up to there, or not known.

use noraft::{Log, LogIndex, LogPosition, NodeId};

use crate::chain::Chain;
use crate::protocol::peer::Print;
use crate::record::{Base, Record};

use super::Replica;
use super::ahead::Ahead;
use super::payloads::Payloads;

/// What is in the entries of the log.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) chain: Chain,
    pub(super) payloads: Payloads,
    pub(super) ahead: Ahead,
    /// Records are being read from the disk.
    pub(super) fetching: bool,
}

impl Content {
    /// `chain` is over the log as it is on the disk; of its payloads at most `bytes_max` are kept in memory.
    pub(super) fn new(chain: Chain, bytes_max: usize) -> Self {
        Self {
            chain,
            payloads: Payloads::new(bytes_max),
            ahead: Ahead::default(),
            fetching: false,
        }
    }

    /// The chain at `position`, if `log` holds it and the chain is known there.
    pub(super) fn chain_at(&self, log: &Log, position: LogPosition) -> Option<u64> {
        let is_held = log.entries().contains(position);
        self.chain.at(position.index).filter(|_| is_held)
    }

    /// Keeps the record of an entry that was appended.
    pub(super) fn keep(&mut self, record: Record) {
        self.chain.put(&record);
        self.ahead.keep(&record);
        self.payloads.put(record);
    }

    /// The log begins later; `base` learns the chain there, or has it.
    pub(super) fn begin_at(&mut self, base: &mut Base, is_kept: bool) {
        let index = base.position.index;
        self.chain.begin_at(index, base.chain, is_kept);
        base.chain = self.chain.at(index);
    }
}

/// The position of the entry at `index`, or the snapshot's.
pub(super) fn position_at(log: &Log, index: LogIndex) -> Option<LogPosition> {
    let term = log.entries().get_term(index)?;
    Some(LogPosition { term, index })
}

impl Replica {
    /// True when the chain is known up to the end of the log.
    pub fn chain_is_known(&self) -> bool {
        let log = self.node.log();
        self.content.chain_at(log, log.last_position()).is_some()
    }

    /// True when `from`, a leader, continues this log as it is here, as far as that can be compared.
    ///
    /// Two logs that hold one position and differ before it cannot both be right: then this one takes nothing from that
    /// leader until it is decided which node is wrong.
    pub(super) fn continues_same(&mut self, from: NodeId, prev: LogPosition, chain: Option<u64>) -> bool {
        let Some(theirs) = chain else { return true };
        let Some(ours) = self.content.chain_at(self.node.log(), prev) else {
            if self.node.log().entries().contains(prev) {
                self.content.chain.adopt(prev.index, theirs);
            }
            return true;
        };
        if ours == theirs {
            return true;
        }
        let print = |chain| Print {
            position: prev,
            chain: Some(chain),
            digest: None,
        };
        self.agreement.dispute(self.now, from, print(ours), print(theirs));
        false
    }
}

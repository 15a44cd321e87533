//! The chain over the log's content, kept beside the core's log, which knows positions only.
//!
//! Invariant: at every position that the log holds, the chain is the one of the records that were given for the
//! entries up to there, or not known.

use noraft::{LogPosition, NodeId};

use crate::protocol::peer::Print;
use crate::record::{Base, Record};

use super::Replica;

impl Replica {
    /// The chain at `position`, if the log holds it and the chain is known there.
    pub(super) fn chain_at(&self, position: LogPosition) -> Option<u64> {
        let is_held = self.node.log().entries().contains(position);
        self.chain.at(position.index).filter(|_| is_held)
    }

    /// True when the chain is known up to the end of the log.
    pub fn chain_is_known(&self) -> bool {
        self.chain_at(self.node.log().last_position()).is_some()
    }

    /// Keeps the record of an entry that was appended.
    pub(super) fn keep_record(&mut self, record: Record) {
        self.chain.put(&record);
        self.payloads.put(record);
    }

    /// The log begins later; `base` learns the chain there, or has it.
    pub(super) fn begin_chain_at(&mut self, base: &mut Base, is_kept: bool) {
        let index = base.position.index;
        self.chain.begin_at(index, base.chain, is_kept);
        base.chain = self.chain.at(index);
    }

    /// True when `from`, a leader, continues this log as it is here, as far as that can be compared.
    ///
    /// Two logs that hold one position and differ before it cannot both be right: then this one takes nothing from that
    /// leader until it is decided which node is wrong.
    pub(super) fn continues_same(&mut self, from: NodeId, prev: LogPosition, chain: Option<u64>) -> bool {
        let Some(theirs) = chain else { return true };
        let Some(ours) = self.chain_at(prev) else {
            if self.node.log().entries().contains(prev) {
                self.chain.adopt(prev.index, theirs);
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
        self.dispute(from, print(ours), print(theirs));
        false
    }
}

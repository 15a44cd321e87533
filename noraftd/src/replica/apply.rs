//! From the commit index to the state machine, and from its replies to the waiting clients.
//!
//! Invariant: entries are applied in index order, once, and only when committed *and* durable here.

use noraft::LogIndex;

use crate::record::{RecordKind, next_index};
use crate::time::Stamp;

use super::Replica;

#[derive(Debug)]
pub(super) struct Apply {
    applied: LogIndex,
    stamp: Stamp,
}

impl Apply {
    pub(super) fn new(applied: LogIndex) -> Self {
        Self {
            applied,
            stamp: Stamp::default(),
        }
    }

    pub(super) fn applied_index(&self) -> LogIndex {
        self.applied
    }

    pub(super) fn applied_stamp(&self) -> Stamp {
        self.stamp
    }

    /// The state was taken from a snapshot of `applied`.
    pub(super) fn restore(&mut self, applied: LogIndex, stamp: Stamp) {
        self.applied = applied;
        self.stamp = self.stamp.max(stamp);
    }
}

impl Replica {
    pub(super) fn apply_committed(&mut self) {
        let target = self.apply_target();
        let before = self.apply.applied;
        if self.agreement.is_wrong() {
            return;
        }
        while self.apply.applied < target {
            let next = next_index(self.apply.applied).and_then(|index| self.position_at(index));
            let Some(record) = next.and_then(|position| self.payloads.get(position)).cloned() else {
                break;
            };
            self.answer_reads_before(record.position);
            self.apply.applied = record.position.index;
            self.apply.stamp = self.apply.stamp.max(record.stamp);
            self.snapshots.on_applied(record.payload.len());
            let reply = match record.kind {
                RecordKind::Command => Some(self.machine.apply(
                    record.position.index,
                    record.stamp,
                    &record.payload,
                )),
                RecordKind::Term | RecordKind::Config => {
                    self.machine.advance(record.position.index);
                    None
                }
            };
            self.resolve_proposals(record.position, reply);
            self.resolve_changes(record.position);
            self.order.tidy_applied(record.position.index, self.now);
            if Self::is_round(record.position.index) {
                self.note_state(record.position.index);
            }
        }
        if self.apply.applied > before {
            self.note_state(self.apply.applied);
        }
    }

    pub(super) fn apply_target(&self) -> LogIndex {
        self.node.commit_index().min(self.durability.durable_index())
    }
}

//! From the commit index to the state machine, and from its replies to the waiting clients.
//!
//! Invariant: entries are applied in index order, once, and only when committed *and* durable here.

use noraft::LogIndex;

use crate::machine::Machine;
use crate::record::{RecordKind, next_index};
use crate::time::Stamp;

use super::Replica;

/// The replicated state, and how far it is.
#[derive(Debug)]
pub(super) struct Applied {
    machine: Machine,
    index: LogIndex,
}

impl Applied {
    /// What `machine` is after the entry at `index`.
    pub(super) fn new(machine: Machine, index: LogIndex) -> Self {
        Self { machine, index }
    }

    pub(super) fn machine(&self) -> &Machine {
        &self.machine
    }

    pub(super) fn index(&self) -> LogIndex {
        self.index
    }

    /// The greatest stamp of the entries applied.
    pub(super) fn stamp(&self) -> Stamp {
        self.machine.clock()
    }

    /// Another node's state, of `index`, takes the place of this one.
    pub(super) fn replace(&mut self, machine: Machine, index: LogIndex) {
        (self.machine, self.index) = (machine, index);
    }
}

impl Replica {
    pub(super) fn apply_committed(&mut self) {
        let target = self.apply_target();
        let before = self.applied.index;
        if self.agreement.is_wrong() {
            return;
        }
        if self.level() > self.config.level {
            return self.stop_at_unknown(before);
        }
        while self.applied.index < target {
            let next = next_index(self.applied.index).and_then(|index| self.position_at(index));
            let Some(record) = next
                .and_then(|position| self.content.payloads.get(position))
                .cloned()
            else {
                break;
            };
            if !self.knows(&record) {
                self.stop_at_unknown(record.position.index);
                break;
            }
            self.answer_reads_before(record.position);
            self.applied.index = record.position.index;
            self.snapshots.on_applied(record.payload.len());
            let reply = match record.kind {
                RecordKind::Command => Some(self.applied.machine.apply(
                    record.position.index,
                    record.stamp,
                    &record.payload,
                )),
                RecordKind::Term | RecordKind::Config => {
                    self.applied.machine.advance(record.position.index, record.stamp);
                    None
                }
            };
            self.resolve_proposals(record.position, reply);
            self.resolve_changes(record.position);
            self.waiting.order.tidy_applied(record.position.index, self.now);
            self.comparer().note_round(record.position.index);
        }
        if self.applied.index > before {
            let applied = self.applied.index;
            self.content.ahead.forget_until(applied);
            self.comparer().note_state(applied);
        }
    }

    /// How far entries may be applied.
    pub(super) fn apply_target(&self) -> LogIndex {
        self.node.commit_index().min(self.durability.durable_index())
    }
}

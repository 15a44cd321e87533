//! From the commit index to the state machine, and from its replies to whoever waits.
//!
//! Invariant: entries are applied in index order, once, and only when committed *and* durable here.

use noraft::LogIndex;

use crate::record::{RecordKind, next_index};
use crate::time::Stamp;

use super::Replica;
use super::event::Output;
use crate::protocol::outcome::Outcome;

/// Payload bytes that one fetch may bring: a few milliseconds of reading.
const FETCH_BYTES_MAX: usize = 4 << 20;

#[derive(Debug)]
pub(super) struct Apply {
    applied: LogIndex,
    stamp: Stamp,
    fetching: bool,
}

impl Apply {
    pub(super) fn new(applied: LogIndex) -> Self {
        Self {
            applied,
            stamp: Stamp::default(),
            fetching: false,
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

    pub(super) fn on_fetched(&mut self) {
        self.fetching = false;
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

    /// Asks for records that are needed and no longer in memory: to apply first, then for lagging peers.
    pub(super) fn fetch_missing(&mut self) {
        if self.apply.fetching {
            return;
        }
        let missing = self
            .missing_to_apply()
            .or_else(|| self.missing_to_repair())
            .or_else(|| self.missing_to_send());
        let Some(from) = missing else {
            return;
        };
        self.apply.fetching = true;
        let to = self.durability.durable_index();
        self.outputs.push_back(Output::Fetch {
            from,
            to,
            bytes_max: FETCH_BYTES_MAX,
        });
    }

    fn missing_to_apply(&self) -> Option<LogIndex> {
        let next = next_index(self.apply.applied)?;
        (next <= self.apply_target() && !self.repair.is_hole(next)).then_some(next)
    }

    fn missing_to_send(&self) -> Option<LogIndex> {
        let (bytes, messages) = (
            self.config.in_flight_bytes_max,
            self.config.in_flight_messages_max,
        );
        let tail = self.durability.durable_index();
        let open = self
            .leadership
            .progress
            .values()
            .filter(|peer| peer.may_send(bytes, messages));
        open.filter_map(|peer| next_index(peer.next().index))
            .filter(|next| *next <= tail && !self.repair.is_hole(*next))
            .find(|next| {
                self.position_at(*next)
                    .is_some_and(|position| self.payloads.get(position).is_none())
            })
    }

    pub(super) fn reply(&mut self, id: super::event::RequestId, outcome: Outcome) {
        self.outputs.push_back(Output::Reply { id, outcome });
    }
}

//! Records that are needed again and no longer in memory: one fetch from the log at a time.

use noraft::LogIndex;

use super::Replica;
use super::event::Output;
use crate::record::{Record, next_index};

impl Replica {
    /// Asks for records that are needed and no longer in memory: to apply first, then for lagging peers.
    pub(super) fn fetch_missing(&mut self) {
        if self.content.fetching {
            return;
        }
        let missing = self
            .missing_to_apply()
            .or_else(|| self.repair.missing_to_give())
            .or_else(|| self.missing_to_send());
        let Some(from) = missing else {
            return;
        };
        self.content.fetching = true;
        let to = self.durability.durable_index();
        self.outputs.push(Output::Fetch {
            from,
            to,
            bytes_max: FETCH_BYTES_MAX,
        });
    }

    fn missing_to_apply(&self) -> Option<LogIndex> {
        let next = next_index(self.applied.index())?;
        (next <= self.apply_target() && !self.repair.is_hole(next)).then_some(next)
    }

    fn missing_to_send(&self) -> Option<LogIndex> {
        let (bytes, messages) = (
            self.config.limits.in_flight_bytes_max,
            self.config.limits.in_flight_messages_max,
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
                    .is_some_and(|position| self.content.payloads.intact(position).is_none())
            })
    }

    /// They were read; none, when the first is damaged.
    pub(super) fn on_fetched(&mut self, from: LogIndex, records: Vec<Record>) {
        self.content.fetching = false;
        self.repair.on_fetched(from);
        self.content.payloads.keep_fetched(records);
    }
}

/// Payload bytes that one fetch may bring: a few milliseconds of reading.
const FETCH_BYTES_MAX: usize = 4 << 20;

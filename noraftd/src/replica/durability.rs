//! What is durable here, and what waits for the sync in flight.
//!
//! Invariant: at most one batch is in flight; messages that promise durability are held until it is
//! synced; `durable` never names an entry that the log in memory has cut.

use noraft::{LogIndex, LogPosition};

use crate::record::{Append, Base, Batch, BatchId, HardState};
use crate::time::Instant;

use super::event::Output;

#[derive(Debug)]
pub(super) struct Durability {
    last_id: u64,
    /// The last index on disk that the log in memory still holds.
    durable: LogIndex,
    in_flight: Option<InFlight>,
}

#[derive(Debug)]
struct InFlight {
    id: BatchId,
    since: Instant,
    changes_hard_state: bool,
    /// Where the log begins then, if that changes.
    covered: LogIndex,
    last: Option<LogIndex>,
    held: Vec<Output>,
}

impl Durability {
    pub(super) fn new(durable: LogPosition) -> Self {
        Self {
            last_id: 0,
            durable: durable.index,
            in_flight: None,
        }
    }

    pub(super) fn durable_index(&self) -> LogIndex {
        self.durable
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// True while a new term or vote is not durable: then nothing may be said in that term.
    pub(super) fn hard_state_in_flight(&self) -> bool {
        self.in_flight
            .as_ref()
            .is_some_and(|batch| batch.changes_hard_state)
    }

    /// When the batch in flight was handed over.
    pub(super) fn in_flight_since(&self) -> Option<Instant> {
        self.in_flight.as_ref().map(|batch| batch.since)
    }

    /// Starts the sync of a batch; `held` goes out when it returns.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        hard_state: Option<HardState>,
        base: Option<Base>,
        append: Option<Append>,
        held: Vec<Output>,
    ) -> Batch {
        assert!(self.in_flight.is_none(), "one batch is in flight at a time");
        self.last_id += 1;
        let id = BatchId(self.last_id);
        if let Some(append) = &append {
            self.durable = self.durable.min(append.prev.index);
        }
        let last = append
            .as_ref()
            .and_then(|append| append.records.last())
            .map(|r| r.position.index);
        let covered = base.as_ref().map_or(LogIndex::ZERO, |base| base.position.index);
        self.in_flight = Some(InFlight {
            id,
            since: now,
            changes_hard_state: hard_state.is_some(),
            covered,
            last,
            held,
        });
        Batch {
            id,
            hard_state,
            base,
            append,
        }
    }

    /// Starts the sync of a patch: entries that are in the log already.
    pub(super) fn begin_patch(&mut self, now: Instant) -> BatchId {
        self.begin(now, None, None, None, Vec::new()).id
    }

    /// The batch is durable: returns the messages that waited for it.
    ///
    /// # Panics
    ///
    /// When `id` is not the batch in flight.
    pub(super) fn complete(&mut self, id: BatchId) -> Vec<Output> {
        let batch = self
            .in_flight
            .take()
            .expect("a sync returns only for a batch in flight");
        assert_eq!(batch.id, id, "syncs return in order");
        self.durable = batch.last.unwrap_or(self.durable.max(batch.covered));
        batch.held
    }

    /// The log in memory ends at `tail`: what lies beyond on disk is no longer part of it.
    pub(super) fn cut(&mut self, tail: LogIndex) {
        self.durable = self.durable.min(tail);
    }
}

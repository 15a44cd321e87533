//! What is durable here, and what waits for the sync in flight.
//!
//! Term and vote alone need no batch: they are written beside the log, with one sync, even while a batch is in flight,
//! and the next batch carries them once more.
//!
//! Invariant: at most one batch and one vote are in flight; messages that promise durability are held until it is
//! synced; `durable` never names an entry that the log in memory has cut.

use std::time::Duration;

use noraft::{LogIndex, LogPosition};

use crate::record::{Append, Base, Batch, BatchId, HardState};
use crate::time::Instant;

use super::event::Output;
use super::glance::Syncing;

#[derive(Debug)]
pub(super) struct Durability {
    last_id: u64,
    /// The last index on disk that the log in memory still holds.
    durable: LogIndex,
    in_flight: Option<InFlight>,
    vote: Option<Vote>,
    /// Durable beside the log, or about to be, and in no batch yet.
    apart: Option<HardState>,
    /// How long a sync takes: the longest of late, which fades.
    sync: Duration,
    /// And how long on average.
    sync_mean: Duration,
    /// A longer average is slow.
    slow_sync: Duration,
    is_slow: bool,
}

/// Term and vote that are being written beside the log.
#[derive(Debug)]
struct Vote {
    since: Instant,
    held: Vec<Output>,
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
    /// `durable` is the end of the log; syncs that take longer than `slow_sync` are slow.
    pub(super) fn new(durable: LogPosition, slow_sync: Duration) -> Self {
        Self {
            last_id: 0,
            durable: durable.index,
            in_flight: None,
            vote: None,
            apart: None,
            sync: Duration::ZERO,
            sync_mean: Duration::ZERO,
            slow_sync,
            is_slow: false,
        }
    }

    pub(super) fn durable_index(&self) -> LogIndex {
        self.durable
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some() || self.vote.is_some()
    }

    /// What is in flight, at a glance.
    pub(super) fn syncing(&self) -> Syncing {
        match (&self.in_flight, &self.vote) {
            (None, None) => Syncing::Nothing,
            (Some(_), None) => Syncing::Batch,
            (None, Some(_)) => Syncing::Vote,
            (Some(_), Some(_)) => Syncing::BatchAndVote,
        }
    }

    /// True while a batch is in flight that a vote may overtake.
    pub(super) fn may_overtake(&self) -> bool {
        self.in_flight.is_some() && self.vote.is_none()
    }

    /// True when the next batch has to carry term and vote, though they have not changed.
    pub(super) fn is_vote_apart(&self) -> bool {
        self.apart.is_some()
    }

    /// How long a sync takes at worst, as far as is known: the one in flight, too.
    pub(super) fn sync_time(&self, now: Instant) -> Duration {
        let in_flight = self.in_flight_since().map_or(Duration::ZERO, |since| now - since);
        self.sync.max(in_flight)
    }

    /// True while syncs take longer than they should, on average.
    pub(super) fn is_slow(&self) -> bool {
        self.is_slow
    }

    /// True while a new term or vote is not durable: then nothing may be said in that term.
    pub(super) fn hard_state_in_flight(&self) -> bool {
        let in_batch = self
            .in_flight
            .as_ref()
            .is_some_and(|batch| batch.changes_hard_state);
        in_batch || self.vote.is_some()
    }

    /// When the batch or vote in flight was handed over; the older of both.
    pub(super) fn in_flight_since(&self) -> Option<Instant> {
        let batch = self.in_flight.as_ref().map(|batch| batch.since);
        batch
            .into_iter()
            .chain(self.vote.as_ref().map(|vote| vote.since))
            .min()
    }

    /// Starts the sync of term and vote beside the log; `held` goes out when it returns.
    pub(super) fn begin_vote(&mut self, now: Instant, hard_state: HardState, held: Vec<Output>) -> Output {
        assert!(self.vote.is_none(), "one vote is in flight at a time");
        self.vote = Some(Vote { since: now, held });
        self.apart = Some(hard_state);
        Output::PersistVote(hard_state)
    }

    /// The vote is durable: returns the messages that waited for it.
    ///
    /// # Panics
    ///
    /// When none is in flight.
    pub(super) fn complete_vote(&mut self, now: Instant) -> Vec<Output> {
        let vote = self.vote.take().expect("a vote is synced once it was given");
        self.note_sync(now - vote.since);
        vote.held
    }

    /// Holds a message that names the current term until that is durable; gives it back when it is.
    pub(super) fn hold(&mut self, output: Output) -> Option<Output> {
        assert!(
            self.vote.is_none(),
            "what a vote in flight lets out is known when it is given"
        );
        let Some(batch) = self.in_flight.as_mut().filter(|batch| batch.changes_hard_state) else {
            return Some(output);
        };
        batch.held.push(output);
        None
    }

    fn note_sync(&mut self, took: Duration) {
        let faded = self.sync - self.sync / SYNCS_REMEMBERED;
        self.sync = faded.max(took);
        self.sync_mean = self.sync_mean - self.sync_mean / SYNCS_REMEMBERED + took / SYNCS_REMEMBERED;
        // Not at the same time as it began: a disk at the limit would be said to be slow, and not, all the time.
        let limit = if self.is_slow {
            self.slow_sync / 2
        } else {
            self.slow_sync
        };
        self.is_slow = self.sync_mean > limit;
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
        let changes_hard_state = hard_state.is_some() && hard_state != self.apart;
        if hard_state.is_some() {
            self.apart = None;
        }
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
            changes_hard_state,
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
    pub(super) fn complete(&mut self, now: Instant, id: BatchId) -> Vec<Output> {
        let batch = self
            .in_flight
            .take()
            .expect("a sync returns only for a batch in flight");
        assert_eq!(batch.id, id, "syncs return in order");
        self.note_sync(now - batch.since);
        self.durable = batch.last.unwrap_or(self.durable.max(batch.covered));
        batch.held
    }

    /// The log in memory ends at `tail`: what lies beyond, on disk or in the batch in flight, is no longer part of it.
    pub(super) fn cut(&mut self, tail: LogIndex) {
        self.durable = self.durable.min(tail);
        if let Some(batch) = &mut self.in_flight {
            batch.last = batch.last.map(|last| last.min(tail));
        }
    }
}

/// A slow sync is remembered for about as many syncs.
const SYNCS_REMEMBERED: u32 = 16;

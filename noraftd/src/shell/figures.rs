//! What the disk's threads did, in figures that any thread may read.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use std::time::Duration;

use crate::histogram::Histogram;
use crate::local::status::StorageReport;
use crate::time::Instant;

/// What the disk did since the start; written by its thread, read by any.
#[derive(Debug, Default)]
pub(super) struct Figures {
    batches: AtomicU64,
    entries: AtomicU64,
    last_sync_us: AtomicU64,
    max_sync_us: AtomicU64,
    last_sync_at: AtomicU64,
    is_full: AtomicBool,
    /// When the batch that is not durable yet was handed over; zero when there is none.
    in_flight_since: AtomicU64,
    /// How long batches take on the disk.
    pub(super) syncs: Histogram,
    /// How long they wait for the thread.
    pub(super) waits: Histogram,
    pub(super) scrub_index: AtomicU64,
    pub(super) scrub_passes: AtomicU64,
    pub(super) scrub_found: AtomicU64,
}

impl Figures {
    /// Notes whether there is no room for another segment; gives what was noted before.
    pub(super) fn set_full(&self, is_full: bool) -> bool {
        self.is_full.swap(is_full, Ordering::Relaxed)
    }

    /// True while the disk has no room for another segment.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// The figures as the status shows them at `now`.
    pub(super) fn report(&self, now: Instant) -> StorageReport {
        let batches = self.batches.load(Ordering::Relaxed);
        let last_at = Instant::from_nanos(self.last_sync_at.load(Ordering::Relaxed));
        let age_ms = u64::try_from(now.saturating_since(last_at).as_millis()).unwrap_or(u64::MAX);
        StorageReport {
            batches,
            entries: self.entries.load(Ordering::Relaxed),
            last_sync_us: self.last_sync_us.load(Ordering::Relaxed),
            max_sync_us: self.max_sync_us.load(Ordering::Relaxed),
            last_sync_age_ms: (batches > 0).then_some(age_ms),
            disk_full: self.is_full(),
            scrub_index: self.scrub_index.load(Ordering::Relaxed),
            scrub_passes: self.scrub_passes.load(Ordering::Relaxed),
            scrub_found: self.scrub_found.load(Ordering::Relaxed),
        }
    }

    /// A batch is handed over.
    pub(super) fn note_order(&self, now: Instant) {
        self.in_flight_since
            .store(now.as_nanos().max(1), Ordering::Relaxed);
    }

    /// How long the batch that is not durable yet has been on its way.
    pub(super) fn in_flight(&self, now: Instant) -> Duration {
        match self.in_flight_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => now.saturating_since(Instant::from_nanos(since)),
        }
    }

    /// A batch with so many entries was made durable.
    pub(super) fn note_batch(&self, started: Instant, ended: Instant, entries: u64) {
        let took = u64::try_from((ended - started).as_micros()).unwrap_or(u64::MAX);
        let ordered = self.in_flight_since.swap(0, Ordering::Relaxed);
        self.waits
            .observe(started.saturating_since(Instant::from_nanos(ordered)));
        self.syncs.observe(ended - started);
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.entries.fetch_add(entries, Ordering::Relaxed);
        self.last_sync_us.store(took, Ordering::Relaxed);
        self.max_sync_us.fetch_max(took, Ordering::Relaxed);
        self.last_sync_at.store(ended.as_nanos(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn a_batch_is_in_flight_from_its_order_until_it_is_durable() {
        let figures = Figures::default();
        assert_eq!(figures.in_flight(at(50)), Duration::ZERO);
        figures.note_order(at(50));
        assert_eq!(figures.in_flight(at(80)), Duration::from_millis(30));
        figures.note_batch(at(60), at(90), 3);
        assert_eq!(figures.in_flight(at(500)), Duration::ZERO);
        let sums = [figures.waits.sum(), figures.syncs.sum()].map(|sum| sum.as_millis());
        assert_eq!((sums, figures.report(at(90)).entries), ([10, 30], 3));
    }
}

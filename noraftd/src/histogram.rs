//! How often something took how long, for those who watch from outside.
//!
//! The bounds are powers of two of a microsecond: from 16 us to 17 s, as wide as a quantile may be off. One thread writes, so an
//! observation is two additions without a lock; any thread reads.
//!
//! Invariant: an observation is in the first bucket whose bound is not less than it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Observed durations.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Those up to each bound, but for those up to the bound before; the last ones are beyond every bound.
    buckets: [AtomicU64; BOUNDS + 1],
    nanos: AtomicU64,
}

impl Histogram {
    /// Adds a duration. Only one thread may call it.
    pub fn observe(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(bucket_of(nanos)) {
            add(bucket, 1);
        }
        add(&self.nanos, nanos);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
            .sum()
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    /// The first bound that so many of a thousand do not exceed; `None` of nothing, and where they exceed every bound.
    pub fn quantile(&self, permille: u64) -> Option<Duration> {
        let wanted = (self.count() * permille).div_ceil(1000).max(1);
        let mut bounds = self.cumulative();
        bounds.find_map(|(bound, count)| (count >= wanted).then_some(bound))
    }

    /// Each bound, and how many were not longer.
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let mut below = 0;
        self.buckets
            .iter()
            .take(BOUNDS)
            .zip(LEAST_SHIFT..)
            .map(move |(bucket, shift)| {
                below += bucket.load(Ordering::Relaxed);
                (Duration::from_micros(1 << shift), below)
            })
    }
}

/// What one thread writes needs no locked addition.
fn add(counter: &AtomicU64, more: u64) {
    let sum = counter.load(Ordering::Relaxed).wrapping_add(more);
    counter.store(sum, Ordering::Relaxed);
}

fn bucket_of(nanos: u64) -> usize {
    let micros = nanos.div_ceil(1000);
    let shift = u64::BITS - micros.saturating_sub(1).leading_zeros();
    (shift.saturating_sub(LEAST_SHIFT) as usize).min(BOUNDS)
}

/// The first bound is two to this, in microseconds.
const LEAST_SHIFT: u32 = 4;
/// How many bounds there are.
const BOUNDS: usize = 21;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_at_the_first_bound_that_it_does_not_exceed() {
        for (nanos, bound_micros) in [
            (0, Some(16)),
            (16_000, Some(16)),
            (16_001, Some(32)),
            (32_000, Some(32)),
            (1_000_000, Some(1024)),
            (1_024_001, Some(2048)),
            (16_777_216_000, Some(16_777_216)),
            (16_777_216_001, None),
            (u64::MAX, None),
        ] {
            let histogram = Histogram::default();
            histogram.observe(Duration::from_nanos(nanos));
            let first = histogram.cumulative().find(|(_, count)| *count == 1);
            assert_eq!(first.map(|(bound, _)| bound.as_micros()), bound_micros, "{nanos}");
            assert_eq!(
                (histogram.count(), histogram.sum()),
                (1, Duration::from_nanos(nanos))
            );
        }
    }

    #[test]
    fn a_quantile_is_a_bound_that_so_many_do_not_exceed() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile(500), None);
        for micros in [10, 10, 10, 100_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let micros = |permille| histogram.quantile(permille).map(|bound| bound.as_micros());
        assert_eq!(
            [0, 500, 750, 751].map(micros),
            [Some(16), Some(16), Some(16), Some(131_072)]
        );
        histogram.observe(Duration::from_secs(60));
        assert_eq!(micros(990), None, "it exceeds every bound");
    }

    #[test]
    fn counts_only_rise_from_bound_to_bound() {
        let histogram = Histogram::default();
        for micros in [1, 20, 20, 500, 90_000, 60_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let counts: Vec<u64> = histogram.cumulative().map(|(_, count)| count).collect();
        assert!(counts.is_sorted() && counts.len() == BOUNDS);
        assert_eq!(
            (counts[0], counts[1], counts[BOUNDS - 1], histogram.count()),
            (1, 3, 5, 6)
        );
    }
}

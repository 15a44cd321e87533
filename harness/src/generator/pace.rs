//! A common pace for all clients.
//!
//! Invariant: turns are spaced evenly; time that was not used is not made up for by a burst.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Hands out turns at a rate.
#[derive(Debug)]
pub struct Pace {
    /// Zero for no limit.
    interval: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// `rate` turns a second; zero is no limit.
    pub fn new(rate: u64) -> Self {
        let interval = match rate {
            0 => Duration::ZERO,
            rate => Duration::from_secs(1) / u32::try_from(rate).unwrap_or(u32::MAX),
        };
        Self {
            interval,
            next: Mutex::new(None),
        }
    }

    /// Waits for a turn.
    pub async fn turn(&self) {
        if self.interval.is_zero() {
            // A client whose replies are always there already must not starve the others.
            tokio::task::yield_now().await;
        } else {
            sleep_until(self.reserve(Instant::now())).await;
        }
    }

    fn reserve(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        // The timer is no finer than a millisecond: being late by that much is not idleness.
        let earliest = now.checked_sub(TIMER_GRAIN).unwrap_or(now);
        let turn = next.map_or(now, |next| next.max(earliest));
        *next = Some(turn + self.interval);
        turn
    }
}

const TIMER_GRAIN: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_spaced_and_idle_time_is_not_made_up_for() {
        let pace = Pace::new(100);
        let start = Instant::now();
        let step = Duration::from_millis(10);
        assert_eq!(pace.reserve(start), start);
        assert_eq!(pace.reserve(start), start + step);
        assert_eq!(pace.reserve(start), start + 2 * step);
        let later = start + Duration::from_secs(9);
        assert_eq!(pace.reserve(later), later - TIMER_GRAIN);
        assert_eq!(pace.reserve(later), later - TIMER_GRAIN + step);
    }
}

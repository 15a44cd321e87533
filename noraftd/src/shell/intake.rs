//! How long a request may take to arrive.
//!
//! Invariant: only a request of which a part is here is timed, and only while it is this client that is waited for. A
//! client that sends at a modest rate is never too slow; when others wait for the memory that it takes, the rate has to
//! be higher.

use std::cell::Cell;
use std::time::Duration;

use crate::time::Instant;

/// The request that is arriving on one connection.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// When its first byte was here.
    begun: Cell<Option<Instant>>,
    /// What of it is here.
    bytes: Cell<usize>,
    /// Since when it is this node that lets it wait.
    held_up: Cell<Option<Instant>>,
}

impl Intake {
    /// A read is about to begin: so many bytes of an unfinished request are here. `is_new` when none of them
    /// were part of it the last time.
    pub(super) fn note(&self, bytes: usize, is_new: bool, now: Instant) {
        self.bytes.set(bytes);
        let begun = self.begun.get().filter(|_| !is_new);
        self.begun.set((bytes > 0).then(|| begun.unwrap_or(now)));
    }

    /// From now on it is this node that lets it wait.
    pub(super) fn hold_up(&self, now: Instant) {
        self.held_up.set(Some(now));
    }

    /// No longer; the time does not count.
    pub(super) fn go_on(&self, now: Instant) {
        let Some(since) = self.held_up.take() else { return };
        let begun = self.begun.get().map(|begun| begun + now.saturating_since(since));
        self.begun.set(begun);
    }

    /// Whether it has had its time. `is_pressed` when others wait for memory.
    pub(super) fn is_late(&self, now: Instant, is_pressed: bool) -> bool {
        let Some(begun) = self.begun.get().filter(|_| self.held_up.get().is_none()) else {
            return false;
        };
        let (grace, rate) = if is_pressed {
            (PRESSED_GRACE, PRESSED_BYTES_PER_SECOND)
        } else {
            (GRACE, BYTES_PER_SECOND)
        };
        let earned = Duration::from_secs_f64(self.bytes.get() as f64 / rate as f64);
        now.saturating_since(begun) > grace + earned
    }
}

/// A person who types a command takes a while.
const GRACE: Duration = Duration::from_secs(60);
/// What even a poor link carries.
const BYTES_PER_SECOND: u64 = 64 << 10;
/// Long enough for a link that lost a few packets,
const PRESSED_GRACE: Duration = Duration::from_secs(5);
/// and for one of 2 MiB/s.
const PRESSED_BYTES_PER_SECOND: u64 = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn an_idle_connection_is_never_late() {
        let intake = Intake::default();
        intake.note(0, true, at(1));
        assert!(!intake.is_late(at(1 << 20), true));
    }

    #[test]
    fn a_request_that_dribbles_in_is_late_once() {
        let intake = Intake::default();
        for second in 0..60 {
            intake.note(1 + second as usize, second == 0, at(second));
            assert!(!intake.is_late(at(second), false));
        }
        assert!(intake.is_late(at(62), false));
        intake.note(1, true, at(62));
        assert!(!intake.is_late(at(63), false), "the next one has its own time");
    }

    #[test]
    fn the_time_that_this_node_takes_does_not_count() {
        let intake = Intake::default();
        intake.note(1, true, at(0));
        intake.hold_up(at(50));
        assert!(!intake.is_late(at(500), true));
        intake.go_on(at(500));
        assert!(!intake.is_late(at(509), false) && intake.is_late(at(511), false));
    }

    #[test]
    fn a_large_request_over_a_slow_link_has_its_time_and_less_when_others_wait() {
        let intake = Intake::default();
        intake.note(1, true, at(0));
        intake.note(16 << 20, false, at(250));
        assert!(!intake.is_late(at(250), false));
        assert!(intake.is_late(at(250), true));
    }
}

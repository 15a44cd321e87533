//! The clock that the entries of the log are stamped with.
//!
//! It goes on from the last stamp of the log with this node's monotonic clock. While this node leads, it is slewed toward the wall
//! clock, by a tenth of the time that passes at most; otherwise it is where the log is, for this node may lead next. So a wall clock that
//! jumps moves no deadline at once, whichever node has it.
//!
//! Invariant: it never goes back while this node leads, and a stamp is never less than one that the log held here. Between two entries of one
//! leader at most 11 tenths pass of what its monotonic clock shows, and at least 9.

use std::time::Duration;

use crate::time::{Instant, Stamp};

#[derive(Debug)]
pub(super) struct LogClock {
    /// What it shows, in nanoseconds since the Unix epoch; absent before the first entry.
    nanos: Option<u128>,
    /// When it was looked at; absent before the first time, for instants count from anywhere.
    at: Option<Instant>,
    /// The greatest stamp of an entry.
    last: Stamp,
}

impl LogClock {
    /// Goes on from `last`; from the wall clock, if there was no entry.
    pub(super) fn new(last: Stamp) -> Self {
        Self {
            nanos: (last > Stamp::default()).then(|| nanos_of(last)),
            at: None,
            last,
        }
    }

    /// It is `now`; the wall clock shows `wall`.
    pub(super) fn advance(&mut self, now: Instant, wall: Stamp, leads: bool) {
        let passed = (now - self.at.unwrap_or(now)).as_nanos();
        self.at = Some(now);
        let straight = match self.nanos {
            Some(nanos) => nanos.saturating_add(passed),
            // Nothing was stamped yet: any time is a beginning.
            None if !leads => return,
            None => nanos_of(wall),
        };
        let slew = if leads { passed / SLEW_PART } else { 0 };
        let target = nanos_of(wall);
        let slewed = target.clamp(straight.saturating_sub(slew), straight.saturating_add(slew));
        self.nanos = Some(slewed);
    }

    /// The log has an entry of another node with this stamp, as of now.
    pub(super) fn follow(&mut self, stamp: Stamp) {
        self.last = self.last.max(stamp);
        self.nanos = Some(nanos_of(self.last));
    }

    /// What it shows: the stamp of an entry that is appended now.
    pub(super) fn stamp(&self) -> Stamp {
        let shown = self.nanos.unwrap_or_default() / NANOS_PER_MILLI;
        Stamp::from_millis(u64::try_from(shown).unwrap_or(u64::MAX)).max(self.last)
    }

    /// How far a wall clock that shows `wall` is ahead of it, in milliseconds; zero before the first entry.
    pub(super) fn offset_ms(&self, wall: Stamp) -> i64 {
        let Some(nanos) = self.nanos else { return 0 };
        let ahead = |more: u128, less: u128| {
            i64::try_from((more.saturating_sub(less)) / NANOS_PER_MILLI).unwrap_or(i64::MAX)
        };
        let wall = nanos_of(wall);
        ahead(wall, nanos) - ahead(nanos, wall)
    }

    /// When it shows `deadline` at the earliest.
    pub(super) fn earliest(&self, deadline: Stamp) -> Instant {
        let missing = nanos_of(deadline).saturating_sub(self.nanos.unwrap_or_default());
        let at = self.at.unwrap_or(Instant::ZERO);
        if missing == 0 {
            return at;
        }
        let at_most_fast = missing * SLEW_PART / (SLEW_PART + 1);
        let nanos = u64::try_from(at_most_fast).unwrap_or(u64::MAX);
        at + Duration::from_nanos(nanos).max(LOOK_AGAIN)
    }
}

fn nanos_of(stamp: Stamp) -> u128 {
    u128::from(stamp.as_millis()) * NANOS_PER_MILLI
}

const NANOS_PER_MILLI: u128 = 1_000_000;
/// It is slewed by one part of so many.
const SLEW_PART: u128 = 10;
/// As finely as stamps are.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const START: u64 = 1_700_000_000_000;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn wall(millis: u64) -> Stamp {
        Stamp::from_millis(millis)
    }

    /// A leader's clock after it was looked at every 7 ms for `millis`, with a wall clock that is `ahead` by so many.
    fn after(clock: &mut LogClock, from: u64, millis: u64, ahead: i64) -> u64 {
        for now in (from..=from + millis).step_by(7).chain([from + millis]) {
            let before = clock.stamp();
            clock.advance(at(now), wall((START + now).saturating_add_signed(ahead)), true);
            assert!(clock.stamp() >= before, "it went back");
        }
        clock.stamp().as_millis()
    }

    #[test]
    fn a_wall_clock_that_jumps_by_an_hour_moves_it_by_a_tenth_at_most() {
        for (ahead, expected) in [(HOUR as i64, 11_000), (-(HOUR as i64), 9_000), (0, 10_000)] {
            let mut clock = LogClock::new(Stamp::default());
            clock.advance(at(0), wall(START), true);
            let shown = after(&mut clock, 0, 10_000, ahead) - START;
            assert!(shown.abs_diff(expected) <= 1, "{ahead}: {shown}");
        }
    }

    #[test]
    fn it_reaches_the_wall_clock_and_stays_with_it() {
        let mut clock = LogClock::new(wall(START - 1000));
        clock.advance(at(0), wall(START), true);
        assert_eq!(after(&mut clock, 0, 9_000, 0), START + 8_900);
        assert_eq!(after(&mut clock, 9_000, 9_000, 0), START + 18_000);
    }

    #[test]
    fn the_next_leader_goes_on_from_the_last_entry_and_the_time_since() {
        let mut clock = LogClock::new(wall(START));
        clock.advance(at(500), wall(START + HOUR), false);
        assert_eq!(
            clock.stamp(),
            wall(START),
            "the time before its start did not pass"
        );
        clock.follow(wall(START + 5_000));
        clock.advance(at(2_500), wall(START + HOUR), false);
        assert_eq!(clock.stamp(), wall(START + 7_000));
        clock.advance(at(3_500), wall(START + HOUR), true);
        assert_eq!(clock.stamp(), wall(START + 8_100));
    }

    #[test]
    fn no_deadline_is_missed_however_fast_it_runs() {
        let mut clock = LogClock::new(wall(START));
        clock.advance(Instant::ZERO, wall(START), true);
        let deadline = wall(START + 60_000);
        let (mut now, mut looks) = (Instant::ZERO, 0);
        while clock.stamp() < deadline {
            let next = clock.earliest(deadline);
            assert!(next > now, "it looks again without an end");
            clock.advance(next, wall(START + HOUR), true);
            (now, looks) = (next, looks + 1);
        }
        assert!(clock.stamp().as_millis() - deadline.as_millis() <= 1);
        assert!(looks <= 2, "{looks}");
        assert!(clock.earliest(deadline) <= now);
    }

    #[test]
    fn a_wall_clock_is_compared_with_it_in_both_directions() {
        let mut clock = LogClock::new(Stamp::default());
        assert_eq!(
            clock.offset_ms(wall(START)),
            0,
            "there is nothing to compare with"
        );
        clock.follow(wall(START));
        for offset in [-(HOUR as i64), -1, 0, 1, HOUR as i64] {
            assert_eq!(clock.offset_ms(wall(START.saturating_add_signed(offset))), offset);
        }
        assert!(clock.offset_ms(wall(u64::MAX)) > 0);
    }

    #[test]
    fn a_stamp_at_the_end_of_time_is_no_overflow() {
        let mut clock = LogClock::new(wall(u64::MAX));
        clock.advance(at(1_000), wall(0), true);
        assert_eq!(clock.stamp(), wall(u64::MAX));
    }
}

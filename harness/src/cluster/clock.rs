//! The clocks of a node, which the harness sets (`noraftd --test-clock`).
//!
//! Invariant: a monotonic clock never goes back, whatever is done to it.

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use noraftd::shell::clock::{system_now, unix_micros};
use noraftd::test_clock::{ClockFile, Clocks, Dial};
use noraftd::time::Instant;

/// The clocks of one node, over all its lives.
#[derive(Debug)]
pub struct TestClock {
    file: ClockFile,
    clocks: Mutex<Clocks>,
    /// What clocks show that no test sets.
    right: Clocks,
}

impl TestClock {
    /// Clocks that are right, in the new file at `path`.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn make(path: &Path) -> io::Result<Self> {
        let right = Clocks::right(system_now(), unix_micros() * 1000);
        Ok(Self {
            file: ClockFile::create(path, &right)?,
            clocks: Mutex::new(right),
            right,
        })
    }

    /// What the clocks are.
    pub fn clocks(&self) -> Clocks {
        *self.clocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a wall clock shows at `system` that no test sets, in nanoseconds since the Unix epoch.
    pub fn right_wall_at(&self, system: Instant) -> u64 {
        self.right.wall_at(system)
    }

    /// Changes what the clocks show from now on.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn change(&self, change: impl FnOnce(&mut Clocks)) -> io::Result<()> {
        let mut clocks = self.clocks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = clocks.as_of(system_now());
        let shown = changed.monotonic.shown;
        change(&mut changed);
        assert!(
            changed.monotonic.shown >= shown,
            "a monotonic clock never goes back"
        );
        self.file.write(&changed)?;
        *clocks = changed;
        Ok(())
    }

    /// Lets the clocks run as fast as others.
    ///
    /// # Errors
    ///
    /// As for [`TestClock::change`].
    pub fn calm(&self) -> io::Result<()> {
        self.change(|clocks| {
            clocks.monotonic.rate = Dial::NORMAL;
            clocks.wall.rate = Dial::NORMAL;
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_a_clock_has_lost_stays_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clock");
        let clock = TestClock::make(&path).unwrap();
        clock
            .change(|clocks| {
                clocks.wall.shown -= 5_000_000_000;
                clocks.monotonic.rate = 0;
            })
            .unwrap();
        let stopped = clock.clocks().monotonic_at(system_now());
        clock.calm().unwrap();
        let later = system_now() + Duration::from_secs(1);
        let clocks = ClockFile::open(&path).unwrap().read().unwrap();
        assert_eq!(clocks, clock.clocks());
        assert_eq!(clock.right_wall_at(later) - clocks.wall_at(later), 5_000_000_000);
        let gained = clocks.monotonic_at(later) - stopped;
        // A little of the system's time has passed between the two changes and the look.
        let (least, most) = (Duration::from_secs(1), Duration::from_millis(1500));
        assert!((least..most).contains(&gained), "{gained:?}");
    }
}

//! The node's clocks: the only file that reads them.
//!
//! Invariant: the monotonic clock does not run backwards within a process, and counts from its start; the wall clock may jump.
//!
//! A test may put clocks of its own in their place ([`inject`]). What keeps connections tidy (timeouts of a greeting, pauses before
//! the next attempt) goes on by the system's clock, and so does the time of day in the log.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant as SystemInstant, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

use crate::prng::Prng;
use crate::test_clock::{ClockFile, Clocks};
use crate::time::{Instant, Stamp};

/// From now on the clocks of this process show what the file at `path` says.
///
/// # Errors
///
/// When it says nothing.
///
/// # Panics
///
/// When it is called twice.
pub fn inject(path: &Path) -> io::Result<()> {
    let file = ClockFile::open(path)?;
    let origin = file.read()?.monotonic_at(system_now());
    let injected = Injected {
        file,
        origin,
        latest: AtomicU64::new(0),
    };
    assert!(INJECTED.set(injected).is_ok(), "a process has one clock");
    Ok(())
}

/// The monotonic time.
pub fn now() -> Instant {
    if let Some(injected) = INJECTED.get() {
        return injected.now(&injected.clocks());
    }
    let passed = ORIGIN.elapsed().as_nanos();
    Instant::from_nanos(u64::try_from(passed).unwrap_or(u64::MAX))
}

/// How long to wait until `instant`. An injected clock may change its rate meanwhile: then it is less, and what has waited
/// has to look whether the time has come.
pub fn until(instant: Instant) -> Duration {
    match INJECTED.get() {
        Some(injected) => injected.until(instant),
        None => instant.saturating_since(now()),
    }
}

/// What the runtime's timers call `instant`; far away instants come earlier, which is harmless.
pub fn to_tokio(instant: Instant) -> tokio::time::Instant {
    if let Some(injected) = INJECTED.get() {
        return tokio::time::Instant::now() + injected.until(instant);
    }
    let ahead = instant.saturating_since(Instant::ZERO);
    tokio::time::Instant::from_std(ORIGIN.checked_add(ahead).unwrap_or(*ORIGIN + FAR_AWAY))
}

/// Microseconds since the Unix epoch.
#[expect(
    clippy::disallowed_methods,
    reason = "the shell's clock: pure code receives the time from here"
)]
pub fn unix_micros() -> u64 {
    if let Some(injected) = INJECTED.get() {
        return injected.clocks().wall_at(system_now()) / 1000;
    }
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX)
}

/// The wall clock.
pub fn wall() -> Stamp {
    Stamp::from_millis(unix_micros() / 1000)
}

/// The system's monotonic time, which all processes of the machine share.
///
/// # Panics
///
/// When the system has no such clock.
pub fn system_now() -> Instant {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has a monotonic clock");
    let nanos = Duration::from(time).as_nanos();
    Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Clocks that a test sets.
struct Injected {
    file: ClockFile,
    /// What the monotonic clock showed when the process began.
    origin: Instant,
    /// What it has shown at most since, in nanoseconds from there: a clock that has just become slower would go back.
    latest: AtomicU64,
}

impl Injected {
    fn clocks(&self) -> Clocks {
        self.file
            .read()
            .expect("the test's file says what the clocks show, at any time")
    }

    fn now(&self, clocks: &Clocks) -> Instant {
        let shown = clocks.monotonic_at(system_now()).saturating_since(self.origin);
        let nanos = u64::try_from(shown.as_nanos()).unwrap_or(u64::MAX);
        Instant::from_nanos(self.latest.fetch_max(nanos, Ordering::Relaxed).max(nanos))
    }

    fn until(&self, instant: Instant) -> Duration {
        let clocks = self.clocks();
        let ahead = instant.saturating_since(self.now(&clocks));
        if ahead.is_zero() {
            return Duration::ZERO;
        }
        clocks
            .takes(ahead)
            .map_or(LOOK_EVERY, |takes| takes.clamp(WAIT_MIN, LOOK_EVERY))
    }
}

static INJECTED: OnceLock<Injected> = OnceLock::new();

/// How often to look at an injected clock: it may run at another rate by then.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// A rest that rounds to nothing is none.
const WAIT_MIN: Duration = Duration::from_micros(10);

/// A seed that differs from process to process: from the kernel, or from clock and pid when it has none.
pub fn random_seed() -> u64 {
    let mut bytes = [0; 8];
    let read =
        std::fs::File::open("/dev/urandom").and_then(|mut f| std::io::Read::read_exact(&mut f, &mut bytes));
    match read {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => Prng::new(unix_micros() ^ u64::from(std::process::id()) << 40).next_u64(),
    }
}

/// Unpredictable random bytes.
///
/// # Panics
///
/// When the system has none to give.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("Linux has random bytes for every process");
    bytes
}

/// Where the monotonic time counts from: its first reading in this process.
#[expect(
    clippy::disallowed_methods,
    reason = "the shell's clock: pure code receives the time from here"
)]
static ORIGIN: LazyLock<SystemInstant> = LazyLock::new(SystemInstant::now);

/// A day: no timer of this daemon is longer.
const FAR_AWAY: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_at_the_end_of_time_still_has_a_timer() {
        let _ = to_tokio(Instant::from_nanos(u64::MAX));
        assert!(now() <= now());
    }

    #[test]
    fn seeds_differ() {
        assert_ne!(random_seed(), random_seed());
    }
}

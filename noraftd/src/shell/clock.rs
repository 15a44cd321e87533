//! The node's clocks: the only file that reads them.
//!
//! Invariant: neither clock runs backwards within a process. The monotonic one counts from process start;
//! the wall clock may jump, so its stamps hold still until it has caught up again.

use std::cell::Cell;
use std::sync::LazyLock;
use std::time::{Duration, Instant as SystemInstant, SystemTime, UNIX_EPOCH};

use crate::prng::Prng;
use crate::time::{Instant, Stamp};

/// The monotonic time.
pub fn now() -> Instant {
    let passed = ORIGIN.elapsed().as_nanos();
    Instant::from_nanos(u64::try_from(passed).unwrap_or(u64::MAX))
}

/// What the runtime's timers call `instant`; far away instants come earlier, which is harmless.
pub fn to_tokio(instant: Instant) -> tokio::time::Instant {
    let ahead = instant.saturating_since(Instant::ZERO);
    tokio::time::Instant::from_std(ORIGIN.checked_add(ahead).unwrap_or(*ORIGIN + FAR_AWAY))
}

/// Microseconds since the Unix epoch.
#[expect(
    clippy::disallowed_methods,
    reason = "the shell's clock: pure code receives the time from here"
)]
pub fn unix_micros() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX)
}

/// The wall clock as it is written into entries.
#[derive(Debug, Default)]
pub struct StampClock {
    latest: Cell<Stamp>,
}

impl StampClock {
    /// The wall clock, never earlier than the stamp before.
    pub fn stamp(&self) -> Stamp {
        let read = Stamp::from_millis(unix_micros() / 1000);
        self.latest.set(read.max(self.latest.get()));
        self.latest.get()
    }
}

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
    fn stamps_never_run_backwards() {
        let clock = StampClock::default();
        let ahead = Stamp::from_millis(clock.stamp().as_millis() + 60_000);
        clock.latest.set(ahead);
        assert_eq!(clock.stamp(), ahead);
    }

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

//! The node's clocks: the only file that reads them.
//!
//! Invariant: neither clock runs backwards within a process. The monotonic one counts from process start;
//! the wall clock may jump, so its stamps hold still until it has caught up again.

use std::cell::Cell;
use std::time::{Duration, Instant as SystemInstant, SystemTime, UNIX_EPOCH};

use crate::prng::Prng;
use crate::time::{Instant, Stamp};

/// Reads the time for everything in this process.
#[derive(Debug)]
pub struct Clock {
    origin: SystemInstant,
    latest: Cell<Stamp>,
}

impl Clock {
    /// A clock whose origin is now.
    #[expect(clippy::disallowed_methods, reason = "the shell's clock: pure code is told the time from here")]
    pub fn start() -> Self {
        Self { origin: SystemInstant::now(), latest: Cell::new(Stamp::default()) }
    }

    /// The monotonic time.
    pub fn now(&self) -> Instant {
        let passed = self.origin.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// The wall clock, never earlier than the stamp before.
    #[expect(clippy::disallowed_methods, reason = "the shell's clock: pure code is told the time from here")]
    pub fn stamp(&self) -> Stamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let read = Stamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX));
        self.latest.set(read.max(self.latest.get()));
        self.latest.get()
    }

    /// What the runtime's timers call `instant`; far away instants come earlier, which is harmless.
    pub fn to_tokio(&self, instant: Instant) -> tokio::time::Instant {
        let ahead = instant.saturating_since(Instant::ZERO);
        let system = self.origin.checked_add(ahead).unwrap_or(self.origin + FAR_AWAY);
        tokio::time::Instant::from_std(system)
    }
}

/// A seed that differs from process to process: from the kernel, or from clock and pid when it has none.
#[expect(clippy::disallowed_methods, reason = "the fallback seed is read where the clocks are")]
pub fn random_seed() -> u64 {
    let mut bytes = [0; 8];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut f| std::io::Read::read_exact(&mut f, &mut bytes));
    match read {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => {
            let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
            Prng::new(u64::from(std::process::id()) << 32 | u64::from(nanos)).next_u64()
        }
    }
}

/// A day: no timer of this daemon is longer.
const FAR_AWAY: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_never_run_backwards() {
        let clock = Clock::start();
        let ahead = Stamp::from_millis(clock.stamp().as_millis() + 60_000);
        clock.latest.set(ahead);
        assert_eq!(clock.stamp(), ahead);
    }

    #[test]
    fn an_instant_at_the_end_of_time_still_has_a_timer() {
        let clock = Clock::start();
        let _ = clock.to_tokio(Instant::from_nanos(u64::MAX));
        assert!(clock.now() <= clock.now());
    }

    #[test]
    fn seeds_differ() {
        assert_ne!(random_seed(), random_seed());
    }
}

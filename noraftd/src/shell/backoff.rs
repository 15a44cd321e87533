//! How long to wait before the next attempt.
//!
//! Invariant: between [`FIRST`] and [`LAST`], doubling, of which a random half is left out so that nodes
//! that failed together do not try together.

use std::time::Duration;

use crate::prng::Prng;

/// The pauses between attempts.
#[derive(Debug)]
pub(super) struct Backoff {
    pause: Duration,
    prng: Prng,
}

impl Backoff {
    /// Begins with the shortest pause.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            pause: FIRST,
            prng: Prng::new(seed),
        }
    }

    /// An attempt succeeded.
    pub(super) fn reset(&mut self) {
        self.pause = FIRST;
    }

    /// The next pause.
    pub(super) fn next(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (2 * pause).min(LAST);
        let millis = u64::try_from(pause.as_millis()).expect("a pause is short");
        Duration::from_millis(self.prng.between(millis / 2, millis))
    }
}

const FIRST: Duration = Duration::from_millis(20);
/// A healed network is found after at most this long: about one election timeout.
const LAST: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_begin_again() {
        let mut backoff = Backoff::new(1);
        assert!(backoff.next() <= FIRST);
        let later: Vec<_> = (0..20).map(|_| backoff.next()).collect();
        assert!(later.iter().all(|pause| *pause <= LAST));
        assert!(later[10..].iter().all(|pause| *pause >= LAST / 2));
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}

//! How often something failed, and how sure that is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Failures among runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Runs that failed.
    pub failed: u64,
    /// All runs.
    pub runs: u64,
}

impl Rate {
    /// The share that failed; 0 without a run.
    pub fn share(self) -> f64 {
        match self.runs {
            0 => 0.0,
            runs => self.failed as f64 / runs as f64,
        }
    }

    /// Where the true rate is with a confidence of 95 %: Wilson's score interval, which holds for few runs and for rates
    /// of 0 and 1 too (Wilson 1927).
    pub fn interval(self) -> (f64, f64) {
        if self.runs == 0 {
            return (0.0, 1.0);
        }
        let (runs, share) = (self.runs as f64, self.share());
        let z2 = Z95 * Z95;
        let scale = 1.0 + z2 / runs;
        let middle = (share + z2 / (2.0 * runs)) / scale;
        let spread = Z95 / scale * (share * (1.0 - share) / runs + z2 / (4.0 * runs * runs)).sqrt();
        ((middle - spread).max(0.0), (middle + spread).min(1.0))
    }

    /// How often to try something that may fail at this rate, and how often it has to fail to count as failing as often:
    /// about half as often at least.
    pub fn trials(self) -> (u64, u64) {
        let share = self.share().max(f64::MIN_POSITIVE);
        let tries = ((FAILURES_HOPED / share).ceil()).clamp(TRIES_MIN, TRIES_MAX);
        let needed = (tries * share / 2.0).ceil().max(1.0);
        (tries as u64, needed as u64)
    }
}

impl fmt::Display for Rate {
    /// `17 of 20 (85 %; with a confidence of 95 %: 64 % to 95 %)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.interval();
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        write!(
            f,
            "{} of {} ({}; with a confidence of 95 %: {} to {})",
            self.failed,
            self.runs,
            percent(self.share()),
            percent(low),
            percent(high)
        )
    }
}

/// Two-sided 95 % of the normal distribution.
const Z95: f64 = 1.959_964;
/// Failures that the tries of a candidate give, if it fails as often.
const FAILURES_HOPED: f64 = 3.0;
const TRIES_MIN: f64 = 3.0;
/// Each try is a run.
const TRIES_MAX: f64 = 10.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_wilsons() {
        // Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
        let cases = [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ];
        for (failed, runs, low, high) in cases {
            let found = Rate { failed, runs }.interval();
            assert!(
                (found.0 - low).abs() < 1e-4 && (found.1 - high).abs() < 1e-4,
                "{found:?}"
            );
        }
        assert_eq!(Rate::default().interval(), (0.0, 1.0));
    }

    #[test]
    fn what_fails_rarely_is_tried_more_often() {
        let trials = |failed, runs| Rate { failed, runs }.trials();
        assert_eq!(trials(5, 5), (3, 2));
        assert_eq!(trials(3, 5), (5, 2));
        assert_eq!(trials(1, 5), (10, 1));
        assert_eq!(trials(0, 5), (10, 1));
    }

    #[test]
    fn a_rate_is_said_with_its_interval() {
        let rate = Rate { failed: 17, runs: 20 };
        assert_eq!(
            rate.to_string(),
            "17 of 20 (85 %; with a confidence of 95 %: 64 % to 95 %)"
        );
    }
}

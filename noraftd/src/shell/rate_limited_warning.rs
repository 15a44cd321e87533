//! Says a thing that goes wrong over and over once, and again from time to time with how often it went wrong.
//!
//! Invariant: what is repeated is known by its matter, never by its text: whatever changes from one time to the next
//! (a port, a count) stays out of the matter. However many matters there are, at most [`MATTERS_MAX`] lines and one
//! more are written in [`REPEAT`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use super::clock;
use crate::time::Instant;

/// What was warned about lately.
#[derive(Debug, Default)]
pub(super) struct RateLimitedWarning(RefCell<BTreeMap<String, Said>>);

#[derive(Debug)]
struct Said {
    at: Instant,
    /// Times since then.
    kept_back: u64,
}

impl RateLimitedWarning {
    /// Logs `text` as a warning, unless the same was logged not long ago.
    pub(super) fn warn(&self, text: &str) {
        self.warn_about(text, text);
    }

    /// Logs `text` as a warning, unless something of this matter was logged not long ago: for texts that are different
    /// each time.
    pub(super) fn warn_about(&self, matter: &str, text: &str) {
        if let Some(addition) = self.news(matter, clock::now()) {
            tracing::warn!("{text}{addition}");
        }
    }

    /// The same for what is no fault.
    pub(super) fn mention(&self, text: &str) {
        if let Some(addition) = self.news(text, clock::now()) {
            tracing::info!("{text}{addition}");
        }
    }

    /// Everything is settled: whatever comes next is news.
    pub(super) fn forget(&self) {
        self.0.borrow_mut().clear();
    }

    /// What to add to the text; `None` when it is not to be said now.
    fn news(&self, matter: &str, now: Instant) -> Option<String> {
        let mut matters = self.0.borrow_mut();
        let is_known = matters.contains_key(matter);
        if !is_known && matters.len() >= MATTERS_MAX {
            matters.retain(|_, said| now - said.at < REPEAT);
        }
        let matter = match is_known || matters.len() < MATTERS_MAX {
            true => matter,
            false => TOO_MANY,
        };
        let Some(said) = matters.get_mut(matter) else {
            let said = Said {
                at: now,
                kept_back: 0,
            };
            matters.insert(matter.to_owned(), said);
            return Some(match matter {
                TOO_MANY => " (others like this are not shown)".to_owned(),
                _ => String::new(),
            });
        };
        if now - said.at < REPEAT {
            said.kept_back += 1;
            return None;
        }
        let kept_back = std::mem::take(&mut said.kept_back);
        said.at = now;
        Some(match kept_back {
            0 => String::new(),
            count => format!(" ({count} more times since it was last said)"),
        })
    }
}

/// An operator who looks at the last minute of a log finds what is wrong.
const REPEAT: Duration = Duration::from_secs(30);
/// A cluster's worth of nodes with a fault each; strangers from everywhere share what is left.
const MATTERS_MAX: usize = 64;
/// The matter of what has no room.
const TOO_MANY: &str = "";

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        Instant::from_nanos(1)
    }

    #[test]
    fn a_matter_is_news_once_a_while_and_is_counted() {
        let warnings = RateLimitedWarning::default();
        let said = |matter, now| warnings.news(matter, now);
        assert_eq!(said("a", start()), Some(String::new()));
        assert_eq!(said("a", start() + REPEAT / 2), None);
        assert_eq!(said("b", start() + REPEAT / 2), Some(String::new()));
        assert_eq!(said("a", start() + REPEAT / 2), None);
        let again = said("a", start() + REPEAT).expect("it is news again");
        assert!(again.contains("2 more times"), "{again}");
        assert_eq!(said("a", start() + 2 * REPEAT), Some(String::new()));
    }

    #[test]
    fn two_faults_in_turns_are_said_once_each() {
        let warnings = RateLimitedWarning::default();
        let times = (0..100).flat_map(|_| ["a", "b"]);
        let said = times.filter(|matter| warnings.news(matter, start()).is_some());
        assert_eq!(said.count(), 2);
    }

    #[test]
    fn however_many_matters_there_are_the_log_stays_short() {
        let warnings = RateLimitedWarning::default();
        let said = |at: Instant| {
            let matters = (0..10_000).map(|n| format!("from {n}"));
            matters
                .filter(|matter| warnings.news(matter, at).is_some())
                .count()
        };
        assert_eq!(said(start()), MATTERS_MAX + 1);
        assert!(said(start() + REPEAT) <= MATTERS_MAX + 1);
        assert!(warnings.0.borrow().len() <= MATTERS_MAX + 1);
    }
}

//! Says a thing that goes wrong over and over once, and again from time to time.

use std::cell::RefCell;
use std::time::Duration;

use super::clock;
use crate::time::Instant;

/// The last complaint about one matter.
#[derive(Debug, Default)]
pub(super) struct Complaints(RefCell<Option<(String, Instant)>>);

impl Complaints {
    /// Logs `text`, unless it was the last thing logged and that was not long ago.
    pub(super) fn complain(&self, text: &str) {
        if self.is_news(text, clock::now()) {
            tracing::warn!("{text}");
        }
    }

    /// Logs `text`, unless the last complaint was about the same `matter` and not long ago: for texts that tell who it
    /// was this time.
    pub(super) fn complain_about(&self, matter: &str, text: &str) {
        if self.is_news(matter, clock::now()) {
            tracing::warn!("{text}");
        }
    }

    /// The matter is settled: the next complaint is news.
    pub(super) fn forget(&self) {
        self.0.replace(None);
    }

    fn is_news(&self, text: &str, now: Instant) -> bool {
        let mut last = self.0.borrow_mut();
        let is_old = last
            .as_ref()
            .is_some_and(|(said, at)| said == text && now - *at < REPEAT);
        if !is_old {
            *last = Some((text.to_owned(), now));
        }
        !is_old
    }
}

/// An operator who looks at the last minute of a log finds what is wrong.
const REPEAT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_news_once_a_while() {
        let complaints = Complaints::default();
        let start = Instant::from_nanos(1);
        assert!(complaints.is_news("a", start));
        assert!(!complaints.is_news("a", start + REPEAT / 2));
        assert!(complaints.is_news("b", start));
        assert!(complaints.is_news("b", start + REPEAT));
        complaints.forget();
        assert!(complaints.is_news("b", start + REPEAT));
    }
}

//! What is recorded of a run: its trace, its histories, its figures, the kinds of states it reached.
//!
//! Invariant: nothing that happens depends on what is recorded.

pub(crate) mod counters;
pub(crate) mod coverage;
pub(crate) mod happening;
pub(crate) mod history;
mod message;
pub(crate) mod samples;
pub(crate) mod trace;

use self::counters::Counters;
use self::coverage::watcher::Watcher;
use self::happening::Happening;
use self::history::History;
use self::samples::Samples;
use self::trace::Trace;

/// Everything that is recorded.
pub(crate) struct Journal {
    pub(crate) trace: Trace,
    pub(crate) history: History,
    pub(crate) counters: Counters,
    /// Where it is wanted.
    pub(crate) coverage: Option<Watcher>,
    /// Where lines of the trace are wanted.
    pub(crate) samples: Option<Samples>,
}

impl Journal {
    /// Notes in the trace what has happened.
    pub(crate) fn note(&mut self, now: u64, happening: Happening<'_>) {
        self.trace.note(now, &happening);
    }
}

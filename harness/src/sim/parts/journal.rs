//! What is recorded of a run: its trace, its histories, its figures.

use super::counters::Counters;
use super::happening::Happening;
use super::history::History;
use super::trace::Trace;

/// Everything that is recorded.
pub(crate) struct Journal {
    pub(crate) trace: Trace,
    pub(crate) history: History,
    pub(crate) counters: Counters,
}

impl Journal {
    /// Notes in the trace what has happened.
    pub(crate) fn note(&mut self, now: u64, happening: Happening<'_>) {
        self.trace.note(now, &happening);
    }
}

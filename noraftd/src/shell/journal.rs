//! What has happened at this node: each event is a line of the log, and is remembered for `NORAFT.EVENTS`.
//!
//! Invariant: any thread may note an event; no thread waits for another one for longer than it takes to copy a few.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::clock;
use crate::local::events::{Event, EventReport, Moment, Ring, Urgency};

/// The way to what is remembered.
#[derive(Debug, Clone, Default)]
pub(super) struct Journal(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    ring: Mutex<Ring>,
    /// Where the node is.
    term: AtomicU64,
    index: AtomicU64,
}

impl Journal {
    /// The node is in this term, and has applied this entry.
    pub(super) fn note_position(&self, term: u64, index: u64) {
        self.0.term.store(term, Ordering::Relaxed);
        self.0.index.store(index, Ordering::Relaxed);
    }

    /// This has happened now.
    pub(super) fn note(&self, event: &Event) {
        let moment = Moment {
            wall: clock::wall(),
            term: self.0.term.load(Ordering::Relaxed),
            index: self.0.index.load(Ordering::Relaxed),
        };
        let report = self.ring().push(moment, event);
        write_line(event.facts().urgency, &report);
    }

    /// The newest `most`, the oldest of them first; and how many there were before.
    pub(super) fn newest(&self, most: usize) -> (u64, Vec<EventReport>) {
        self.ring().newest(most)
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // A panic ends the process: whatever is in it then, nothing reads it.
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_line(urgency: Urgency, report: &EventReport) {
    let EventReport {
        number: _,
        time_ms: _,
        kind,
        term,
        index,
        peer,
        reason,
        text,
    } = report;
    let reason = reason.as_deref();
    match urgency {
        Urgency::Info => tracing::info!(event = kind, term, index, peer, reason, "{text}"),
        Urgency::Warn => tracing::warn!(event = kind, term, index, peer, reason, "{text}"),
        Urgency::Error => tracing::error!(event = kind, term, index, peer, reason, "{text}"),
    }
}

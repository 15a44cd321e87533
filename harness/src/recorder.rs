//! The histories of a run, one a workload, shared by clients and nemesis.
//!
//! Invariant: events are written in the order of their times, both assigned under one lock: an operation
//! that completed before another one was invoked is before it. A fault is in every history. A history
//! that could not be written is never mistaken for a shorter one: the first failure is kept and ends the run.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::history::{Header, HistoryWriter};
use crate::op::{EventKind, HistoryEvent};
use crate::results::Counts;

/// Names one history of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HistoryId(usize);

/// Writes the histories of a run as it goes.
#[derive(Debug)]
pub struct Recorder {
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    writers: Vec<HistoryWriter<BufWriter<File>>>,
    failure: Option<io::Error>,
    next_operation: u64,
    counts: Counts,
}

impl Recorder {
    /// Starts a run without histories. Its time 0 is now.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
            state: Mutex::default(),
        }
    }

    /// Starts a history in the new file at `path`.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn open(&self, path: &Path, header: &Header) -> io::Result<HistoryId> {
        let file = BufWriter::with_capacity(BUFFER_BYTES, File::create_new(path)?);
        let writer = HistoryWriter::new(file, header)?;
        let mut state = self.lock();
        state.writers.push(writer);
        Ok(HistoryId(state.writers.len() - 1))
    }

    /// Time since the run began.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Records an invocation under a fresh operation id and returns it, to be completed.
    pub fn invoke(&self, history: HistoryId, build: impl FnOnce(u64) -> HistoryEvent) -> HistoryEvent {
        let mut state = self.lock();
        let event = build(state.next_operation);
        state.next_operation += 1;
        state.counts.invoked += 1;
        state.write(history, event.clone(), self.now());
        event
    }

    /// Records a completion.
    pub fn complete(&self, history: HistoryId, event: HistoryEvent) {
        let mut state = self.lock();
        match event.kind {
            EventKind::Ok => state.counts.ok += 1,
            EventKind::Fail => state.counts.fail += 1,
            EventKind::Info => state.counts.info += 1,
            EventKind::Invoke | EventKind::FaultBegin | EventKind::FaultOk | EventKind::FaultEnd => {}
        }
        state.write(history, event, self.now());
    }

    /// Records a step of a fault in every history. Returns its time in nanoseconds.
    pub fn fault(&self, event: &HistoryEvent) -> u64 {
        let mut state = self.lock();
        let now = self.now();
        (0..state.writers.len()).for_each(|at| state.write(HistoryId(at), event.clone(), now));
        now
    }

    /// Operations so far, by how they ended.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Pushes what is buffered to the file.
    ///
    /// # Errors
    ///
    /// The first failure of any write since the history began.
    pub fn flush(&self) -> io::Result<()> {
        let mut state = self.lock();
        let flushed = state.writers.iter_mut().try_for_each(HistoryWriter::flush);
        state.keep(flushed);
        match &state.failure {
            Some(failure) => Err(io::Error::new(failure.kind(), failure.to_string())),
            None => Ok(()),
        }
    }

    /// Taken under the lock, or times would not follow the order of lines.
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, HistoryId(at): HistoryId, mut event: HistoryEvent, time_ns: u64) {
        event.time_ns = time_ns;
        let writer = self
            .writers
            .get_mut(at)
            .expect("an id is given out with its history");
        let written = writer.record(&mut event).map(drop);
        self.keep(written);
    }

    fn keep(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.failure.get_or_insert(error);
        }
    }
}

/// A few hundred events; flushed several times a second besides.
const BUFFER_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::HistoryReader;
    use serde_json::json;

    #[test]
    fn every_history_is_dense_and_has_the_faults() {
        let folder = tempfile::tempdir().unwrap();
        let recorder = Recorder::start();
        let names = ["register", "log"];
        let path = |name: &str| folder.path().join(name);
        let ids = names.map(|name| recorder.open(&path(name), &Header::new(name)).unwrap());
        let first = recorder.invoke(ids[0], |op| HistoryEvent::invoke(0, op, "read"));
        let second = recorder.invoke(ids[1], |op| HistoryEvent::invoke(1, op, "tail"));
        recorder.fault(&HistoryEvent::fault(EventKind::FaultBegin, "kill-one", json!({})));
        recorder.complete(ids[1], HistoryEvent::complete(&second, EventKind::Ok));
        recorder.complete(ids[0], HistoryEvent::complete(&first, EventKind::Info));
        recorder.flush().unwrap();
        assert_eq!(
            recorder.counts(),
            Counts {
                invoked: 2,
                ok: 1,
                fail: 0,
                info: 1
            }
        );
        for (name, ended) in names.iter().zip([EventKind::Info, EventKind::Ok]) {
            let file = io::BufReader::new(File::open(path(name)).unwrap());
            let mut reader = HistoryReader::new(file).unwrap();
            let mut kinds = Vec::new();
            let mut time = 0;
            while let Some(event) = reader.next_event().unwrap() {
                assert!(event.time_ns >= time);
                time = event.time_ns;
                kinds.push(event.kind);
            }
            assert_eq!(kinds, [EventKind::Invoke, EventKind::FaultBegin, ended]);
        }
    }
}

//! The one history of a run, shared by clients and nemesis.
//!
//! Invariant: events are written in the order of their times, both assigned under one lock: an operation
//! that completed before another one was invoked stands before it. A history that could not be written
//! is never mistaken for a shorter one: the first failure is kept and ends the run.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::history::{Header, HistoryWriter};
use crate::op::{Event, EventKind};
use crate::results::Counts;

/// Writes the history of a run as it goes.
#[derive(Debug)]
pub struct Recorder {
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    writer: HistoryWriter<BufWriter<File>>,
    failure: Option<io::Error>,
    next_operation: u64,
    counts: Counts,
}

impl Recorder {
    /// Starts a history at `path`. Its time 0 is now.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn create(path: &Path, header: &Header) -> io::Result<Self> {
        let file = BufWriter::with_capacity(BUFFER_BYTES, File::create_new(path)?);
        let writer = HistoryWriter::new(file, header)?;
        let state = State {
            writer,
            failure: None,
            next_operation: 0,
            counts: Counts::default(),
        };
        Ok(Self {
            start: Instant::now(),
            state: Mutex::new(state),
        })
    }

    /// Time since the run began.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Records `event` now. Returns its time in nanoseconds.
    pub fn record(&self, event: Event) -> u64 {
        self.lock().write(event, self.now())
    }

    /// Records an invocation under a fresh operation id and returns it, to be completed.
    pub fn invoke(&self, process: u64, build: impl FnOnce(u64) -> Event) -> Event {
        let mut state = self.lock();
        let event = build(state.next_operation);
        debug_assert!(event.process == Some(process) && event.op == Some(state.next_operation));
        state.next_operation += 1;
        state.write(event.clone(), self.now());
        event
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
        let flushed = state.writer.flush();
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
    fn write(&mut self, mut event: Event, time_ns: u64) -> u64 {
        event.time_ns = time_ns;
        match event.kind {
            EventKind::Invoke => self.counts.invoked += 1,
            EventKind::Ok => self.counts.ok += 1,
            EventKind::Fail => self.counts.fail += 1,
            EventKind::Info => self.counts.info += 1,
            EventKind::FaultBegin | EventKind::FaultOk | EventKind::FaultEnd => {}
        }
        let written = self.writer.record(&mut event).map(drop);
        self.keep(written);
        time_ns
    }

    fn keep(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.failure.get_or_insert(error);
        }
    }
}

/// A few hundred events; flushed several times a second besides.
const BUFFER_BYTES: usize = 64 << 10;

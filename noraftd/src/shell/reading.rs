//! The disk's reading thread: old entries for slow peers and after a restart, and in between the scrub.
//!
//! Invariant: what it gives is intact. Damage is told to the replica, which has it repaired; a disk that cannot be
//! read at all ends the process; a shortage of memory for its maps passes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use noraft::LogIndex;
use tokio::sync::mpsc;

use super::figures::Figures;
use super::storage::{REPORTS_MAX, pause};
use crate::exit::Exit;
use crate::replica::event::Input;
use crate::store::{LogReader, ReadError, Scrubber};

/// Which entries to read.
#[derive(Debug)]
pub(super) struct Fetch {
    pub(super) from: LogIndex,
    pub(super) to: LogIndex,
    pub(super) bytes_max: usize,
}

/// The reading thread: what is asked for, and in between the scrub.
pub(super) struct Reading {
    reader: LogReader,
    scrubber: Scrubber,
    /// Bytes that the scrub may read in a second.
    rate: u64,
    done: mpsc::Sender<Input>,
    figures: Arc<Figures>,
}

impl Reading {
    /// Reads with `reader`; the scrub reads `rate` bytes a second, or nothing.
    pub(super) fn new(
        reader: LogReader,
        rate: u64,
        done: mpsc::Sender<Input>,
        figures: Arc<Figures>,
    ) -> Self {
        Self {
            scrubber: Scrubber::new(reader.clone()),
            reader,
            rate,
            done,
            figures,
        }
    }

    /// Does what is asked for, until nobody can ask any more.
    pub(super) fn run(&mut self, wanted: &Receiver<Fetch>) {
        let mut pause = SCRUB_PAUSE_MAX;
        loop {
            let fetch = if self.rate == 0 {
                wanted.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                wanted.recv_timeout(pause)
            };
            match fetch {
                Ok(fetch) => self.fetch(&fetch),
                Err(RecvTimeoutError::Timeout) => pause = self.scrub(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn fetch(&self, &Fetch { from, to, bytes_max }: &Fetch) {
        let mut is_told = false;
        let read = loop {
            match self.reader.read(from, to, bytes_max) {
                Err(error) if error.is_shortage() => {
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::warn!("cannot read entry {} yet: {error}", from.get());
                    }
                    pause(SCRUB_PAUSE_MAX);
                }
                read => break read,
            }
        };
        let input = match read {
            Ok(records) => Input::Fetched { from, records },
            // Truncated while the fetch was on its way.
            Err(ReadError::Absent(_)) => {
                let records = Vec::new();
                Input::Fetched { from, records }
            }
            Err(error @ ReadError::Damaged { .. }) => {
                tracing::error!("{error}; it is fetched from another node");
                Input::Damaged { from }
            }
            Err(error @ ReadError::Disk { .. }) => fail_to_read(from, &error),
        };
        let _ = self.done.try_send(input);
    }

    /// Reads a little of the log again; gives the pause that keeps to the rate.
    fn scrub(&mut self) -> Duration {
        let read = match self.scrubber.step(SCRUB_BYTES) {
            Ok(read) => read,
            Err(error) if error.is_shortage() => return SCRUB_PAUSE_MAX,
            Err(error) => fail_to_read(self.scrubber.position(), &error),
        };
        if let Some(index) = read.damaged {
            tracing::error!(
                "the scrub found entry {} damaged; it is fetched from another node",
                index.get()
            );
            self.figures.scrub_found.fetch_add(1, Ordering::Relaxed);
            // One finding at a time, so that there is always room for a sync; the next pass tells of the others.
            if self.done.capacity() == REPORTS_MAX {
                let _ = self.done.try_send(Input::Rotten { index });
            }
        }
        self.figures
            .scrub_index
            .store(self.scrubber.position().get(), Ordering::Relaxed);
        self.figures
            .scrub_passes
            .store(self.scrubber.passes(), Ordering::Relaxed);
        if read.bytes == 0 {
            return SCRUB_PAUSE_MAX;
        }
        Duration::from_secs_f64(read.bytes as f64 / self.rate as f64)
    }
}

fn fail_to_read(from: LogIndex, error: &ReadError) -> ! {
    tracing::error!("cannot read entry {}: {error}", from.get());
    Exit::Data.now();
}

/// Bytes that the scrub reads at once: little, for a fetch may come meanwhile.
const SCRUB_BYTES: usize = 64 << 10;
/// Between two passes, at the least.
const SCRUB_PAUSE_MAX: Duration = Duration::from_secs(1);

//! The disk's reading thread: what the loop asks for, and in between the scrub.
//!
//! Invariant: a fetch never waits for the scrub longer than one of its steps takes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::figures::Figures;
use super::storage::{REPORTS_MAX, pause};
use crate::replica::event::Input;
use crate::storage::reading::ReadStop;
use crate::storage::{Fetch, FetchStep, ReadDriver};
use crate::store::LogReader;

/// The reading thread.
pub(super) struct Reading {
    driver: ReadDriver,
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
            driver: ReadDriver::new(reader, SCRUB_BYTES),
            rate,
            done,
            figures,
        }
    }

    /// Does what is asked for, until the loop has ended.
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

    fn fetch(&self, fetch: &Fetch) {
        let mut is_reported = false;
        let input = loop {
            match self.driver.fetch(fetch) {
                FetchStep::Done { input, damage } => {
                    if let Some(damage) = damage {
                        tracing::error!("{damage}; it is fetched from another node");
                    }
                    break input;
                }
                FetchStep::Retry(why) => {
                    if !std::mem::replace(&mut is_reported, true) {
                        tracing::warn!("cannot read entry {} yet: {why}", fetch.from.get());
                    }
                    pause(SCRUB_PAUSE_MAX);
                }
                FetchStep::Stop(stop) => end(&stop),
            }
        };
        let _ = self.done.try_send(input);
    }

    /// Reads a little of the log again; gives the pause that keeps to the rate.
    fn scrub(&mut self) -> Duration {
        let read = self.driver.scrub().unwrap_or_else(|stop| end(&stop));
        if let Some(index) = read.and_then(|read| read.damaged) {
            tracing::error!(
                "the scrub found entry {} damaged; it is fetched from another node",
                index.get()
            );
            self.figures.scrub_found.fetch_add(1, Ordering::Relaxed);
        }
        // One finding at a time, so that there is always room for a sync.
        if let Some(news) = self.driver.news()
            && self.done.capacity() == REPORTS_MAX
            && self.done.try_send(news).is_ok()
        {
            self.driver.note_reported();
        }
        let scrubber = self.driver.scrubber();
        self.figures
            .scrub_index
            .store(scrubber.position().get(), Ordering::Relaxed);
        self.figures
            .scrub_passes
            .store(scrubber.passes(), Ordering::Relaxed);
        match read {
            Some(read) if read.bytes > 0 => Duration::from_secs_f64(read.bytes as f64 / self.rate as f64),
            Some(_) | None => SCRUB_PAUSE_MAX,
        }
    }
}

fn end(stop: &ReadStop) -> ! {
    tracing::error!("{stop}");
    stop.exit().now();
}

/// Bytes that the scrub reads at once: little, for a fetch may come meanwhile.
const SCRUB_BYTES: usize = 64 << 10;
/// Between two passes, at the least.
const SCRUB_PAUSE_MAX: Duration = Duration::from_secs(1);

//! The reading side: old entries for slow peers and after a restart, and in between the scrub.
//!
//! Invariant: what it gives is intact. Damage is reported to the replica, which has it repaired; a disk that cannot be
//! read at all ends the process; a shortage of memory for its maps passes.

use noraft::LogIndex;

use crate::exit::Exit;
use crate::replica::event::Input;
use crate::store::{LogReader, ReadError, Scrubbed, Scrubber};

/// Which entries to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetch {
    /// The first.
    pub from: LogIndex,
    /// The last.
    pub to: LogIndex,
    /// Stop after the record that reaches this many payload bytes.
    pub bytes_max: usize,
}

/// What came of a fetch.
#[derive(Debug)]
pub enum FetchStep {
    /// It is over, and this is what the replica has to know.
    Done {
        /// The answer.
        input: Input,
        /// The damage, when the first entry is damaged.
        damage: Option<ReadError>,
    },
    /// The system had no memory or descriptor to give: to be run again after a while.
    Retry(ReadError),
    /// The process has to end.
    Stop(ReadStop),
}

/// The disk cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read entry {}: {why}", .from.get())]
pub struct ReadStop {
    /// The first entry that was wanted.
    pub from: LogIndex,
    /// What went wrong.
    #[source]
    pub why: ReadError,
}

impl ReadStop {
    /// How the process ends. What it read was no damage: the disk gave nothing.
    pub fn exit(&self) -> Exit {
        Exit::Disk
    }
}

/// Reads entries, and scrubs.
pub struct ReadDriver {
    reader: LogReader,
    scrubber: Scrubber,
    /// Bytes that one step of the scrub reads.
    step_bytes: usize,
    /// What the scrub found, until it was passed on.
    found: Option<LogIndex>,
}

impl ReadDriver {
    /// Reads with `reader`; the scrub reads `step_bytes` bytes at once.
    pub fn new(reader: LogReader, step_bytes: usize) -> Self {
        Self {
            scrubber: Scrubber::new(reader.clone()),
            reader,
            step_bytes,
            found: None,
        }
    }

    /// Reads entries without a decision.
    pub fn reader(&self) -> &LogReader {
        &self.reader
    }

    /// How far the scrub is.
    pub fn scrubber(&self) -> &Scrubber {
        &self.scrubber
    }

    /// Reads entries.
    pub fn fetch(&self, &Fetch { from, to, bytes_max }: &Fetch) -> FetchStep {
        match self.reader.read(from, to, bytes_max) {
            Ok(records) => FetchStep::Done {
                input: Input::Fetched { from, records },
                damage: None,
            },
            // Truncated while the fetch was on its way.
            Err(ReadError::Absent(_)) => FetchStep::Done {
                input: Input::Fetched {
                    from,
                    records: Vec::new(),
                },
                damage: None,
            },
            Err(why @ ReadError::Damaged { .. }) => FetchStep::Done {
                input: Input::FetchFailed { from },
                damage: Some(why),
            },
            Err(why @ ReadError::Disk { .. }) if why.is_shortage() => FetchStep::Retry(why),
            Err(why @ ReadError::Disk { .. }) => FetchStep::Stop(ReadStop { from, why }),
        }
    }

    /// Reads a little of the log again, unless a finding was not passed on yet. `None` when the system was short of
    /// something, which passes.
    ///
    /// # Errors
    ///
    /// When the disk cannot be read: the process has to end.
    pub fn scrub(&mut self) -> Result<Option<Scrubbed>, ReadStop> {
        if self.found.is_some() {
            return Ok(None);
        }
        match self.scrubber.step(self.step_bytes) {
            Ok(read) => {
                self.found = read.damaged;
                Ok(Some(read))
            }
            Err(why) if why.is_shortage() => Ok(None),
            Err(why) => Err(ReadStop {
                from: self.scrubber.position(),
                why,
            }),
        }
    }

    /// The damaged entry that the replica does not know of yet; to be followed by [`Self::note_reported`].
    pub fn news(&self) -> Option<Input> {
        self.found.map(|index| Input::EntryDamaged { index })
    }

    /// The replica knows of it.
    pub fn note_reported(&mut self) {
        self.found = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_cannot_be_read_is_one_that_failed() {
        let stop = ReadStop {
            from: LogIndex::new(7),
            why: ReadError::Disk {
                file: "segment-1".to_owned(),
                source: std::io::Error::from_raw_os_error(5),
            },
        };
        assert_eq!(stop.exit(), Exit::Disk);
    }
}

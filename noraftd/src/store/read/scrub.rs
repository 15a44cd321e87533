//! Reading what is durable again, little by little, so that damage is found while others can still repair it.
//!
//! Invariant: a pass reads every entry that the log held when the pass came by, with all its crcs; the scrubber
//! changes nothing, and keeps nothing but its place.

use noraft::LogIndex;

use crate::store::error::ReadError;
use crate::store::format::layout::RECORD_HEADER_BYTES;
use crate::store::read::reader::LogReader;

/// Goes through the log again and again.
pub struct Scrubber {
    reader: LogReader,
    next: LogIndex,
    passes: u64,
}

/// What one step has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scrubbed {
    /// Bytes of the records that were read.
    pub bytes: u64,
    /// An entry that is damaged; the step ended there.
    pub damaged: Option<LogIndex>,
}

impl Scrubber {
    /// Begins with the oldest entry that `reader` reads.
    pub fn new(reader: LogReader) -> Self {
        Self {
            reader,
            next: LogIndex::ZERO,
            passes: 0,
        }
    }

    /// Reads on, about `bytes_max` bytes of payload; from the beginning when the end is reached.
    ///
    /// # Errors
    ///
    /// When the disk cannot be read.
    pub fn step(&mut self, bytes_max: usize) -> Result<Scrubbed, ReadError> {
        let nothing = Scrubbed {
            bytes: 0,
            damaged: None,
        };
        let Some((first, last)) = self.reader.bounds() else {
            return Ok(nothing);
        };
        if self.next > last {
            self.passes += 1;
            self.next = LogIndex::ZERO;
            return Ok(nothing);
        }
        let from = self.next.max(first);
        match self.reader.read(from, last, bytes_max) {
            Ok(records) => {
                let bytes = records
                    .iter()
                    .map(|record| record.payload.len() as u64 + ENTRY_BYTES);
                self.next = LogIndex::new(from.get() + records.len() as u64);
                let bytes = bytes.sum();
                Ok(Scrubbed { bytes, ..nothing })
            }
            Err(ReadError::Damaged { .. }) => {
                self.next = LogIndex::new(from.get() + 1);
                Ok(Scrubbed {
                    bytes: ENTRY_BYTES,
                    damaged: Some(from),
                })
            }
            // Truncated or covered meanwhile.
            Err(ReadError::Absent(_)) => {
                self.next = LogIndex::new(from.get() + 1);
                Ok(nothing)
            }
            Err(error @ ReadError::Disk { .. }) => Err(error),
        }
    }

    /// The next entry to be read.
    pub fn position(&self) -> LogIndex {
        self.next
    }

    /// How often the whole log was read.
    pub fn passes(&self) -> u64 {
        self.passes
    }
}

/// What a record takes beside its payload.
const ENTRY_BYTES: u64 = RECORD_HEADER_BYTES as u64;

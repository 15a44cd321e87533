//! Reading entries back, beside the writer.
//!
//! Invariant: a reader sees what is durable, and gives nothing whose crc it has not checked: an entry that is
//! not what was written is named, never given. The lock is held for a few look-ups at a time, never for a read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use noraft::LogIndex;

use crate::record::{Hole, Record};
use crate::store::disk::DiskFile;
use crate::store::error::ReadError;
use crate::store::format::batch::{BatchHeader, RecordHeader, record_seed};
use crate::store::format::codec::crc;
use crate::store::format::layout::{BATCH_HEADER_BYTES, PAGE, RECORD_HEADER_BYTES};
use crate::store::format::segment::{SegmentHeader, file_name};
use crate::store::shape::{Extent, Extents};

/// A segment that readers may look into.
#[derive(Clone)]
pub(in crate::store) struct ReadableSegment {
    pub(in crate::store) name: String,
    /// The index before the first entry that was appended to it.
    pub(in crate::store) prev_index: u64,
    pub(in crate::store) salt: u64,
    pub(in crate::store) file: Arc<dyn DiskFile>,
    /// The byte after the last batch that fits.
    pub(in crate::store) batches_end: u64,
}

impl ReadableSegment {
    pub(in crate::store) fn new(header: &SegmentHeader, file: Arc<dyn DiskFile>) -> Self {
        Self {
            name: file_name(header.number),
            prev_index: header.prev.index.get(),
            salt: header.salt,
            file,
            batches_end: header.batches_end(),
        }
    }
}

/// What writer and readers share.
#[derive(Default)]
pub(in crate::store) struct Directory {
    pub(in crate::store) first: u64,
    pub(in crate::store) extents: Extents,
    /// Entries that are known not to be readable.
    pub(in crate::store) holes: BTreeMap<u64, Hole>,
    pub(in crate::store) segments: BTreeMap<u64, Arc<ReadableSegment>>,
}

/// The directory of the log, whatever became of other threads.
pub(in crate::store) fn lock(directory: &Mutex<Directory>) -> MutexGuard<'_, Directory> {
    directory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads entries that are durable, beside the writer.
#[derive(Clone)]
pub struct LogReader {
    directory: Arc<Mutex<Directory>>,
}

impl LogReader {
    pub(in crate::store) fn new(directory: Arc<Mutex<Directory>>) -> Self {
        Self { directory }
    }

    /// The first and the last entry that are durable; `None` for an empty log.
    pub fn bounds(&self) -> Option<(LogIndex, LogIndex)> {
        let directory = lock(&self.directory);
        let last = directory
            .extents
            .last()
            .max(directory.holes.keys().next_back().copied());
        let last = last.filter(|last| *last >= directory.first)?;
        Some((LogIndex::new(directory.first), LogIndex::new(last)))
    }

    /// Records `from..=to`, fewer when `bytes_max` payload bytes are reached (at least one), each intact.
    ///
    /// # Errors
    ///
    /// [`ReadError::Absent`] when `from` is not in the log; [`ReadError::Damaged`] when its bytes are not what
    /// was written. Trouble with a later record ends the answer before it.
    pub fn read(&self, from: LogIndex, to: LogIndex, bytes_max: usize) -> Result<Vec<Record>, ReadError> {
        let mut reading = Reading {
            next: from.get(),
            to: to.get(),
            bytes_left: bytes_max,
            records: Vec::new(),
        };
        while reading.wants_more() {
            match self.read_batch(&mut reading) {
                Ok(()) => {}
                Err(_) if !reading.records.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        if reading.records.is_empty() {
            return Err(ReadError::Absent(from));
        }
        Ok(reading.records)
    }

    /// Reads what the batch that holds the next record has of the records wanted.
    fn read_batch(&self, reading: &mut Reading) -> Result<(), ReadError> {
        let (extent, segment) = self.locate(reading.next)?;
        let offset = u64::from(extent.page) * PAGE as u64;
        let mut outcome = Ok(());
        let last = extent.first + u64::from(extent.count) - 1;
        segment
            .file
            .view(offset, (segment.batches_end - offset) as usize, &mut |bytes| {
                outcome = reading.take(bytes, segment.salt, last);
            })
            .map_err(|source| ReadError::Disk {
                file: segment.name.clone(),
                source,
            })?;
        outcome.map_err(|(at, found)| ReadError::Damaged {
            file: segment.name.clone(),
            offset: offset + at as u64,
            index: reading.next,
            found,
        })
    }

    fn locate(&self, index: u64) -> Result<(Extent, Arc<ReadableSegment>), ReadError> {
        // A writer that panicked left both tables whole: each is changed by calls that do not panic.
        let directory = lock(&self.directory);
        if index >= directory.first && directory.holes.contains_key(&index) {
            return Err(ReadError::Damaged {
                file: "the log".to_owned(),
                offset: 0,
                index,
                found: "it was not readable when the directory was opened",
            });
        }
        let extent = directory.extents.find(index).filter(|_| index >= directory.first);
        let found =
            extent.and_then(|extent| Some((extent, directory.segments.get(&extent.segment)?.clone())));
        found.ok_or(ReadError::Absent(LogIndex::new(index)))
    }
}

/// One answer of a reader, as it grows.
struct Reading {
    next: u64,
    to: u64,
    bytes_left: usize,
    records: Vec<Record>,
}

impl Reading {
    fn wants_more(&self) -> bool {
        self.next <= self.to && (self.records.is_empty() || self.bytes_left > 0)
    }

    /// Takes the records wanted from the batch at the front of `bytes`; its live entries end with `last`.
    fn take(&mut self, bytes: &[u8], salt: u64, last: u64) -> Result<(), (usize, &'static str)> {
        let batch = BatchHeader::decode(bytes, salt).map_err(|found| (0, found))?;
        let area = bytes
            .get(..BATCH_HEADER_BYTES + batch.length)
            .ok_or((0, "a batch is cut short"))?;
        let seed = record_seed(salt, batch.link.lsn);
        let heads = self.choose(area, seed, last)?;
        let (Some((start, _)), Some((end_at, end))) = (heads.first(), heads.last()) else {
            return Err((0, "the entry is not in its batch"));
        };
        let copied = area.get(*start..end_at + RECORD_HEADER_BYTES + end.length);
        let copied = Bytes::copy_from_slice(copied.ok_or((*end_at, "a record is cut short"))?);
        for (at, head) in &heads {
            let from = at - start + RECORD_HEADER_BYTES;
            self.add(head, copied.slice(from..from + head.length))
                .map_err(|found| (*at, found))?;
        }
        Ok(())
    }

    /// The records to take, with their offsets.
    fn choose(
        &self,
        area: &[u8],
        seed: u32,
        last: u64,
    ) -> Result<Vec<(usize, RecordHeader)>, (usize, &'static str)> {
        let (mut chosen, mut at, mut next, mut bytes_left) =
            (Vec::new(), BATCH_HEADER_BYTES, self.next, self.bytes_left);
        while at < area.len() && next <= last.min(self.to) {
            let head = match RecordHeader::decode(&area[at..], seed) {
                Err(found) if chosen.is_empty() => return Err((at, found)),
                Err(_) => break,
                Ok(head) => head,
            };
            if head.held_entry().is_some() && head.index == next {
                chosen.push((at, head));
                next += 1;
                bytes_left = bytes_left.saturating_sub(head.length);
                if bytes_left == 0 {
                    break;
                }
            }
            at += head.span();
        }
        Ok(chosen)
    }

    /// Adds one record, unless its payload is damaged.
    fn add(&mut self, head: &RecordHeader, payload: Bytes) -> Result<(), &'static str> {
        if crc(0, &payload) != head.payload_crc {
            return Err("the payload is not what was written");
        }
        self.records.push(Record {
            position: head.position(),
            kind: head.held_entry().ok_or("the record is no entry")?,
            stamp: head.stamp,
            payload,
            payload_crc: head.payload_crc,
        });
        self.next += 1;
        self.bytes_left = self.bytes_left.saturating_sub(head.length);
        Ok(())
    }
}

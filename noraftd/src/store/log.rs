//! What is in the log, and where: kept small, whatever the log's length.
//!
//! Invariants: [`Shape`] costs O(terms + configurations), [`Extents`] 24 bytes a batch. Both change only
//! when a batch has become durable, so a [`LogReader`] never sees bytes that a crash could take back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use noraft::{ClusterConfig, Log, LogEntries, LogEntry, LogIndex, LogPosition, Term};

use super::ReadError;
use super::batch::{BATCH_HEADER_BYTES, BatchHeader, RECORD_HEADER_BYTES, RecordHeader, record_seed};
use super::codec::crc;
use super::disk::DiskFile;
use super::segment::PAGE;
use crate::record::Record;

/// Terms and configurations of the log.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    base: Option<(LogPosition, ClusterConfig)>,
    /// The first index of each term after the base, rising in both.
    terms: Vec<(u64, u64)>,
    configs: BTreeMap<u64, ClusterConfig>,
    prev: Plain,
    last: u64,
}

/// A position as plain numbers; (0, 0) by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Plain {
    term: u64,
    index: u64,
}

/// Consecutive entries of one term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: u64,
    pub(super) count: u32,
    pub(super) term: u64,
    /// True when the first entry is the one that begins its term.
    pub(super) opens: bool,
}

impl Run {
    pub(super) fn last(&self) -> u64 {
        self.first + u64::from(self.count) - 1
    }
}

impl Shape {
    /// A log of which nothing is known but the position before its first entry.
    pub(super) fn after(prev: LogPosition) -> Self {
        let prev = Plain {
            term: prev.term.get(),
            index: prev.index.get(),
        };
        Self {
            prev,
            last: prev.index,
            ..Self::default()
        }
    }

    /// The last position.
    pub(super) fn last_position(&self) -> LogPosition {
        let term = self.term_at(self.last).expect("the last index is in the log");
        LogPosition {
            term: Term::new(term),
            index: LogIndex::new(self.last),
        }
    }

    /// Where the log begins.
    pub(super) fn base_position(&self) -> LogPosition {
        LogPosition {
            term: Term::new(self.prev.term),
            index: LogIndex::new(self.prev.index),
        }
    }

    /// The term of the entry at `index`, or of the position before the first.
    pub(super) fn term_at(&self, index: u64) -> Option<u64> {
        if index < self.prev.index || index > self.last {
            return None;
        }
        let later = self.terms.partition_point(|(first, _)| *first <= index);
        Some(later.checked_sub(1).map_or(self.prev.term, |at| self.terms[at].1))
    }

    /// True when the log holds an entry at `position`, or begins after it.
    pub(super) fn contains(&self, position: LogPosition) -> bool {
        self.term_at(position.index.get()) == Some(position.term.get())
    }

    /// True when no base is known yet, and the first entry comes later than the one after `position`.
    pub(super) fn begins_after(&self, position: LogPosition) -> bool {
        self.base.is_none() && position.index.get() < self.prev.index
    }

    /// Adds entries at the end.
    pub(super) fn append(&mut self, run: Run) -> Result<(), &'static str> {
        let last = self.last_position();
        if run.first.checked_sub(1) != Some(self.last) {
            return Err("an entry does not follow the one before it");
        }
        if run.first.checked_add(u64::from(run.count)).is_none() {
            return Err("the index space is at its end");
        }
        match (run.opens, run.term.cmp(&last.term.get())) {
            (false, std::cmp::Ordering::Equal) => {}
            (true, std::cmp::Ordering::Greater) => self.terms.push((run.first, run.term)),
            (true | false, _) => return Err("the term of an entry does not follow from the one before it"),
        }
        self.last = run.last();
        Ok(())
    }

    /// Notes the configuration in the entry at `index`.
    pub(super) fn configure(&mut self, index: u64, config: ClusterConfig) {
        self.configs.insert(index, config);
    }

    /// Drops all entries after `position`, which the log holds.
    pub(super) fn truncate(&mut self, position: LogPosition) -> Result<(), &'static str> {
        if !self.contains(position) {
            return Err("entries after a position are void, but the log does not hold that position");
        }
        self.last = position.index.get();
        let kept = self.terms.partition_point(|(first, _)| *first <= self.last);
        self.terms.truncate(kept);
        self.configs.split_off(&(self.last + 1));
        Ok(())
    }

    /// Makes `position` the base: entries up to it are covered. Entries after it stay when the log holds it.
    pub(super) fn rebase(&mut self, position: LogPosition, config: ClusterConfig) {
        let (term, index) = (position.term.get(), position.index.get());
        if self.contains(position) {
            let covered = self.terms.partition_point(|(first, _)| *first <= index);
            self.terms.drain(..covered);
            self.configs = self.configs.split_off(&(index + 1));
        } else {
            self.terms.clear();
            self.configs.clear();
            self.last = index;
        }
        self.prev = Plain { term, index };
        self.base = Some((position, config));
    }

    /// The configuration in force at the end, once a base is known.
    pub(super) fn latest_config(&self) -> Option<&ClusterConfig> {
        let (_, config) = self.base.as_ref()?;
        Some(self.configs.values().next_back().unwrap_or(config))
    }

    /// The log as the core knows it, once a base is known.
    pub(super) fn to_log(&self) -> Option<Log> {
        let (position, config) = self.base.clone()?;
        let mut terms = self.terms.iter().peekable();
        let mut configs = self.configs.iter().peekable();
        let entries = (self.prev.index + 1..=self.last).map(|index| {
            if let Some((_, term)) = terms.next_if(|(first, _)| *first == index) {
                return LogEntry::Term(Term::new(*term));
            }
            match configs.next_if(|(at, _)| **at == index) {
                Some((_, config)) => LogEntry::ClusterConfig(config.clone()),
                None => LogEntry::Command,
            }
        });
        Some(Log::new(config, LogEntries::from_iter(position, entries)))
    }
}

/// Where the entries of one batch are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) first: u64,
    pub(super) segment: u64,
    pub(super) page: u32,
    pub(super) count: u32,
}

/// Where every entry is, in rising order.
#[derive(Debug, Clone, Default)]
pub(super) struct Extents(VecDeque<Extent>);

impl Extents {
    /// Adds entries that follow the last.
    pub(super) fn push(&mut self, extent: Extent) {
        match self.0.back_mut() {
            Some(last) if (last.segment, last.page) == (extent.segment, extent.page) => {
                last.count += extent.count
            }
            Some(_) | None => self.0.push_back(extent),
        }
    }

    /// Forgets the entries after `last`.
    pub(super) fn truncate(&mut self, last: u64) {
        while self.0.back().is_some_and(|extent| extent.first > last) {
            self.0.pop_back();
        }
        if let Some(extent) = self.0.back_mut() {
            let left = u32::try_from(last - extent.first + 1).unwrap_or(u32::MAX);
            extent.count = extent.count.min(left);
        }
    }

    /// Forgets the entries up to `index`.
    pub(super) fn drop_until(&mut self, index: u64) {
        while self
            .0
            .front()
            .is_some_and(|extent| extent.first + u64::from(extent.count) - 1 <= index)
        {
            self.0.pop_front();
        }
    }

    fn find(&self, index: u64) -> Option<Extent> {
        let after = self.0.partition_point(|extent| extent.first <= index);
        let extent = *self.0.get(after.checked_sub(1)?)?;
        (index - extent.first < u64::from(extent.count)).then_some(extent)
    }
}

/// A segment that readers may look into.
#[derive(Clone)]
pub(super) struct ReadableSegment {
    pub(super) name: String,
    /// The index before the first entry that was appended to it.
    pub(super) prev_index: u64,
    pub(super) salt: u64,
    pub(super) file: Arc<dyn DiskFile>,
    /// The byte after the last batch that fits.
    pub(super) batches_end: u64,
}

/// What writer and readers share; the lock is held for a few look-ups at a time, never for a read.
#[derive(Default)]
pub(super) struct Directory {
    pub(super) first: u64,
    pub(super) extents: Extents,
    pub(super) segments: BTreeMap<u64, Arc<ReadableSegment>>,
}

/// Reads entries that are durable, beside the writer.
#[derive(Clone)]
pub struct LogReader {
    directory: Arc<Mutex<Directory>>,
}

impl LogReader {
    pub(super) fn new(directory: Arc<Mutex<Directory>>) -> Self {
        Self { directory }
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
        let (extent, segment) = self
            .locate(reading.next)
            .ok_or(ReadError::Absent(LogIndex::new(reading.next)))?;
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

    fn locate(&self, index: u64) -> Option<(Extent, Arc<ReadableSegment>)> {
        // A writer that panicked left both tables whole: each is changed by calls that do not panic.
        let directory = self.directory.lock().unwrap_or_else(PoisonError::into_inner);
        let extent = directory.extents.find(index)?;
        if index < directory.first {
            return None;
        }
        Some((extent, directory.segments.get(&extent.segment)?.clone()))
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
            if head.kind.entry().is_some() && head.index == next {
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
            kind: head.kind.entry().ok_or("the record is no entry")?,
            stamp: head.stamp,
            payload,
            payload_crc: head.payload_crc,
        });
        self.next += 1;
        self.bytes_left = self.bytes_left.saturating_sub(head.length);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(term: u64, index: u64) -> LogPosition {
        LogPosition {
            term: Term::new(term),
            index: LogIndex::new(index),
        }
    }

    fn run(first: u64, count: u32, term: u64, opens: bool) -> Run {
        Run {
            first,
            count,
            term,
            opens,
        }
    }

    #[test]
    fn the_shape_follows_appends_and_truncation() {
        let mut shape = Shape::after(LogPosition::ZERO);
        shape.rebase(LogPosition::ZERO, ClusterConfig::new());
        shape.append(run(1, 3, 1, true)).unwrap();
        shape.append(run(4, 2, 3, true)).unwrap();
        assert_eq!(shape.last_position(), at(3, 5));
        assert_eq!(
            (shape.term_at(3), shape.term_at(4), shape.term_at(6)),
            (Some(1), Some(3), None)
        );
        shape.truncate(at(1, 2)).unwrap();
        assert_eq!(shape.last_position(), at(1, 2));
        assert!(shape.truncate(at(3, 2)).is_err());
        let log = shape.to_log().unwrap();
        assert_eq!(log.last_position(), at(1, 2));
        assert_eq!(
            log.entries().get_entry(LogIndex::new(1)),
            Some(LogEntry::Term(Term::new(1)))
        );
    }

    #[test]
    fn entries_that_do_not_follow_are_refused() {
        let mut shape = Shape::after(at(2, 5));
        for bad in [
            run(7, 1, 2, false),
            run(6, 1, 3, false),
            run(6, 1, 2, true),
            run(6, 1, 1, true),
        ] {
            assert!(shape.append(bad).is_err(), "{bad:?}");
        }
        shape.append(run(6, 1, 2, false)).unwrap();
    }

    #[test]
    fn a_base_keeps_the_suffix_of_a_log_that_holds_it() {
        let mut shape = Shape::after(LogPosition::ZERO);
        shape.append(run(1, 9, 1, true)).unwrap();
        shape.rebase(at(1, 4), ClusterConfig::new());
        assert_eq!(shape.last_position(), at(1, 9));
        shape.rebase(at(2, 7), ClusterConfig::new());
        assert_eq!(shape.last_position(), at(2, 7));
    }

    #[test]
    fn extents_find_what_was_pushed_and_not_truncated() {
        let mut extents = Extents::default();
        for page in 1..=4 {
            extents.push(Extent {
                first: u64::from(page) * 10 - 9,
                segment: 1,
                page,
                count: 10,
            });
        }
        extents.truncate(25);
        extents.drop_until(10);
        assert_eq!(extents.find(11).map(|found| found.page), Some(2));
        assert_eq!(extents.find(25).map(|found| found.page), Some(3));
        assert_eq!((extents.find(26), extents.find(10)), (None, None));
    }
}

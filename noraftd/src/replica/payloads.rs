//! Recent records by position, and the last chunk that was read back from the log.
//!
//! Invariant: the window is a contiguous run of the log in memory that includes every entry that is not yet
//! durable; a lookup compares the whole position, never the index alone (a payload of another term at the
//! same index is another command).

use std::collections::VecDeque;

use noraft::{LogIndex, LogPosition};

use crate::record::Record;

#[derive(Debug)]
pub(super) struct Payloads {
    window: VecDeque<Record>,
    window_bytes: usize,
    bytes_max: usize,
    /// Records read back for a lagging peer or for applying after a restart.
    fetched: Vec<Record>,
}

/// What a record costs beside its payload.
const RECORD_BYTES: usize = size_of::<Record>();

impl Payloads {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            window: VecDeque::new(),
            window_bytes: 0,
            bytes_max,
            fetched: Vec::new(),
        }
    }

    /// Adds an entry that was just appended to the log in memory; entries from its index on are replaced.
    pub(super) fn put(&mut self, record: Record) {
        let index = record.position.index.get();
        let first = self.window.front().map_or(index, |r| r.position.index.get());
        let offset = index.checked_sub(first).and_then(|at| usize::try_from(at).ok());
        match offset {
            Some(at) if at < self.window.len() => {
                if self.window[at].position == record.position {
                    return;
                }
                self.truncate(at);
            }
            Some(at) if at == self.window.len() => {}
            Some(_) | None => self.truncate(0),
        }
        self.window_bytes += cost(&record);
        self.window.push_back(record);
    }

    /// The record at exactly this position, if it is in memory.
    pub(super) fn get(&self, position: LogPosition) -> Option<&Record> {
        at(&self.window, position).or_else(|| self.fetched_at(position))
    }

    /// The record at exactly this position, if it is in memory and still what it was: what has rotted there is to be read
    /// again, and must not spread.
    pub(super) fn intact(&self, position: LogPosition) -> Option<&Record> {
        let is_intact = |record: &&Record| record.is_intact();
        let in_window = at(&self.window, position).filter(is_intact);
        in_window.or_else(|| self.fetched_at(position).filter(is_intact))
    }

    fn fetched_at(&self, position: LogPosition) -> Option<&Record> {
        let first = self.fetched.first()?.position.index.get();
        let offset = usize::try_from(position.index.get().checked_sub(first)?).ok()?;
        self.fetched
            .get(offset)
            .filter(|record| record.position == position)
    }

    /// Keeps a chunk that was read back, until the next one.
    pub(super) fn keep_fetched(&mut self, records: Vec<Record>) {
        self.fetched = records;
    }

    /// Drops the oldest records while over the limit; only those up to `upto`, which can be read back.
    pub(super) fn evict(&mut self, upto: LogIndex) {
        while self.window_bytes > self.bytes_max {
            match self.window.front() {
                Some(oldest) if oldest.position.index <= upto => {
                    self.window_bytes -= cost(oldest);
                    self.window.pop_front();
                }
                Some(_) | None => return,
            }
        }
    }

    /// The log in memory was replaced.
    pub(super) fn clear(&mut self) {
        self.truncate(0);
        self.fetched.clear();
    }

    fn truncate(&mut self, len: usize) {
        let dropped: usize = self.window.iter().skip(len).map(cost).sum();
        self.window_bytes -= dropped;
        self.window.truncate(len);
    }
}

fn at(window: &VecDeque<Record>, position: LogPosition) -> Option<&Record> {
    let first = window.front()?.position.index.get();
    let offset = usize::try_from(position.index.get().checked_sub(first)?).ok()?;
    window.get(offset).filter(|record| record.position == position)
}

fn cost(record: &Record) -> usize {
    RECORD_BYTES + record.payload.len()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use noraft::Term;

    use super::*;
    use crate::record::RecordKind;
    use crate::time::Stamp;

    fn position(term: u64, index: u64) -> LogPosition {
        LogPosition {
            term: Term::new(term),
            index: LogIndex::new(index),
        }
    }

    fn record(term: u64, index: u64) -> Record {
        let payload = Bytes::from(format!("{term}:{index}"));
        Record::new(
            position(term, index),
            RecordKind::Command,
            Stamp::default(),
            payload,
        )
    }

    #[test]
    fn a_payload_of_another_term_at_the_same_index_is_not_found() {
        let mut payloads = Payloads::new(usize::MAX);
        payloads.put(record(1, 1));
        payloads.put(record(1, 2));
        assert!(payloads.get(position(2, 2)).is_none());
        payloads.put(record(2, 2));
        assert!(payloads.get(position(1, 2)).is_none());
        assert_eq!(payloads.get(position(2, 2)), Some(&record(2, 2)));
        assert_eq!(payloads.get(position(1, 1)), Some(&record(1, 1)));
    }

    #[test]
    fn eviction_spares_what_is_not_durable() {
        let mut payloads = Payloads::new(0);
        (1..=4).for_each(|index| payloads.put(record(1, index)));
        payloads.evict(LogIndex::new(2));
        assert!(payloads.get(position(1, 2)).is_none());
        assert_eq!(payloads.get(position(1, 3)), Some(&record(1, 3)));
        payloads.evict(LogIndex::new(4));
        assert_eq!(payloads.window_bytes, 0);
    }

    #[test]
    fn what_has_rotted_in_memory_is_given_when_it_was_read_again() {
        let mut payloads = Payloads::new(usize::MAX);
        let whole = record(1, 1);
        let rotten = Record {
            payload: Bytes::from_static(b"1;1"),
            ..whole.clone()
        };
        payloads.put(rotten);
        assert!(payloads.get(position(1, 1)).is_some());
        assert!(payloads.intact(position(1, 1)).is_none());
        payloads.keep_fetched(vec![whole.clone()]);
        assert_eq!(payloads.intact(position(1, 1)), Some(&whole));
        assert!(payloads.intact(position(2, 1)).is_none());
    }

    #[test]
    fn a_fetched_chunk_answers_beside_the_window() {
        let mut payloads = Payloads::new(0);
        payloads.put(record(1, 10));
        payloads.keep_fetched(vec![record(1, 3), record(1, 4)]);
        assert_eq!(payloads.get(position(1, 4)), Some(&record(1, 4)));
        assert!(payloads.get(position(1, 5)).is_none());
        assert!(payloads.get(position(2, 4)).is_none());
    }
}

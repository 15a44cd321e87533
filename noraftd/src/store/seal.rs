//! The index that a SEAL record carries: a second copy of the identity of every entry of the segment.
//!
//! Invariant: entries are listed in the order in which they stand in the segment, void ones included.
//!
//! | bytes | field |
//! |-|-|
//! | 0..4 | number of runs |
//! | 4..8 | number of entries |
//! | 24 each | run of consecutive entries of one term: first index, term, count (u32), zero (u32) |
//! | 8 each | entry: offset in the segment in units of 8 bytes (u32), crc of its payload (u32) |

use noraft::LogPosition;

use super::batch::RecordHeader;

/// Collects the index of a segment while it is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SealIndex {
    runs: Vec<Run>,
    entries: Vec<[u32; 2]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: u64,
    term: u64,
    count: u32,
}

impl SealIndex {
    /// Notes the entry at byte `offset` of the segment.
    pub(super) fn add(&mut self, position: LogPosition, offset: u64, payload_crc: u32) {
        let (index, term) = (position.index.get(), position.term.get());
        match self.runs.last_mut() {
            Some(run) if run.term == term && run.first + u64::from(run.count) == index => run.count += 1,
            Some(_) | None => self.runs.push(Run {
                first: index,
                term,
                count: 1,
            }),
        }
        let units = u32::try_from(offset / 8).expect("a segment has at most 2^32 units of 8 bytes");
        self.entries.push([units, payload_crc]);
    }

    /// Bytes of the index when `entries` more have been added, in at most `runs` more runs.
    pub(super) fn bytes_with(&self, entries: usize, runs: usize) -> usize {
        8 + 24 * (self.runs.len() + runs) + 8 * (self.entries.len() + entries)
    }

    /// Forgets what was added after the first `entries`, which ended with `runs`.
    pub(super) fn rewind(&mut self, mark: &SealMark) {
        self.entries.truncate(mark.entries);
        self.runs.truncate(mark.runs);
        if let (Some(run), Some(count)) = (self.runs.last_mut(), mark.last_count) {
            run.count = count;
        }
    }

    /// A place to rewind to.
    pub(super) fn mark(&self) -> SealMark {
        let last_count = self.runs.last().map(|run| run.count);
        SealMark {
            entries: self.entries.len(),
            runs: self.runs.len(),
            last_count,
        }
    }

    /// The SEAL record's header and payload.
    pub(super) fn encode(&self) -> (RecordHeader, Vec<u8>) {
        let mut out = Vec::with_capacity(self.bytes_with(0, 0));
        let count = |length: usize| u32::try_from(length).expect("a segment holds fewer than 2^32 entries");
        out.extend_from_slice(&count(self.runs.len()).to_le_bytes());
        out.extend_from_slice(&count(self.entries.len()).to_le_bytes());
        for run in &self.runs {
            out.extend_from_slice(&run.first.to_le_bytes());
            out.extend_from_slice(&run.term.to_le_bytes());
            out.extend_from_slice(&u64::from(run.count).to_le_bytes());
        }
        for [units, payload_crc] in &self.entries {
            out.extend_from_slice(&units.to_le_bytes());
            out.extend_from_slice(&payload_crc.to_le_bytes());
        }
        let head = RecordHeader::control(super::batch::Kind::Seal, 0, 0, self.entries.len() as u64, &out);
        (head, out)
    }
}

/// A place in a [`SealIndex`].
#[derive(Debug, Clone, Copy)]
pub(super) struct SealMark {
    entries: usize,
    runs: usize,
    last_count: Option<u32>,
}

#[cfg(test)]
mod tests {
    use noraft::{LogIndex, Term};

    use super::*;

    fn at(term: u64, index: u64) -> LogPosition {
        LogPosition {
            term: Term::new(term),
            index: LogIndex::new(index),
        }
    }

    #[test]
    fn rewinding_undoes_what_was_added() {
        let mut index = SealIndex::default();
        index.add(at(1, 1), 4096, 7);
        index.add(at(1, 2), 4136, 8);
        let (mark, before) = (index.mark(), index.clone());
        index.add(at(1, 3), 4176, 9);
        index.add(at(2, 4), 4216, 9);
        assert_ne!(index, before);
        index.rewind(&mark);
        assert_eq!(index, before);
    }

    #[test]
    fn the_bound_on_its_bytes_holds() {
        let mut index = SealIndex::default();
        for n in 1..50 {
            let bound = index.bytes_with(1, 1);
            index.add(at(n / 7 + 1, n), 8 * n, 0);
            assert!(index.encode().1.len() <= bound, "entry {n}");
        }
        assert_eq!(index.encode().1.len(), index.bytes_with(0, 0));
    }
}

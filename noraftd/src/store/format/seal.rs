//! The index that a SEAL record carries: a second copy of the identity of every entry of the segment.
//!
//! Invariant: entries are listed in the order in which they lie in the segment, void ones included.
//!
//! | bytes | field |
//! |-|-|
//! | 0..4 | number of runs |
//! | 4..8 | number of entries |
//! | 24 each | run of consecutive entries of one term: first index, term, count (u32), zero (u32) |
//! | 8 each | entry: offset in the segment in units of 8 bytes (u32), crc of its payload (u32) |

use noraft::{LogIndex, LogPosition, Term};

use crate::store::format::batch::RecordHeader;
use crate::store::format::codec::{Fields, INDEX_MAX};

/// Collects the index of a segment while it is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::store) struct SealIndex {
    runs: Vec<Run>,
    entries: Vec<[u32; 2]>,
    /// Set when entries of the segment are so damaged that nothing is known of them.
    lacks: bool,
}

/// One entry, as the index of its segment has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct SealedEntry {
    pub(in crate::store) position: LogPosition,
    /// Where its record is in the segment.
    pub(in crate::store) offset: u64,
    pub(in crate::store) payload_crc: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: u64,
    term: u64,
    count: u32,
}

impl Run {
    /// True when its indexes are some that a log has.
    fn is_possible(&self) -> bool {
        let end = self.first.checked_add(u64::from(self.count));
        self.first > 0 && end.is_some_and(|end| end <= INDEX_MAX)
    }
}

impl SealIndex {
    /// An index that lists nothing, and says that it does not list everything.
    pub(in crate::store) fn of_nothing_known() -> Self {
        Self {
            lacks: true,
            ..Self::default()
        }
    }

    /// Notes the entry at byte `offset` of the segment.
    pub(in crate::store) fn add(&mut self, position: LogPosition, offset: u64, payload_crc: u32) {
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

    /// Notes that entries may have been in the segment which are not listed.
    pub(in crate::store) fn lack(&mut self) {
        self.lacks = true;
    }

    /// True when every entry that was written to the segment is listed.
    pub(in crate::store) fn is_complete(&self) -> bool {
        !self.lacks
    }

    /// All entries, in the order in which they lie in the segment.
    pub(in crate::store) fn entries(&self) -> impl '_ + Iterator<Item = SealedEntry> {
        let positions = self.runs.iter().flat_map(|run| {
            (0..u64::from(run.count)).map(|nth| LogPosition {
                term: Term::new(run.term),
                index: LogIndex::new(run.first + nth),
            })
        });
        positions
            .zip(&self.entries)
            .map(|(position, [units, payload_crc])| SealedEntry {
                position,
                offset: u64::from(*units) * 8,
                payload_crc: *payload_crc,
            })
    }

    /// Bytes of the index when `entries` more have been added, in at most `runs` more runs.
    pub(in crate::store) fn bytes_with(&self, entries: usize, runs: usize) -> usize {
        8 + 24 * (self.runs.len() + runs) + 8 * (self.entries.len() + entries)
    }

    /// Forgets what was added since `mark`.
    pub(in crate::store) fn rewind(&mut self, mark: &SealMark) {
        self.entries.truncate(mark.entries);
        self.runs.truncate(mark.runs);
        if let (Some(run), Some(count)) = (self.runs.last_mut(), mark.last_count) {
            run.count = count;
        }
    }

    /// A place to rewind to.
    pub(in crate::store) fn mark(&self) -> SealMark {
        let last_count = self.runs.last().map(|run| run.count);
        SealMark {
            entries: self.entries.len(),
            runs: self.runs.len(),
            last_count,
        }
    }

    /// The SEAL record's header and payload.
    pub(in crate::store) fn encode(&self) -> (RecordHeader, Vec<u8>) {
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
        let (kind, flags) = (
            crate::store::format::batch::Kind::Seal,
            u8::from(self.lacks) * FLAG_LACKS,
        );
        let head = RecordHeader::control(kind, flags, 0, self.entries.len() as u64, &out);
        (head, out)
    }

    /// Reads the payload of a SEAL record with these flags; `None` when it is no index.
    pub(in crate::store) fn decode(flags: u8, payload: &[u8]) -> Option<Self> {
        let (runs, entries) = payload.split_at_checked(8)?;
        let (run_count, entry_count) = (Fields(runs).u32(0) as usize, Fields(runs).u32(4) as usize);
        let (runs, entries) = entries.split_at_checked(run_count.checked_mul(24)?)?;
        if entries.len() != entry_count.checked_mul(8)? {
            return None;
        }
        let run = |bytes: &[u8]| Run {
            first: Fields(bytes).u64(0),
            term: Fields(bytes).u64(8),
            count: Fields(bytes).u32(16),
        };
        let entry = |bytes: &[u8]| [Fields(bytes).u32(0), Fields(bytes).u32(4)];
        let runs: Vec<Run> = runs.chunks_exact(24).map(run).collect();
        if !runs.iter().all(Run::is_possible) {
            return None;
        }
        Some(Self {
            runs,
            entries: entries.chunks_exact(8).map(entry).collect(),
            lacks: flags & FLAG_LACKS != 0,
        })
    }
}

/// A place in a [`SealIndex`].
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct SealMark {
    entries: usize,
    runs: usize,
    last_count: Option<u32>,
}

const FLAG_LACKS: u8 = 1;

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
    fn an_index_survives_encoding_and_other_bytes_are_none() {
        let mut index = SealIndex::default();
        index.add(at(1, 1), 4096, 7);
        index.add(at(1, 2), 4136, 8);
        index.add(at(3, 2), 4176, 9);
        index.lack();
        let (head, payload) = index.encode();
        assert_eq!(SealIndex::decode(head.flags, &payload), Some(index.clone()));
        let last = index.entries().last();
        assert_eq!(
            last.map(|entry| (entry.position, entry.offset, entry.payload_crc)),
            Some((at(3, 2), 4176, 9))
        );
        for end in 0..payload.len() {
            assert_eq!(SealIndex::decode(0, &payload[..end]), None, "cut at {end}");
        }
        assert_eq!(SealIndex::decode(0, &[0xff; 64]), None);
    }

    #[test]
    fn a_run_at_the_end_of_the_numbers_is_none() {
        for first in [0, INDEX_MAX, u64::MAX] {
            let mut index = SealIndex::default();
            index.runs.push(Run {
                first,
                term: 1,
                count: 1,
            });
            index.entries.push([0, 0]);
            assert_eq!(SealIndex::decode(0, &index.encode().1), None, "{first}");
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

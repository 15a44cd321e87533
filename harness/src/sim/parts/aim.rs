//! A crash, or a trouble, that is aimed at a rare operation of a disk.
//!
//! Drawn evenly, they strike what is done all the time. So the kind of the operation is drawn first, then its occurrence, and
//! then the moment in it.
//!
//! Invariant: an aim is met once. If it is a crash, the process does not outlive the job that it is met in.

use noraftd::prng::Prng;
use noraftd::store::HARD_STATE_FILE;
use noraftd::store::disk::memory::Operation;
use noraftd::store::layout::PAGE;

use crate::plan::{DiskTrouble, RareOperation, RareOperations};

/// What is aimed at, and what comes then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Aim {
    pub(crate) operation: RareOperation,
    /// The trouble in which the disk is from then on; a crash when it is none.
    pub(crate) brings: Option<DiskTrouble>,
    /// How many of these go by before.
    pub(crate) left: u64,
    /// How many calls of the disk happen from its beginning on; the next one happens in part.
    pub(crate) calls: u64,
    /// Where a segment is nearly full.
    pub(crate) nearly_full: u64,
}

impl Aim {
    /// `segment_bytes` is the size of segments at the moment.
    pub(crate) fn draw(
        operations: RareOperations,
        segment_bytes: u64,
        brings: Option<DiskTrouble>,
        prng: &mut Prng,
    ) -> Self {
        let all = operations.to_vec();
        let operation = prng.choose(&all).copied().unwrap_or(RareOperation::Roll);
        // The first is as likely as all later ones together.
        let left = prng.below(operation.occurrences()) * prng.below(2);
        let calls = prng.below(operation.calls());
        Self {
            operation,
            brings,
            left,
            calls,
            nearly_full: segment_bytes.saturating_sub(LAST_PAGES * PAGE as u64),
        }
    }

    /// Whether this call shows that such an operation begins. Others only show in the job.
    pub(crate) fn begins_with(&self, call: &Operation<'_>) -> bool {
        match (self.operation, call) {
            (RareOperation::Roll, Operation::Create(name)) => is_segment(name),
            (
                RareOperation::Roll,
                Operation::Write {
                    name, offset, length, ..
                }
                | Operation::WriteDurably {
                    name, offset, length, ..
                },
            ) => is_begun(name) && *offset > 0 && offset + *length as u64 > self.nearly_full,
            (
                RareOperation::SegmentBegin,
                Operation::Write {
                    name,
                    offset: 0,
                    length,
                    ..
                },
            ) => is_begun(name) && *length > 0,
            (RareOperation::Rename, Operation::Rename { .. })
            | (RareOperation::DirectorySync, Operation::SyncDir) => true,
            (RareOperation::Vote, Operation::Write { name, .. }) => *name == HARD_STATE_FILE,
            (
                RareOperation::Roll
                | RareOperation::SegmentBegin
                | RareOperation::Rename
                | RareOperation::DirectorySync
                | RareOperation::Vote
                | RareOperation::Compaction
                | RareOperation::Patch
                | RareOperation::Snapshot
                | RareOperation::Truncation
                | RareOperation::Installation,
                _,
            ) => false,
        }
    }
}

fn is_segment(name: &str) -> bool {
    name.starts_with(SEGMENT)
}

/// Under its own name.
fn is_begun(name: &str) -> bool {
    is_segment(name) && !name.ends_with(TEMPORARY)
}

/// What a batch, the SEAL, and the second header may take.
const LAST_PAGES: u64 = 4;
const SEGMENT: &str = "segment-";
const TEMPORARY: &str = ".tmp";

#[cfg(test)]
mod tests {
    use super::*;

    fn aim(operation: RareOperation) -> Aim {
        Aim {
            operation,
            brings: None,
            left: 0,
            calls: 0,
            nearly_full: 8 * PAGE as u64,
        }
    }

    #[test]
    fn every_kind_is_aimed_at_as_often() {
        let all = RareOperations::try_from(RareOperation::ALL.to_vec()).unwrap();
        let mut prng = Prng::new(1);
        let mut counts = [0; RareOperation::ALL.len()];
        for _ in 0..10_000 {
            let drawn = Aim::draw(all, 32 << 10, None, &mut prng);
            counts[drawn.operation as usize] += 1;
            assert!(drawn.calls < drawn.operation.calls());
        }
        assert!(
            counts.iter().all(|count| (850..1150).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn a_header_is_the_first_page_of_a_segment_under_its_name() {
        let write = |name, offset| Operation::Write {
            name,
            offset,
            length: 4096,
            grows: false,
        };
        let begins = aim(RareOperation::SegmentBegin);
        assert!(begins.begins_with(&write("segment-0000000000000002", 0)));
        assert!(!begins.begins_with(&write("segment-0000000000000002", 4096)));
        assert!(!begins.begins_with(&write("segment-0000000000000002.tmp", 0)));
        let rolls = aim(RareOperation::Roll);
        assert!(rolls.begins_with(&write("segment-0000000000000002", 29 << 10)));
        assert!(!rolls.begins_with(&write("segment-0000000000000002", 28 << 10)));
        assert!(aim(RareOperation::Vote).begins_with(&write(HARD_STATE_FILE, 4096)));
        assert!(!aim(RareOperation::Patch).begins_with(&write(HARD_STATE_FILE, 0)));
    }
}

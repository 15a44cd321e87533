//! What makes an entry that entry: the same at an index of two disks is the same entry.

use noraftd::record::{Record, RecordKind};

/// What makes an entry that entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryIdentity {
    pub(super) term: u64,
    pub(super) kind: RecordKind,
    pub(super) stamp: u64,
    pub(super) body: u64,
    /// Of its payload.
    pub(super) bytes: u64,
}

pub(super) fn identity(record: &Record) -> EntryIdentity {
    EntryIdentity {
        term: record.position.term.get(),
        kind: record.kind,
        stamp: record.stamp.as_millis(),
        body: body_hash(&record.payload),
        bytes: record.payload.len() as u64,
    }
}

/// Distinguishes commands (FNV-1a, 64 bits: they are not chosen to collide).
pub(crate) fn body_hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

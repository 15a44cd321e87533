//! Names and sizes of snapshot files.
//!
//! All numbers are little-endian:
//!
//! | part | content |
//! |-|-|
//! | head | magic `nraftsnp`, format version u32 (1), cluster id u64, index u64, term u64, stamp u64 (ms), length of the configuration u32, the configuration, crc u32 of all that |
//! | chunk, any number | length u32 (1 or more), crc u32 of length and bytes, the bytes |
//! | end | length u32 (0), crc u32 of those four zeros, hash of all bytes before it (XXH3, 128 bits) |
//!
//! The name is `snapshot-<index>-<term>`, each in 16 digits. The bytes do not depend on the node: nodes that take
//! a snapshot at one position write equal files.

use noraft::{LogIndex, LogPosition, Term};

use crate::store::format::codec::INDEX_MAX;

/// The name of the snapshot at `position`.
pub fn file_name(position: LogPosition) -> String {
    format!("{PREFIX}{:016}-{:016}", position.index.get(), position.term.get())
}

/// The position of the snapshot in file `name`, if it is one.
pub(in crate::store) fn parse_name(name: &str) -> Option<LogPosition> {
    let (index, term) = name.strip_prefix(PREFIX)?.split_once('-')?;
    let index = index.parse().ok().filter(|index| *index <= INDEX_MAX)?;
    let position = LogPosition {
        index: LogIndex::new(index),
        term: Term::new(term.parse().ok()?),
    };
    (file_name(position) == name).then_some(position)
}

/// How the names of snapshots begin.
pub const PREFIX: &str = "snapshot-";
/// While it is being taken here; the ending makes the next opening remove it.
pub(super) const TAKING: &str = "snapshot-taking.tmp";
/// While it is being received from another node.
pub(super) const RECEIVING: &str = "snapshot-receiving.tmp";
pub(super) const MAGIC: [u8; 8] = *b"nraftsnp";
/// The version that this code writes.
pub(super) const FORMAT_VERSION: u32 = 1;
/// Bytes of a head up to the configuration.
pub(super) const HEAD_BYTES: usize = 48;
pub(super) const CHUNK_HEAD_BYTES: usize = 8;
pub(super) const HASH_BYTES: usize = 16;

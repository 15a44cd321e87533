//! Snapshot files, and the state in them.

use std::sync::Arc;

use noraftd::snapshot;
use noraftd::store::disk::memory::MemDisk;
use xxhash_rust::xxh3::xxh3_128;

use crate::sums::{put_crc, u32_at};

/// Bytes of the head before the configuration, whose length is in the last four.
const HEAD: usize = 48;
/// Bytes of the hash at the end.
const HASH: usize = 16;

pub(crate) fn run(bytes: &[u8]) {
    let [mode, bytes @ ..] = bytes else { return };
    let mut bytes = bytes.to_vec();
    if mode % 2 == 0 {
        make_sums_right(&mut bytes);
    }
    let disk = MemDisk::with_files([("any".to_owned(), bytes)]);
    let Ok((id, read)) = snapshot::read_file(Arc::new(disk), "any", None) else {
        return;
    };
    assert_eq!(id.position, read.head.base.position, "a file is of one position");
}

fn make_sums_right(bytes: &mut [u8]) {
    let Some(config) = u32_at(bytes, HEAD - 4) else {
        return;
    };
    let mut at = HEAD.saturating_add(config as usize);
    put_crc(bytes, 0, 0, at, at);
    at = at.saturating_add(4);
    while let Some(length) = u32_at(bytes, at) {
        let length = length as usize;
        let Some(end) = at.checked_add(8 + length).filter(|end| *end <= bytes.len()) else {
            return;
        };
        let mut covered = bytes[at..at + 4].to_vec();
        covered.extend_from_slice(&bytes[at + 8..end]);
        bytes[at + 4..at + 8].copy_from_slice(&crc32fast::hash(&covered).to_le_bytes());
        if length == 0 {
            let hash = xxh3_128(&bytes[..end]).to_le_bytes();
            if let Some(place) = bytes.get_mut(end..end + HASH) {
                place.copy_from_slice(&hash);
            }
            return;
        }
        at = end;
    }
}

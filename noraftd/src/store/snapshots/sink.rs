//! Writes a file from front to back.
//!
//! Invariant: no more than [`BYTES_PER_SYNC`] and one piece are ever waiting for a sync.

use std::io::{self, IoSlice};

use xxhash_rust::xxh3::Xxh3;

use crate::store::disk::DiskFile;

/// Writes from front to back, hashes on the way, and syncs in pieces so that the log's syncs do not wait long.
pub(super) struct Sink<'a> {
    file: &'a dyn DiskFile,
    pub(super) at: u64,
    unsynced: u64,
    pub(super) hash: Xxh3,
}

impl<'a> Sink<'a> {
    pub(super) fn new(file: &'a dyn DiskFile) -> Self {
        Self {
            file,
            at: 0,
            unsynced: 0,
            hash: Xxh3::new(),
        }
    }

    pub(super) fn put(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        self.file.write_at(self.at, pieces)?;
        for piece in pieces {
            self.hash.update(piece);
            self.at += piece.len() as u64;
            self.unsynced += piece.len() as u64;
        }
        if self.unsynced >= BYTES_PER_SYNC {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }
}

/// Small enough that a batch's sync, which waits behind this one on the disk, is not held up for long.
const BYTES_PER_SYNC: u64 = 1 << 20;

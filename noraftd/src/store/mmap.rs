//! Read-only maps of files: the only `unsafe` of this crate.
//!
//! Invariant: nothing is ever stored through a map. Files are written with `pwritev`; Linux keeps one page
//! cache, so a shared map shows what was written.

#![expect(
    unsafe_code,
    reason = "a mapped file can change under its reader; see SAFETY below"
)]

use std::fs::File;
use std::io;

use memmap2::{Mmap, MmapOptions};

/// A whole file, as bytes.
#[derive(Debug)]
pub(super) struct Map(Mmap);

impl Map {
    /// A map whose pages are loaded when they are touched.
    pub(super) fn lazy(file: &File) -> io::Result<Self> {
        // SAFETY: the map is read-only and shared. The directory is locked by this process and segments
        // never shrink while they are open, so no page vanishes. Bytes that an append is writing at this
        // moment are not read: readers are only told offsets of batches that are durable.
        let map = unsafe { MmapOptions::new().map(file)? };
        Ok(Self(map))
    }

    /// A map whose pages are all loaded at once, in large reads: for scans from front to back.
    pub(super) fn populated(file: &File) -> io::Result<Self> {
        // SAFETY: as above; a scan runs before the first append.
        let map = unsafe { MmapOptions::new().populate().map(file)? };
        Ok(Self(map))
    }

    /// The file's bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

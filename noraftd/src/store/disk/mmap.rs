//! Read-only maps of files.
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

use crate::store::disk::sigbus::{Mapped, enter};

/// A whole file, as bytes.
#[derive(Debug)]
pub(in crate::store) struct Map {
    /// Names the file when a page cannot be read; dropped before the map.
    _mapped: Mapped,
    bytes: Mmap,
}

impl Map {
    /// A map whose pages are loaded when they are touched.
    pub(in crate::store) fn lazy(file: &File, name: &str) -> io::Result<Self> {
        // SAFETY: the map is read-only and shared. The directory is locked by this process and segments
        // never shrink while they are open, so no page vanishes. Bytes that an append is writing at this
        // moment are not read: readers only get offsets of batches that are durable.
        let bytes = unsafe { MmapOptions::new().map(file)? };
        Ok(Self::of(bytes, name))
    }

    /// A map whose pages are all loaded at once, in large reads: for scans from front to back.
    pub(in crate::store) fn populated(file: &File, name: &str) -> io::Result<Self> {
        // SAFETY: as above; a scan runs before the first append.
        let bytes = unsafe { MmapOptions::new().populate().map(file)? };
        Ok(Self::of(bytes, name))
    }

    fn of(bytes: Mmap, name: &str) -> Self {
        let _mapped = enter(&bytes, name);
        Self { _mapped, bytes }
    }

    /// The file's bytes.
    pub(in crate::store) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Shows bytes `offset..offset + length`.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when there are fewer.
    pub(super) fn view(&self, offset: u64, length: usize, visit: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(length).ok_or(io::ErrorKind::UnexpectedEof)?;
        visit(self.bytes.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

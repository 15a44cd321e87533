//! The one seam between the store and the bytes: files of one directory.
//!
//! Invariant: every change to durable bytes is one call here, and a write is no sync (but for
//! [`DiskFile::write_durably`], which a simulated disk need not have), so that a simulated disk can lose what was
//! written and not synced. Names are plain file names of one directory.

pub(super) mod limits;
#[cfg(any(test, feature = "memory-disk"))]
pub mod memory;
mod mmap;
mod real;
pub mod shadow;
pub(super) mod shortage;
pub(super) mod sigbus;
pub mod trouble;

use std::io::{self, IoSlice};
use std::sync::Arc;

pub use real::{RealDisk, create_private, make_private_directory, open_private};

/// One directory, flat.
pub trait Disk: Send + Sync {
    /// Names a person can find the directory by, in messages.
    fn describe(&self) -> String;

    /// Takes the directory for this process until the guard is dropped.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when another process holds it.
    fn lock(&self) -> io::Result<Box<dyn DirLock>>;

    /// Names of all files, in any order.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    ///
    /// When there is none, or it may not be read and written.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Makes an empty file, in place of one of that name.
    ///
    /// # Errors
    ///
    /// When the directory or file cannot be written.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name, in place of one of that name; durable after [`Disk::sync_dir`].
    ///
    /// # Errors
    ///
    /// When the directory cannot be written.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file; durable after [`Disk::sync_dir`].
    ///
    /// # Errors
    ///
    /// When the directory cannot be written.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes names durable.
    ///
    /// # Errors
    ///
    /// When the disk fails: names made since the last success may be lost permanently.
    fn sync_dir(&self) -> io::Result<()>;
}

/// Holds a directory for one process; dropping it lets go.
pub trait DirLock: Send {}

/// One open file.
pub trait DiskFile: Send + Sync {
    /// Writes all of `pieces`, one after the other, from byte `offset` on. Not durable until a sync.
    ///
    /// # Errors
    ///
    /// Some of the bytes may have been written.
    fn write_at(&self, offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<()>;

    /// Writes all of `pieces` as [`DiskFile::write_at`] does and makes them durable as [`DiskFile::sync_data`] does, where
    /// both together are cheaper than one after the other. False when the caller has to do it in two steps;
    /// some of the bytes may have been written.
    ///
    /// # Errors
    ///
    /// As for both.
    fn write_durably(&self, _offset: u64, _pieces: &[IoSlice<'_>]) -> io::Result<bool> {
        Ok(false)
    }

    /// Reserves room for `bytes` bytes and makes the file that long; new bytes read as zeros.
    ///
    /// # Errors
    ///
    /// When the disk is full.
    fn allocate(&self, bytes: u64) -> io::Result<()>;

    /// Makes what was written durable (and the length, when it changed).
    ///
    /// # Errors
    ///
    /// What was written since the last success may be lost permanently: never retry.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes content and attributes durable.
    ///
    /// # Errors
    ///
    /// As for [`DiskFile::sync_data`].
    fn sync_all(&self) -> io::Result<()>;

    /// Forgets what is cached of the file and not to be written: what is read next comes from the disk.
    ///
    /// After a sync has failed, the cache goes on showing what the disk never got, calls it written, and lets
    /// every later sync succeed. So a process that starts after one that failed must not believe it.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    fn forget_cached(&self) -> io::Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    ///
    /// When the file is gone.
    fn size(&self) -> io::Result<u64>;

    /// Shows the whole file once, to be read from front to back.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    fn scan(&self, visit: &mut dyn FnMut(&[u8])) -> io::Result<()>;

    /// The same file for callers that only read it from now on, where that takes no file descriptor; `None` where
    /// it takes one all the same.
    fn only_read(&self) -> Option<Arc<dyn DiskFile>> {
        None
    }

    /// Shows bytes `offset..offset + length`, what was written before included.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when the file is shorter.
    fn view(&self, offset: u64, length: usize, visit: &mut dyn FnMut(&[u8])) -> io::Result<()>;
}

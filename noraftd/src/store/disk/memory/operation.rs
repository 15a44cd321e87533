//! What is done to a directory, and who may prevent it.

use std::fmt;
use std::io;

use crate::prng::Prng;

/// One call, before it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Takes the directory.
    Lock,
    /// Names all files.
    List,
    /// Opens a file.
    Open(&'a str),
    /// Makes an empty file.
    Create(&'a str),
    /// Gives a file another name.
    Rename {
        /// The old one.
        from: &'a str,
        /// The new one.
        to: &'a str,
    },
    /// Removes a file.
    Remove(&'a str),
    /// Makes names durable.
    SyncDir,
    /// Writes bytes.
    Write {
        /// The file.
        name: &'a str,
        /// The first byte.
        offset: u64,
        /// How many.
        length: usize,
        /// True when they need room that was not reserved.
        grows: bool,
    },
    /// Writes bytes past the cache: they are durable when it returns.
    WriteDurably {
        /// The file.
        name: &'a str,
        /// The first byte.
        offset: u64,
        /// How many.
        length: usize,
        /// True when they need room that was not reserved.
        grows: bool,
    },
    /// Reserves room.
    Allocate {
        /// The file.
        name: &'a str,
        /// How long it is then, at least.
        bytes: u64,
    },
    /// Makes bytes durable.
    SyncData(&'a str),
    /// Makes bytes and attributes durable.
    SyncAll(&'a str),
    /// Drops what is cached.
    Forget(&'a str),
    /// Reads a whole file.
    Scan(&'a str),
    /// Reads a part of a file.
    View(&'a str),
}

impl fmt::Display for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lock => write!(f, "lock"),
            Self::List => write!(f, "list"),
            Self::Open(name) => write!(f, "open {name}"),
            Self::Create(name) => write!(f, "create {name}"),
            Self::Rename { from, to } => write!(f, "rename {from} {to}"),
            Self::Remove(name) => write!(f, "remove {name}"),
            Self::SyncDir => write!(f, "sync_dir"),
            Self::Write {
                name, offset, length, ..
            } => write!(f, "write {name} {offset}+{length}"),
            Self::WriteDurably {
                name, offset, length, ..
            } => write!(f, "write_durably {name} {offset}+{length}"),
            Self::Allocate { name, bytes } => write!(f, "allocate {name} {bytes}"),
            Self::SyncData(name) => write!(f, "sync_data {name}"),
            Self::SyncAll(name) => write!(f, "sync_all {name}"),
            Self::Forget(name) => write!(f, "forget {name}"),
            Self::Scan(name) => write!(f, "scan {name}"),
            Self::View(name) => write!(f, "view {name}"),
        }
    }
}

/// What an operation that fails may have done a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Divides {
    /// It writes so many bytes, the first of which may be written.
    IntoBytes(usize),
    /// It syncs a file, some sectors of which may be durable.
    IntoSectors,
    /// It writes past the cache: any of its sectors may be written, and those are durable.
    IntoDurableSectors,
    /// It happens as a whole, or not at all.
    Never,
}

impl Operation<'_> {
    /// Whether a part of it can happen.
    pub fn divides(&self) -> Divides {
        match self {
            Self::Write { length, .. } => Divides::IntoBytes(*length),
            Self::SyncData(_) | Self::SyncAll(_) => Divides::IntoSectors,
            Self::WriteDurably { .. } => Divides::IntoDurableSectors,
            Self::Lock
            | Self::List
            | Self::Open(_)
            | Self::Create(_)
            | Self::Rename { .. }
            | Self::Remove(_)
            | Self::SyncDir
            | Self::Allocate { .. }
            | Self::Forget(_)
            | Self::Scan(_)
            | Self::View(_) => Divides::Never,
        }
    }
}

/// What of an operation that fails has happened all the same.
#[derive(Debug, Clone)]
pub enum Part {
    /// Nothing.
    Nothing,
    /// Of a write, the first so many bytes.
    Bytes(usize),
    /// Of a sync, about half of the sectors, which ones is drawn; the page cache calls all of them clean from now on. Of a
    /// write past the cache, any of its sectors, which ones is drawn; the others are as they were.
    Sectors(Prng),
}

/// Whether an operation happens; or how it fails, and what of it has happened.
pub type Happens = Result<(), (io::Error, Part)>;

/// Decides which operations happen.
pub trait Interference: Send + Sync {
    /// Asked once before each operation, in order, while the directory is locked.
    ///
    /// # Errors
    ///
    /// When it does not happen.
    fn meet(&self, operation: &Operation<'_>) -> Happens;

    /// Whole pages go past the cache when there are at least so many bytes of them; never, when there is none.
    fn direct_bytes_min(&self) -> Option<usize> {
        None
    }
}

//! Files of a directory of the operating system.
//!
//! Invariant: what is written to a file is written to the file that was opened, whatever its name is by now. A file's length
//! never changes after it was first mapped.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, Flock, FlockArg, OFlag, PosixFadviseAdvice, posix_fadvise};

use crate::store::disk::mmap::Map;
use crate::store::disk::shortage::is_shortage;
use crate::store::disk::{DirLock, Disk, DiskFile};
use crate::store::format::layout::{DIRECT_BYTES_MIN, PAGE};

/// A directory of the operating system.
#[derive(Debug)]
pub struct RealDisk {
    path: PathBuf,
    /// Bytes of segments that were read as a whole.
    scanned: Arc<AtomicU64>,
    /// Held open: making names durable must not fail for want of a file descriptor.
    directory: File,
}

impl RealDisk {
    /// The directory at `path`, which must exist.
    ///
    /// # Errors
    ///
    /// When it does not, or is not a directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        if !std::fs::metadata(path)?.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::NotADirectory,
                format!("{} is not a directory", path.display()),
            ));
        }
        Ok(Self {
            path: path.to_path_buf(),
            directory: File::open(path)?,
            scanned: Arc::default(),
        })
    }

    /// The same, which adds the bytes of segments that it reads to `scanned`.
    ///
    /// # Errors
    ///
    /// As for [`RealDisk::open`].
    pub fn open_watched(path: &Path, scanned: Arc<AtomicU64>) -> io::Result<Self> {
        Ok(Self {
            scanned,
            ..Self::open(path)?
        })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Disk for RealDisk {
    fn describe(&self) -> String {
        self.path.display().to_string()
    }

    fn lock(&self) -> io::Result<Box<dyn DirLock>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(FILE_MODE)
            .open(self.at(LOCK_FILE))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Box::new(RealLock(lock))),
            Err((_, errno)) => Err(errno.into()),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.at(name))?;
        Ok(Arc::new(RealFile::new(name, file, Arc::clone(&self.scanned))))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = create_private(&self.at(name))?;
        Ok(Arc::new(RealFile::new(name, file, Arc::clone(&self.scanned))))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.at(from), self.at(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.at(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.directory.sync_all()
    }
}

struct RealLock(#[expect(dead_code, reason = "held for its Drop")] Flock<File>);

impl DirLock for RealLock {}

struct RealFile {
    scanned: Arc<AtomicU64>,
    name: String,
    file: File,
    /// Made at the first view.
    map: OnceLock<Arc<Map>>,
    /// Made at the first view behind the end of the first map: a start that has read a file that was cut makes it whole. After that it never
    /// changes its length.
    whole: OnceLock<Arc<Map>>,
    /// The same file, past the page cache, each write a sync; `None` where the file system does not do that.
    direct: OnceLock<Option<File>>,
}

impl RealFile {
    fn new(name: &str, file: File, scanned: Arc<AtomicU64>) -> Self {
        Self {
            scanned,
            name: name.to_owned(),
            file,
            map: OnceLock::new(),
            whole: OnceLock::new(),
            direct: OnceLock::new(),
        }
    }

    /// Opened by descriptor, for a file may have another name by now. A shortage of descriptors says nothing about
    /// the file system: the next write tries again.
    fn direct(&self) -> Option<&File> {
        if let Some(known) = self.direct.get() {
            return known.as_ref();
        }
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let flags = (OFlag::O_DIRECT | OFlag::O_DSYNC).bits();
        let opened = OpenOptions::new().write(true).custom_flags(flags).open(path);
        if opened.as_ref().is_err_and(is_shortage) {
            return None;
        }
        self.direct.get_or_init(|| opened.ok()).as_ref()
    }

    /// A map that goes up to byte `end`, if the file does.
    fn map(&self, end: u64) -> io::Result<&Arc<Map>> {
        let first = self.made(&self.map)?;
        if end <= first.bytes().len() as u64 || self.size()? < end {
            return Ok(first);
        }
        self.made(&self.whole)
    }

    fn made<'a>(&self, place: &'a OnceLock<Arc<Map>>) -> io::Result<&'a Arc<Map>> {
        if let Some(map) = place.get() {
            return Ok(map);
        }
        let map = Arc::new(Map::lazy(&self.file, &self.name)?);
        Ok(place.get_or_init(|| map))
    }
}

impl DiskFile for RealFile {
    fn write_at(&self, mut offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let mut left = pieces;
        while !left.is_empty() {
            let some = &left[..left.len().min(PIECES_PER_CALL_MAX)];
            let wanted: u64 = some.iter().map(|piece| piece.len() as u64).sum();
            let written = write_some(&self.file, offset, some)?;
            if written < wanted {
                self.write_rest(offset, written, some)?;
            }
            offset += wanted;
            left = &left[some.len()..];
        }
        Ok(())
    }

    /// Readers see it at once: a direct write takes the pages of its range out of the cache, also those that are
    /// mapped. A file that another one shares its blocks with, or a disk with larger blocks, refuses it.
    fn write_durably(&self, offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<bool> {
        let (true, Some(direct)) = (is_direct(offset, pieces), self.direct()) else {
            return Ok(false);
        };
        let wanted: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        match write_some(direct, offset, pieces) {
            Ok(written) => Ok(written == wanted),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let length = i64::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        match nix::fcntl::fallocate(&self.file, FallocateFlags::empty(), 0, length) {
            // No fallocate on this file system: the zero-fill that follows allocates.
            Err(Errno::EOPNOTSUPP) => self.file.set_len(bytes),
            other => Ok(other?),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn forget_cached(&self) -> io::Result<()> {
        // Drops pages that are clean and not mapped; they are mapped only when they are read.
        match posix_fadvise(&self.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED) {
            // A file system without a cache to speak of.
            Err(Errno::EOPNOTSUPP | Errno::ESPIPE | Errno::ENOSYS) => Ok(()),
            other => Ok(other?),
        }
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn scan(&self, visit: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        if self.size()? == 0 {
            visit(&[]);
            return Ok(());
        }
        let map = Map::populated(&self.file, &self.name)?;
        visit(map.bytes());
        if crate::store::format::segment::parse_name(&self.name).is_some() {
            self.scanned
                .fetch_add(map.bytes().len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// A map outlives the descriptor that it was made with. Where there is no room for one, the descriptor stays.
    fn only_read(&self) -> Option<Arc<dyn DiskFile>> {
        let map = Arc::clone(self.map(self.size().ok()?).ok()?);
        Some(Arc::new(MappedFile { map }))
    }

    fn view(&self, offset: u64, length: usize, visit: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let end = offset.saturating_add(length as u64);
        self.map(end)?.view(offset, length, visit)
    }
}

impl RealFile {
    /// Finishes a call that wrote only `written` bytes of `pieces`.
    fn write_rest(&self, offset: u64, mut written: u64, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let mut at = offset + written;
        for piece in pieces {
            let skip = (piece.len() as u64).min(written);
            written -= skip;
            let rest = &piece[skip as usize..];
            self.file.write_all_at(rest, at)?;
            at += rest.len() as u64;
        }
        Ok(())
    }
}

/// A file that is only read, and whose descriptor may be closed.
struct MappedFile {
    map: Arc<Map>,
}

impl MappedFile {
    fn refuse<T>(&self) -> io::Result<T> {
        Err(io::Error::new(
            io::ErrorKind::ReadOnlyFilesystem,
            "the file is only read from now on",
        ))
    }
}

impl DiskFile for MappedFile {
    fn write_at(&self, _offset: u64, _pieces: &[IoSlice<'_>]) -> io::Result<()> {
        self.refuse()
    }

    fn allocate(&self, _bytes: u64) -> io::Result<()> {
        self.refuse()
    }

    fn sync_data(&self) -> io::Result<()> {
        self.refuse()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.refuse()
    }

    fn forget_cached(&self) -> io::Result<()> {
        self.refuse()
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.map.bytes().len() as u64)
    }

    fn scan(&self, visit: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        visit(self.map.bytes());
        Ok(())
    }

    fn view(&self, offset: u64, length: usize, visit: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        self.map.view(offset, length, visit)
    }
}

/// True for bytes that are worth a direct write and are aligned as one needs them: on whole pages, here and there.
fn is_direct(offset: u64, pieces: &[IoSlice<'_>]) -> bool {
    let is_whole =
        |piece: &IoSlice<'_>| piece.len().is_multiple_of(PAGE) && piece.as_ptr().align_offset(PAGE) == 0;
    let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
    bytes >= DIRECT_BYTES_MIN
        && offset.is_multiple_of(PAGE as u64)
        && pieces.len() <= PIECES_PER_CALL_MAX
        && pieces.iter().all(is_whole)
}

fn write_some(file: &File, offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<u64> {
    let offset = i64::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    loop {
        match nix::sys::uio::pwritev(file, pieces, offset) {
            Err(Errno::EINTR) => {}
            other => return Ok(other? as u64),
        }
    }
}

/// Makes a directory for a node's data, and those above it, unless it is there: only its owner may look into it. One
/// that is there keeps its mode.
///
/// # Errors
///
/// When the system refuses.
pub fn make_private_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

/// Makes an empty file for reading and writing, in place of one of that name; only its owner may read it.
///
/// # Errors
///
/// When the system refuses.
pub fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(path)
}

/// Opens a file for reading and writing, and makes an empty one where it is missing; only its owner may read that.
///
/// # Errors
///
/// When the system refuses.
pub fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path)
}

/// Of a directory with data in it.
const DIRECTORY_MODE: u32 = 0o700;
/// Of a file with data in it.
const FILE_MODE: u32 = 0o600;

/// The file whose lock covers the directory.
const LOCK_FILE: &str = "lock";

/// IOV_MAX of Linux: pieces that one `pwritev` takes.
const PIECES_PER_CALL_MAX: usize = 1024;

//! A directory in memory that fails, crashes and loses power on demand.
//!
//! Invariant: what a power cut may lose is exactly what was not synced: each 512-byte sector of a file that
//! was written after its last sync is kept or lost by itself, and of the names that changed after the last
//! directory sync, the oldest changes are kept. The same seed loses the same.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::prng::Prng;
use crate::store::disk::{DirLock, Disk, DiskFile};

const SECTOR: usize = crate::store::format::layout::SECTOR;

/// Which operations fail, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Operation `op` fails with `errno`, once; a write leaves its first half.
    Once {
        /// The operation, counted from zero.
        op: u64,
        /// The error number.
        errno: i32,
    },
    /// No file can grow until the fault is taken back.
    Full,
    /// The power goes after operation `op`: it and all before it happen, none after it.
    PowerAfter {
        /// The operation, counted from zero.
        op: u64,
    },
}

/// A directory in memory. Clones are the same directory.
#[derive(Clone, Default)]
pub struct MemDisk {
    shared: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Names as they are.
    names: BTreeMap<String, usize>,
    /// Names as they would be after a power cut that loses all it may.
    durable_names: BTreeMap<String, usize>,
    /// Changes of names since the last directory sync, oldest first.
    changes: Vec<Change>,
    inodes: Vec<Inode>,
    locked: bool,
    operations: u64,
    fault: Option<Fault>,
    power_is_off: bool,
    log: Vec<String>,
}

#[derive(Debug, Clone)]
enum Change {
    Link(String, usize),
    Rename(String, String),
    Unlink(String),
}

#[derive(Debug, Clone, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors written since the last sync.
    unsynced: BTreeSet<usize>,
}

impl MemDisk {
    /// An empty directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// A directory with these files, all durable.
    pub fn with_files(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let disk = Self::new();
        {
            let mut state = disk.state();
            for (name, bytes) in files {
                let inode = state.inodes.len();
                state.inodes.push(Inode {
                    live: bytes.clone(),
                    durable: bytes,
                    unsynced: BTreeSet::new(),
                });
                state.names.insert(name.clone(), inode);
                state.durable_names.insert(name, inode);
            }
        }
        disk
    }

    /// All files as they are now.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state();
        state
            .names
            .iter()
            .map(|(name, inode)| (name.clone(), state.inodes[*inode].live.clone()))
            .collect()
    }

    /// Operations so far: every call that changes, syncs, lists or opens something.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// What the operations were, in order.
    pub fn operation_log(&self) -> Vec<String> {
        self.state().log.clone()
    }

    /// Arms a fault; operations are counted from the beginning.
    pub fn arm(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    /// The directory after its process was killed: everything that was written is there.
    pub fn after_kill(&self) -> Self {
        Self::with_files(self.files())
    }

    /// The directory after a power cut; `seed` chooses what of the unsynced is lost.
    pub fn after_power_cut(&self, seed: u64) -> Self {
        let state = self.state();
        let mut prng = Prng::new(seed);
        let kept = prng.below(state.changes.len() as u64 + 1) as usize;
        let mut names = state.durable_names.clone();
        for change in &state.changes[..kept] {
            apply(&mut names, change);
        }
        let survivors = names
            .into_iter()
            .map(|(name, inode)| (name, state.inodes[inode].survivor(&mut prng)));
        Self::with_files(survivors)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: &Change) {
    match change {
        Change::Link(name, inode) => {
            names.insert(name.clone(), *inode);
        }
        Change::Rename(from, to) => {
            if let Some(inode) = names.remove(from) {
                names.insert(to.clone(), inode);
            }
        }
        Change::Unlink(name) => {
            names.remove(name);
        }
    }
}

impl Inode {
    /// What is left after a power cut.
    fn survivor(&self, prng: &mut Prng) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        if self.live.len() != bytes.len() && prng.chance(1, 2) {
            bytes.resize(self.live.len(), 0);
        }
        // Whole losses and whole gains are as likely as a mixture.
        let keep = [0, 1, 2, 3, 4][prng.below(5) as usize];
        for sector in &self.unsynced {
            let range = sector * SECTOR..((sector + 1) * SECTOR).min(bytes.len()).min(self.live.len());
            if prng.chance(keep, 4) && range.start < range.end {
                bytes[range.clone()].copy_from_slice(&self.live[range]);
            }
        }
        bytes
    }

    fn write(&mut self, mut at: usize, bytes: &[u8]) {
        if self.live.len() < at + bytes.len() {
            self.live.resize(at + bytes.len(), 0);
        }
        self.live[at..at + bytes.len()].copy_from_slice(bytes);
        let end = at + bytes.len();
        while at < end {
            self.unsynced.insert(at / SECTOR);
            at = (at / SECTOR + 1) * SECTOR;
        }
    }

    fn sync(&mut self) {
        if self.durable.is_empty() {
            self.durable = vec![0; self.live.len()];
        }
        self.durable.resize(self.live.len(), 0);
        for sector in std::mem::take(&mut self.unsynced) {
            let range = sector * SECTOR..((sector + 1) * SECTOR).min(self.live.len());
            if range.start < range.end {
                self.durable[range.clone()].copy_from_slice(&self.live[range]);
            }
        }
    }
}

/// Whether an operation goes on, and with what to fail after its half.
enum Step {
    Go,
    FailHalfway(i32),
}

impl State {
    /// Counts an operation.
    fn step(&mut self, what: impl FnOnce() -> String) -> io::Result<Step> {
        if self.power_is_off {
            return Err(io::Error::other("the power is off"));
        }
        let number = self.operations;
        self.operations += 1;
        self.log.push(what());
        match self.fault {
            Some(Fault::Once { op, errno }) if op == number => Ok(Step::FailHalfway(errno)),
            Some(Fault::PowerAfter { op }) if op == number => {
                self.power_is_off = true;
                Ok(Step::Go)
            }
            Some(Fault::Once { .. } | Fault::PowerAfter { .. } | Fault::Full) | None => Ok(Step::Go),
        }
    }

    /// Counts an operation that happens wholly or not at all.
    fn whole_step(&mut self, what: impl FnOnce() -> String) -> io::Result<()> {
        match self.step(what)? {
            Step::Go => Ok(()),
            Step::FailHalfway(errno) => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.names, &change);
        self.changes.push(change);
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names
            .get(name)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for MemDisk {
    fn describe(&self) -> String {
        "memory".to_owned()
    }

    fn lock(&self) -> io::Result<Box<dyn DirLock>> {
        let mut state = self.state();
        state.whole_step(|| "lock".to_owned())?;
        if std::mem::replace(&mut state.locked, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(MemLock(self.clone())))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.whole_step(|| "list".to_owned())?;
        Ok(state.names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.whole_step(|| format!("open {name}"))?;
        let inode = state.find(name)?;
        Ok(Arc::new(MemFile {
            disk: self.clone(),
            inode,
            name: name.to_owned(),
        }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.whole_step(|| format!("create {name}"))?;
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.change(Change::Link(name.to_owned(), inode));
        Ok(Arc::new(MemFile {
            disk: self.clone(),
            inode,
            name: name.to_owned(),
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.whole_step(|| format!("rename {from} {to}"))?;
        state.find(from)?;
        state.change(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.whole_step(|| format!("remove {name}"))?;
        state.find(name)?;
        state.change(Change::Unlink(name.to_owned()));
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state();
        state.whole_step(|| "sync_dir".to_owned())?;
        state.durable_names = state.names.clone();
        state.changes.clear();
        Ok(())
    }
}

struct MemLock(MemDisk);

impl DirLock for MemLock {}

impl Drop for MemLock {
    fn drop(&mut self) {
        self.0.state().locked = false;
    }
}

struct MemFile {
    disk: MemDisk,
    inode: usize,
    name: String,
}

impl MemFile {
    fn sync(&self, what: &str) -> io::Result<()> {
        let mut state = self.disk.state();
        let step = state.step(|| format!("{what} {}", self.name))?;
        let inode = &mut state.inodes[self.inode];
        match step {
            Step::Go => {
                inode.sync();
                Ok(())
            }
            Step::FailHalfway(errno) => {
                // As Linux does: the pages are clean from now on, and the next sync says that all is well.
                inode.unsynced.clear();
                Err(io::Error::from_raw_os_error(errno))
            }
        }
    }
}

impl DiskFile for MemFile {
    fn write_at(&self, offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let mut state = self.disk.state();
        let mut bytes: Vec<u8> = Vec::new();
        pieces.iter().for_each(|piece| bytes.extend_from_slice(piece));
        let step = state.step(|| format!("write {} {offset}+{}", self.name, bytes.len()))?;
        let inode = &mut state.inodes[self.inode];
        match step {
            Step::Go => inode.write(offset as usize, &bytes),
            Step::FailHalfway(errno) => {
                inode.write(offset as usize, &bytes[..bytes.len() / 2]);
                return Err(io::Error::from_raw_os_error(errno));
            }
        }
        Ok(())
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.whole_step(|| format!("allocate {} {bytes}", self.name))?;
        if state.fault == Some(Fault::Full) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let inode = &mut state.inodes[self.inode];
        if inode.live.len() < bytes as usize {
            let old = std::mem::replace(&mut inode.live, vec![0; bytes as usize]);
            inode.live[..old.len()].copy_from_slice(&old);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync("sync_data")
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync("sync_all")
    }

    fn forget_cached(&self) -> io::Result<()> {
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state().inodes[self.inode].live.len() as u64)
    }

    fn scan(&self, visit: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut state = self.disk.state();
        state.whole_step(|| format!("scan {}", self.name))?;
        visit(&state.inodes[self.inode].live);
        Ok(())
    }

    fn view(&self, offset: u64, length: usize, visit: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let state = self.disk.state();
        let start = offset as usize;
        let bytes = start
            .checked_add(length)
            .and_then(|end| state.inodes[self.inode].live.get(start..end));
        visit(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

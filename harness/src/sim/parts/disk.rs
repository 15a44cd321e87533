//! A directory in memory, behind the store's own seam, that crashes between any two of its operations.
//!
//! Invariant: `live` bytes are what the page cache shows; an undo log beside them leads back to what the
//! platter has. A killed process loses nothing that it wrote (and the undo log stays: unsynced is still
//! unsynced); what a power cut takes is in `power.rs`.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use noraftd::prng::Prng;
use noraftd::store::disk::{DirLock, Disk, DiskFile};
use noraftd::store::layout::SECTOR;

use super::inode::Inode;
use crate::plan::DiskTrouble;

/// A directory in memory. Clones are the same directory.
#[derive(Clone)]
pub(crate) struct SimDisk {
    shared: Arc<Mutex<State>>,
}

pub(crate) struct State {
    /// Names as they are.
    pub(crate) names: BTreeMap<String, usize>,
    /// Names as they were at the last directory sync.
    pub(crate) durable_names: BTreeMap<String, usize>,
    /// Changes of names since, oldest first.
    pub(crate) changes: Vec<Change>,
    pub(crate) inodes: Vec<Inode>,
    /// Memory of files that are gone, for those to come.
    spares: Vec<Vec<u8>>,
    pub(crate) is_locked: bool,
    pub(crate) prng: Prng,
    /// How many more operations happen before the process is gone.
    crash_after: Option<u64>,
    is_crashed: bool,
    trouble: Option<DiskTrouble>,
    /// Operations that failed because of the trouble.
    failures: u64,
}

#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// The name leads to the inode from now on.
    Link(String, usize),
    Unlink(String),
}

impl SimDisk {
    /// An empty directory; `prng` decides what fails and what a power cut takes.
    pub(crate) fn new(prng: Prng) -> Self {
        let state = State {
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            inodes: Vec::new(),
            spares: Vec::new(),
            is_locked: false,
            prng,
            crash_after: None,
            is_crashed: false,
            trouble: None,
            failures: 0,
        };
        Self {
            shared: Arc::new(Mutex::new(state)),
        }
    }

    /// The process is gone after `operations` more of them; a write that comes next is cut short.
    pub(crate) fn crash_after(&self, operations: u64) {
        self.state().crash_after = Some(operations);
    }

    /// It was done before it could be killed.
    pub(crate) fn disarm(&self) {
        self.state().crash_after = None;
    }

    /// True when the process was killed in the middle of something.
    pub(crate) fn is_crashed(&self) -> bool {
        self.state().is_crashed
    }

    /// The process is gone, whatever it was doing; another one may come.
    pub(crate) fn release(&self) {
        let mut state = self.state();
        (state.crash_after, state.is_crashed, state.is_locked) = (None, false, false);
    }

    /// A process that found no store sets one up.
    pub(crate) fn unlock(&self) {
        self.state().is_locked = false;
    }

    /// Puts the disk into trouble, or out of it.
    pub(crate) fn set_trouble(&self, trouble: Option<DiskTrouble>) {
        self.state().trouble = trouble;
    }

    /// The trouble in force.
    pub(crate) fn trouble(&self) -> Option<DiskTrouble> {
        self.state().trouble
    }

    /// Whether there is a file of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.state().names.contains_key(name)
    }

    /// Bytes of the file of this name, if there is one.
    pub(crate) fn length(&self, name: &str) -> Option<u64> {
        let state = self.state();
        let inode = state.names.get(name)?;
        Some(state.inodes[*inode].live.len() as u64)
    }

    /// Operations that failed because of a trouble.
    pub(crate) fn failures(&self) -> u64 {
        self.state().failures
    }

    /// All files, as the page cache shows them.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state();
        let file = |(name, inode): (&String, &usize)| (name.clone(), state.inodes[*inode].live.clone());
        state.names.iter().map(file).collect()
    }

    /// All files, as the platter has them; none when that is what the page cache shows.
    pub(crate) fn platter_files(&self) -> Option<BTreeMap<String, Vec<u8>>> {
        let state = self.state();
        let is_clean = |inode: &Inode| inode.undo.is_empty() && inode.left_out.is_empty();
        if state.inodes.iter().all(is_clean) {
            return None;
        }
        let file = |(name, inode): (&String, &usize)| (name.clone(), state.inodes[*inode].on_platter());
        Some(state.names.iter().map(file).collect())
    }

    /// Damages a file: from now on it is this.
    pub(crate) fn overwrite(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state();
        if let Some(inode) = state.names.get(name).copied() {
            let inode = &mut state.inodes[inode];
            inode.durable_length = inode.durable_length.min(bytes.len());
            inode.room_until = inode.room_until.max(bytes.len());
            (inode.live, inode.is_blank) = (bytes, false);
        }
    }

    /// The bytes of a file.
    #[cfg(test)]
    pub(crate) fn live(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        state
            .names
            .get(name)
            .map(|inode| state.inodes[*inode].live.clone())
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What kind of operation it is: troubles distinguish them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Reading,
    Writing,
    Growing,
    Syncing,
    Looking,
}

impl State {
    /// Counts an operation; an error when it does not happen.
    fn step(&mut self, doing: Doing) -> io::Result<()> {
        if self.is_crashed {
            return Err(gone());
        }
        match &mut self.crash_after {
            Some(0) => {
                self.is_crashed = true;
                return Err(gone());
            }
            Some(left) => *left -= 1,
            None => {}
        }
        let errno = match (self.trouble, doing) {
            (Some(DiskTrouble::Full), Doing::Growing) => ENOSPC,
            (Some(DiskTrouble::Error), Doing::Reading | Doing::Writing | Doing::Growing | Doing::Syncing)
                if self.prng.chance(1, ERROR_ONE_IN) =>
            {
                EIO
            }
            (Some(_) | None, _) => return Ok(()),
        };
        self.failures += 1;
        Err(io::Error::from_raw_os_error(errno))
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        let inode = self.names.get(name).copied();
        inode.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.names, &change);
        self.changes.push(change);
    }

    /// Names are durable as they are; a file without a name, a power cut's included, that is not open is gone.
    fn sync_names(&mut self) {
        let mut unlinked = Vec::new();
        for change in self.changes.drain(..) {
            if let Change::Unlink(name) = &change {
                unlinked.extend(self.durable_names.get(name).copied());
            }
            apply(&mut self.durable_names, &change);
        }
        for inode in unlinked {
            let has_name = self.names.values().any(|named| *named == inode);
            let inode = &mut self.inodes[inode];
            if !has_name && Arc::strong_count(&inode.handles) == 1 {
                let gone = std::mem::take(inode);
                if self.spares.len() < SPARES_MAX {
                    self.spares.push(gone.live);
                }
            }
        }
    }
}

/// As many segments as are made and let go of at about the same time.
const SPARES_MAX: usize = 4;

pub(crate) fn apply(names: &mut BTreeMap<String, usize>, change: &Change) {
    match change {
        Change::Link(name, inode) => {
            names.insert(name.clone(), *inode);
        }
        Change::Unlink(name) => {
            names.remove(name);
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("the process is gone")
}

impl Disk for SimDisk {
    fn describe(&self) -> String {
        "simulated disk".to_owned()
    }

    fn lock(&self) -> io::Result<Box<dyn DirLock>> {
        let mut state = self.state();
        state.step(Doing::Looking)?;
        if std::mem::replace(&mut state.is_locked, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        // Released by the world when the process is gone: a dropped store must not unlock its successor.
        Ok(Box::new(SimLock))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.step(Doing::Looking)?;
        Ok(state.names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.step(Doing::Looking)?;
        let inode = state.find(name)?;
        Ok(self.file(&state, inode))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.step(Doing::Growing)?;
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.change(Change::Link(name.to_owned(), inode));
        Ok(self.file(&state, inode))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step(Doing::Writing)?;
        let inode = state.find(from)?;
        state.change(Change::Link(to.to_owned(), inode));
        state.change(Change::Unlink(from.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step(Doing::Writing)?;
        state.find(name)?;
        state.change(Change::Unlink(name.to_owned()));
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state();
        state.step(Doing::Syncing)?;
        state.sync_names();
        Ok(())
    }
}

impl SimDisk {
    fn file(&self, state: &State, inode: usize) -> Arc<dyn DiskFile> {
        Arc::new(SimFile {
            disk: self.clone(),
            inode,
            _handle: state.inodes[inode].handles.clone(),
        })
    }
}

struct SimLock;

impl DirLock for SimLock {}

struct SimFile {
    disk: SimDisk,
    inode: usize,
    _handle: Arc<()>,
}

impl SimFile {
    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let was_crashed = state.is_crashed;
        if let Err(error) = state.step(Doing::Syncing) {
            if !was_crashed && !state.is_crashed {
                let prng = &mut state.prng.fork(FORK_SYNC);
                state.prng.next_u64();
                state.inodes[self.inode].fail_sync(prng);
            }
            return Err(error);
        }
        state.inodes[self.inode].sync();
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let mut state = self.disk.state();
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let was_crashed = state.is_crashed;
        let end = offset as usize + length;
        let doing = if end > state.inodes[self.inode].room_until {
            Doing::Growing
        } else {
            Doing::Writing
        };
        let done = state.step(doing);
        let length = match (&done, was_crashed) {
            (Ok(()), _) => length,
            // A process that dies or fails in a write has written some of it; sectors are whole.
            (Err(_), false) => state.prng.below((length / SECTOR) as u64 + 1) as usize * SECTOR,
            (Err(_), true) => 0,
        };
        let inode = &mut state.inodes[self.inode];
        inode.write(offset as usize, pieces, length);
        if offset as usize <= inode.room_until {
            inode.room_until = inode.room_until.max(offset as usize + length);
        }
        done
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step(Doing::Growing)?;
        let spare = state.spares.pop().unwrap_or_default();
        let inode = &mut state.inodes[self.inode];
        if inode.live.is_empty() {
            inode.live = spare;
            inode.live.clear();
        }
        inode.grow(bytes as usize);
        inode.room_until = inode.room_until.max(bytes as usize);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn forget_cached(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step(Doing::Looking)?;
        state.inodes[self.inode].forget_cached();
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state().inodes[self.inode].live.len() as u64)
    }

    fn scan(&self, visit: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step(Doing::Reading)?;
        visit(&state.inodes[self.inode].live);
        Ok(())
    }

    fn view(&self, offset: u64, length: usize, visit: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step(Doing::Reading)?;
        let start = offset as usize;
        let end = start.checked_add(length);
        let bytes = end.and_then(|end| state.inodes[self.inode].live.get(start..end));
        visit(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Separates the draws of a failed sync from others.
const FORK_SYNC: u64 = 1;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
/// Often enough that a second of trouble ends the node, seldom enough that the failures differ.
const ERROR_ONE_IN: u64 = 20;

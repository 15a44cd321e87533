//! A directory in memory, that can be asked what a crash would leave of it.
//!
//! The one model of a disk: what a name and a file are (`inode.rs`), what is durable, and what a power cut takes (`power.rs`). Tests
//! of the store arm faults in it (`faults.rs`); the simulation brings its own [`Interference`].
//!
//! Invariant: `live` bytes are what the page cache shows; an undo log beside them leads back to what the platter has. A
//! killed process loses nothing that it wrote, and what it had not synced is still not synced.

mod certain;
mod faults;
mod inode;
mod operation;
mod power;

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use faults::Fault;
use faults::Faults;
use inode::Inode;
pub use operation::{Divides, Happens, Interference, Operation, Part};

use crate::prng::Prng;
use crate::store::disk::{DirLock, Disk, DiskFile};
use crate::store::format::layout::SECTOR;

/// A directory in memory. Clones are the same directory.
#[derive(Clone)]
pub struct MemDisk {
    shared: Arc<Mutex<State>>,
    interference: Arc<dyn Interference>,
    /// The same, where it is one that tests arm.
    faults: Option<Arc<Faults>>,
}

#[derive(Clone, Default)]
struct State {
    /// Names as they are.
    names: BTreeMap<String, usize>,
    /// Names as they were at the last directory sync.
    durable_names: BTreeMap<String, usize>,
    /// Changes of names since, oldest first.
    changes: Vec<Change>,
    inodes: Vec<Inode>,
    /// Memory of files that are gone, for those to come.
    spares: Vec<Vec<u8>>,
    is_locked: bool,
    /// The process that may hold the lock: one that is gone cannot unlock it for its successor.
    process: u64,
}

/// A change of names.
#[derive(Debug, Clone)]
enum Change {
    /// The name leads to the inode from now on.
    Link(String, usize),
    Unlink(String),
}

impl MemDisk {
    /// An empty directory, in which `interference` decides what happens.
    pub fn with_interference(interference: Arc<dyn Interference>) -> Self {
        Self {
            shared: Arc::default(),
            interference,
            faults: None,
        }
    }

    /// All files, as the page cache shows them.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state();
        let file = |(name, inode): (&String, &usize)| (name.clone(), state.inodes[*inode].live.clone());
        state.names.iter().map(file).collect()
    }

    /// All files, as the platter has them; none when that is what the page cache shows.
    pub fn platter_files(&self) -> Option<BTreeMap<String, Vec<u8>>> {
        let state = self.state();
        if state.inodes.iter().all(Inode::is_clean) {
            return None;
        }
        let file = |(name, inode): (&String, &usize)| (name.clone(), state.inodes[*inode].on_platter());
        Some(state.names.iter().map(file).collect())
    }

    /// Whether there is a file of this name.
    pub fn has(&self, name: &str) -> bool {
        self.state().names.contains_key(name)
    }

    /// Bytes of the file of this name, if there is one.
    pub fn length(&self, name: &str) -> Option<u64> {
        let state = self.state();
        let inode = state.names.get(name)?;
        Some(state.inodes[*inode].live.len() as u64)
    }

    /// What is in the file of this name, as the page cache shows it, if there is one.
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let inode = state.names.get(name)?;
        Some(state.inodes[*inode].live.clone())
    }

    /// Damages a file, if there is one of this name: from now on it is this, durably.
    pub fn overwrite(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state();
        if let Some(inode) = state.names.get(name).copied() {
            state.inodes[inode].overwrite(bytes);
        }
    }

    /// The whole directory is another one from now on, durably: these files. The process that had it is gone.
    pub fn replace(&self, files: BTreeMap<String, Vec<u8>>) {
        let mut state = self.state();
        let process = state.process + 1;
        *state = State::with_files(files);
        state.process = process;
    }

    /// The process is gone, whatever it was doing; another one may come.
    pub fn release(&self) {
        let mut state = self.state();
        state.process += 1;
        state.is_locked = false;
    }

    /// Cuts the power. Of a thousand sectors that are neither old nor new, `torn_permille` hold garbage.
    /// Returns how many sectors and names are not as they were.
    pub fn cut_power(&self, prng: &mut Prng, torn_permille: u64) -> u64 {
        self.release();
        self.state().lose_power(prng, torn_permille)
    }

    /// As [`Self::cut_power`], while all that is not synced is being written: each of its sectors is as old or as new by itself, or neither.
    pub fn cut_power_in_writes(&self, prng: &mut Prng, torn_permille: u64) -> u64 {
        self.release();
        self.state().lose_power_in_writes(prng, torn_permille)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An operation that happens wholly or not at all.
    fn meet(&self, operation: &Operation<'_>) -> io::Result<()> {
        self.interference.meet(operation).map_err(|(error, _)| error)
    }

    fn file(&self, state: &State, name: &str, inode: usize) -> Arc<dyn DiskFile> {
        Arc::new(MemFile {
            disk: self.clone(),
            inode,
            name: name.to_owned(),
            _handle: state.inodes[inode].handle(),
        })
    }
}

impl State {
    /// These files, all durable.
    fn with_files(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let mut state = Self::default();
        for (name, bytes) in files {
            let inode = state.inodes.len();
            state.inodes.push(Inode::durable(bytes));
            state.names.insert(name, inode);
        }
        state.durable_names.clone_from(&state.names);
        state
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
            if !has_name && !inode.is_open() {
                let gone = std::mem::take(inode);
                if self.spares.len() < SPARES_MAX {
                    self.spares.push(gone.live);
                }
            }
        }
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: &Change) {
    match change {
        Change::Link(name, inode) => {
            names.insert(name.clone(), *inode);
        }
        Change::Unlink(name) => {
            names.remove(name);
        }
    }
}

impl Disk for MemDisk {
    fn describe(&self) -> String {
        "memory".to_owned()
    }

    fn lock(&self) -> io::Result<Box<dyn DirLock>> {
        let mut state = self.state();
        self.meet(&Operation::Lock)?;
        if std::mem::replace(&mut state.is_locked, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(MemLock {
            shared: Arc::clone(&self.shared),
            process: state.process,
        }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let state = self.state();
        self.meet(&Operation::List)?;
        Ok(state.names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state();
        self.meet(&Operation::Open(name))?;
        let inode = state.find(name)?;
        Ok(self.file(&state, name, inode))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        self.meet(&Operation::Create(name))?;
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.change(Change::Link(name.to_owned(), inode));
        Ok(self.file(&state, name, inode))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        self.meet(&Operation::Rename { from, to })?;
        let inode = state.find(from)?;
        state.change(Change::Link(to.to_owned(), inode));
        state.change(Change::Unlink(from.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        self.meet(&Operation::Remove(name))?;
        state.find(name)?;
        state.change(Change::Unlink(name.to_owned()));
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state();
        self.meet(&Operation::SyncDir)?;
        state.sync_names();
        Ok(())
    }
}

struct MemLock {
    shared: Arc<Mutex<State>>,
    process: u64,
}

impl DirLock for MemLock {}

impl Drop for MemLock {
    fn drop(&mut self) {
        let mut state = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if state.process == self.process {
            state.is_locked = false;
        }
    }
}

struct MemFile {
    disk: MemDisk,
    inode: usize,
    name: String,
    _handle: Arc<()>,
}

impl MemFile {
    fn sync(&self, operation: &Operation<'_>) -> io::Result<()> {
        let mut state = self.disk.state();
        let met = self.disk.interference.meet(operation);
        let inode = &mut state.inodes[self.inode];
        match met {
            Ok(()) => {
                inode.sync();
                Ok(())
            }
            Err((error, Part::Sectors(mut prng))) => {
                inode.fail_sync(&mut prng);
                Err(error)
            }
            Err((error, Part::Nothing | Part::Bytes(_))) => Err(error),
        }
    }
}

impl DiskFile for MemFile {
    fn write_at(&self, offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut state = self.disk.state();
        let inode = &mut state.inodes[self.inode];
        let grows = inode.needs_room(at + length);
        let met = self.disk.interference.meet(&Operation::Write {
            name: &self.name,
            offset,
            length,
            grows,
        });
        let (length, done) = match met {
            Ok(()) => (length, Ok(())),
            Err((error, Part::Bytes(written))) => (written, Err(error)),
            Err((error, Part::Nothing | Part::Sectors(_))) => (0, Err(error)),
        };
        inode.write(at, pieces, length);
        done
    }

    fn write_durably(&self, offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<bool> {
        let at = usize::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let least = self.disk.interference.direct_bytes_min();
        let is_whole = at.is_multiple_of(SECTOR) && length.is_multiple_of(SECTOR);
        if !is_whole || least.is_none_or(|least| length < least) {
            return Ok(false);
        }
        let mut state = self.disk.state();
        let inode = &mut state.inodes[self.inode];
        let grows = inode.needs_room(at + length);
        let met = self.disk.interference.meet(&Operation::WriteDurably {
            name: &self.name,
            offset,
            length,
            grows,
        });
        match met {
            Ok(()) => {
                inode.write_durably(at, pieces, length, None);
                Ok(true)
            }
            Err((error, Part::Sectors(mut prng))) => {
                inode.write_durably(at, pieces, length, Some(&mut prng));
                Err(error)
            }
            Err((error, Part::Nothing | Part::Bytes(_))) => Err(error),
        }
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        self.disk.meet(&Operation::Allocate {
            name: &self.name,
            bytes,
        })?;
        let spare = state.spares.pop().unwrap_or_default();
        state.inodes[self.inode].allocate(bytes as usize, spare);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync(&Operation::SyncData(&self.name))
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync(&Operation::SyncAll(&self.name))
    }

    fn forget_cached(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        self.disk.meet(&Operation::Forget(&self.name))?;
        state.inodes[self.inode].forget_cached();
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state().inodes[self.inode].live.len() as u64)
    }

    fn scan(&self, visit: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let state = self.disk.state();
        self.disk.meet(&Operation::Scan(&self.name))?;
        visit(&state.inodes[self.inode].live);
        Ok(())
    }

    fn view(&self, offset: u64, length: usize, visit: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let state = self.disk.state();
        self.disk.meet(&Operation::View(&self.name))?;
        let start = offset as usize;
        let end = start.checked_add(length);
        let bytes = end.and_then(|end| state.inodes[self.inode].live.get(start..end));
        visit(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// As many segments as are made and let go of at about the same time.
const SPARES_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_a_dead_process_drops_stays_with_its_successor() {
        let disk = MemDisk::new();
        let of_the_dead = disk.lock().unwrap();
        disk.release();
        let held = disk.lock().unwrap();
        drop(of_the_dead);
        let refused = disk.lock().err().map(|error| error.kind());
        assert_eq!(refused, Some(io::ErrorKind::WouldBlock));
        drop(held);
        assert!(disk.lock().is_ok());
    }
}

//! A simulated node's disk: the store's directory in memory, with the troubles and the crashes of a plan.
//!
//! Invariant: what files are, what is durable and what a power cut takes is the business of
//! [`noraftd::store::disk::memory`]. Here is only which operations fail, and in the middle of which the process is gone.
//! The same generator draws both, so that one seed is one disk.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use noraftd::prng::Prng;
use noraftd::store::disk::Disk;
use noraftd::store::disk::memory::{Divides, Happens, Interference, MemDisk, Operation, Part};
use noraftd::store::disk::trouble::Doing;
use noraftd::store::layout::SECTOR;

use super::aim::Aim;
use super::doing::doing_of;
use crate::plan::{DiskTrouble, RareOperation};

/// Writes that ended early.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct EndedWrites {
    /// Those into reserved room that had none.
    pub(crate) overwrites_full: u64,
    /// Those that ended in the middle, with an error that passes.
    pub(crate) short: u64,
    /// Those past the cache that a crash or an error ended in the middle: any of their sectors are durable.
    pub(crate) divided: u64,
}

/// The disk of a node, which outlives its processes.
pub(crate) struct SimDisk {
    files: MemDisk,
    troubles: Arc<Troubles>,
}

impl SimDisk {
    /// An empty directory; `prng` decides what fails and what a power cut takes. Whole sectors go past the cache when there are
    /// at least `direct_bytes_min` bytes of them.
    pub(crate) fn new(prng: Prng, direct_bytes_min: Option<usize>) -> Self {
        let state = Mutex::new(State {
            prng,
            crash_after: None,
            trouble_after: None,
            crash_at_sync: false,
            is_caught: false,
            is_crashed: false,
            aim: None,
            hit: None,
            trouble: None,
            failures: 0,
            errors: 0,
            writes: EndedWrites::default(),
        });
        let troubles = Arc::new(Troubles {
            state,
            direct_bytes_min,
        });
        Self {
            files: MemDisk::with_interference(Arc::clone(&troubles) as Arc<dyn Interference>),
            troubles,
        }
    }

    /// For a store.
    pub(crate) fn open(&self) -> Arc<dyn Disk> {
        Arc::new(self.files.clone())
    }

    /// The process is gone after `operations` more of them; a write that comes next is cut short.
    pub(crate) fn crash_after(&self, operations: u64) {
        self.state().crash_after = Some(operations);
    }

    /// The power goes between a write and its sync, in the middle of both.
    pub(crate) fn crash_at_sync(&self) {
        let mut state = self.state();
        (state.crash_at_sync, state.is_caught) = (true, true);
    }

    /// It was done before it could be killed.
    pub(crate) fn disarm(&self) {
        let mut state = self.state();
        (state.crash_after, state.trouble_after, state.aim) = (None, None, None);
    }

    /// The process will be gone in the middle of such an operation, or the disk in trouble.
    pub(crate) fn aim(&self, aim: Aim) {
        self.state().aim = Some(aim);
    }

    /// What is aimed at, and has not come yet.
    pub(crate) fn aimed_at(&self) -> Option<Aim> {
        self.state().aim
    }

    /// An operation begins that was aimed at.
    pub(crate) fn meet_aim(&self) {
        self.state().meet_aim();
    }

    /// The kind of the operation that was aimed at, once it has come: the process does not outlive this job.
    pub(crate) fn hit(&self) -> Option<RareOperation> {
        self.state().hit
    }

    /// True when the process was killed in the middle of something.
    pub(crate) fn is_crashed(&self) -> bool {
        self.state().is_crashed
    }

    /// The process is gone, whatever it was doing; another one may come.
    pub(crate) fn release(&self) {
        self.files.release();
        let mut state = self.state();
        (state.crash_after, state.trouble_after, state.is_crashed) = (None, None, false);
        state.crash_at_sync = false;
        (state.aim, state.hit) = (None, None);
    }

    /// Cuts the power. Of a thousand sectors that are neither old nor new, `torn_permille` hold garbage.
    /// Returns how many sectors and names are not as they were.
    pub(crate) fn cut_power(&self, torn_permille: u64) -> u64 {
        self.release();
        let is_caught = std::mem::take(&mut self.state().is_caught);
        let mut prng = {
            let prng = &mut self.state().prng;
            let label = prng.clone().next_u64();
            let fork = prng.fork(label);
            prng.next_u64();
            fork
        };
        if is_caught {
            return self.files.cut_power_in_writes(&mut prng, torn_permille);
        }
        self.files.cut_power(&mut prng, torn_permille)
    }

    /// The directory is another one from now on: these files. Its process is gone.
    pub(crate) fn replace(&self, files: BTreeMap<String, Vec<u8>>) {
        self.files.replace(files);
        self.release();
    }

    /// Puts the disk into trouble, or out of it; what was to come is void.
    pub(crate) fn set_trouble(&self, trouble: Option<DiskTrouble>) {
        let mut state = self.state();
        (state.trouble, state.trouble_after) = (trouble, None);
    }

    /// The trouble in force.
    pub(crate) fn trouble(&self) -> Option<DiskTrouble> {
        self.state().trouble
    }

    /// Draws from `prng` from now on.
    pub(crate) fn branch_off(&self, prng: Prng) {
        self.state().prng = prng;
    }

    /// Operations that failed because of a trouble.
    pub(crate) fn failures(&self) -> u64 {
        self.state().failures
    }

    /// Operations that failed for another reason than a lack of room.
    pub(crate) fn errors(&self) -> u64 {
        self.state().errors
    }

    /// Writes that ended early since this was asked last.
    pub(crate) fn take_writes(&self) -> EndedWrites {
        std::mem::take(&mut self.state().writes)
    }

    /// Whether there is a file of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.files.has(name)
    }

    /// Bytes of the file of this name, if there is one.
    pub(crate) fn length(&self, name: &str) -> Option<u64> {
        self.files.length(name)
    }

    /// What is in the file of this name, if there is one.
    pub(crate) fn content(&self, name: &str) -> Option<Vec<u8>> {
        self.files.content(name)
    }

    /// Whether a log was ever set up in it.
    pub(crate) fn has_log(&self) -> bool {
        self.files().keys().any(|name| name.starts_with("segment-"))
    }

    /// All files, as the page cache shows them.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.files.files()
    }

    /// All files, as the platter has them; none when that is what the page cache shows.
    pub(crate) fn platter_files(&self) -> Option<BTreeMap<String, Vec<u8>>> {
        self.files.platter_files()
    }

    /// The first of the files that `is_meant` names of which a loss of power could take something.
    pub(crate) fn uncertain(&self, is_meant: impl Fn(&str, &[u8]) -> bool) -> Option<String> {
        self.files.uncertain(is_meant)
    }

    /// The first of the files that `is_meant` names whose bytes are not right.
    pub(crate) fn find_wrong(
        &self,
        is_meant: impl Fn(&str) -> bool,
        is_right: impl Fn(&[u8]) -> bool,
    ) -> Option<String> {
        self.files.find_wrong(is_meant, is_right)
    }

    /// Damages a file: from now on it is this.
    pub(crate) fn overwrite(&self, name: &str, bytes: Vec<u8>) {
        self.files.overwrite(name, bytes);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.troubles.lock()
    }
}

/// Decides which operations of one disk happen.
struct Troubles {
    state: Mutex<State>,
    direct_bytes_min: Option<usize>,
}

struct State {
    prng: Prng,
    /// How many more operations happen before the process is gone.
    crash_after: Option<u64>,
    /// How many more operations happen before the disk is in this trouble.
    trouble_after: Option<(u64, DiskTrouble)>,
    /// The process is gone before the next sync.
    crash_at_sync: bool,
    /// The power goes in the middle of a write, and has not gone yet.
    is_caught: bool,
    is_crashed: bool,
    aim: Option<Aim>,
    hit: Option<RareOperation>,
    trouble: Option<DiskTrouble>,
    /// Operations that failed because of the trouble.
    failures: u64,
    /// Those of them that were more than a lack of room.
    errors: u64,
    /// Writes that ended early.
    writes: EndedWrites,
}

impl Troubles {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Interference for Troubles {
    fn meet(&self, operation: &Operation<'_>) -> Happens {
        let mut state = self.lock();
        if state.is_crashed {
            return Err((gone(), Part::Nothing));
        }
        if state.aim.is_some_and(|aim| aim.begins_with(operation)) {
            state.meet_aim();
        }
        state.step(doing_of(operation)).map_err(|error| {
            let part = state.done_of(operation);
            (error, part)
        })
    }

    fn direct_bytes_min(&self) -> Option<usize> {
        self.direct_bytes_min
    }
}

impl State {
    /// An operation begins that was aimed at: it is let go, or what is to come is armed.
    fn meet_aim(&mut self) {
        match &mut self.aim {
            Some(aim) if aim.left > 0 => aim.left -= 1,
            Some(aim) => {
                match aim.brings {
                    None => (self.crash_after, self.hit) = (Some(aim.calls), Some(aim.operation)),
                    Some(trouble) => self.trouble_after = Some((aim.calls, trouble)),
                }
                self.aim = None;
            }
            None => {}
        }
    }

    /// Counts an operation; an error when it does not happen.
    fn step(&mut self, doing: Doing) -> io::Result<()> {
        if self.crash_at_sync && doing == Doing::Syncing {
            self.is_crashed = true;
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
        match &mut self.trouble_after {
            Some((0, trouble)) => {
                self.trouble = Some(*trouble);
                self.trouble_after = None;
            }
            Some((left, _)) => *left -= 1,
            None => {}
        }
        let Some(trouble) = self.trouble else {
            return Ok(());
        };
        let Some(errno) = trouble.of_disks().strike(doing, &mut self.prng) else {
            return Ok(());
        };
        self.failures += 1;
        self.errors += u64::from(errno != Errno::ENOSPC);
        let into_room = trouble == DiskTrouble::FullOverwrite && doing == Doing::Writing;
        self.writes.overwrites_full += u64::from(into_room);
        self.writes.short += u64::from(trouble == DiskTrouble::ShortWrite);
        Err(errno.into())
    }

    /// What has happened of an operation that fails now.
    fn done_of(&mut self, operation: &Operation<'_>) -> Part {
        match operation.divides() {
            // A process that dies or fails in a write has written some of it; sectors are whole.
            Divides::IntoBytes(length) => {
                Part::Bytes(self.prng.below((length / SECTOR) as u64 + 1) as usize * SECTOR)
            }
            Divides::IntoSectors if !self.is_crashed => {
                let prng = self.prng.fork(FORK_SYNC);
                self.prng.next_u64();
                Part::Sectors(prng)
            }
            Divides::IntoDurableSectors => {
                self.writes.divided += 1;
                let prng = self.prng.fork(FORK_SYNC);
                self.prng.next_u64();
                Part::Sectors(prng)
            }
            Divides::IntoSectors | Divides::Never => Part::Nothing,
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("the process is gone")
}

/// Separates the draws of a failed sync from others.
const FORK_SYNC: u64 = 1;

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::*;
    use crate::plan::RareOperations;

    fn disk(seed: u64) -> SimDisk {
        let disk = SimDisk::new(Prng::new(seed), None);
        let file = disk.files.create("f").unwrap();
        file.allocate(4 * SECTOR as u64).unwrap();
        file.write_at(0, &[IoSlice::new(&[1; 4 * SECTOR])]).unwrap();
        file.sync_all().unwrap();
        disk.files.sync_dir().unwrap();
        disk
    }

    fn first_byte(disk: &SimDisk) -> u8 {
        disk.files()["f"][0]
    }

    #[test]
    fn what_a_failed_sync_left_out_is_gone_with_the_power_unless_it_is_written_again() {
        let mut outcomes = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let disk = disk(seed);
            let file = disk.files.open("f").unwrap();
            file.write_at(0, &[IoSlice::new(&[2; SECTOR])]).unwrap();
            disk.set_trouble(Some(DiskTrouble::Error));
            let failed = file.sync_data().is_err();
            disk.set_trouble(None);
            let again = seed % 2 == 0;
            if again {
                file.write_at(0, &[IoSlice::new(&[2; SECTOR])]).unwrap();
            }
            file.sync_data().unwrap();
            disk.cut_power(0);
            let kept = first_byte(&disk) == 2;
            assert!(kept || (failed && !again), "seed {seed}");
            outcomes.insert((failed, again, kept));
        }
        assert!(outcomes.contains(&(true, false, false)), "{outcomes:?}");
    }

    #[test]
    fn a_crash_that_is_aimed_comes_with_its_operation_and_not_before() {
        let disk = disk(1);
        let renames = RareOperations::try_from(vec![RareOperation::Rename]).unwrap();
        let aim = Aim::draw(renames, 0, None, &mut Prng::new(1));
        disk.aim(Aim {
            left: 1,
            calls: 1,
            ..aim
        });
        let open = disk.open();
        open.rename("f", "g").unwrap();
        open.sync_dir().unwrap();
        assert_eq!(disk.hit(), None, "the first goes by");
        open.rename("g", "h").unwrap();
        assert_eq!(
            (disk.hit(), disk.is_crashed()),
            (Some(RareOperation::Rename), false)
        );
        assert!(open.sync_dir().is_err() && disk.is_crashed());
        disk.release();
        assert!(disk.hit().is_none() && disk.aimed_at().is_none());
        assert!(disk.open().sync_dir().is_ok() && disk.has("h"));
    }

    #[test]
    fn a_trouble_that_is_aimed_begins_in_the_middle_of_its_operation_and_lasts() {
        let disk = disk(1);
        let renames = RareOperations::try_from(vec![RareOperation::Rename]).unwrap();
        let aim = Aim::draw(renames, 0, Some(DiskTrouble::Full), &mut Prng::new(1));
        disk.aim(Aim {
            left: 0,
            calls: 1,
            ..aim
        });
        let open = disk.open();
        open.create("new").unwrap();
        open.rename("f", "g").unwrap();
        assert_eq!((disk.trouble(), disk.aimed_at()), (None, None));
        assert!(open.create("newer").is_err());
        assert_eq!((disk.trouble(), disk.hit()), (Some(DiskTrouble::Full), None));
        assert!(open.create("newest").is_err() && open.rename("g", "h").is_ok());
        disk.set_trouble(None);
        assert!(open.create("newest").is_ok());
    }

    #[test]
    fn a_crash_is_between_two_operations() {
        let disk = disk(1);
        disk.crash_after(1);
        let file = disk.files.open("f").unwrap();
        assert!(file.sync_data().is_err() && disk.is_crashed());
        assert!(file.write_at(0, &[IoSlice::new(&[3; 9])]).is_err());
        disk.release();
        assert_eq!(first_byte(&disk), 1, "nothing happens after it");
        assert!(file.sync_data().is_ok());
    }
}

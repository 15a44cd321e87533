//! Faults that tests of the store arm: at a named operation, or until they are taken back.
//!
//! Invariant: every operation that changes, syncs, lists, opens or scans something is counted, and each of them fails or not by its
//! number alone.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Divides, Happens, Interference, MemDisk, Operation, Part, State};
use crate::prng::Prng;

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
    /// No write has room, not even one into room that was taken, until the fault is taken back: so say file systems that copy
    /// on write, and thin disks. A write leaves its first half.
    FullOverwrite,
    /// The power goes after operation `op`: it and all before it happen, none after it.
    PowerAfter {
        /// The operation, counted from zero.
        op: u64,
    },
    /// The power goes in the middle of operation `op`: of a write past the cache any sectors are there, of another one the
    /// first half; none after it happens.
    PowerWithin {
        /// The operation, counted from zero.
        op: u64,
        /// Decides which sectors.
        seed: u64,
    },
}

/// What has happened, and what is armed.
#[derive(Default)]
pub(super) struct Faults(Mutex<Armed>);

#[derive(Default)]
struct Armed {
    fault: Option<Fault>,
    power_is_off: bool,
    /// What the operations were, in order.
    log: Vec<String>,
    direct_bytes_min: Option<usize>,
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Armed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Interference for Faults {
    fn meet(&self, operation: &Operation<'_>) -> Happens {
        if matches!(operation, Operation::Forget(_) | Operation::View(_)) {
            return Ok(());
        }
        let mut armed = self.lock();
        if armed.power_is_off {
            return Err((io::Error::other("the power is off"), Part::Nothing));
        }
        let number = armed.log.len() as u64;
        armed.log.push(operation.to_string());
        match armed.fault {
            Some(Fault::Once { op, errno }) if op == number => {
                Err((io::Error::from_raw_os_error(errno), half(operation, number)))
            }
            Some(Fault::PowerAfter { op }) if op == number => {
                armed.power_is_off = true;
                Ok(())
            }
            Some(Fault::PowerWithin { op, seed }) if op == number => {
                armed.power_is_off = true;
                Err((io::Error::other("the power is off"), half(operation, seed)))
            }
            Some(Fault::Full) if matches!(operation, Operation::Allocate { .. }) => {
                Err((io::ErrorKind::StorageFull.into(), Part::Nothing))
            }
            Some(Fault::FullOverwrite) if writes(operation) => {
                Err((io::ErrorKind::StorageFull.into(), half(operation, number)))
            }
            Some(
                Fault::Once { .. }
                | Fault::PowerAfter { .. }
                | Fault::PowerWithin { .. }
                | Fault::Full
                | Fault::FullOverwrite,
            )
            | None => Ok(()),
        }
    }

    fn direct_bytes_min(&self) -> Option<usize> {
        self.lock().direct_bytes_min
    }
}

/// True when a file system that copies on write needs room for it.
fn writes(operation: &Operation<'_>) -> bool {
    match operation {
        Operation::Create(_)
        | Operation::Rename { .. }
        | Operation::Remove(_)
        | Operation::Write { .. }
        | Operation::WriteDurably { .. }
        | Operation::Allocate { .. } => true,
        Operation::Lock
        | Operation::List
        | Operation::Open(_)
        | Operation::SyncDir
        | Operation::SyncData(_)
        | Operation::SyncAll(_)
        | Operation::Forget(_)
        | Operation::Scan(_)
        | Operation::View(_) => false,
    }
}

fn half(operation: &Operation<'_>, number: u64) -> Part {
    match operation.divides() {
        Divides::IntoBytes(length) => Part::Bytes(length / 2),
        Divides::IntoSectors | Divides::IntoDurableSectors => Part::Sectors(Prng::new(number)),
        Divides::Never => Part::Nothing,
    }
}

impl MemDisk {
    /// An empty directory.
    pub fn new() -> Self {
        Self::of(State::default())
    }

    /// A directory with these files, all durable.
    pub fn with_files(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        Self::of(State::with_files(files))
    }

    fn of(state: State) -> Self {
        let faults = Arc::<Faults>::default();
        Self {
            shared: Arc::new(Mutex::new(state)),
            interference: Arc::clone(&faults) as Arc<dyn Interference>,
            faults: Some(faults),
        }
    }

    /// Operations so far: every call that changes, syncs, lists, opens or scans something.
    pub fn operations(&self) -> u64 {
        self.armed().log.len() as u64
    }

    /// What the operations were, in order.
    pub fn operation_log(&self) -> Vec<String> {
        self.armed().log.clone()
    }

    /// From now on whole sectors go past the cache when there are at least so many bytes of them.
    pub fn write_directly_from(&self, bytes: usize) {
        self.armed().direct_bytes_min = Some(bytes);
    }

    /// Arms a fault; operations are counted from the beginning.
    pub fn arm(&self, fault: Option<Fault>) {
        self.armed().fault = fault;
    }

    /// The directory after its process was killed, and what it wrote has reached the disk.
    pub fn after_kill(&self) -> Self {
        Self::with_files(self.files())
    }

    /// The directory after a power cut; `seed` chooses what of the unsynced is lost.
    pub fn after_power_cut(&self, seed: u64) -> Self {
        let cut = Self::of(self.state().copy());
        cut.cut_power(&mut Prng::new(seed), 0);
        cut
    }

    fn armed(&self) -> MutexGuard<'_, Armed> {
        let faults = self.faults.as_ref();
        faults
            .expect("faults are armed in a directory without an interference of its own")
            .lock()
    }
}

impl Default for MemDisk {
    fn default() -> Self {
        Self::new()
    }
}

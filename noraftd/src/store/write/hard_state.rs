//! The file with term and vote, open for writing, also beside the log.
//!
//! A vote need not wait for the batch that is being written: it goes to this file on its own ([`VoteFile`]), and is
//! durable after one sync. Then it is written to the other slot, so that it is there twice before long, and the next batch
//! carries it.
//!
//! Invariant: one slot is written after the other, for power may be lost while both are being written, and a torn
//! sector holds neither the old nor the new. A vote has a later LSN than the batch that it overtakes.

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::record::HardState;
use crate::store::disk::DiskFile;
use crate::store::disk::shortage::{is_full, is_shortage};
use crate::store::error::StoreError;
use crate::store::format::hard_state::{FILE, Slot, progress};
use crate::store::format::layout::PAGE;

/// The open file; clones share it.
#[derive(Clone)]
pub(in crate::store) struct HardStateFile {
    pub(in crate::store) file: Arc<dyn DiskFile>,
    newest: Arc<Mutex<Newest>>,
}

/// The newest slot.
struct Newest {
    number: usize,
    slot: Slot,
    /// The last batch that carries a state, or is about to: a vote that overtakes it is newer.
    lsn_carried: u64,
}

impl HardStateFile {
    pub(in crate::store) fn new(file: Arc<dyn DiskFile>, (number, slot): (usize, Slot)) -> Self {
        let newest = Newest {
            number,
            slot,
            lsn_carried: slot.lsn,
        };
        Self {
            file,
            newest: Arc::new(Mutex::new(newest)),
        }
    }

    /// What the newest slot says.
    pub(in crate::store) fn get(&self) -> HardState {
        self.lock().slot.hard_state
    }

    /// The state that the batch `lsn` is about to carry: a vote that overtakes it is newer.
    pub(in crate::store) fn carried_by(&self, lsn: u64) -> HardState {
        let mut newest = self.lock();
        newest.lsn_carried = newest.lsn_carried.max(lsn);
        newest.slot.hard_state
    }

    /// The LSN of the newest slot.
    pub(in crate::store) fn lsn(&self) -> u64 {
        self.lock().slot.lsn
    }

    /// Makes `state` durable in the older slot, unless the file is as new: `write` makes a slot durable. The batch
    /// `carried_by` will carry it; without one, a later batch.
    ///
    /// # Errors
    ///
    /// Those of `write`; then nothing is known to have changed.
    pub(in crate::store) fn save<E>(
        &self,
        carried_by: Option<u64>,
        state: HardState,
        write: impl FnOnce(usize, &Slot) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut newest = self.lock();
        newest.lsn_carried = newest.lsn_carried.max(carried_by.unwrap_or(0));
        let slot = newest.slot;
        if slot.hard_state == state || progress(slot.hard_state) > progress(state) {
            return Ok(());
        }
        let lsn = carried_by.unwrap_or(newest.lsn_carried + 1).max(slot.lsn + 1);
        newest.write(
            Slot {
                lsn,
                hard_state: state,
                ..slot
            },
            write,
        )
    }

    /// Writes one slot; durable after a sync.
    pub(in crate::store) fn write(&self, number: usize, slot: &Slot) -> io::Result<()> {
        self.file
            .write_at((number * PAGE) as u64, &[IoSlice::new(&slot.encode())])
    }

    fn write_durably(&self, number: usize, slot: &Slot) -> Result<(), StoreError> {
        self.write(number, slot).map_err(write_failed)?;
        self.file.sync_data().map_err(failed)
    }

    fn lock(&self) -> MutexGuard<'_, Newest> {
        // It changes once the slot is written, and then at once: a panic leaves it as it was.
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Newest {
    /// Lets `write` write `next` over the older slot.
    fn write<E>(&mut self, next: Slot, write: impl FnOnce(usize, &Slot) -> Result<(), E>) -> Result<(), E> {
        let number = 1 - self.number;
        write(number, &next)?;
        (self.number, self.slot) = (number, next);
        Ok(())
    }
}

/// The way for votes that overtake the batch that is being written, for another thread.
#[derive(Clone)]
pub struct VoteFile(HardStateFile);

impl VoteFile {
    pub(in crate::store) fn new(file: HardStateFile) -> Self {
        Self(file)
    }

    /// Makes term and vote durable: `Ok` means that they survive a loss of power. The next batch has to carry them.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`], which is final. After [`StoreError::Full`] and [`StoreError::Short`] the slot holds the old
    /// state, the new one or neither, the other slot is as it was, and the same can be tried again.
    pub fn save(&self, state: HardState) -> Result<(), StoreError> {
        let write = |number, slot: &Slot| self.0.write_durably(number, slot);
        self.0.save(None, state, write)
    }

    /// Lets both slots hold what the newer one holds. Nothing waits for it.
    ///
    /// # Errors
    ///
    /// As for [`Self::save`].
    pub fn repeat(&self) -> Result<(), StoreError> {
        let mut newest = self.0.lock();
        let again = Slot {
            // Slots of one LSN are one slot that damage has copied over the other.
            lsn: newest.slot.lsn + 1,
            ..newest.slot
        };
        let write = |number, slot: &Slot| self.0.write_durably(number, slot);
        newest.write(again, write)
    }
}

/// The slot has its room; a file system that copies on write, or a thin disk, may lack it all the same.
fn write_failed(source: io::Error) -> StoreError {
    let file = FILE.to_owned();
    if is_full(&source) {
        return StoreError::Full { file, source };
    }
    if is_shortage(&source) {
        return StoreError::Short { file, source };
    }
    failed(source)
}

fn failed(error: io::Error) -> StoreError {
    StoreError::Failed {
        file: FILE.to_owned(),
        doing: "writing a vote",
        source: Arc::new(error),
    }
}

#[cfg(test)]
mod tests {
    use noraft::NodeId;

    use super::*;
    use crate::store::disk::Disk;
    use crate::store::disk::memory::MemDisk;
    use crate::store::types::{Identity, Owner};

    fn state(term: u64) -> HardState {
        HardState {
            term,
            voted_for: Some(1),
        }
    }

    fn slot(lsn: u64, term: u64) -> Slot {
        let owner = Owner {
            cluster_id: 1,
            node_id: NodeId::new(2),
        };
        Slot {
            identity: Identity {
                owner,
                incarnation: 3,
            },
            lsn,
            hard_state: state(term),
        }
    }

    /// By LSN alone, too: a release that knows no votes beside batches reads it rightly.
    #[test]
    fn a_vote_has_a_later_lsn_than_the_batch_that_it_overtakes_and_older_states_are_not_written_over_it() {
        let file = MemDisk::new().create(FILE).expect("it takes a file");
        let file = HardStateFile::new(file, (0, slot(4, 5)));
        let mut written = Vec::new();
        let mut save = |carried_by, term| {
            let saved = file.save(carried_by, state(term), |number, slot| {
                written.push((number, slot.lsn, slot.hard_state.term));
                Ok::<(), ()>(())
            });
            assert_eq!(saved, Ok(()));
        };
        for (carried_by, term) in [
            (Some(20), 6),
            (None, 7),
            (Some(20), 6),
            (Some(21), 7),
            (None, 8),
            (Some(22), 9),
        ] {
            save(carried_by, term);
        }
        assert_eq!(written, [(1, 20, 6), (0, 21, 7), (1, 22, 8), (0, 23, 9)]);
        assert_eq!(file.get().term, 9);
    }
}

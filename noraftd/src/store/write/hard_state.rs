//! The file with term and vote, open for writing.

use std::io::{self, IoSlice};
use std::sync::Arc;

use crate::record::HardState;
use crate::store::disk::DiskFile;
use crate::store::format::hard_state::Slot;
use crate::store::format::layout::PAGE;

/// The open file.
pub(in crate::store) struct HardStateFile {
    pub(in crate::store) file: Arc<dyn DiskFile>,
    /// The newest slot, and its number.
    pub(in crate::store) newest: (usize, Slot),
}

impl HardStateFile {
    /// What the newest slot says.
    pub(in crate::store) fn get(&self) -> HardState {
        self.newest.1.hard_state
    }

    /// The slot to write next, over the older one, for `hard_state`, which the batch `lsn` will carry.
    pub(in crate::store) fn following(&self, lsn: u64, hard_state: HardState) -> (usize, Slot) {
        let (number, newest) = self.newest;
        (
            1 - number,
            Slot {
                lsn,
                hard_state,
                ..newest
            },
        )
    }

    /// Writes one slot; durable after a sync.
    pub(in crate::store) fn write(&self, number: usize, slot: &Slot) -> io::Result<()> {
        self.file
            .write_at((number * PAGE) as u64, &[IoSlice::new(&slot.encode())])
    }
}

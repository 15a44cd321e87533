//! The incarnation of a directory that is to become a new member's, before there is a store: a join that is asked for again,
//! after whatever crash, is the same join.
//!
//! The file `joining` (`store/number_file.rs`) stays until the store is there, and is of no
//! use afterwards.
//!
//! Invariant: what is given is durable.

use std::io;

use noraft::NodeId;

use crate::store::disk::Disk;
use crate::store::format::hard_state::{self, Slots};
use crate::store::number_file::{self, Found};

/// The incarnation that the directory was going to have; `new`, from now on, where there is none.
///
/// # Errors
///
/// When the disk fails, or is full.
pub fn incarnation(disk: &dyn Disk, new: u64) -> io::Result<u64> {
    if let Found::Number(found) = number_file::read(disk, FILE)? {
        return Ok(found);
    }
    number_file::write(disk, (FILE, TEMPORARY), new)?;
    Ok(new)
}

/// The node whose directory it is, as far as its term and vote say that.
///
/// # Errors
///
/// When the disk fails.
pub fn node_of(disk: &dyn Disk) -> io::Result<Option<NodeId>> {
    let mut slots = None;
    if disk.list()?.iter().any(|name| name == hard_state::FILE) {
        let file = disk.open(hard_state::FILE)?;
        file.scan(&mut |bytes| slots = Slots::decode(bytes).newest())?;
    }
    Ok(slots.map(|(_, slot)| slot.identity.owner.node_id))
}

const FILE: &str = "joining";
const TEMPORARY: &str = "joining.tmp";

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::*;
    use crate::store::disk::memory::MemDisk;

    #[test]
    fn the_incarnation_stays_once_it_is_durable_and_a_torn_one_never_was() {
        let disk = MemDisk::new();
        assert_eq!(incarnation(&disk, 7).unwrap(), 7);
        assert_eq!(incarnation(&disk, 8).unwrap(), 7);
        disk.open(FILE)
            .unwrap()
            .write_at(3, &[IoSlice::new(&[1])])
            .unwrap();
        assert_eq!(incarnation(&disk, 9).unwrap(), 9);
        assert_eq!(node_of(&disk).unwrap(), None);
    }
}

//! The incarnation of a directory that is to become a new member's, before there is a store: a join that is asked for again,
//! after whatever crash, is the same join.
//!
//! The file `joining`: the incarnation u64 and its crc u32, little-endian. It stays until the store is there, and is of no
//! use afterwards.
//!
//! Invariant: what is given is durable.

use std::io::{self, IoSlice};

use noraft::NodeId;

use crate::store::disk::Disk;
use crate::store::format::codec::{Fields, crc};
use crate::store::format::hard_state::{self, Slots};

/// The incarnation that the directory was going to have; `new`, from now on, where there is none.
///
/// # Errors
///
/// When the disk fails, or is full.
pub fn incarnation(disk: &dyn Disk, new: u64) -> io::Result<u64> {
    let mut found = None;
    if disk.list()?.iter().any(|name| name == FILE) {
        disk.open(FILE)?.scan(&mut |bytes| found = decode(bytes))?;
    }
    if let Some(found) = found {
        return Ok(found);
    }
    let mut bytes = new.to_le_bytes().to_vec();
    let sum = crc(0, &bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    let file = disk.create(TEMPORARY)?;
    file.write_at(0, &[IoSlice::new(&bytes)])?;
    file.sync_all()?;
    disk.rename(TEMPORARY, FILE)?;
    disk.sync_dir()?;
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

fn decode(bytes: &[u8]) -> Option<u64> {
    let (number, sum) = (bytes.get(..8)?, bytes.get(8..12)?);
    (Fields(sum).u32(0) == crc(0, number)).then(|| Fields(number).u64(0))
}

const FILE: &str = "joining";
const TEMPORARY: &str = "joining.tmp";

#[cfg(test)]
mod tests {
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

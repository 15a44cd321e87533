//! Which beginning of its cluster a directory belongs to. A cluster that lost a majority and was begun again out of one
//! directory (`noraftd recover`) has the same name, but another history than the nodes that were left behind: the generation
//! keeps them apart.
//!
//! The file `generation`: a random u64, not 0, and its crc u32, little-endian. Without the file it is 0, that of a cluster that was
//! never begun again.
//!
//! Invariant: what is given was durable once. A damaged file is an error: to guess would let the nodes mix.

use std::io::{self, IoSlice};

use crate::store::disk::Disk;
use crate::store::format::codec::{Fields, crc};

/// The generation of a directory.
///
/// # Errors
///
/// When the file is damaged, or the disk fails.
pub fn load(disk: &dyn Disk) -> io::Result<u64> {
    if !disk.list()?.iter().any(|name| name == FILE) {
        return Ok(0);
    }
    let mut found = None;
    disk.open(FILE)?.scan(&mut |bytes| found = decode(bytes))?;
    found.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is damaged"))
}

/// The directory belongs to this generation from now on, durably.
///
/// # Errors
///
/// When the disk fails, or is full.
pub fn save(disk: &dyn Disk, generation: u64) -> io::Result<()> {
    let mut bytes = generation.to_le_bytes().to_vec();
    let sum = crc(0, &bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    let file = disk.create(TEMPORARY)?;
    file.write_at(0, &[IoSlice::new(&bytes)])?;
    file.sync_all()?;
    disk.rename(TEMPORARY, FILE)?;
    disk.sync_dir()
}

fn decode(bytes: &[u8]) -> Option<u64> {
    let (number, sum) = (bytes.get(..8)?, bytes.get(8..12)?);
    (Fields(sum).u32(0) == crc(0, number)).then(|| Fields(number).u64(0))
}

/// The name of the file.
pub const FILE: &str = "generation";
const TEMPORARY: &str = "generation.new";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::memory::MemDisk;

    #[test]
    fn it_is_0_without_a_file_survives_power_cuts_and_is_never_guessed() {
        let disk = MemDisk::new();
        assert_eq!(load(&disk).unwrap(), 0);
        save(&disk, 7).unwrap();
        for seed in 0..20 {
            assert_eq!(load(&disk.after_power_cut(seed)).unwrap(), 7);
        }
        let file = disk.open(FILE).unwrap();
        file.write_at(3, &[IoSlice::new(&[1])]).unwrap();
        assert_eq!(load(&disk).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}

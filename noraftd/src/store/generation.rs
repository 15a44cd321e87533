//! Which beginning of its cluster a directory belongs to. A cluster that lost a majority and was begun again out of one
//! directory (`noraftd recover`) has the same name, but another history than the nodes that were left behind: the generation
//! keeps them apart.
//!
//! The file `generation` (`store/number_file.rs`): a random number, not 0. Without the file it is 0, that of a cluster that was
//! never begun again.
//!
//! Invariant: what is given was durable once. A damaged file is an error: to guess would let the nodes mix.

use std::io;

use crate::store::disk::Disk;
use crate::store::number_file::{self, Found};

/// The generation of a directory.
///
/// # Errors
///
/// When the file is damaged, or the disk fails.
pub fn load(disk: &dyn Disk) -> io::Result<u64> {
    match number_file::read(disk, FILE)? {
        Found::Nothing => Ok(0),
        Found::Number(generation) => Ok(generation),
        Found::Damaged => Err(io::Error::new(io::ErrorKind::InvalidData, "it is damaged")),
    }
}

/// The directory belongs to this generation from now on, durably.
///
/// # Errors
///
/// When the disk fails, or is full.
pub fn save(disk: &dyn Disk, generation: u64) -> io::Result<()> {
    number_file::write(disk, (FILE, TEMPORARY), generation)
}

/// The name of the file.
pub const FILE: &str = "generation";
const TEMPORARY: &str = "generation.new";

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

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

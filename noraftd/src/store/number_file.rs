//! A number in a file of its own: a u64 and its crc u32, little-endian.
//!
//! Invariant: a file of the name is whole or damaged by something else, never half written.

use std::io::{self, IoSlice};

use super::disk::Disk;
use super::format::codec::{Fields, crc};

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// There is no such file.
    Nothing,
    /// Its checksum does not fit.
    Damaged,
    Number(u64),
}

/// What the file `name` holds.
pub(super) fn read(disk: &dyn Disk, name: &str) -> io::Result<Found> {
    if !disk.list()?.iter().any(|file| file == name) {
        return Ok(Found::Nothing);
    }
    let mut found = Found::Damaged;
    disk.open(name)?.scan(&mut |bytes| found = decode(bytes))?;
    Ok(found)
}

/// Makes the file `name` hold `number`, durably, by way of the file `temporary`.
pub(super) fn write(disk: &dyn Disk, (name, temporary): (&str, &str), number: u64) -> io::Result<()> {
    let mut bytes = number.to_le_bytes().to_vec();
    let sum = crc(0, &bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    let file = disk.create(temporary)?;
    file.write_at(0, &[IoSlice::new(&bytes)])?;
    file.sync_all()?;
    disk.rename(temporary, name)?;
    disk.sync_dir()
}

fn decode(bytes: &[u8]) -> Found {
    let parts = bytes.get(..8).zip(bytes.get(8..12));
    match parts {
        Some((number, sum)) if Fields(sum).u32(0) == crc(0, number) => Found::Number(Fields(number).u64(0)),
        Some(_) | None => Found::Damaged,
    }
}

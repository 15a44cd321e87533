//! The nodes that a cluster began with, as this directory knows them: what a node compares with the others, so that
//! nodes that were set up with different lists do not count quorums among different members.
//!
//! The log itself forgets them: its first base is their configuration, until a snapshot takes its place; and the voters in
//! force may have become others since. So they are written down once, in a file of their own. All numbers are
//! little-endian:
//!
//! | bytes | field |
//! |-|-|
//! | 0..8 | magic `nraftgen` |
//! | 8..12 | format version, 1 |
//! | 12..16 | number of nodes |
//! | 16.. | the node ids, u64, rising |
//! | then | crc u32 of all before it; zeros to the end of the page |
//!
//! Invariant: what is given is what the log began with. Where that cannot be known any more (a directory of the first
//! release with a snapshot, a damaged file, a full disk), nothing is given, and nothing is compared.

use std::collections::BTreeSet;
use std::io::{self, IoSlice};

use noraft::{Log, LogPosition, NodeId};
use xxhash_rust::xxh3::xxh3_64;

use crate::record::ENCODED_MEMBERS_MAX;
use crate::store::disk::Disk;
use crate::store::disk::shortage::is_full;
use crate::store::format::codec::{Fields, crc};
use crate::store::format::layout::PAGE;

/// The nodes that the cluster began with; writes them down when `log` still knows and the disk does not.
///
/// # Errors
///
/// When the disk fails. A full one is no error.
pub fn load(disk: &dyn Disk, log: &Log) -> io::Result<Option<BTreeSet<NodeId>>> {
    let mut found = None;
    if disk.list()?.iter().any(|name| name == FILE) {
        disk.open(FILE)?.scan(&mut |bytes| found = decode(bytes))?;
    }
    if found.is_some() || log.snapshot_position() != LogPosition::ZERO {
        return Ok(found);
    }
    let members: BTreeSet<NodeId> = log.snapshot_config().unique_nodes().collect();
    match save(disk, &members) {
        Err(error) if !is_full(&error) => Err(error),
        Ok(()) | Err(_) => Ok(Some(members)),
    }
}

/// Writes down that the cluster began with these nodes.
///
/// # Errors
///
/// When the disk fails, or is full.
pub fn save(disk: &dyn Disk, members: &BTreeSet<NodeId>) -> io::Result<()> {
    let file = disk.create(TEMPORARY)?;
    file.allocate(PAGE as u64)?;
    file.write_at(0, &[IoSlice::new(&encode(members))])?;
    file.sync_all()?;
    disk.rename(TEMPORARY, FILE)?;
    disk.sync_dir()
}

/// What nodes compare: the same for the same nodes, in every version.
pub fn hash(members: &BTreeSet<NodeId>) -> u64 {
    let bytes: Vec<u8> = members.iter().flat_map(|id| id.get().to_le_bytes()).collect();
    xxh3_64(&bytes)
}

fn encode(members: &BTreeSet<NodeId>) -> Vec<u8> {
    let count = u32::try_from(members.len()).expect("a cluster has at most ENCODED_MEMBERS_MAX members");
    let mut out = Vec::with_capacity(PAGE);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    for id in members {
        out.extend_from_slice(&id.get().to_le_bytes());
    }
    let sum = crc(0, &out);
    out.extend_from_slice(&sum.to_le_bytes());
    out.resize(PAGE, 0);
    out
}

fn decode(bytes: &[u8]) -> Option<BTreeSet<NodeId>> {
    let head = bytes.get(..HEAD_BYTES).map(Fields)?;
    let count = head.u32(12) as usize;
    let end = HEAD_BYTES + 8 * count.min(ENCODED_MEMBERS_MAX);
    let (ids, sum) = (bytes.get(HEAD_BYTES..end)?, bytes.get(end..end + 4)?);
    let is_sound = bytes[..8] == MAGIC
        && head.u32(8) == FORMAT_VERSION
        && count <= ENCODED_MEMBERS_MAX
        && Fields(sum).u32(0) == crc(0, &bytes[..end]);
    let ids = ids.chunks_exact(8).map(|id| NodeId::new(Fields(id).u64(0)));
    is_sound.then(|| ids.collect())
}

/// The file's name.
pub const FILE: &str = "genesis";
const TEMPORARY: &str = "genesis.tmp";
const MAGIC: [u8; 8] = *b"nraftgen";
const FORMAT_VERSION: u32 = 1;
const HEAD_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::genesis_config;
    use crate::store::disk::memory::MemDisk;

    fn ids(of: &[u64]) -> BTreeSet<NodeId> {
        of.iter().copied().map(NodeId::new).collect()
    }

    fn log(index: u64, members: &[u64]) -> Log {
        let position = LogPosition {
            term: noraft::Term::new(u64::from(index > 0)),
            index: noraft::LogIndex::new(index),
        };
        Log::new(genesis_config(ids(members)), noraft::LogEntries::new(position))
    }

    #[test]
    fn the_beginning_outlives_the_log() {
        let disk = MemDisk::new();
        assert_eq!(load(&disk, &log(0, &[1, 2, 3])).unwrap(), Some(ids(&[1, 2, 3])));
        assert_eq!(load(&disk, &log(9, &[1, 2])).unwrap(), Some(ids(&[1, 2, 3])));
    }

    #[test]
    fn what_cannot_be_known_is_not_given() {
        let disk = MemDisk::new();
        assert_eq!(load(&disk, &log(9, &[1, 2])).unwrap(), None, "compacted before");
        save(&disk, &ids(&[1, 2])).unwrap();
        let file = disk.open(FILE).unwrap();
        let mut page = encode(&ids(&[1, 2]));
        page[20] ^= 1;
        file.write_at(0, &[IoSlice::new(&page)]).unwrap();
        assert_eq!(load(&disk, &log(9, &[1, 2])).unwrap(), None, "damaged");
    }

    #[test]
    fn no_bytes_panic_and_every_bit_counts() {
        let page = encode(&ids(&[1, 2, 3]));
        let used = HEAD_BYTES + 3 * 8 + 4;
        for end in 0..used {
            assert_eq!(decode(&page[..end]), None, "cut at {end}");
        }
        for bit in 0..8 * used {
            let mut altered = page.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&altered), None, "bit {bit}");
        }
    }

    #[test]
    fn the_hash_stays_the_same() {
        assert_eq!(hash(&ids(&[1, 2, 3])), hash(&ids(&[3, 2, 1])));
        assert_ne!(hash(&ids(&[1, 2, 3])), hash(&ids(&[1, 2])));
        assert_eq!(hash(&ids(&[1, 2, 3])), GOLDEN);
    }

    const GOLDEN: u64 = 8_964_613_590_703_056_768;
}

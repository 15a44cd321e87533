//! The data directories of the other nodes, as this node has met them: a node id that comes back with another
//! directory has forgotten what it promised, and is told from the one that promised, also after a restart here.
//!
//! Invariant: a directory is accepted only after its incarnation is durable here, and another one in its place only
//! when a person said so.
//!
//! The file `incarnations` holds the same bytes twice, the second time from the middle on, each filled up with zeros to
//! whole pages; it is replaced as a whole. All numbers are little-endian:
//!
//! | bytes | field |
//! |-|-|
//! | 0..8 | magic `nraftmet` |
//! | 8..12 | format version, 1 |
//! | 12..16 | number of nodes |
//! | 16.. | for each: node id u64, incarnation u64 |
//! | then | crc u32 of all before it |

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::Arc;

use noraft::NodeId;

use super::codec::{Fields, crc};
use super::disk::Disk;
use super::segment::PAGE;
use crate::record::MEMBERS_MAX;

const FILE: &str = "incarnations";
const TEMPORARY: &str = "incarnations.tmp";
const MAGIC: [u8; 8] = *b"nraftmet";
const FORMAT_VERSION: u32 = 1;
const HEAD_BYTES: usize = 16;
const NODE_BYTES: usize = 16;

/// Which directory each other node had when this node first met it.
pub struct Met {
    disk: Arc<dyn Disk>,
    known: BTreeMap<NodeId, u64>,
    is_lost: bool,
}

impl Met {
    /// Reads what `disk` has; nobody, when there is no file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is of a version that this code does not know.
    pub fn load(disk: Arc<dyn Disk>) -> io::Result<Self> {
        let mut found = Ok(Some(BTreeMap::new()));
        if disk.list()?.iter().any(|name| name == FILE) {
            disk.open(FILE)?.scan(&mut |bytes| found = decode_any(bytes))?;
        }
        let known = found?;
        Ok(Self {
            disk,
            is_lost: known.is_none(),
            known: known.unwrap_or_default(),
        })
    }

    /// True when both copies are damaged: everybody is met anew.
    pub fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// The directory that this node had.
    pub fn get(&self, node: NodeId) -> Option<u64> {
        self.known.get(&node).copied()
    }

    /// From now on `node` has this directory: durably, when this returns.
    ///
    /// # Errors
    ///
    /// When the disk is full or fails; then nothing has changed.
    pub fn admit(&mut self, node: NodeId, incarnation: u64) -> io::Result<()> {
        let mut known = self.known.clone();
        known.insert(node, incarnation);
        let copy = encode(&known);
        let file = self.disk.create(TEMPORARY)?;
        file.write_at(0, &[IoSlice::new(&copy), IoSlice::new(&copy)])?;
        file.sync_all()?;
        self.disk.rename(TEMPORARY, FILE)?;
        self.disk.sync_dir()?;
        self.known = known;
        Ok(())
    }
}

fn encode(known: &BTreeMap<NodeId, u64>) -> Vec<u8> {
    let count = u32::try_from(known.len()).expect("a cluster has at most MEMBERS_MAX members");
    let mut out = Vec::with_capacity(PAGE);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    for (node, incarnation) in known {
        out.extend_from_slice(&node.get().to_le_bytes());
        out.extend_from_slice(&incarnation.to_le_bytes());
    }
    let sum = crc(0, &out);
    out.extend_from_slice(&sum.to_le_bytes());
    out.resize(out.len().next_multiple_of(PAGE), 0);
    out
}

/// What either copy says; `None` when neither is what was written.
fn decode_any(file: &[u8]) -> io::Result<Option<BTreeMap<NodeId, u64>>> {
    let (first, second) = file.split_at(file.len() / 2);
    for copy in [first, second] {
        if let Some(known) = decode(copy)? {
            return Ok(Some(known));
        }
    }
    Ok(None)
}

fn decode(copy: &[u8]) -> io::Result<Option<BTreeMap<NodeId, u64>>> {
    let Some(head) = copy.get(..HEAD_BYTES).map(Fields) else {
        return Ok(None);
    };
    let count = head.u32(12) as usize;
    let end = HEAD_BYTES + count.min(MEMBERS_MAX) * NODE_BYTES;
    let (Some(nodes), Some(sum)) = (copy.get(HEAD_BYTES..end), copy.get(end..end + 4)) else {
        return Ok(None);
    };
    if copy[..8] != MAGIC || count > MEMBERS_MAX || Fields(sum).u32(0) != crc(0, &copy[..end]) {
        return Ok(None);
    }
    if head.u32(8) != FORMAT_VERSION {
        let text = format!(
            "{FILE}: format version {}, this code knows {FORMAT_VERSION}; start the version that wrote it, or a later one",
            head.u32(8)
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let nodes = nodes.chunks_exact(NODE_BYTES).map(Fields);
    Ok(Some(
        nodes
            .map(|node| (NodeId::new(node.u64(0)), node.u64(8)))
            .collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::mem_disk::MemDisk;

    fn load(disk: &MemDisk) -> Met {
        Met::load(Arc::new(disk.clone())).unwrap()
    }

    fn met() -> (MemDisk, Met) {
        let disk = MemDisk::new();
        let mut met = load(&disk);
        met.admit(NodeId::new(1), 11).unwrap();
        met.admit(NodeId::new(3), 33).unwrap();
        (disk, met)
    }

    #[test]
    fn who_was_met_is_known_after_a_power_cut() {
        let (disk, _) = met();
        for seed in 0..20 {
            let met = load(&disk.after_power_cut(seed));
            assert_eq!(
                (met.get(NodeId::new(1)), met.get(NodeId::new(3))),
                (Some(11), Some(33))
            );
            assert_eq!(met.get(NodeId::new(2)), None);
        }
    }

    #[test]
    fn a_directory_takes_the_place_of_another() {
        let (disk, mut met) = met();
        met.admit(NodeId::new(1), 12).unwrap();
        assert_eq!(load(&disk).get(NodeId::new(1)), Some(12));
    }

    #[test]
    fn every_flipped_bit_leaves_a_copy_and_two_leave_none() {
        let (disk, _) = met();
        let files = disk.files();
        let used = HEAD_BYTES + 2 * NODE_BYTES + 4;
        for byte in (0..used).chain(PAGE..PAGE + used) {
            let mut files = files.clone();
            files.get_mut(FILE).unwrap()[byte] ^= 1 << (byte % 8);
            let met = load(&MemDisk::with_files(files.clone()));
            assert_eq!(met.get(NodeId::new(3)), Some(33), "byte {byte}");
            files.get_mut(FILE).unwrap()[(byte + PAGE) % (2 * PAGE)] ^= 1;
            let met = load(&MemDisk::with_files(files));
            assert!(met.is_lost() && met.get(NodeId::new(3)).is_none(), "byte {byte}");
        }
        for length in 0..PAGE {
            let mut files = files.clone();
            files.get_mut(FILE).unwrap().truncate(length);
            let met = load(&MemDisk::with_files(files));
            assert!(
                met.is_lost() || met.get(NodeId::new(3)) == Some(33),
                "cut to {length}"
            );
        }
    }

    #[test]
    fn another_version_is_refused() {
        let (disk, _) = met();
        let mut files = disk.files();
        let file = files.get_mut(FILE).unwrap();
        let end = HEAD_BYTES + 2 * NODE_BYTES;
        file[8] = 2;
        let sum = crc(0, &file[..end]);
        file[end..end + 4].copy_from_slice(&sum.to_le_bytes());
        let error = Met::load(Arc::new(MemDisk::with_files(files))).err().unwrap();
        assert!(error.to_string().contains("format version 2"), "{error}");
    }
}

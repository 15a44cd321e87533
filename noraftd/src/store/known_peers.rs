//! The data directories of the other nodes, as this node has met them: a node id that comes back with another directory
//! has forgotten what it promised, and is distinguished from the one that promised, also after a restart here.
//!
//! Invariant: a directory is accepted only after its incarnation is durable here, and another one in its place only
//! when a person said so.
//!
//! The file `incarnations` has its room from the first start on, so that a node whose disk is full still meets the
//! others. It holds the same bytes twice, the second time from the middle on, each filled up with zeros. They are
//! written one after the other, each synced, so one of them is always whole; the file is laid out again when they
//! differ at a start. All numbers are little-endian:
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

use crate::record::ENCODED_MEMBERS_MAX;
use crate::store::disk::shortage::{is_full, is_shortage};
use crate::store::disk::{Disk, DiskFile};
use crate::store::format::codec::{Fields, crc};
use crate::store::format::layout::PAGE;

/// Which directory each other node had when this node first met it.
pub struct KnownPeers {
    disk: Arc<dyn Disk>,
    known: BTreeMap<NodeId, u64>,
    is_lost: bool,
    /// Both copies in it say `known`; `None` when the file is to be laid out first.
    file: Option<Arc<dyn DiskFile>>,
}

impl KnownPeers {
    /// The file's name.
    pub const FILE: &str = FILE;

    /// Reads what `disk` has (no node, when there is no file), and ensures that the file has its room.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written, or is of a version that this code does not know. A full disk is no
    /// error yet: a new node can then not be met.
    pub fn load(disk: Arc<dyn Disk>) -> io::Result<Self> {
        let (mut found, mut is_sound) = (Ok(Some(BTreeMap::new())), false);
        let exists = disk.list()?.iter().any(|name| name == FILE);
        if exists {
            disk.open(FILE)?.scan(&mut |bytes| {
                found = decode_any(bytes);
                let (first, second) = bytes.split_at(bytes.len() / 2);
                is_sound = bytes.len() == 2 * COPY_BYTES && first == second;
            })?;
        }
        let known = found?;
        let mut met = Self {
            is_lost: known.is_none(),
            known: known.unwrap_or_default(),
            file: None,
            disk,
        };
        if met.is_lost {
            // The next start is to say so too, until a node is met.
        } else if is_sound {
            met.file = Some(met.disk.open(FILE)?);
        } else if let Err(error) = met.lay_out(&met.known.clone())
            && !is_full(&error)
            && !is_shortage(&error)
        {
            return Err(error);
        }
        Ok(met)
    }

    /// True when both copies are damaged: every node is met for the first time again.
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
    /// When the disk fails, or is full and was at the start; then nothing has changed here, and the disk may know it.
    /// When as many nodes were met as the file has room for: no node that was met is ever forgotten, whatever its id.
    pub fn admit(&mut self, node: NodeId, incarnation: u64) -> io::Result<()> {
        if self.known.len() >= ENCODED_MEMBERS_MAX && !self.known.contains_key(&node) {
            let text = format!(
                "{FILE}: {ENCODED_MEMBERS_MAX} nodes were met, and there is no room for node {}",
                node.get()
            );
            return Err(io::Error::other(text));
        }
        let mut known = self.known.clone();
        known.insert(node, incarnation);
        // After an error it is unknown what the file holds: then it is laid out again.
        match self.file.take() {
            Some(file) => {
                let copy = encode(&known);
                for at in [0, COPY_BYTES] {
                    file.write_at(at as u64, &[IoSlice::new(&copy)])?;
                    file.sync_data()?;
                }
                self.file = Some(file);
            }
            None => self.lay_out(&known)?,
        }
        self.known = known;
        Ok(())
    }

    /// Puts a file that says `known` in the place of the one there is.
    fn lay_out(&mut self, known: &BTreeMap<NodeId, u64>) -> io::Result<()> {
        let copy = encode(known);
        let file = self.disk.create(TEMPORARY)?;
        file.allocate(2 * COPY_BYTES as u64)?;
        file.write_at(0, &[IoSlice::new(&copy), IoSlice::new(&copy)])?;
        file.sync_all()?;
        self.disk.rename(TEMPORARY, FILE)?;
        self.disk.sync_dir()?;
        self.file = Some(file);
        Ok(())
    }
}

fn encode(known: &BTreeMap<NodeId, u64>) -> Vec<u8> {
    let count = u32::try_from(known.len()).expect("a cluster has at most ENCODED_MEMBERS_MAX members");
    let mut out = Vec::with_capacity(COPY_BYTES);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    for (node, incarnation) in known {
        out.extend_from_slice(&node.get().to_le_bytes());
        out.extend_from_slice(&incarnation.to_le_bytes());
    }
    let sum = crc(0, &out);
    out.extend_from_slice(&sum.to_le_bytes());
    out.resize(COPY_BYTES, 0);
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
    let end = HEAD_BYTES + count.min(ENCODED_MEMBERS_MAX) * NODE_BYTES;
    let (Some(nodes), Some(sum)) = (copy.get(HEAD_BYTES..end), copy.get(end..end + 4)) else {
        return Ok(None);
    };
    if copy[..8] != MAGIC || count > ENCODED_MEMBERS_MAX || Fields(sum).u32(0) != crc(0, &copy[..end]) {
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

const FILE: &str = "incarnations";
const TEMPORARY: &str = "incarnations.tmp";
const MAGIC: [u8; 8] = *b"nraftmet";
const FORMAT_VERSION: u32 = 1;
const HEAD_BYTES: usize = 16;
const NODE_BYTES: usize = 16;
/// One copy, with room for every member that a cluster may have.
const COPY_BYTES: usize = (HEAD_BYTES + ENCODED_MEMBERS_MAX * NODE_BYTES + 4).next_multiple_of(PAGE);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::memory::{Fault, MemDisk};

    fn load(disk: &MemDisk) -> KnownPeers {
        KnownPeers::load(Arc::new(disk.clone())).unwrap()
    }

    fn met() -> (MemDisk, KnownPeers) {
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
    fn a_full_disk_keeps_room_for_a_node_that_is_met() {
        let disk = MemDisk::new();
        let mut met = load(&disk);
        disk.arm(Some(Fault::Full));
        for node in 1..=ENCODED_MEMBERS_MAX as u64 {
            met.admit(NodeId::new(node), node).unwrap();
        }
        assert_eq!(load(&disk).get(NodeId::new(256)), Some(256));
    }

    #[test]
    fn a_node_too_many_is_not_met_and_no_node_is_forgotten() {
        let disk = MemDisk::new();
        let mut met = load(&disk);
        (1..=256).for_each(|node| met.admit(NodeId::new(node), node).unwrap());
        let error = met.admit(NodeId::new(257), 1).unwrap_err().to_string();
        assert!(error.contains("no room for node 257"), "{error}");
        met.admit(NodeId::new(256), 7).unwrap();
        let met = load(&disk);
        assert_eq!((met.is_lost(), met.get(NodeId::new(256))), (false, Some(7)));
    }

    #[test]
    fn a_disk_that_was_full_at_the_start_meets_no_node_until_it_has_room() {
        let disk = MemDisk::new();
        disk.arm(Some(Fault::Full));
        let mut met = load(&disk);
        let error = met.admit(NodeId::new(1), 11).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(met.get(NodeId::new(1)), None);
        disk.arm(None);
        met.admit(NodeId::new(1), 11).unwrap();
        assert_eq!(load(&disk).get(NodeId::new(1)), Some(11));
    }

    /// Wherever the power goes, before the first node is met or while one takes the place of another.
    #[test]
    fn a_power_cut_at_any_point_loses_nothing_that_was_admitted() {
        let disk = MemDisk::new();
        let mut met = load(&disk);
        (1..=3).for_each(|incarnation| met.admit(NodeId::new(1), incarnation).unwrap());
        for op in 0..disk.operations() {
            let disk = MemDisk::new();
            disk.arm(Some(Fault::PowerAfter { op }));
            let mut admitted = 0;
            if let Ok(mut met) = KnownPeers::load(Arc::new(disk.clone())) {
                while admitted < 3 && met.admit(NodeId::new(1), admitted + 1).is_ok() {
                    admitted += 1;
                }
            }
            for seed in 0..20 {
                let after = disk.after_power_cut(seed);
                // Twice: what is found at one start is there at the next.
                for _ in 0..2 {
                    let found = load(&after).get(NodeId::new(1)).unwrap_or(0);
                    assert!(
                        found == admitted || found == admitted + 1,
                        "operation {op}, seed {seed}: {found} after {admitted}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_failed_sync_is_no_promise() {
        let errno = nix::libc::EIO;
        let disk = MemDisk::new();
        let mut met = load(&disk);
        let op = disk.operations() + 1;
        disk.arm(Some(Fault::Once { op, errno }));
        assert!(met.admit(NodeId::new(1), 11).is_err());
        assert_eq!(met.get(NodeId::new(1)), None);
        met.admit(NodeId::new(1), 12).unwrap();
        for seed in 0..20 {
            assert_eq!(load(&disk.after_power_cut(seed)).get(NodeId::new(1)), Some(12));
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
        for byte in (0..used).chain(COPY_BYTES..COPY_BYTES + used) {
            let mut files = files.clone();
            files.get_mut(FILE).unwrap()[byte] ^= 1 << (byte % 8);
            let met = load(&MemDisk::with_files(files.clone()));
            assert_eq!(met.get(NodeId::new(3)), Some(33), "byte {byte}");
            files.get_mut(FILE).unwrap()[(byte + COPY_BYTES) % (2 * COPY_BYTES)] ^= 1;
            let met = load(&MemDisk::with_files(files));
            assert!(met.is_lost() && met.get(NodeId::new(3)).is_none(), "byte {byte}");
        }
        for length in 0..COPY_BYTES {
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
        let error = KnownPeers::load(Arc::new(MemDisk::with_files(files)))
            .err()
            .unwrap();
        assert!(error.to_string().contains("format version 2"), "{error}");
    }
}

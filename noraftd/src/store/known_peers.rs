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
//! | then | where a start is known: magic `nraftst1`; for each node, in the same order: starts u64, mark u32; crc u32 of this part |
//!
//! An earlier version ends at the first crc: it skips the rest when it reads, and drops it when it writes. No start is known
//! then, and none is missed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::sync::Arc;

use noraft::NodeId;

use crate::record::ENCODED_MEMBERS_MAX;
use crate::store::disk::shortage::{is_full, is_shortage};
use crate::store::disk::{Disk, DiskFile};
use crate::store::format::codec::{Fields, crc, unknown_version};
use crate::store::format::layout::{PAGE, is_zero};

/// What is known of another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownPeer {
    /// The directory that it had when it was first met.
    pub incarnation: u64,
    /// The latest process that was met with it; `None` when none has said how often the node was started.
    pub start: Option<Start>,
}

/// Which process of a node it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// How often the node was started with its directory, this time included.
    pub count: u64,
    /// Drawn by the process: two that were started with copies of one directory have the same count.
    pub mark: u32,
}

/// Which directory each other node had when this node first met it, and the latest process with it.
pub struct KnownPeers {
    disk: Arc<dyn Disk>,
    known: BTreeMap<NodeId, KnownPeer>,
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

    /// Sets down which directories other nodes have, in a directory that is being set up; durably, when this returns.
    ///
    /// # Errors
    ///
    /// When the disk fails, or is full.
    pub fn begin(disk: Arc<dyn Disk>, incarnations: BTreeMap<NodeId, u64>) -> io::Result<()> {
        let peer = |(node, incarnation)| {
            (
                node,
                KnownPeer {
                    incarnation,
                    start: None,
                },
            )
        };
        let known: BTreeMap<_, _> = incarnations
            .into_iter()
            .take(ENCODED_MEMBERS_MAX)
            .map(peer)
            .collect();
        let mut met = Self {
            disk,
            known: BTreeMap::new(),
            is_lost: false,
            file: None,
        };
        met.lay_out(&known)
    }

    /// The directory of each node that was met.
    pub fn incarnations(&self) -> BTreeMap<NodeId, u64> {
        let known = self.known.iter();
        known.map(|(node, peer)| (*node, peer.incarnation)).collect()
    }

    /// True when both copies are damaged: every node is met for the first time again.
    pub fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// What is known of this node.
    pub fn get(&self, node: NodeId) -> Option<KnownPeer> {
        self.known.get(&node).copied()
    }

    /// These nodes are members no more, and their ids are never used again: what is known of them makes room for others. Durable
    /// with the next change.
    pub fn forget(&mut self, gone: &BTreeSet<NodeId>) {
        self.known.retain(|node, _| !gone.contains(node));
    }

    /// From now on `node` has this directory, and this is its process: durably, when this returns.
    ///
    /// # Errors
    ///
    /// When the disk fails, or is full and was at the start; then nothing has changed here, and the disk may know it.
    /// When as many nodes were met as the file has room for: no member that was met is ever forgotten.
    pub fn admit(&mut self, node: NodeId, peer: KnownPeer) -> io::Result<()> {
        if self.known.len() >= ENCODED_MEMBERS_MAX && !self.known.contains_key(&node) {
            let text = format!(
                "{FILE}: {ENCODED_MEMBERS_MAX} nodes were met, and there is no room for node {}",
                node.get()
            );
            return Err(io::Error::other(text));
        }
        let mut known = self.known.clone();
        known.insert(node, peer);
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
    fn lay_out(&mut self, known: &BTreeMap<NodeId, KnownPeer>) -> io::Result<()> {
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

fn encode(known: &BTreeMap<NodeId, KnownPeer>) -> Vec<u8> {
    let count = u32::try_from(known.len()).expect("a cluster has at most ENCODED_MEMBERS_MAX members");
    let mut out = Vec::with_capacity(COPY_BYTES);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    for (node, peer) in known {
        out.extend_from_slice(&node.get().to_le_bytes());
        out.extend_from_slice(&peer.incarnation.to_le_bytes());
    }
    let sum = crc(0, &out);
    out.extend_from_slice(&sum.to_le_bytes());
    if known.values().any(|peer| peer.start.is_some()) {
        let from = out.len();
        out.extend_from_slice(&STARTS_MAGIC);
        for peer in known.values() {
            let (count, mark) = peer.start.map_or((0, 0), |start| (start.count, start.mark));
            out.extend_from_slice(&count.to_le_bytes());
            out.extend_from_slice(&mark.to_le_bytes());
        }
        let sum = crc(0, &out[from..]);
        out.extend_from_slice(&sum.to_le_bytes());
    }
    out.resize(COPY_BYTES, 0);
    out
}

/// What either copy says; `None` when neither is what was written.
fn decode_any(file: &[u8]) -> io::Result<Option<BTreeMap<NodeId, KnownPeer>>> {
    let (first, second) = file.split_at(file.len() / 2);
    for copy in [first, second] {
        if let Some(known) = decode(copy)? {
            return Ok(Some(known));
        }
    }
    Ok(None)
}

fn decode(copy: &[u8]) -> io::Result<Option<BTreeMap<NodeId, KnownPeer>>> {
    let Some(head) = copy.get(..HEAD_BYTES).map(Fields) else {
        return Ok(None);
    };
    let count = head.u32(12) as usize;
    let end = HEAD_BYTES + count.min(ENCODED_MEMBERS_MAX) * NODE_BYTES;
    let (Some(nodes), Some(sum)) = (copy.get(HEAD_BYTES..end), copy.get(end..end + SUM_BYTES)) else {
        return Ok(None);
    };
    if copy[..8] != MAGIC || count > ENCODED_MEMBERS_MAX || Fields(sum).u32(0) != crc(0, &copy[..end]) {
        return Ok(None);
    }
    if head.u32(8) != FORMAT_VERSION {
        return Err(unknown_version(FILE, head.u32(8), FORMAT_VERSION));
    }
    let Some(starts) = decode_starts(&copy[end + SUM_BYTES..], count) else {
        return Ok(None);
    };
    let nodes = nodes.chunks_exact(NODE_BYTES).map(Fields);
    let known = nodes.zip(starts).map(|(node, start)| {
        let incarnation = node.u64(8);
        (NodeId::new(node.u64(0)), KnownPeer { incarnation, start })
    });
    Ok(Some(known.collect()))
}

/// The latest start of each of `count` nodes; `None` when this is not what was written. Zeros are of an earlier version, or
/// of a time when no start was known.
fn decode_starts(part: &[u8], count: usize) -> Option<Vec<Option<Start>>> {
    if is_zero(part) {
        return Some(vec![None; count]);
    }
    let end = STARTS_MAGIC.len() + count * START_BYTES;
    let (starts, sum) = (part.get(..end)?, part.get(end..end + SUM_BYTES)?);
    if starts[..STARTS_MAGIC.len()] != STARTS_MAGIC || Fields(sum).u32(0) != crc(0, starts) {
        return None;
    }
    let starts = starts[STARTS_MAGIC.len()..].chunks_exact(START_BYTES).map(Fields);
    let start = |fields: Fields<'_>| {
        let (count, mark) = (fields.u64(0), fields.u32(8));
        (count > 0).then_some(Start { count, mark })
    };
    Some(starts.map(start).collect())
}

const FILE: &str = "incarnations";
const TEMPORARY: &str = "incarnations.tmp";
const MAGIC: [u8; 8] = *b"nraftmet";
const FORMAT_VERSION: u32 = 1;
const STARTS_MAGIC: [u8; 8] = *b"nraftst1";
const HEAD_BYTES: usize = 16;
const NODE_BYTES: usize = 16;
const START_BYTES: usize = 12;
const SUM_BYTES: usize = 4;
/// One copy, with room for every member that a cluster may have.
const COPY_BYTES: usize = (HEAD_BYTES + ENCODED_MEMBERS_MAX * NODE_BYTES + SUM_BYTES).next_multiple_of(PAGE);
/// The second part was added later: the room has to be enough for it, in files of any version.
const _: () = assert!(
    HEAD_BYTES + ENCODED_MEMBERS_MAX * (NODE_BYTES + START_BYTES) + STARTS_MAGIC.len() + 2 * SUM_BYTES
        <= COPY_BYTES
);

#[cfg(test)]
mod tests;

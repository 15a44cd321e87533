//! Snapshot files: a state, the log position that it represents, and the proof that it is whole.
//!
//! Invariant: a file under its own name is complete and durable; it is written under another name, synced,
//! renamed, and the directory synced. A crash in between leaves a temporary file, which the next opening
//! removes. Nothing in a file is believed before its crcs and its hash were compared.
//!
//! All numbers are little-endian:
//!
//! | part | content |
//! |-|-|
//! | head | magic `nraftsnp`, format version u32 (1), cluster id u64, index u64, term u64, stamp u64 (ms), length of the configuration u32, the configuration, crc u32 of all that |
//! | chunk, any number | length u32 (1 or more), crc u32 of length and bytes, the bytes |
//! | end | length u32 (0), crc u32 of those four zeros, hash of all bytes before it (XXH3, 128 bits) |
//!
//! The name is `snapshot-<index>-<term>`, each in 16 digits. The bytes do not depend on the node: nodes that take
//! a snapshot at one position write equal files.

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use noraft::{LogIndex, LogPosition, Term};
use xxhash_rust::xxh3::Xxh3;

use crate::exit::Exit;
use crate::record::{Base, SnapshotHead, SnapshotId, decode_config, encode_config};
use crate::store::disk::shortage::{is_full, is_shortage};
use crate::store::disk::{Disk, DiskFile};
use crate::store::error::exit_of;
use crate::store::format::codec::{INDEX_MAX, crc};
use crate::time::Stamp;

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The operating system failed.
    #[error("{file}: {doing}: {source}")]
    Disk {
        /// The file.
        file: String,
        /// What was tried.
        doing: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// The bytes are not what was written.
    #[error("{file}, byte {offset}: {found}")]
    Damaged {
        /// The file.
        file: String,
        /// The byte.
        offset: u64,
        /// What was found.
        found: &'static str,
    },
    /// Intact, but of a version that this code does not know.
    #[error(
        "{file}: format version {version}, this code knows {FORMAT_VERSION}; start the version that wrote it, or a later one"
    )]
    Version {
        /// The file.
        file: String,
        /// Its version.
        version: u32,
    },
}

impl SnapshotError {
    /// The process's exit code, when this is why a node cannot start.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Disk { source, .. } => exit_of(source),
            Self::Damaged { .. } | Self::Version { .. } => Exit::Data,
        }
    }

    /// True when what was missing may be there the next time: room, file descriptors, memory.
    pub fn passes(&self) -> bool {
        match self {
            Self::Disk { source, .. } => is_full(source) || is_shortage(source),
            Self::Damaged { .. } | Self::Version { .. } => false,
        }
    }
}

/// The snapshots of one directory. Clones are the same directory.
#[derive(Clone)]
pub struct Snapshots {
    disk: Arc<dyn Disk>,
    /// Whose they must be; any node's when absent.
    cluster_id: Option<u64>,
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "snapshots in {}", self.disk.describe())
    }
}

impl Snapshots {
    /// The snapshots in `disk` of the cluster with this id.
    pub fn new(disk: Arc<dyn Disk>, cluster_id: u64) -> Self {
        Self {
            disk,
            cluster_id: Some(cluster_id),
        }
    }

    /// Reads the file `name`, whatever it is called, of the cluster with this id, or of any, and shows each chunk.
    /// What it says counts only when this returns `Ok`.
    ///
    /// # Errors
    ///
    /// When it is not there or not whole, or a chunk is not `taken`.
    pub fn read_file(
        disk: Arc<dyn Disk>,
        name: &str,
        cluster_id: Option<u64>,
        take: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(SnapshotHead, SnapshotId), SnapshotError> {
        Self { disk, cluster_id }.load_file(name, take)
    }

    /// Writes a snapshot of these chunks, durably.
    ///
    /// # Errors
    ///
    /// When the disk is full or fails; what was there before is untouched.
    pub fn save(
        &self,
        head: &SnapshotHead,
        chunks: &mut dyn Iterator<Item = Bytes>,
    ) -> Result<SnapshotId, SnapshotError> {
        let name = file_name(head.base.position);
        let file = self.create(TAKING)?;
        let written = self.write(&*file, head, chunks);
        if written.is_err() {
            // Gives back the room; where even this fails, the next opening removes the file.
            let _ = self.disk.remove(TAKING);
        }
        let (bytes, hash) = written.map_err(failed(TAKING, "writing"))?;
        self.publish(TAKING, &name)?;
        Ok(SnapshotId {
            position: head.base.position,
            bytes,
            hash,
        })
    }

    fn write(
        &self,
        file: &dyn DiskFile,
        head: &SnapshotHead,
        chunks: &mut dyn Iterator<Item = Bytes>,
    ) -> io::Result<(u64, u128)> {
        let mut out = Sink::new(file);
        let cluster_id = self.cluster_id.expect("what is written belongs to a cluster");
        out.put(&[IoSlice::new(&encode_head(cluster_id, head))])?;
        for chunk in chunks {
            let chunk_head = chunk_head(&chunk);
            out.put(&[IoSlice::new(&chunk_head), IoSlice::new(&chunk)])?;
        }
        out.put(&[IoSlice::new(&chunk_head(&[]))])?;
        let hash = out.hash.digest128();
        out.put(&[IoSlice::new(&hash.to_le_bytes())])?;
        file.sync_all()?;
        Ok((out.at, hash))
    }

    /// Bytes `offset..`, at most `bytes_max`, of the snapshot file at `position`. At offset 0 the whole file is checked
    /// first, so a peer never receives a file that it would reject.
    ///
    /// # Errors
    ///
    /// When there is none, it cannot be read, or it is not whole.
    pub fn read(&self, position: LogPosition, offset: u64, bytes_max: usize) -> Result<Bytes, SnapshotError> {
        if offset == 0 {
            self.load(position, &mut |_| true)?;
        }
        let name = file_name(position);
        let file = self.disk.open(&name).map_err(failed(&name, "opening"))?;
        let size = file.size().map_err(failed(&name, "asking for its size"))?;
        let length = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut read = Bytes::new();
        file.view(offset.min(size), length.min(bytes_max), &mut |bytes| {
            read = Bytes::copy_from_slice(bytes);
        })
        .map_err(failed(&name, "reading"))?;
        Ok(read)
    }

    /// Writes bytes of a snapshot that another node sends, not durable yet; at offset 0 it starts over.
    ///
    /// # Errors
    ///
    /// When the disk is full or fails.
    pub fn receive(&self, offset: u64, bytes: &[u8]) -> Result<(), SnapshotError> {
        let file = if offset == 0 {
            self.create(RECEIVING)?
        } else {
            self.disk.open(RECEIVING).map_err(failed(RECEIVING, "opening"))?
        };
        file.write_at(offset, &[IoSlice::new(bytes)])
            .map_err(failed(RECEIVING, "writing"))?;
        file.sync_data().map_err(failed(RECEIVING, "syncing"))
    }

    /// Checks what was received against what was announced, and makes it a snapshot of this node, durably. Each
    /// chunk is shown on the way.
    ///
    /// # Errors
    ///
    /// When it is not what was announced, a chunk is not `taken`, or the disk fails.
    pub fn finish_receiving(
        &self,
        id: SnapshotId,
        take: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<SnapshotHead, SnapshotError> {
        let (head, found) = self.load_file(RECEIVING, take)?;
        if (head.base.position, found) != (id.position, id) {
            return Err(damaged(RECEIVING, 0, "it is not the snapshot that was announced"));
        }
        let file = self.disk.open(RECEIVING).map_err(failed(RECEIVING, "opening"))?;
        file.sync_all().map_err(failed(RECEIVING, "syncing"))?;
        self.publish(RECEIVING, &file_name(id.position))?;
        Ok(head)
    }

    /// Reads the snapshot at `position` and shows each chunk; what it says counts only when this returns `Ok`.
    ///
    /// # Errors
    ///
    /// When it is not there or not whole, or a chunk is not `taken`.
    pub fn load(
        &self,
        position: LogPosition,
        take: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(SnapshotHead, SnapshotId), SnapshotError> {
        let name = file_name(position);
        let (head, id) = self.load_file(&name, take)?;
        if head.base.position != position {
            return Err(damaged(&name, 20, "it is of another position than its name says"));
        }
        Ok((head, id))
    }

    /// Positions of all snapshots, oldest first.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn list(&self) -> Result<Vec<LogPosition>, SnapshotError> {
        let names = self.disk.list().map_err(failed("", "listing the directory"))?;
        let mut positions: Vec<LogPosition> = names.iter().filter_map(|name| parse_name(name)).collect();
        positions.sort_by_key(|position| (position.index, position.term));
        Ok(positions)
    }

    /// Removes the snapshot at `position`; it may be gone already.
    ///
    /// # Errors
    ///
    /// When the directory cannot be written.
    pub fn remove(&self, position: LogPosition) -> Result<(), SnapshotError> {
        let name = file_name(position);
        match self.disk.remove(&name) {
            // The thread that takes old files away was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(failed(&name, "removing"))?,
        }
        self.disk
            .sync_dir()
            .map_err(failed(&name, "syncing the directory"))
    }

    /// Reads a file, whatever its name, and shows each chunk of it.
    fn load_file(
        &self,
        name: &str,
        take: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(SnapshotHead, SnapshotId), SnapshotError> {
        let file = self.disk.open(name).map_err(failed(name, "opening"))?;
        let mut outcome = Err(damaged(name, 0, "the file was not shown"));
        file.scan(&mut |bytes| outcome = parse(name, self.cluster_id, bytes, take))
            .map_err(failed(name, "reading"))?;
        outcome
    }

    fn create(&self, name: &str) -> Result<Arc<dyn DiskFile>, SnapshotError> {
        self.disk.create(name).map_err(failed(name, "creating"))
    }

    fn publish(&self, temporary: &str, name: &str) -> Result<(), SnapshotError> {
        self.disk
            .rename(temporary, name)
            .map_err(failed(name, "renaming"))?;
        self.disk
            .sync_dir()
            .map_err(failed(name, "syncing the directory"))
    }
}

/// Writes from front to back, hashes on the way, and syncs in pieces so that the log's syncs do not wait long.
struct Sink<'a> {
    file: &'a dyn DiskFile,
    at: u64,
    unsynced: u64,
    hash: Xxh3,
}

impl<'a> Sink<'a> {
    fn new(file: &'a dyn DiskFile) -> Self {
        Self {
            file,
            at: 0,
            unsynced: 0,
            hash: Xxh3::new(),
        }
    }

    fn put(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        self.file.write_at(self.at, pieces)?;
        for piece in pieces {
            self.hash.update(piece);
            self.at += piece.len() as u64;
            self.unsynced += piece.len() as u64;
        }
        if self.unsynced >= BYTES_PER_SYNC {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }
}

fn encode_head(cluster_id: u64, head: &SnapshotHead) -> Bytes {
    let config = encode_config(&head.base.config);
    let mut out = BytesMut::new();
    out.put_slice(&MAGIC);
    out.put_u32_le(FORMAT_VERSION);
    out.put_u64_le(cluster_id);
    out.put_u64_le(head.base.position.index.get());
    out.put_u64_le(head.base.position.term.get());
    out.put_u64_le(head.stamp.as_millis());
    out.put_u32_le(
        u32::try_from(config.len()).expect("a configuration has at most ENCODED_MEMBERS_MAX members"),
    );
    out.put_slice(&config);
    let sum = crc(0, &out);
    out.put_u32_le(sum);
    out.freeze()
}

fn chunk_head(chunk: &[u8]) -> [u8; CHUNK_HEAD_BYTES] {
    let length = u32::try_from(chunk.len()).expect("a chunk is far below 4 GiB");
    let mut head = [0; CHUNK_HEAD_BYTES];
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..].copy_from_slice(&chunk_crc(length, chunk).to_le_bytes());
    head
}

fn chunk_crc(length: u32, chunk: &[u8]) -> u32 {
    crc(crc(0, &length.to_le_bytes()), chunk)
}

/// Reads a whole file.
fn parse(
    name: &str,
    cluster_id: Option<u64>,
    bytes: &[u8],
    take: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<(SnapshotHead, SnapshotId), SnapshotError> {
    let bad = |rest: &[u8], found| damaged(name, (bytes.len() - rest.len()) as u64, found);
    let mut rest = bytes;
    let head = parse_head(name, cluster_id, &mut rest)?;
    loop {
        let here = rest;
        let (Ok(length), Ok(sum)) = (rest.try_get_u32_le(), rest.try_get_u32_le()) else {
            return Err(bad(here, "it is cut short"));
        };
        let chunk = rest.get(..length as usize);
        let Some(chunk) = chunk.filter(|chunk| chunk_crc(length, chunk) == sum) else {
            return Err(bad(here, "a chunk is not what was written"));
        };
        rest = &rest[chunk.len()..];
        if chunk.is_empty() {
            break;
        }
        if !take(chunk) {
            return Err(bad(here, "a chunk is intact, but no part of a state"));
        }
    }
    let here = rest;
    let (hash, end) = rest
        .split_at_checked(HASH_BYTES)
        .ok_or_else(|| bad(here, "it is cut short"))?;
    let mut hasher = Xxh3::new();
    hasher.update(&bytes[..bytes.len() - here.len()]);
    if hasher.digest128().to_le_bytes() != hash || !end.is_empty() {
        return Err(bad(here, "the hash of the file is not what was written"));
    }
    let id = SnapshotId {
        position: head.base.position,
        bytes: bytes.len() as u64,
        hash: hasher.digest128(),
    };
    Ok((head, id))
}

fn parse_head(name: &str, cluster_id: Option<u64>, rest: &mut &[u8]) -> Result<SnapshotHead, SnapshotError> {
    let all = *rest;
    let config_bytes = all
        .get(HEAD_BYTES - 4..HEAD_BYTES)
        .and_then(|bytes| Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize));
    let end = config_bytes.and_then(|length| HEAD_BYTES.checked_add(length));
    let (Some(head), Some(sum)) = (
        end.and_then(|end| all.get(..end)),
        end.and_then(|end| all.get(end..end.checked_add(4)?)),
    ) else {
        return Err(damaged(name, 0, "its head is cut short or damaged"));
    };
    if crc(0, head).to_le_bytes() != sum || head[..8] != MAGIC {
        return Err(damaged(name, 0, "its head is not what was written"));
    }
    let mut fields = &head[8..];
    let version = fields.get_u32_le();
    if version != FORMAT_VERSION {
        return Err(SnapshotError::Version {
            file: name.to_owned(),
            version,
        });
    }
    let found = fields.get_u64_le();
    if cluster_id.is_some_and(|expected| expected != found) {
        return Err(damaged(name, 12, "it belongs to another cluster"));
    }
    let (index, term) = (fields.get_u64_le(), fields.get_u64_le());
    if index > INDEX_MAX {
        return Err(damaged(name, 20, "it is of an index that no log has"));
    }
    let stamp = Stamp::from_millis(fields.get_u64_le());
    fields.advance(4);
    let config =
        decode_config(fields).ok_or_else(|| damaged(name, 48, "its configuration does not parse"))?;
    *rest = &all[head.len() + 4..];
    let position = LogPosition {
        term: Term::new(term),
        index: LogIndex::new(index),
    };
    Ok(SnapshotHead {
        base: Base {
            position,
            config,
            chain: None,
        },
        stamp,
    })
}

fn damaged(file: &str, offset: u64, found: &'static str) -> SnapshotError {
    SnapshotError::Damaged {
        file: file.to_owned(),
        offset,
        found,
    }
}

fn failed<'a>(file: &'a str, doing: &'static str) -> impl FnOnce(io::Error) -> SnapshotError + 'a {
    move |source| SnapshotError::Disk {
        file: file.to_owned(),
        doing,
        source,
    }
}

/// Where a log may begin: at the snapshot in file `name`, if these bytes are all of it.
pub(in crate::store) fn whole_base(name: &str, cluster_id: Option<u64>, bytes: &[u8]) -> Option<Base> {
    let (head, _) = parse(name, cluster_id, bytes, &mut |_| true).ok()?;
    (parse_name(name) == Some(head.base.position)).then_some(head.base)
}

/// The name of the snapshot at `position`.
pub fn file_name(position: LogPosition) -> String {
    format!("{PREFIX}{:016}-{:016}", position.index.get(), position.term.get())
}

/// The position of the snapshot in file `name`, if it is one.
pub(in crate::store) fn parse_name(name: &str) -> Option<LogPosition> {
    let (index, term) = name.strip_prefix(PREFIX)?.split_once('-')?;
    let index = index.parse().ok().filter(|index| *index <= INDEX_MAX)?;
    let position = LogPosition {
        index: LogIndex::new(index),
        term: Term::new(term.parse().ok()?),
    };
    (file_name(position) == name).then_some(position)
}

const PREFIX: &str = "snapshot-";
/// While it is being taken here; the ending makes the next opening remove it.
const TAKING: &str = "snapshot-taking.tmp";
/// While it is being received from another node.
const RECEIVING: &str = "snapshot-receiving.tmp";
const MAGIC: [u8; 8] = *b"nraftsnp";
/// The version that this code writes.
const FORMAT_VERSION: u32 = 1;
/// Bytes of a head up to the configuration.
const HEAD_BYTES: usize = 48;
const CHUNK_HEAD_BYTES: usize = 8;
const HASH_BYTES: usize = 16;
/// Small enough that a batch's sync, which waits behind this one on the disk, is not held up for long.
const BYTES_PER_SYNC: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use noraft::NodeId;

    use super::*;
    use crate::record::genesis_config;
    use crate::store::disk::memory::MemDisk;

    fn head() -> SnapshotHead {
        SnapshotHead {
            base: Base {
                position: LogPosition {
                    term: Term::new(3),
                    index: LogIndex::new(17),
                },
                config: genesis_config([1, 2, 3].map(NodeId::new)),
                chain: None,
            },
            stamp: Stamp::from_millis(5),
        }
    }

    fn saved(disk: &MemDisk) -> (Snapshots, SnapshotId) {
        let snapshots = Snapshots::new(Arc::new(disk.clone()), 7);
        let chunks = [&b"one"[..], b"two and more", b"3"].map(Bytes::from_static);
        let id = snapshots.save(&head(), &mut chunks.into_iter()).unwrap();
        (snapshots, id)
    }

    fn load(snapshots: &Snapshots) -> Result<(SnapshotHead, SnapshotId, Vec<u8>), SnapshotError> {
        let mut taken = Vec::new();
        let (head, id) = snapshots.load(head().base.position, &mut |chunk| {
            taken.extend_from_slice(chunk);
            true
        })?;
        Ok((head, id, taken))
    }

    #[test]
    fn a_snapshot_survives_a_power_cut() {
        let disk = MemDisk::new();
        let (_, id) = saved(&disk);
        for seed in 0..8 {
            let snapshots = Snapshots::new(Arc::new(disk.after_power_cut(seed)), 7);
            assert_eq!(snapshots.list().unwrap(), [head().base.position]);
            assert_eq!(
                load(&snapshots).unwrap(),
                (head(), id, b"onetwo and more3".to_vec())
            );
        }
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_seen() {
        let disk = MemDisk::new();
        saved(&disk);
        let (name, whole) = disk.files().pop_first().unwrap();
        let refuses = |bytes: Vec<u8>, what: String| {
            let disk = MemDisk::with_files([(name.clone(), bytes)]);
            let loaded = load(&Snapshots::new(Arc::new(disk), 7));
            assert!(
                matches!(loaded, Err(SnapshotError::Damaged { .. })),
                "{what}: {loaded:?}"
            );
        };
        for end in 0..whole.len() {
            refuses(whole[..end].to_vec(), format!("cut at {end}"));
        }
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            refuses(bytes, format!("bit {bit}"));
        }
        refuses([whole.as_slice(), b"x"].concat(), "longer".to_owned());
    }

    #[test]
    fn a_snapshot_is_sent_in_pieces() {
        let disk = MemDisk::new();
        let (sender, id) = saved(&disk);
        let receiver = Snapshots::new(Arc::new(MemDisk::new()), 7);
        let mut offset = 0;
        while offset < id.bytes {
            let bytes = sender.read(id.position, offset, 10).unwrap();
            receiver.receive(offset, &bytes).unwrap();
            offset += bytes.len() as u64;
        }
        assert_eq!(receiver.finish_receiving(id, &mut |_| true).unwrap(), head());
        assert_eq!(load(&receiver).unwrap().1, id);
    }

    #[test]
    fn another_snapshot_than_was_announced_is_refused() {
        let disk = MemDisk::new();
        let (sender, id) = saved(&disk);
        let receiver = Snapshots::new(Arc::new(MemDisk::new()), 7);
        let bytes = sender.read(id.position, 0, usize::MAX).unwrap();
        receiver.receive(0, &bytes).unwrap();
        let other = SnapshotId {
            hash: id.hash ^ 1,
            ..id
        };
        assert!(receiver.finish_receiving(other, &mut |_| true).is_err());
        assert_eq!(receiver.list().unwrap(), []);
    }
}

//! Snapshot files: a state, the log position that it represents, and the proof that it is whole.
//!
//! Invariant: a file under its own name is complete and durable; it is written under another name, synced,
//! renamed, and the directory synced. A crash in between leaves a temporary file, which the next opening
//! removes. Nothing in a file is believed before its crcs and its hash were compared.
//!
//! `layout` (names and sizes), `format` (the bytes), `sink` (writing a file from front to back), `error`.

mod error;
mod format;
mod layout;
mod sink;

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::Bytes;
use noraft::LogPosition;

pub use error::SnapshotError;
use error::{damaged, failed};
pub(in crate::store) use format::whole_base;
use format::{chunk_head, encode_head, parse};
pub(in crate::store) use layout::parse_name;
pub use layout::{PREFIX, file_name};
use layout::{RECEIVING, TAKING};
use sink::Sink;

use crate::record::{SnapshotHead, SnapshotId};
use crate::store::disk::{Disk, DiskFile};

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

#[cfg(test)]
mod tests {
    use noraft::{LogIndex, NodeId, Term};

    use super::*;
    use crate::record::{Base, genesis_config};
    use crate::store::disk::memory::MemDisk;
    use crate::time::Stamp;

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

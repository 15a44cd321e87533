//! Between states and files: the steps that the daemon's threads and the simulation both take.
//!
//! Invariant: what is read becomes a state only when the whole file was checked.

use std::sync::Arc;

use noraft::LogIndex;

use crate::machine::Restoring;
use crate::record::SnapshotId;
use crate::replica::Ahead;
use crate::replica::event::{Received, Snapshot};
use crate::store::disk::Disk;
use crate::store::{LogReader, OpenError, SnapshotError, Snapshots, Store};

/// Makes a snapshot durable.
///
/// # Errors
///
/// When the disk is full or fails.
pub fn save(snapshots: &Snapshots, snapshot: &Snapshot) -> Result<SnapshotId, SnapshotError> {
    snapshots.save(&snapshot.head, &mut snapshot.machine.chunks())
}

/// Writes a part of another node's snapshot; with the last byte, checks it and takes it over.
///
/// # Errors
///
/// When the disk fails. A full disk, a shortage, or a snapshot that is not what was announced, is [`Received::Failed`].
pub fn receive(
    snapshots: &Snapshots,
    id: SnapshotId,
    offset: u64,
    bytes: &[u8],
) -> Result<Received, SnapshotError> {
    let next = offset + bytes.len() as u64;
    let received = snapshots.receive(offset, bytes).and_then(|()| {
        if next < id.bytes {
            return Ok(Received::Part { next });
        }
        let mut restoring = Restoring::default();
        let head = snapshots.finish_receiving(id, &mut |chunk| restoring.take(chunk))?;
        let machine = restoring.finish(head.base.position.index, head.stamp);
        Ok(Received::Whole(Box::new(Snapshot { head, machine })))
    });
    match received {
        Err(error) if error.passes() => Ok(Received::Failed),
        Err(SnapshotError::Damaged { .. } | SnapshotError::Version { .. }) => Ok(Received::Failed),
        other @ (Ok(_) | Err(SnapshotError::Disk { .. })) => other,
    }
}

/// The state that an opened store goes on from; to be called once, right after opening.
///
/// # Errors
///
/// When the log does not begin at entry 1 and no snapshot leads to where it does.
pub fn restore(store: &mut Store) -> Result<Option<(SnapshotId, Snapshot)>, OpenError> {
    restore_watched(store, |_| ())
}

/// The same; `note` is given the bytes of each part that was read.
///
/// # Errors
///
/// As for [`restore`].
pub fn restore_watched(
    store: &mut Store,
    mut note: impl FnMut(u64),
) -> Result<Option<(SnapshotId, Snapshot)>, OpenError> {
    let found = store.restore(Restoring::default, |restoring, chunk| {
        note(chunk.len() as u64);
        restoring.take(chunk)
    })?;
    Ok(found.map(|(head, id, restoring)| {
        let machine = restoring.finish(head.base.position.index, head.stamp);
        (id, Snapshot { head, machine })
    }))
}

/// What the entries from `applied` to `last` say of the members, as far as they can be read.
pub fn read_ahead(reader: &LogReader, applied: LogIndex, last: LogIndex) -> Ahead {
    let mut ahead = Ahead::default();
    let mut next = applied.get() + 1;
    while next <= last.get() {
        match reader.read(LogIndex::new(next), last, AHEAD_BYTES) {
            Ok(records) => {
                records.iter().for_each(|record| ahead.keep(record));
                next += records.len() as u64;
            }
            // It is damaged, and the opening said so, or is found when it is to be applied.
            Err(_) => next += 1,
        }
    }
    ahead
}

/// Reads a snapshot file, whatever it is called, of the cluster with this id, or of any.
///
/// # Errors
///
/// When it is not there, or not whole.
pub fn read_file(
    disk: Arc<dyn Disk>,
    name: &str,
    cluster_id: Option<u64>,
) -> Result<(SnapshotId, Snapshot), SnapshotError> {
    let mut restoring = Restoring::default();
    let (head, id) = Snapshots::read_file(disk, name, cluster_id, &mut |chunk| restoring.take(chunk))?;
    let machine = restoring.finish(head.base.position.index, head.stamp);
    Ok((id, Snapshot { head, machine }))
}

/// Entries in memory at once, while the log is looked through.
const AHEAD_BYTES: usize = 4 << 20;

//! What disks do with snapshots, some time after they are asked to.

use bytes::Bytes;
use noraft::LogPosition;
use noraftd::record::SnapshotId;
use noraftd::replica::event::{Input, Received, Snapshot};

use super::{Event, World};

#[derive(Debug)]
pub(super) enum SnapshotWork {
    Save(Box<Snapshot>),
    Read {
        position: LogPosition,
        offset: u64,
        bytes_max: usize,
    },
    Receive {
        id: SnapshotId,
        next: u64,
    },
}

impl World {
    pub(super) fn begin_snapshot(&mut self, node: u64, work: SnapshotWork) {
        let life = self.lives[&node];
        let delay = self.prng.between(50, self.faults.sync_max.max(51));
        self.schedule(delay, Event::SnapshotDone { node, life, work });
    }

    pub(super) fn snapshot_done(&mut self, node: u64, work: SnapshotWork) {
        let input = match work {
            SnapshotWork::Save(snapshot) => {
                let disk = self.disks.get_mut(&node).expect("a node has a disk");
                disk.rotten.remove(&snapshot.head.base.position.index.get());
                Input::SnapshotSaved(Some(disk.save(*snapshot, SNAPSHOT_BYTES)))
            }
            SnapshotWork::Read {
                position,
                offset,
                bytes_max,
            } => {
                let held = self.disks[&node].snapshots.iter();
                let is_rotten = self.disks[&node].rotten.contains(&position.index.get());
                let is_held = !is_rotten && held.into_iter().any(|(id, _)| id.position == position);
                let length = (SNAPSHOT_BYTES - offset).min(bytes_max as u64) as usize;
                let bytes = is_held.then(|| Bytes::from(vec![7; length]));
                Input::SnapshotRead {
                    position,
                    offset,
                    bytes,
                }
            }
            SnapshotWork::Receive { id, next } if next < id.bytes => Input::SnapshotReceived {
                id,
                received: Received::Part { next },
            },
            SnapshotWork::Receive { id, .. } => {
                let mut all = self.disks.values().flat_map(|disk| &disk.snapshots);
                let found = all
                    .find(|(held, _)| *held == id)
                    .map(|(_, snapshot)| snapshot.clone());
                let received = found.map_or(Received::Failed, |snapshot| {
                    self.installs += 1;
                    let disk = self.disks.get_mut(&node).expect("a node has a disk");
                    disk.save(snapshot.clone(), id.bytes);
                    Received::Whole(Box::new(snapshot))
                });
                Input::SnapshotReceived { id, received }
            }
        };
        self.input(node, input);
    }
}

/// The disk does not look into a snapshot; it takes a few chunks to send.
const SNAPSHOT_BYTES: u64 = 1000;

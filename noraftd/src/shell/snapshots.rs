//! The thread that writes, reads and receives snapshots, beside the one that makes batches durable.
//!
//! Invariant: the loop never waits for it, and at most one job of each kind is under way. A full disk, or a
//! shortage of descriptors or memory, is no failure: there is no snapshot then. Any other failure of the disk ends the process, as for the log.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use bytes::Bytes;
use noraft::LogPosition;
use tokio::sync::mpsc;

use crate::exit::Exit;
use crate::record::SnapshotId;
use crate::replica::event::{Input, Snapshot};
use crate::snapshot;
use crate::store::{SnapshotError, Snapshots};

/// What the thread does.
#[derive(Debug)]
pub(super) enum SnapshotJob {
    /// Makes a snapshot durable.
    Save(Box<Snapshot>),
    /// Reads a part of one.
    Read {
        position: LogPosition,
        offset: u64,
        bytes_max: usize,
    },
    /// Writes a part of another node's.
    Receive {
        id: SnapshotId,
        offset: u64,
        bytes: Bytes,
    },
}

/// The way to the thread.
#[derive(Debug)]
pub(super) struct SnapshotThread {
    jobs: SyncSender<SnapshotJob>,
}

impl SnapshotThread {
    /// Starts the thread; its answers go to `done`.
    ///
    /// # Errors
    ///
    /// When the system has no thread to give.
    pub(super) fn start(snapshots: Snapshots, done: mpsc::Sender<Input>) -> std::io::Result<Self> {
        let (jobs, todo) = sync_channel(JOBS_MAX);
        std::thread::Builder::new()
            .name("disk-snapshots".into())
            .spawn(move || run(&snapshots, &todo, &done))?;
        Ok(Self { jobs })
    }

    pub(super) fn order(&self, job: SnapshotJob) {
        match self.jobs.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => panic!("the replica has at most one job of a kind under way"),
            Err(TrySendError::Disconnected(_)) => panic!("the snapshot thread lives as long as the process"),
        }
    }
}

fn run(snapshots: &Snapshots, todo: &Receiver<SnapshotJob>, done: &mpsc::Sender<Input>) {
    while let Ok(job) = todo.recv() {
        let answer = match job {
            SnapshotJob::Save(snapshot) => Input::SnapshotSaved(save(snapshots, &snapshot)),
            SnapshotJob::Read {
                position,
                offset,
                bytes_max,
            } => Input::SnapshotRead {
                position,
                offset,
                bytes: read(snapshots, position, offset, bytes_max),
            },
            SnapshotJob::Receive { id, offset, bytes } => {
                let received = snapshot::receive(snapshots, id, offset, &bytes);
                let received = received.unwrap_or_else(|error| fail("receive a snapshot", &error));
                Input::SnapshotReceived { id, received }
            }
        };
        if done.blocking_send(answer).is_err() {
            return;
        }
    }
}

fn save(snapshots: &Snapshots, snapshot: &Snapshot) -> Option<SnapshotId> {
    match snapshot::save(snapshots, snapshot) {
        Ok(id) => {
            let (index, bytes) = (id.position.index.get(), id.bytes);
            tracing::info!("took a snapshot of entry {index}: {bytes} bytes");
            Some(id)
        }
        Err(error) if error.passes() => {
            tracing::warn!("cannot take a snapshot: {error}");
            None
        }
        Err(error) => fail("take a snapshot", &error),
    }
}

/// A snapshot that went while it was wanted is none; the receiver gets another one.
fn read(snapshots: &Snapshots, position: LogPosition, offset: u64, bytes_max: usize) -> Option<Bytes> {
    match snapshots.read(position, offset, bytes_max) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            tracing::warn!("cannot read a snapshot for a peer: {error}");
            None
        }
    }
}

fn fail(doing: &str, error: &SnapshotError) -> ! {
    tracing::error!("cannot {doing}: {error}");
    Exit::Disk.now()
}

/// One of each kind.
const JOBS_MAX: usize = 3;

//! Snapshots: written, read and received beside the batches.
//!
//! Invariant: at most one job of each kind is under way. A full disk, or a shortage of descriptors or memory, is no
//! failure: there is no snapshot then. Any other failure of the disk ends the process, as for the log.

use bytes::Bytes;
use noraft::LogPosition;

use crate::exit::Exit;
use crate::record::SnapshotId;
use crate::replica::event::{Input, Snapshot};
use crate::snapshot;
use crate::store::{SnapshotError, Snapshots};

/// What to do with a snapshot.
#[derive(Debug)]
pub enum SnapshotJob {
    /// Makes a snapshot durable.
    Save(Box<Snapshot>),
    /// Reads a part of one.
    Read {
        /// The snapshot.
        position: LogPosition,
        /// The first byte wanted.
        offset: u64,
        /// The most bytes wanted.
        bytes_max: usize,
    },
    /// Writes a part of another node's.
    Receive {
        /// The snapshot.
        id: SnapshotId,
        /// Where in the file the bytes belong.
        offset: u64,
        /// The bytes.
        bytes: Bytes,
    },
}

/// What came of it.
#[derive(Debug)]
pub enum SnapshotStep {
    /// It is over, and this is what the replica has to know.
    Done {
        /// The answer.
        input: Input,
        /// Why there is no snapshot, or no part of one.
        missed: Option<SnapshotError>,
    },
    /// The process has to end.
    Stop(SnapshotStop),
}

/// The disk failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}: {why}")]
pub struct SnapshotStop {
    /// What was tried.
    pub doing: &'static str,
    /// What went wrong.
    #[source]
    pub why: SnapshotError,
}

impl SnapshotStop {
    /// How the process ends.
    pub fn exit(&self) -> Exit {
        Exit::Disk
    }
}

impl SnapshotJob {
    /// Does it.
    pub fn run(&self, snapshots: &Snapshots) -> SnapshotStep {
        match self {
            Self::Save(snapshot) => match snapshot::save(snapshots, snapshot) {
                Ok(id) => done(Input::SnapshotSaved(Some(id))),
                Err(why) if why.passes() => missed(Input::SnapshotSaved(None), why),
                Err(why) => stop("take a snapshot", why),
            },
            &Self::Read {
                position,
                offset,
                bytes_max,
            } => {
                let (bytes, why) = match snapshots.read(position, offset, bytes_max) {
                    Ok(bytes) => (Some(bytes), None),
                    // One that went while it was wanted is none; the receiver gets another one.
                    Err(why) => (None, Some(why)),
                };
                SnapshotStep::Done {
                    input: Input::SnapshotRead {
                        position,
                        offset,
                        bytes,
                    },
                    missed: why,
                }
            }
            Self::Receive { id, offset, bytes } => match snapshot::receive(snapshots, *id, *offset, bytes) {
                Ok(received) => done(Input::SnapshotReceived { id: *id, received }),
                Err(why) => stop("receive a snapshot", why),
            },
        }
    }
}

fn done(input: Input) -> SnapshotStep {
    SnapshotStep::Done { input, missed: None }
}

fn missed(input: Input, why: SnapshotError) -> SnapshotStep {
    SnapshotStep::Done {
        input,
        missed: Some(why),
    }
}

fn stop(doing: &'static str, why: SnapshotError) -> SnapshotStep {
    SnapshotStep::Stop(SnapshotStop { doing, why })
}

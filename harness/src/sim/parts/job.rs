//! What a simulated disk does for a node: the jobs of the daemon's threads, one after the other.
//!
//! Invariant: what a job means is decided by the daemon's own driver; here it is only put in a queue.

use std::fmt;

use noraftd::record::{Base, Batch};
use noraftd::replica::event::Input;
use noraftd::storage::driver::{Done, Retry};
use noraftd::storage::{Driver, SnapshotJob, SnapshotStep, Step, WriteJob};
use noraftd::store::{PersistStats, Store, StoreError};
use noraftd::time::Instant;

use super::aim::Aim;
use crate::plan::RareOperation;

/// Something that the disk does for a node.
#[derive(Debug)]
pub(crate) enum Job {
    /// The log.
    Write(WriteJob),
    /// A snapshot.
    Snapshot(SnapshotJob),
}

/// What came of it.
pub(crate) enum Ran {
    /// It is over.
    Done {
        /// What the replica has to know.
        input: Option<Input>,
        /// What it took.
        stats: PersistStats,
        /// Why a mark was not written, which can be missed.
        missed: Option<StoreError>,
    },
    /// Not yet: to be run again.
    Retry {
        /// When, by the node's clock.
        at: Instant,
        /// What it waits for.
        why: StoreError,
    },
    /// What it was given contradicts the log.
    Wrong(String),
    /// The disk failed: the process ends.
    Failed(String),
}

impl Job {
    /// The batch that is written, if it is one.
    pub(crate) fn batch(&self) -> Option<&Batch> {
        match self {
            Self::Write(job) => job.batch(),
            Self::Snapshot(_) => None,
        }
    }

    /// Whether it is what was aimed at, as far as that shows before it is done.
    pub(crate) fn is_met_by(&self, aim: &Aim, store: &Store) -> bool {
        let append = self.batch().and_then(|batch| batch.append.as_ref());
        match aim.operation {
            RareOperation::Compaction => self.batch().is_some_and(|batch| batch.base.is_some()),
            RareOperation::Truncation => {
                append.is_some_and(|append| append.prev.index < store.last_position().index)
            }
            RareOperation::Patch => matches!(self, Self::Write(WriteJob::Patch { .. })),
            RareOperation::Snapshot => matches!(
                self,
                Self::Snapshot(SnapshotJob::Save(_) | SnapshotJob::Receive { .. })
            ),
            RareOperation::Installation => match self {
                // The last part, and the record after it, are met as often.
                Self::Snapshot(SnapshotJob::Receive { id, offset, bytes }) => {
                    aim.calls.is_multiple_of(2) && offset + bytes.len() as u64 >= id.bytes
                }
                Self::Snapshot(SnapshotJob::Save(_) | SnapshotJob::Read { .. }) => false,
                Self::Write(_) => {
                    let base = self.batch().and_then(|batch| batch.base.as_ref());
                    let installs = |base: &Base| base.position.index > store.last_position().index;
                    !aim.calls.is_multiple_of(2) && base.is_some_and(installs)
                }
            },
            RareOperation::Roll
            | RareOperation::SegmentBegin
            | RareOperation::Rename
            | RareOperation::DirectorySync
            | RareOperation::Vote => false,
        }
    }

    /// Does it at `now`, as the daemon's threads would.
    pub(crate) fn run(&self, now: Instant, driver: &mut Driver) -> Ran {
        match self {
            Self::Write(job) => match driver.run(now, job) {
                Step::Done(Done {
                    input,
                    stats,
                    missed,
                    owed,
                    ..
                }) => Ran::Done {
                    input,
                    stats,
                    missed: missed.or(owed),
                },
                Step::Retry(Retry { at, why, .. }) => Ran::Retry { at, why },
                Step::Stop(stop) => match stop.why {
                    StoreError::Invalid(_) => Ran::Wrong(stop.to_string()),
                    StoreError::Full { .. } | StoreError::Short { .. } | StoreError::Failed { .. } => {
                        Ran::Failed(stop.to_string())
                    }
                },
            },
            Self::Snapshot(job) => match job.run(&driver.store().snapshots()) {
                SnapshotStep::Done { input, .. } => Ran::Done {
                    stats: PersistStats {
                        syncs: 1,
                        bytes: written(job, &input),
                    },
                    input: Some(input),
                    missed: None,
                },
                SnapshotStep::Stop(stop) => Ran::Failed(stop.to_string()),
            },
        }
    }
}

/// Bytes that the job wrote, as the replica learns of them.
fn written(job: &SnapshotJob, input: &Input) -> u64 {
    match (job, input) {
        (SnapshotJob::Save(_), Input::SnapshotSaved(Some(id))) => id.bytes,
        (SnapshotJob::Receive { bytes, .. }, _) => bytes.len() as u64,
        (SnapshotJob::Save(_) | SnapshotJob::Read { .. }, _) => 0,
    }
}

/// What is written, in words.
impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(WriteJob::Persist(batch)) => {
                let entries = batch.append.as_ref().map_or(0, |append| append.records.len());
                write!(f, "batch {} ({entries} entries", batch.id.0)?;
                if batch.hard_state.is_some() {
                    f.write_str(", hard state")?;
                }
                if let Some(base) = &batch.base {
                    write!(f, ", the log begins after {}", base.position.index.get())?;
                }
                f.write_str(")")
            }
            Self::Write(WriteJob::Patch { records, .. }) => write!(f, "a patch of {} entries", records.len()),
            Self::Write(WriteJob::MarkIdle) => f.write_str("an idle mark"),
            Self::Write(WriteJob::MarkCaughtUp) => f.write_str("a mark that it caught up"),
            Self::Write(WriteJob::MarkCleanStop) => f.write_str("a mark of an orderly stop"),
            Self::Write(WriteJob::LookForRoom) => f.write_str("the next segment, if there is room"),
            Self::Snapshot(SnapshotJob::Save(snapshot)) => {
                write!(
                    f,
                    "a snapshot of entry {}",
                    snapshot.head.base.position.index.get()
                )
            }
            Self::Snapshot(SnapshotJob::Read { position, .. }) => {
                write!(
                    f,
                    "nothing: it reads the snapshot of entry {}",
                    position.index.get()
                )
            }
            Self::Snapshot(SnapshotJob::Receive { id, offset, bytes }) => write!(
                f,
                "bytes {offset}..{} of {} of the snapshot of entry {}",
                offset + bytes.len() as u64,
                id.bytes,
                id.position.index.get()
            ),
        }
    }
}

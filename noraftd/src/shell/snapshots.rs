//! The thread that writes, reads and receives snapshots, beside the one that makes batches durable.
//!
//! Invariant: the loop never waits for it, and at most one job of each kind is under way.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use tokio::sync::mpsc;

use super::journal::Journal;
use crate::local::events::Event;
use crate::replica::event::Input;
use crate::storage::{SnapshotJob, SnapshotStep};
use crate::store::Snapshots;

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
    /// When the system is out of threads.
    pub(super) fn start(
        snapshots: Snapshots,
        done: mpsc::Sender<Input>,
        journal: &Journal,
    ) -> std::io::Result<Self> {
        let (jobs, todo) = sync_channel(JOBS_MAX);
        let journal = journal.clone();
        std::thread::Builder::new()
            .name("disk-snapshots".into())
            .spawn(move || run(&snapshots, &todo, &done, &journal))?;
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

fn run(snapshots: &Snapshots, todo: &Receiver<SnapshotJob>, done: &mpsc::Sender<Input>, journal: &Journal) {
    while let Ok(job) = todo.recv() {
        let input = match job.run(snapshots) {
            SnapshotStep::Done { input, missed } => {
                if let Some(why) = missed {
                    tracing::warn!("{}: {why}", missed_words(&job));
                }
                input
            }
            SnapshotStep::Stop(stop) => {
                tracing::error!("{stop}");
                stop.exit().now();
            }
        };
        if let Input::SnapshotSaved(Some(id)) = &input {
            journal.note(&Event::SnapshotTaken(*id));
        }
        if done.blocking_send(input).is_err() {
            return;
        }
    }
}

fn missed_words(job: &SnapshotJob) -> &'static str {
    match job {
        SnapshotJob::Save(_) => "cannot take a snapshot",
        SnapshotJob::Read { .. } => "cannot read a snapshot for a peer",
        SnapshotJob::Receive { .. } => "cannot receive a snapshot",
    }
}

/// One of each kind.
const JOBS_MAX: usize = 3;

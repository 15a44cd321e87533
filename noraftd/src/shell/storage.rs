//! The disk's threads: one makes batches durable, one makes votes durable beside them, one reads old entries for slow
//! peers and scrubs, one has the snapshots. What they do is decided in [`crate::storage`]; here are the threads, their
//! channels and their log lines.
//!
//! Invariant: the writing thread owns the store and has at most one batch at a time; the loop never waits for a thread.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;

use super::clock;
use super::directory_watch::DirectoryWatch;
use super::figures::Figures;
use super::journal::Journal;
use super::reading::Reading;
use super::snapshots::SnapshotThread;
use crate::exit::Exit;
use crate::local::events::Event;
use crate::record::{Batch, BatchId, HardState, Record};
use crate::replica::event::{Input, Room};
use crate::storage::driver::Done;
use crate::storage::{Driver, Fetch, Retry, SnapshotJob, Step, VOTE_PAUSE, VoteJob, WriteJob};
use crate::store::{Store, VoteFile};
use crate::time::Instant;

/// The way to the disk.
#[derive(Debug)]
pub(super) struct Storage {
    jobs: SyncSender<WriteJob>,
    fetches: SyncSender<Fetch>,
    votes: SyncSender<HardState>,
    snapshots: SnapshotThread,
    done: mpsc::Receiver<Input>,
    figures: Arc<Figures>,
    writer: JoinHandle<()>,
}

impl Storage {
    /// Hands `store` to its threads. The log is read again at `scrub_rate` bytes a second; never, when that is zero.
    ///
    /// # Errors
    ///
    /// When the system is out of threads.
    pub(super) fn start(
        store: Store,
        directory: &Path,
        scrub_rate: u64,
        journal: &Journal,
    ) -> std::io::Result<Self> {
        let (jobs, todo) = sync_channel(JOBS_MAX);
        let (fetches, wanted) = sync_channel(1);
        let (report, done) = mpsc::channel(REPORTS_MAX);
        let figures = Arc::new(Figures::default());
        let reader = store.reader();
        let votes = start_voting(store.votes(), report.clone())?;
        let snapshots = SnapshotThread::start(store.snapshots(), report.clone(), journal)?;
        let read_figures = Arc::clone(&figures);
        let now = clock::now();
        let writer = WriteThread {
            driver: Driver::new(store, now),
            directory: DirectoryWatch::begin(directory)?,
            watched_at: now,
            done: report.clone(),
            figures: Arc::clone(&figures),
            journal: journal.clone(),
        };
        let writer = std::thread::Builder::new()
            .name("disk-writer".into())
            .spawn(move || writer.run(&todo))?;
        std::thread::Builder::new()
            .name("disk-reader".into())
            .spawn(move || {
                Reading::new(reader, scrub_rate, report, read_figures).run(&wanted);
            })?;
        Ok(Self {
            jobs,
            fetches,
            votes,
            snapshots,
            done,
            figures,
            writer,
        })
    }

    /// What was done so far.
    pub(super) fn figures(&self) -> Arc<Figures> {
        Arc::clone(&self.figures)
    }

    /// Makes `batch` durable; [`Self::done`] then gives [`Input::Synced`].
    pub(super) fn persist(&self, batch: Batch) {
        self.figures.note_order(clock::now());
        self.order(WriteJob::Persist(batch));
    }

    /// Makes term and vote durable, whatever the batch under way takes; [`Self::done`] then gives [`Input::VoteSynced`].
    pub(super) fn vote(&self, hard_state: HardState) {
        match self.votes.try_send(hard_state) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => panic!("the replica has at most one vote in flight"),
            Err(TrySendError::Disconnected(_)) => panic!("the voting thread lives as long as the process"),
        }
    }

    /// Makes damaged entries durable again; [`Self::done`] then gives [`Input::Synced`].
    pub(super) fn patch(&self, id: BatchId, records: Vec<Record>) {
        self.figures.note_order(clock::now());
        self.order(WriteJob::Patch { id, records });
    }

    /// Notes durably that the node has caught up.
    pub(super) fn caught_up(&self) {
        self.order(WriteJob::MarkCaughtUp);
    }

    /// Reads entries; [`Self::done`] then gives [`Input::Fetched`].
    pub(super) fn fetch(&self, fetch: Fetch) {
        match self.fetches.try_send(fetch) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => panic!("the replica has at most one fetch in flight"),
            Err(TrySendError::Disconnected(_)) => panic!("the reading thread lives as long as the process"),
        }
    }

    /// Has something done with a snapshot; [`Self::done`] then gives the answer.
    pub(super) fn handle_snapshot(&self, job: SnapshotJob) {
        self.snapshots.order(job);
    }

    /// The next thing that the disk has done.
    pub(super) async fn done(&mut self) -> Input {
        self.done
            .recv()
            .await
            .expect("the disk's threads live as long as the process")
    }

    /// The next thing that the disk has done, when there is one.
    pub(super) fn try_done(&mut self) -> Option<Input> {
        self.done.try_recv().ok()
    }

    /// Ends the writing thread after what it has to do, and marks an orderly stop.
    pub(super) fn stop(self) {
        self.order(WriteJob::MarkCleanStop);
        if self.writer.join().is_err() {
            tracing::error!("the disk's writer ended with a panic");
            Exit::Software.now();
        }
    }

    fn order(&self, job: WriteJob) {
        match self.jobs.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => panic!("at most one batch is in flight"),
            Err(TrySendError::Disconnected(_)) => panic!("the writing thread lives until it is stopped"),
        }
    }
}

/// Starts the thread that makes votes durable.
fn start_voting(votes: VoteFile, done: mpsc::Sender<Input>) -> std::io::Result<SyncSender<HardState>> {
    let (sender, wanted) = sync_channel::<HardState>(VOTES_MAX);
    std::thread::Builder::new()
        .name("disk-votes".into())
        .spawn(move || {
            while let Ok(hard_state) = wanted.recv() {
                save_vote(&votes, hard_state, &done);
            }
        })?;
    Ok(sender)
}

/// Writes term and vote to one slot, reports that, and writes them to the other one, however long it has to wait for room.
fn save_vote(votes: &VoteFile, hard_state: HardState, done: &mpsc::Sender<Input>) {
    let (mut next, mut waited) = (Some(VoteJob::Save(hard_state)), false);
    while let Some(job) = next {
        let step = job.run(votes).unwrap_or_else(|stop| {
            tracing::error!("{stop}");
            stop.exit().now()
        });
        // The loop ends before this thread only when the process does.
        if let Some(input) = step.input {
            let _ = done.try_send(input);
        }
        if let Some(why) = step.waits {
            if !std::mem::replace(&mut waited, true) {
                tracing::error!("{why}; votes wait until it has passed");
            }
            pause(VOTE_PAUSE);
        }
        next = step.next;
    }
}

/// The writing thread.
struct WriteThread {
    driver: Driver,
    directory: DirectoryWatch,
    /// When the directory was last looked for.
    watched_at: Instant,
    done: mpsc::Sender<Input>,
    figures: Arc<Figures>,
    journal: Journal,
}

impl WriteThread {
    fn run(mut self, todo: &Receiver<WriteJob>) {
        loop {
            let job = match self.driver.deadline() {
                Some(deadline) => match todo.recv_timeout(clock::until(deadline)) {
                    Ok(job) => job,
                    Err(RecvTimeoutError::Timeout) => match self.driver.due(clock::now()) {
                        Some(job) => job,
                        None => continue,
                    },
                    Err(RecvTimeoutError::Disconnected) => return,
                },
                None => match todo.recv() {
                    Ok(job) => job,
                    Err(_) => return,
                },
            };
            self.watch_directory(clock::now());
            self.carry_out(&job);
            if matches!(job, WriteJob::MarkCleanStop) {
                return;
            }
        }
    }

    /// Does a job, however long it has to wait for room. Every failure but a shortage ends the process.
    fn carry_out(&mut self, job: &WriteJob) {
        let started = clock::now();
        loop {
            let step = self.driver.run(clock::now(), job);
            self.report_room();
            match step {
                Step::Done(done) => return self.finish(started, job, done),
                Step::Retry(Retry { at, why, is_first }) => {
                    if is_first {
                        tracing::error!("{why}; writes wait until it has passed");
                    }
                    while clock::now() < at {
                        pause(clock::until(at));
                    }
                }
                Step::Stop(stop) => {
                    tracing::error!("{stop}");
                    stop.exit().now();
                }
            }
        }
    }

    fn finish(&mut self, started: Instant, job: &WriteJob, done: Done) {
        if let Some(why) = done.missed {
            tracing::warn!("cannot {job}: {why}");
        }
        if done.was_short {
            tracing::info!("the shortage has passed");
        }
        let Some(input) = done.input else { return };
        self.figures.note_batch(started, clock::now(), job.entries());
        // The loop ends before this thread only when the process does.
        let _ = self.done.try_send(input);
    }

    /// Is the directory still there?
    fn watch_directory(&mut self, now: Instant) {
        if now.saturating_since(self.watched_at) < WATCH_EVERY {
            return;
        }
        self.watched_at = now;
        if let Err(gone) = self.directory.check() {
            tracing::error!("{gone}");
            Exit::Disk.now();
        }
    }

    /// The replica knows of a change before the next batch is answered, or after the next look for room.
    fn report_room(&mut self) {
        let Some(room) = self.driver.news() else { return };
        if self.done.capacity() <= REPORTS_MAX / 2 || self.done.try_send(Input::Room(room)).is_err() {
            return;
        }
        let was_full = self.figures.set_full(room != Room::Plenty);
        match (was_full, room) {
            (_, Room::Plenty) => self.journal.note(&Event::Room { is_there: true }),
            (false, Room::Low | Room::Spent) => self.journal.note(&Event::Room { is_there: false }),
            (true, Room::Low | Room::Spent) => {}
        }
        self.driver.note_reported(room);
    }
}

/// Waits, without reading a clock: for a channel that has no sender at work.
pub(super) fn pause(time: Duration) {
    let (_keep, never) = channel::<()>();
    let _ = never.recv_timeout(time);
}

/// One batch, one note that the node caught up, one stop.
const JOBS_MAX: usize = 3;
/// One vote is in flight at most; the one before it may still be written a second time.
const VOTES_MAX: usize = 1;
/// One batch, one vote, one fetch and one of each kind of work on snapshots are under way at most; and one finding of the
/// scrub.
pub(super) const REPORTS_MAX: usize = 12;
/// How often to look whether the directory is there.
const WATCH_EVERY: Duration = Duration::from_millis(100);

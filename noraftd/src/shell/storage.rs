//! The disk's threads: one makes batches durable, one makes votes durable beside them, one reads old entries for slow
//! peers; a fourth has the snapshots (`snapshots.rs`).
//!
//! Invariant: the writing thread owns the store and has at most one batch at a time; what it reports as
//! synced survives a loss of power. A sync that failed is never tried again and never reported: the process
//! ends. A full disk is not a failed sync: nothing of the batch was written as valid, and the thread tries
//! again when there may be room. Nor is a shortage of file descriptors or memory.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use noraft::LogIndex;
use tokio::sync::mpsc;

use super::clock;
use super::directory_watch::DirectoryWatch;
use super::figures::Figures;
use super::reading::{Fetch, Reading};
use super::snapshots::{SnapshotJob, SnapshotThread};
use crate::exit::Exit;
use crate::record::{Batch, BatchId, HardState, Record};
use crate::replica::event::{Input, Room};
use crate::store::{Store, StoreError, StoreStats, VoteFile};
use crate::time::Instant;

/// The way to the disk.
#[derive(Debug)]
pub(super) struct Storage {
    jobs: SyncSender<Job>,
    fetches: SyncSender<Fetch>,
    votes: SyncSender<HardState>,
    snapshots: SnapshotThread,
    done: mpsc::Receiver<Input>,
    figures: Arc<Figures>,
    writer: JoinHandle<()>,
}

/// What the writing thread does.
#[derive(Debug)]
enum Job {
    /// Make it durable and say so.
    Persist(Batch),
    /// Make these entries, which are damaged, durable again and say so.
    Patch(BatchId, Vec<Record>),
    /// The node has caught up with a leader: it need not abstain after a restart.
    CaughtUp,
    /// Mark an orderly stop and end.
    Stop,
}

impl Storage {
    /// Hands `store` to its threads. The log is read again at `scrub_rate` bytes a second; never, when that is zero.
    ///
    /// # Errors
    ///
    /// When the system has no thread to give.
    pub(super) fn start(store: Store, directory: &Path, scrub_rate: u64) -> std::io::Result<Self> {
        let (jobs, todo) = sync_channel(JOBS_MAX);
        let (fetches, wanted) = sync_channel(1);
        let (report, done) = mpsc::channel(REPORTS_MAX);
        let figures = Arc::new(Figures::default());
        let reader = store.reader();
        let votes = start_voting(store.votes(), report.clone())?;
        let snapshots = SnapshotThread::start(store.snapshots(), report.clone())?;
        let read_figures = Arc::clone(&figures);
        let writer = Writer {
            store,
            directory: DirectoryWatch::begin(directory)?,
            room: Room::Plenty,
            looked_at: clock::now(),
            done: report.clone(),
            figures: Arc::clone(&figures),
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
        self.order(Job::Persist(batch));
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
        self.order(Job::Patch(id, records));
    }

    /// Notes durably that the node has caught up.
    pub(super) fn caught_up(&self) {
        self.order(Job::CaughtUp);
    }

    /// Reads entries; [`Self::done`] then gives [`Input::Fetched`].
    pub(super) fn fetch(&self, from: LogIndex, to: LogIndex, bytes_max: usize) {
        match self.fetches.try_send(Fetch { from, to, bytes_max }) {
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
        self.order(Job::Stop);
        if self.writer.join().is_err() {
            tracing::error!("the disk's writer ended with a panic");
            Exit::Software.now();
        }
    }

    fn order(&self, job: Job) {
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
                if let Err(error) = votes.save(hard_state) {
                    fail("make a vote durable", &error);
                }
                // The loop ends before this thread only when the process does.
                let _ = done.try_send(Input::VoteSynced);
                if let Err(error) = votes.repeat() {
                    fail("write a vote a second time", &error);
                }
            }
        })?;
    Ok(sender)
}

/// The writing thread.
struct Writer {
    store: Store,
    directory: DirectoryWatch,
    room: Room,
    looked_at: Instant,
    done: mpsc::Sender<Input>,
    figures: Arc<Figures>,
}

impl Writer {
    fn run(mut self, todo: &Receiver<Job>) {
        loop {
            let patience = if self.room == Room::Plenty {
                IDLE
            } else {
                FULL_PAUSE
            };
            let job = match todo.recv_timeout(patience) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) if self.room != Room::Plenty => {
                    self.look_around(clock::now());
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.mark("mark the log as idle", |store| store.mark_idle().map(drop));
                    let Ok(job) = todo.recv() else { return };
                    job
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            match job {
                Job::Persist(batch) => {
                    let entries = batch.append.as_ref().map_or(0, |append| append.records.len());
                    self.persist(batch.id, entries, |store| store.persist(&batch).map(drop));
                }
                Job::Patch(id, records) => {
                    self.persist(id, records.len(), |store| store.patch(&records).map(drop));
                }
                Job::CaughtUp => {
                    self.mark("note that the node caught up", |store| {
                        store.mark_caught_up().map(drop)
                    });
                }
                Job::Stop => {
                    self.mark("mark an orderly stop", |store| store.mark_clean_stop().map(drop));
                    return;
                }
            }
        }
    }

    /// Writes a mark that is worth having, but not worth waiting for room.
    fn mark(&mut self, doing: &str, action: impl FnOnce(&mut Store) -> Result<(), StoreError>) {
        match action(&mut self.store) {
            Ok(()) => {}
            Err(error @ (StoreError::Full { .. } | StoreError::Short { .. })) => {
                tracing::warn!("cannot {doing}: {error}");
            }
            Err(error @ (StoreError::Invalid(_) | StoreError::Failed { .. })) => fail(doing, &error),
        }
    }

    /// Repeats while the disk is full, or the system short of something. Every other failure ends the process.
    fn persist(&mut self, id: BatchId, entries: usize, write: impl Fn(&mut Store) -> Result<(), StoreError>) {
        let started = clock::now();
        let mut is_short = false;
        loop {
            match write(&mut self.store) {
                Ok(()) => break,
                Err(error @ StoreError::Full { .. }) => self.wait_for_room(&error),
                Err(error @ StoreError::Short { .. }) => {
                    if !std::mem::replace(&mut is_short, true) {
                        tracing::error!("{error}; writes wait until it has passed");
                    }
                    pause(FULL_PAUSE);
                }
                Err(error @ (StoreError::Invalid(_) | StoreError::Failed { .. })) => {
                    fail("make a batch durable", &error)
                }
            }
        }
        if is_short {
            tracing::info!("the shortage has passed");
        }
        let ended = clock::now();
        self.look_around(ended);
        self.figures.note_batch(started, ended, entries as u64);
        // The loop ends before this thread only when the process does.
        let _ = self.done.try_send(Input::Synced(id));
    }

    /// Has the disk room, and, now and then: is the directory still there?
    fn look_around(&mut self, now: Instant) {
        if now.saturating_since(self.looked_at) >= LOOK_EVERY {
            self.looked_at = now;
            if let Err(gone) = self.directory.check() {
                tracing::error!("{gone}");
                Exit::Disk.now();
            }
            self.store.retry_spare();
        }
        let room = room(&self.store.stats());
        self.set_room(room);
    }

    fn set_room(&mut self, room: Room) {
        if room == self.room {
            return;
        }
        match (self.room, room) {
            (_, Room::Plenty) => tracing::info!("the disk has room again"),
            (Room::Plenty, Room::Low | Room::Spent) => {
                tracing::error!("no room on the disk for another segment; writes are refused until there is");
            }
            (Room::Low | Room::Spent, Room::Low | Room::Spent) => {}
        }
        self.figures.note_full(room != Room::Plenty);
        // Taken up before the next batch is answered, or at the next look.
        if self.done.capacity() > REPORTS_MAX / 2 && self.done.try_send(Input::Room(room)).is_ok() {
            self.room = room;
        }
    }

    fn wait_for_room(&mut self, error: &StoreError) {
        if self.room != Room::Spent {
            tracing::error!("{error}; writes wait until there is room");
        }
        self.set_room(Room::Spent);
        pause(FULL_PAUSE);
    }
}

/// Waits, without reading a clock: for a channel that nobody sends on.
pub(super) fn pause(time: Duration) {
    let (_keep, never) = channel::<()>();
    let _ = never.recv_timeout(time);
}

/// Without a spare segment, what is left of the last one is for what is on its way, and then for elections.
fn room(stats: &StoreStats) -> Room {
    if !stats.spare_failed || stats.room_bytes > stats.segment_bytes / LOW_ROOM_DIVISOR {
        Room::Plenty
    } else if stats.room_bytes > stats.segment_bytes / SPENT_ROOM_DIVISOR {
        Room::Low
    } else {
        Room::Spent
    }
}

/// Nothing that was not synced is believed: whoever starts the node again reads what is there.
fn fail(doing: &str, error: &StoreError) -> ! {
    tracing::error!("cannot {doing}: {error}");
    match error {
        // The disk did nothing wrong: what it was given contradicts the log.
        StoreError::Invalid(_) => Exit::Software.now(),
        StoreError::Full { .. } | StoreError::Short { .. } | StoreError::Failed { .. } => Exit::Disk.now(),
    }
}

/// One batch, one note that the node caught up, one stop.
const JOBS_MAX: usize = 3;
/// One vote is in flight at most; the one before it may still be written a second time.
const VOTES_MAX: usize = 1;
/// One batch, one vote, one fetch and one of each kind of work on snapshots are under way at most; and one finding of the
/// scrub.
pub(super) const REPORTS_MAX: usize = 12;
/// After this long without a batch, the log is marked as idle: a later invalid tail is then known damage.
const IDLE: Duration = Duration::from_secs(1);
/// The last quarter of a segment takes what is on its way when the next one cannot be made,
const LOW_ROOM_DIVISOR: u64 = 4;
/// and the last sixteenth the first entries of new leaders.
const SPENT_ROOM_DIVISOR: u64 = 16;
/// How often to look whether the directory is there, and to try for room again.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often a full disk is tried again.
const FULL_PAUSE: Duration = Duration::from_millis(100);

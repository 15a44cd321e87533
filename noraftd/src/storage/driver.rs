//! The writing side: batches, repairs and marks, one after the other.
//!
//! Invariant: what is reported as synced survives a loss of power. A sync that failed is never tried again and never
//! reported: the process ends. A full disk is no failed sync: nothing of the batch was written as valid, and the same
//! job is tried again when there may be room. Nor is a shortage of file descriptors or memory.

use std::time::Duration;

use super::job::WriteJob;
use super::room::{RoomWatch, room_of};
use crate::exit::Exit;
use crate::replica::event::{Input, Room};
use crate::store::{PersistStats, Store, StoreError};
use crate::time::Instant;

/// Owns the store, and decides.
pub struct Driver {
    store: Store,
    room: RoomWatch,
    /// When it was last seen whether the next segment can be made.
    looked_at: Instant,
    /// When the log is to be marked as idle, unless something is written before.
    idle_at: Option<Instant>,
    /// The current job waits, and the reason was reported.
    waits: Option<Waiting>,
    /// The mark that the node caught up could not be written yet: without it, the node abstains again after its next start.
    owes_caught_up: bool,
}

/// What was written of a job and of the mark that is owed.
#[derive(Default)]
struct Written {
    stats: PersistStats,
    /// Why the mark stays owed.
    owed: Option<StoreError>,
}

/// What a job waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// Room on the disk.
    Room,
    /// Descriptors or memory.
    System,
}

/// What came of a job.
#[derive(Debug)]
pub enum Step {
    /// It was done, or it was not worth waiting for.
    Done(Done),
    /// Nothing of it counts yet: to be run again.
    Retry(Retry),
    /// The process has to end.
    Stop(Stop),
}

/// A job that is over.
#[derive(Debug, Default)]
pub struct Done {
    /// What the replica has to know.
    pub input: Option<Input>,
    /// What it took.
    pub stats: PersistStats,
    /// Why a mark that can be missed was not written.
    pub missed: Option<StoreError>,
    /// Why the mark that was missed before was not written this time either. What the attempt left counts for nothing.
    pub owed: Option<StoreError>,
    /// The job had waited for the system's descriptors or memory.
    pub was_short: bool,
}

/// A job that has to wait.
#[derive(Debug)]
pub struct Retry {
    /// When to run it again.
    pub at: Instant,
    /// What it waits for.
    pub why: StoreError,
    /// True for the first of several attempts.
    pub is_first: bool,
}

/// Nothing that was not synced is believed: the next process reads what is there.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}: {why}")]
pub struct Stop {
    /// What was tried.
    pub doing: String,
    /// What went wrong.
    #[source]
    pub why: StoreError,
}

impl Stop {
    /// How the process ends.
    pub fn exit(&self) -> Exit {
        match self.why {
            // The disk did nothing wrong: what it was given contradicts the log.
            StoreError::Invalid(_) => Exit::Software,
            StoreError::Full { .. } | StoreError::Short { .. } | StoreError::Failed { .. } => Exit::Disk,
        }
    }
}

impl Driver {
    /// Drives a store that was opened at `now`.
    pub fn new(store: Store, now: Instant) -> Self {
        Self {
            store,
            room: RoomWatch::default(),
            looked_at: now,
            idle_at: Some(now + IDLE),
            waits: None,
            owes_caught_up: false,
        }
    }

    /// The store, to look at.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// How much room the disk has.
    pub fn room(&self) -> Room {
        self.room.get()
    }

    /// The room, when the replica does not know it yet; to be followed by [`Self::note_reported`].
    pub fn news(&self) -> Option<Room> {
        self.room.news()
    }

    /// The replica knows that there is this much room.
    pub fn note_reported(&mut self, room: Room) {
        self.room.note_reported(room);
    }

    /// When [`Self::due`] has something to do, unless a job is run before.
    pub fn deadline(&self) -> Option<Instant> {
        match self.room.get() {
            Room::Plenty => self.idle_at,
            Room::Low | Room::Spent => Some(self.looked_at + FULL_PAUSE),
        }
    }

    /// What to do for want of another job, at `now` or later.
    pub fn due(&self, now: Instant) -> Option<WriteJob> {
        self.deadline().filter(|deadline| *deadline <= now)?;
        Some(match self.room.get() {
            Room::Plenty => WriteJob::MarkIdle,
            Room::Low | Room::Spent => WriteJob::LookForRoom,
        })
    }

    /// Does `job`, at `now`.
    pub fn run(&mut self, now: Instant, job: &WriteJob) -> Step {
        let written = match job {
            WriteJob::Persist(batch) => self.then_owed(|store| store.persist(batch)),
            WriteJob::Patch { records, .. } => self.then_owed(|store| store.patch(records)),
            WriteJob::MarkCaughtUp => self.store.mark_caught_up().map(|stats| Written {
                stats,
                ..Written::default()
            }),
            // What these say is so only while nothing comes after them.
            WriteJob::MarkIdle => self.after_owed(Store::mark_idle),
            WriteJob::MarkCleanStop => self.after_owed(Store::mark_clean_stop),
            WriteJob::LookForRoom => self.write_owed(),
        };
        match written {
            Ok(written) => Step::Done(self.done(now, job, written)),
            Err(why @ (StoreError::Full { .. } | StoreError::Short { .. })) => self.put_off(now, job, why),
            Err(why @ (StoreError::Invalid(_) | StoreError::Failed { .. })) => Step::Stop(Stop {
                doing: job.to_string(),
                why,
            }),
        }
    }

    /// Writes, and then the mark that is owed: what was just written had room.
    fn then_owed(
        &mut self,
        write: impl FnOnce(&mut Store) -> Result<PersistStats, StoreError>,
    ) -> Result<Written, StoreError> {
        let stats = write(&mut self.store)?;
        let owed = self.write_owed()?;
        Ok(Written {
            stats: stats + owed.stats,
            ..owed
        })
    }

    /// Writes the mark that is owed, and then the other one.
    fn after_owed(
        &mut self,
        write: impl FnOnce(&mut Store) -> Result<PersistStats, StoreError>,
    ) -> Result<Written, StoreError> {
        let owed = self.write_owed()?;
        let stats = write(&mut self.store)?;
        Ok(Written {
            stats: owed.stats + stats,
            // What the attempt left was blanked before something else was written.
            owed: owed.owed.filter(|_| stats.syncs == 0),
        })
    }

    /// Tries again to write the mark that was missed, if one was. Without room it stays owed.
    fn write_owed(&mut self) -> Result<Written, StoreError> {
        if !self.owes_caught_up {
            return Ok(Written::default());
        }
        let (stats, owed) = match self.store.mark_caught_up() {
            Ok(stats) => (stats, None),
            Err(why @ (StoreError::Full { .. } | StoreError::Short { .. })) => {
                (PersistStats::default(), Some(why))
            }
            Err(why @ (StoreError::Invalid(_) | StoreError::Failed { .. })) => return Err(why),
        };
        self.owes_caught_up = owed.is_some();
        Ok(Written { stats, owed })
    }

    fn done(&mut self, now: Instant, job: &WriteJob, written: Written) -> Done {
        let was_short = self.waits.take() == Some(Waiting::System);
        self.look_for_room(now);
        self.idle_at = match job {
            WriteJob::MarkIdle => self.owes_caught_up.then(|| now + IDLE),
            WriteJob::MarkCleanStop => None,
            WriteJob::LookForRoom => self.idle_at,
            WriteJob::Persist(_) | WriteJob::Patch { .. } | WriteJob::MarkCaughtUp => Some(now + IDLE),
        };
        self.owes_caught_up &= !matches!(job, WriteJob::MarkCaughtUp);
        let input = match job {
            WriteJob::Persist(batch) => Some(Input::Synced(batch.id)),
            WriteJob::Patch { id, .. } => Some(Input::Synced(*id)),
            WriteJob::MarkCaughtUp | WriteJob::MarkIdle | WriteJob::LookForRoom | WriteJob::MarkCleanStop => {
                None
            }
        };
        Done {
            input,
            stats: written.stats,
            missed: None,
            owed: written.owed,
            was_short,
        }
    }

    /// A full disk, or a shortage: what the replica waits for is tried again, and a mark is missed.
    fn put_off(&mut self, now: Instant, job: &WriteJob, why: StoreError) -> Step {
        let waits_for = if matches!(why, StoreError::Full { .. }) {
            self.room.set(Room::Spent);
            self.looked_at = now;
            Waiting::Room
        } else {
            Waiting::System
        };
        match job {
            WriteJob::Persist(_) | WriteJob::Patch { .. } => Step::Retry(Retry {
                at: now + FULL_PAUSE,
                is_first: self.waits.replace(waits_for) != Some(waits_for),
                why,
            }),
            WriteJob::MarkCaughtUp | WriteJob::MarkIdle | WriteJob::LookForRoom | WriteJob::MarkCleanStop => {
                self.owes_caught_up |= matches!(job, WriteJob::MarkCaughtUp);
                // The idle mark is the next chance for the mark that is owed.
                self.idle_at = self.owes_caught_up.then(|| now + IDLE);
                Step::Done(Done {
                    missed: Some(why),
                    ..Done::default()
                })
            }
        }
    }

    /// Whether the next segment can be made is tried now and then; how full this one is, is always known.
    fn look_for_room(&mut self, now: Instant) {
        if now.saturating_since(self.looked_at) >= LOOK_EVERY {
            self.looked_at = now;
            self.store.prepare_spare();
        }
        let room = room_of(&self.store.stats());
        self.room.set(room);
    }
}

/// After this long without a batch, the log is marked as idle: a later invalid tail is then known damage.
const IDLE: Duration = Duration::from_secs(1);
/// How often to try whether the next segment can be made.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often a full disk is tried again.
pub(super) const FULL_PAUSE: Duration = Duration::from_millis(100);

//! The store: what a node has promised, in bytes that survive crashes and show damage.
//!
//! A directory holds segments (`format/segment.rs`), each a row of batches (`format/batch.rs`), and a file with term and
//! vote (`format/hard_state.rs`). One batch is appended and synced at a time; `recovery/judge/mod.rs` has the table of what
//! each state of the bytes means when they are read again.
//!
//! Invariant: [`Store::persist`] returns `Ok` when the batch survives a loss of power, and not before. What
//! it acknowledged is found again at the next opening, or a [`Verdict`] says what is wrong and where.
//!
//! One thread owns the [`Store`]; any number of [`LogReader`]s read what is durable beside it.

pub mod disk;
mod error;
mod format;
pub mod generation;
pub mod genesis;
pub mod joining;
mod known_peers;
mod number_file;
mod offline;
mod read;
mod recovery;
mod shape;
mod snapshots;
pub mod start_count;
mod types;
mod write;

use std::sync::Arc;

use noraft::{ClusterConfig, LogPosition, Term};

use crate::record::{Append, Batch, HardState, PAYLOAD_BYTES_MAX, Record, RecordKind, SnapshotHead};
use crate::recovered::Recovered;
pub use disk::limits::take_file_limits_as_errors;
pub use disk::shadow;
pub use disk::shortage::is_shortage;
pub use disk::sigbus::name_lost_pages;
use disk::{DirLock, Disk};
pub use error::{ReadError, StoreError};
pub use format::batch::{Kind, Mark};
pub use format::hard_state::{FILE as HARD_STATE_FILE, SLOT_BYTES};
pub use format::layout;
pub use known_peers::{KnownPeer, KnownPeers, Start};
use offline::{begin_again, rejoin, replace};
pub use offline::{inspect, verify};
pub use read::reader::LogReader;
pub use read::scrub::{Scrubbed, Scrubber};
use recovery::setup::half_begun;
pub use recovery::setup::{SetUp, Vacant};
pub use recovery::verdict::{Finding, OpenError, RecoveryReport, Verdict};
use recovery::{create, lock, open};
use shape::{Run, Shape};
pub use snapshots::{PREFIX as SNAPSHOT_PREFIX, SnapshotError, Snapshots, file_name as snapshot_file_name};
pub use types::{Identity, Options, Owner, PersistStats, SpareBy, StoreStats};
use write::content::Content;
use write::hard_state::HardStateFile;
pub use write::hard_state::VoteFile;
use write::writer::Writer;

/// One directory, opened: the only writer of its files.
pub struct Store {
    writer: Writer,
    slots: HardStateFile,
    shape: Shape,
    report: RecoveryReport,
    _lock: Box<dyn DirLock>,
}

impl Store {
    /// Sets up an empty directory: an empty log at position (0, 0) whose configuration is `genesis`. The
    /// directory's own name must be made durable by the caller.
    ///
    /// # Errors
    ///
    /// When the directory holds a store already (the rest of an interrupted `create` is no store), is in
    /// use, or cannot be written.
    pub fn create(
        disk: Arc<dyn Disk>,
        options: Options,
        identity: Identity,
        genesis: &ClusterConfig,
    ) -> Result<(Self, Recovered), OpenError> {
        create::create(disk, options, identity, genesis)
    }

    /// Sets up a vacant directory with a state: a log that begins at `head`, in that term, without a vote. The
    /// directory's own name must be made durable by the caller.
    ///
    /// # Errors
    ///
    /// When the disk is full or fails. The directory stays unfinished then, for the same call again.
    pub fn create_from(
        vacant: Vacant,
        options: Options,
        identity: Identity,
        head: &SnapshotHead,
        chunks: &mut dyn Iterator<Item = bytes::Bytes>,
    ) -> Result<(Self, Recovered), OpenError> {
        create::create_from(vacant, options, identity, head, chunks)
    }

    /// Says whether another process works in the directory, before anything else is done.
    ///
    /// # Errors
    ///
    /// When one does, or the directory cannot be locked.
    pub fn check_free(disk: Arc<dyn Disk>) -> Result<(), OpenError> {
        lock::Locked::new(disk).map(drop)
    }

    /// Opens the directory of `owner`.
    ///
    /// # Errors
    ///
    /// When it must not be used as it is; nothing was changed then. See the table in `recovery/judge/mod.rs`.
    pub fn open(disk: Arc<dyn Disk>, options: Options, owner: Owner) -> Result<(Self, Recovered), OpenError> {
        open::open(disk, options, owner)
    }

    /// Puts a snapshot of the same cluster in the place of a log that cannot be opened. Term and vote stay, the old
    /// segments are kept under other names, and the node abstains until it has caught up.
    ///
    /// # Errors
    ///
    /// When term and vote are not certain, the directory is another node's or in use, or the disk fails.
    pub fn replace_log(
        disk: Arc<dyn Disk>,
        options: Options,
        owner: Owner,
        head: &SnapshotHead,
        chunks: &mut dyn Iterator<Item = bytes::Bytes>,
    ) -> Result<(Self, Recovered), OpenError> {
        replace::replace_log(disk, options, owner, head, chunks)
    }

    /// Begins a cluster again, in another generation, out of the state of a directory: `head` is the state's place, in a term of
    /// its own, and names the voters. No vote is kept, and the log that was gets other names.
    ///
    /// # Errors
    ///
    /// When the directory is in use, or the disk fails. The same call does it all once more, unless the directory
    /// [has half begun](Self::has_half_begun).
    pub fn begin_again(
        disk: Arc<dyn Disk>,
        options: Options,
        identity: Identity,
        generation: u64,
        head: &SnapshotHead,
        chunks: &mut dyn Iterator<Item = bytes::Bytes>,
    ) -> Result<(), OpenError> {
        begin_again::begin_again(disk, options, identity, generation, head, chunks)
    }

    /// True where [`Self::begin_again`] was interrupted when the log that was could no longer be opened.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn has_half_begun(disk: &dyn Disk) -> std::io::Result<bool> {
        Ok(half_begun(&disk.list()?).is_some())
    }

    /// Ends such a beginning.
    ///
    /// # Errors
    ///
    /// When the directory is in use, or the disk fails. The same call goes on.
    pub fn finish_beginning_again(disk: Arc<dyn Disk>, options: Options) -> Result<(), OpenError> {
        begin_again::finish(disk, options)
    }

    /// Sets up a vacant directory for a node that was a member before, and lost what it knew: with another node's
    /// state, in a term in which it certainly has not voted. It abstains until it has caught up. The directory's own
    /// name must be made durable by the caller.
    ///
    /// # Errors
    ///
    /// As for [`Store::create_from`].
    pub fn create_rejoining(
        vacant: Vacant,
        options: Options,
        identity: Identity,
        term: Term,
        head: &SnapshotHead,
        chunks: &mut dyn Iterator<Item = bytes::Bytes>,
    ) -> Result<(Self, Recovered), OpenError> {
        rejoin::create_rejoining(vacant, options, identity, term, head, chunks)
    }

    /// Makes the batch durable: `Ok` means that it survives a loss of power.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`], [`StoreError::Short`] and [`StoreError::Invalid`] leave the store usable;
    /// [`StoreError::Failed`] is final.
    pub fn persist(&mut self, batch: &Batch) -> Result<PersistStats, StoreError> {
        let before = self.writer.counters();
        self.writer.check_usable()?;
        if let Some(hard_state) = batch.hard_state {
            self.check_hard_state(hard_state)?;
        }
        let mut hard_state = batch.hard_state;
        if let Some(base) = batch.base.as_ref().filter(|base| base.position != self.base()) {
            // In a batch of its own: what is appended is checked against the log as it is then.
            if let Some(hard_state) = hard_state {
                self.save_hard_state(hard_state)?;
            }
            self.rebase(hard_state.take(), base)?;
        }
        let term_max = hard_state.unwrap_or(self.writer.repeated().hard_state).term;
        let plan = batch
            .append
            .as_ref()
            .map(|append| self.plan(append, term_max))
            .transpose()?;
        if let Some(hard_state) = hard_state {
            self.save_hard_state(hard_state)?;
        }
        match plan {
            Some(plan) => self.append(hard_state, plan)?,
            None => self.append_hard_state(hard_state)?,
        }
        Ok(self.done_since(&before))
    }

    /// A reader of durable entries, for another thread.
    pub fn reader(&self) -> LogReader {
        LogReader::new(self.writer.directory().clone())
    }

    /// Marks that nothing is in flight, so that damage to the last batch cannot pass for an interrupted write.
    /// Worth a sync when the node has been idle for a moment; does nothing when such a mark is there.
    ///
    /// # Errors
    ///
    /// As for [`Store::persist`].
    pub fn mark_idle(&mut self) -> Result<PersistStats, StoreError> {
        self.mark(Mark::Idle)
    }

    /// Marks an orderly stop; nothing should be written after it.
    ///
    /// # Errors
    ///
    /// As for [`Store::persist`].
    pub fn mark_clean_stop(&mut self) -> Result<PersistStats, StoreError> {
        self.mark(Mark::CleanStop)
    }

    /// Ends abstaining, durably: the log now holds the last entry of a current leader. Does nothing when the
    /// node does not abstain.
    ///
    /// # Errors
    ///
    /// As for [`Store::persist`].
    pub fn mark_caught_up(&mut self) -> Result<PersistStats, StoreError> {
        if !self.writer.repeated().abstain.abstains() {
            return Ok(PersistStats::default());
        }
        let stats = self.mark(Mark::CaughtUp)?;
        self.writer.note_caught_up();
        Ok(stats)
    }

    /// What the opening found.
    pub fn recovery_report(&self) -> &RecoveryReport {
        &self.report
    }

    /// The directory's identity.
    pub fn identity(&self) -> Identity {
        self.writer.identity()
    }

    /// The last durable position.
    pub fn last_position(&self) -> LogPosition {
        self.shape.last_position()
    }

    /// Durable term and vote.
    pub fn hard_state(&self) -> HardState {
        self.slots.get()
    }

    /// The way for votes that overtake a batch, for another thread.
    pub fn votes(&self) -> VoteFile {
        VoteFile::new(self.slots.clone())
    }

    /// True until [`Store::mark_caught_up`], when the node must abstain.
    pub fn abstains(&self) -> bool {
        self.writer.repeated().abstain.abstains()
    }

    /// Most bytes of one payload: what fits a segment, and no more than [`PAYLOAD_BYTES_MAX`].
    pub fn payload_bytes_max(&self) -> usize {
        PAYLOAD_BYTES_MAX.min(self.writer.payload_bytes_max())
    }

    /// Makes the next segment ahead of need, unless it is ready: here, or in the thread that makes them.
    pub fn prepare_spare(&mut self) {
        self.writer.prepare_spare();
    }

    /// What was done since opening.
    pub fn stats(&mut self) -> StoreStats {
        self.writer.stats()
    }
}

/// What an append comes down to, given what the log holds.
struct Plan<'a> {
    /// The position that the records follow; when it is not the last, later entries become void.
    prev: LogPosition,
    records: &'a [Record],
}

impl Store {
    fn check_hard_state(&self, new: HardState) -> Result<(), StoreError> {
        let now = self.writer.repeated().hard_state;
        if new.term < now.term {
            return Err(StoreError::Invalid(format!(
                "{new:?} after {now:?}: a term never falls"
            )));
        }
        Ok(())
    }

    /// Checks an append against the log, and leaves out what the log holds already.
    fn plan<'a>(&self, append: &'a Append, term_max: u64) -> Result<Plan<'a>, StoreError> {
        if !self.shape.contains(append.prev) {
            return Err(StoreError::Invalid(format!(
                "the log does not hold the anchor {:?}",
                append.prev
            )));
        }
        check_sequence(append, term_max, self.payload_bytes_max())?;
        let held = append
            .records
            .iter()
            .take_while(|record| self.shape.contains(record.position))
            .count();
        let prev = held
            .checked_sub(1)
            .map_or(append.prev, |last| append.records[last].position);
        Ok(Plan {
            prev,
            records: &append.records[held..],
        })
    }

    /// Writes the file that holds term and vote, unless they are there.
    fn save_hard_state(&mut self, hard_state: HardState) -> Result<(), StoreError> {
        let (slots, writer) = (&self.slots, &mut self.writer);
        // A vote was written twice, with LSNs of its own. What follows in its term differs from it by its LSN alone.
        writer.pass_over(slots.lsn());
        slots.save(Some(writer.lsn_next()), hard_state, |number, slot| {
            writer.write_slot(slots, number, slot)
        })
    }

    /// The next batch is of no term or vote, but it may begin a segment, which repeats them: as they are in their file, where a vote may have
    /// gone since the last batch that carried them.
    fn repeat_saved_vote(&mut self) {
        self.writer.pass_over(self.slots.lsn());
        let saved = self.slots.carried_by(self.writer.lsn_next());
        self.writer.repeat_vote(saved);
    }

    fn append_hard_state(&mut self, hard_state: Option<HardState>) -> Result<(), StoreError> {
        if hard_state.is_none() {
            return Ok(());
        }
        let prev = self.shape.last_position();
        self.writer.append(
            Content {
                hard_state,
                ..Content::default()
            },
            prev,
        )?;
        self.note_hard_state(hard_state);
        Ok(())
    }

    fn note_hard_state(&mut self, hard_state: Option<HardState>) {
        if let Some(hard_state) = hard_state {
            self.writer.note_hard_state(hard_state);
        }
    }

    /// Writes the records in as few batches as fit a segment well.
    fn append(&mut self, mut hard_state: Option<HardState>, plan: Plan<'_>) -> Result<(), StoreError> {
        let Plan {
            mut prev,
            mut records,
        } = plan;
        if records.is_empty() && prev == self.shape.last_position() {
            return self.append_hard_state(hard_state);
        }
        loop {
            let truncate = (prev != self.shape.last_position()).then_some(prev);
            let (chunk, rest) = records.split_at(self.writer.chunk_length(records));
            let runs = runs(chunk);
            self.writer.append(
                Content {
                    hard_state,
                    truncate,
                    records: chunk,
                    runs: &runs,
                    ..Content::default()
                },
                prev,
            )?;
            self.note_hard_state(hard_state.take());
            self.note_entries(truncate, &runs);
            prev = self.shape.last_position();
            records = rest;
            if records.is_empty() {
                return Ok(());
            }
        }
    }

    fn note_entries(&mut self, truncate: Option<LogPosition>, runs: &[Run]) {
        if let Some(position) = truncate {
            self.shape
                .truncate(position)
                .expect("the anchor was checked against the log");
        }
        for run in runs {
            self.shape
                .append(*run)
                .expect("the sequence was checked before it was written");
        }
    }

    fn mark(&mut self, mark: Mark) -> Result<PersistStats, StoreError> {
        let (before, last) = (self.writer.counters(), self.writer.last_lsn());
        self.writer.check_usable()?;
        if mark == Mark::Idle && self.writer.ends_with_mark() {
            return Ok(PersistStats::default());
        }
        let content = Content {
            mark: Some((mark, last)),
            ..Content::default()
        };
        self.repeat_saved_vote();
        self.writer.append(content, self.shape.last_position())?;
        Ok(self.done_since(&before))
    }

    fn done_since(&self, before: &StoreStats) -> PersistStats {
        let now = self.writer.counters();
        PersistStats {
            syncs: now.syncs - before.syncs,
            bytes: now.bytes - before.bytes,
        }
    }
}

/// Refuses records that could not be a log.
fn check_sequence(append: &Append, term_max: u64, payload_bytes_max: usize) -> Result<(), StoreError> {
    let mut last = append.prev;
    for record in &append.records {
        let LogPosition { term, index } = record.position;
        let follows = match record.kind {
            RecordKind::Term => term > last.term,
            RecordKind::Config | RecordKind::Command => term == last.term,
        };
        if last.index.get().checked_add(1) != Some(index.get()) || !follows || term.get() > term_max {
            return Err(StoreError::Invalid(format!(
                "{:?} cannot follow {last:?}",
                record.position
            )));
        }
        let bytes = record.payload.len();
        if bytes > payload_bytes_max {
            return Err(StoreError::Invalid(format!(
                "a payload of {bytes} bytes, {payload_bytes_max} at most"
            )));
        }
        last = record.position;
    }
    Ok(())
}

/// The runs of one term in a sequence that was checked.
fn runs(records: &[Record]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::with_capacity(1);
    for record in records {
        let opens = record.kind == RecordKind::Term;
        match runs.last_mut() {
            Some(run) if !opens => run.count += 1,
            Some(_) | None => runs.push(Run {
                first: record.position.index.get(),
                count: 1,
                term: record.position.term.get(),
                opens,
            }),
        }
    }
    runs
}

//! Appends batches to the active segment, one at a time, and rolls to the next.
//!
//! Invariants: nothing that was acknowledged is rewritten. The front moves only after a sync. A segment is
//! sealed only when its successor exists durably, and the successor's header is durable before its first
//! batch. After a failed sync nothing is written any more: the kernel may have dropped the data and
//! report success the next time.

mod cut;
mod salts;

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard};

use noraft::LogPosition;
use salts::Salts;

use crate::prng::Prng;
use crate::record::{Abstain, Base, HardState, Record};
use crate::store::disk::shortage::{is_full, is_shortage};
use crate::store::disk::{Disk, DiskFile};
use crate::store::error::StoreError;
use crate::store::format::batch::{BatchWriter, record_span};
use crate::store::format::hard_state::{self, Slot};
use crate::store::format::layout::PAGE;
use crate::store::format::segment::{Link, SegmentHeader, file_name, rounded_size};
use crate::store::read::reader::{Directory, lock};
use crate::store::shape::Extent;
use crate::store::types::{Identity, Options, StoreStats};
use crate::store::write::active::{ActiveSegment, LogEnd, payload_bytes_max};
use crate::store::write::content::Content;
use crate::store::write::hard_state::HardStateFile;
use crate::store::write::spare::Spares;
use crate::time::Instant;

/// The writing half of a store.
pub(in crate::store) struct Writer {
    disk: Arc<dyn Disk>,
    options: Options,
    segment: ActiveSegment,
    sequence: Sequence,
    batch: BatchWriter,
    directory: Arc<Mutex<Directory>>,
    spares: Spares,
    salts: Salts,
    stats: StoreStats,
    repeated: Repeated,
    /// Term and vote as they are beside the log, for the next batch.
    saved_vote: Option<HardState>,
    /// True when an idle mark would say nothing new.
    ends_with_mark: bool,
    failed: Option<Failure>,
}

/// What a writer goes on from.
pub(in crate::store) struct Resumed {
    pub(in crate::store) segment: ActiveSegment,
    pub(in crate::store) sequence: Sequence,
    pub(in crate::store) repeated: Repeated,
    pub(in crate::store) directory: Directory,
}

/// The order of batches.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Sequence {
    /// The last durable batch.
    last: Link,
    lsn_next: u64,
}

impl Sequence {
    /// Goes on after `last`, and after a vote with the LSN `voted`.
    pub(in crate::store) fn after(last: Link, voted: u64) -> Self {
        // One more than an interrupted batch may have used: an LSN is never used twice.
        let lsn_next = last.lsn.max(voted) + 2;
        Self { last, lsn_next }
    }

    fn take_lsn(&mut self) -> u64 {
        let lsn = self.lsn_next;
        self.lsn_next = lsn.checked_add(1).expect("2^64 batches are never reached");
        lsn
    }
}

/// What the beginning of each segment says again, so that older segments can go.
#[derive(Debug, Clone)]
pub(in crate::store) struct Repeated {
    /// Where the log begins: in the header.
    pub(in crate::store) base: Base,
    /// In the header.
    pub(in crate::store) abstain: Abstain,
    /// In the first batch.
    pub(in crate::store) hard_state: HardState,
}

/// The failure that ended the store's use.
#[derive(Debug, Clone)]
pub(in crate::store) struct Failure {
    file: String,
    doing: &'static str,
    source: Arc<io::Error>,
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        Self::Failed {
            file: failure.file,
            doing: failure.doing,
            source: failure.source,
        }
    }
}

impl Writer {
    pub(in crate::store) fn resume(
        disk: Arc<dyn Disk>,
        options: Options,
        spares: Spares,
        resumed: Resumed,
    ) -> Self {
        let Resumed {
            segment,
            sequence,
            repeated,
            directory,
        } = resumed;
        Self {
            disk,
            options,
            segment,
            sequence,
            batch: BatchWriter::default(),
            spares,
            salts: Salts::new(Prng::new(options.salt_seed).fork(sequence.last.lsn)),
            stats: StoreStats {
                segments: directory.segments.len() as u64,
                ..StoreStats::default()
            },
            directory: Arc::new(Mutex::new(directory)),
            repeated,
            saved_vote: None,
            ends_with_mark: false,
            failed: None,
        }
    }

    pub(in crate::store) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    pub(in crate::store) fn identity(&self) -> Identity {
        self.segment.header().identity
    }

    /// The segment that is written.
    pub(in crate::store) fn segment_number(&self) -> u64 {
        self.segment.header().number
    }

    /// What readers look into.
    pub(in crate::store) fn directory(&self) -> &Arc<Mutex<Directory>> {
        &self.directory
    }

    pub(in crate::store) fn lock_directory(&self) -> MutexGuard<'_, Directory> {
        lock(&self.directory)
    }

    /// What the beginning of each segment says again.
    pub(in crate::store) fn repeated(&self) -> &Repeated {
        &self.repeated
    }

    /// A batch that says where the log begins is durable.
    pub(in crate::store) fn note_base(&mut self, base: Base) {
        self.repeated.base = base;
    }

    /// A batch that holds this term and vote is durable.
    /// If the next batch begins a segment and has no term and vote, it repeats these. They may be later than what a batch carries that
    /// comes after it.
    pub(in crate::store) fn repeat_vote(&mut self, saved: HardState) {
        self.saved_vote = Some(saved);
    }

    pub(in crate::store) fn note_hard_state(&mut self, hard_state: HardState) {
        self.repeated.hard_state = hard_state;
    }

    /// A mark that says that the node does not abstain any more is durable.
    pub(in crate::store) fn note_caught_up(&mut self) {
        self.repeated.abstain = Abstain::No;
    }

    /// The last durable batch.
    pub(in crate::store) fn last_lsn(&self) -> u64 {
        self.sequence.last.lsn
    }

    /// The LSN of the next batch.
    pub(in crate::store) fn lsn_next(&self) -> u64 {
        self.sequence.lsn_next
    }

    /// The next batch has a later LSN than `voted`, that of a vote.
    pub(in crate::store) fn pass_over(&mut self, voted: u64) {
        self.sequence.lsn_next = self.sequence.lsn_next.max(voted + 1);
    }

    /// True when an idle mark would say nothing new.
    pub(in crate::store) fn ends_with_mark(&self) -> bool {
        self.ends_with_mark
    }

    /// Refuses when the store has failed.
    pub(in crate::store) fn check_usable(&self) -> Result<(), StoreError> {
        self.failed.clone().map_or(Ok(()), |failure| Err(failure.into()))
    }

    /// Makes `content` durable as one batch. `prev` is the position that its entries follow.
    pub(in crate::store) fn append(
        &mut self,
        mut content: Content<'_>,
        prev: LogPosition,
    ) -> Result<(), StoreError> {
        self.check_usable()?;
        let repeated = self.saved_vote.take().unwrap_or(self.repeated.hard_state);
        self.ensure_room(&content, prev)?;
        if self.segment.is_new() {
            content.hard_state = content.hard_state.or(Some(repeated));
        }
        let start = self.segment.front();
        self.write_batch(|out| content.encode(out))?;
        self.publish(&content, start);
        self.ends_with_mark = content.mark.is_some();
        Ok(())
    }

    /// How many of `records`, at least one, make a batch of a size that segments are filled well with.
    pub(in crate::store) fn chunk_length(&self, records: &[Record]) -> usize {
        let bytes_max = (self.next_segment_bytes() / 8).min(CHUNK_BYTES_MAX) as usize;
        let mut bytes = 0;
        let fitting = records.iter().take_while(|record| {
            bytes += record_span(record.payload.len());
            bytes <= bytes_max
        });
        fitting.count().max(1).min(records.len())
    }

    /// Durable bytes are there: lets readers see them.
    fn publish(&mut self, content: &Content<'_>, start: u64) {
        let mut at = start + content.entries_at() as u64;
        for record in content.records {
            self.segment.note_entry(record.position, at, record.payload_crc);
            at += record_span(record.payload.len()) as u64;
        }
        let (segment, page) = (self.segment_number(), u32::try_from(start / PAGE as u64));
        let page = page.expect("a segment has fewer than 2^32 pages");
        let mut directory = lock(&self.directory);
        if let Some(position) = content.truncate {
            let index = position.index.get();
            directory.extents.truncate(index);
            directory.holes.split_off(&index.saturating_add(1));
        }
        for run in content.runs {
            directory.extents.push(Extent {
                first: run.first,
                segment,
                page,
                count: run.count,
            });
        }
        for record in content.patches {
            let index = record.position.index.get();
            directory.holes.remove(&index);
            directory.extents.patch(index, segment, page);
        }
    }

    /// Rolls when `content` does not fit, and makes sure that it does then: what ran past the end would take the
    /// place of the second header page.
    fn ensure_room(&mut self, content: &Content<'_>, prev: LogPosition) -> Result<(), StoreError> {
        if !self.segment.is_sealed() && self.segment.has_room(content) {
            return Ok(());
        }
        self.roll(prev)?;
        if self.segment.has_room(content) {
            return Ok(());
        }
        Err(StoreError::Invalid(format!(
            "records of {} bytes do not fit a segment of {} bytes",
            content.length(),
            self.segment.header().segment_bytes
        )))
    }

    /// The least size that the next segment has: a smaller one that an earlier process made is not adopted.
    fn next_segment_bytes(&self) -> u64 {
        rounded_size(self.options.segment_bytes)
    }

    /// The largest payload that the next segment takes, whatever the size of this one.
    pub(in crate::store) fn payload_bytes_max(&self) -> usize {
        payload_bytes_max(self.next_segment_bytes())
    }

    /// Seals the active segment and begins the next.
    fn roll(&mut self, prev: LogPosition) -> Result<(), StoreError> {
        let number = self.segment_number() + 1;
        let name = file_name(number);
        let next = self
            .spares
            .get(number)
            .map_err(|error| self.write_failed(&name, "preparing a segment", error))?;
        if !self.segment.is_sealed() {
            if let Some((head, payload)) = self.segment.seal() {
                self.write_batch(|out| out.control(&head, &payload))?;
            }
            self.segment.note_sealed();
        }
        self.begin_segment(number, next, prev)
    }

    fn begin_segment(
        &mut self,
        number: u64,
        file: Arc<dyn DiskFile>,
        prev: LogPosition,
    ) -> Result<(), StoreError> {
        let name = file_name(number);
        let size = file
            .size()
            .map_err(|error| self.write_failed(&name, "asking for its size", error))?;
        let header = SegmentHeader {
            number,
            salt: self.salts.of(number),
            segment_bytes: size,
            prev,
            link: self.sequence.last,
            abstain: self.repeated.abstain,
            ..*self.segment.header()
        };
        let page = header.encode(Some(&self.repeated.base));
        for at in [0, header.batches_end()] {
            file.write_at(at, &[IoSlice::new(&page)])
                .map_err(|error| self.write_failed(&name, "writing a header", error))?;
        }
        self.sync(&*file, &name)?;
        self.stats.bytes += 2 * PAGE as u64;
        let segment = ActiveSegment::resume(LogEnd::of_new(header), file, None);
        let full = std::mem::replace(&mut self.segment, segment);
        let before = full
            .only_read()
            .map(|only_read| (full.header().number, only_read));
        let mut directory = lock(&self.directory);
        for (number, readable) in before.into_iter().chain([(number, self.segment.readable())]) {
            directory.segments.insert(number, Arc::new(readable));
        }
        drop(directory);
        self.spares.used();
        self.spares.request(number + 1);
        self.stats.segments += 1;
        Ok(())
    }

    /// Writes and syncs one batch at the front.
    fn write_batch(&mut self, encode: impl FnOnce(&mut BatchWriter)) -> Result<(), StoreError> {
        self.clean_front()?;
        let (salt, lsn) = (self.segment.header().salt, self.sequence.take_lsn());
        self.batch.begin(salt, lsn);
        encode(&mut self.batch);
        let link = self.batch.finish(salt, self.sequence.last, true);
        let (file, name, span) = (
            self.segment.file().clone(),
            self.segment.name(),
            self.batch.span(),
        );
        self.check_end(&name, span)?;
        self.segment.note_attempt(span);
        let begun = (self.options.clock)();
        let written = file.write_durably(self.segment.front(), &self.batch.pieces());
        if written.map_err(|error| self.write_failed(&name, "appending", error))? {
            self.note_sync(begun);
        } else {
            file.write_at(self.segment.front(), &self.batch.pieces())
                .map_err(|error| self.write_failed(&name, "appending", error))?;
            self.sync(&*file, &name)?;
        }
        self.stats.bytes += span;
        self.stats.batches += 1;
        self.sequence.last = link;
        self.segment.advance(span);
        Ok(())
    }

    /// Ends the store rather than write over the second header page.
    fn check_end(&mut self, name: &str, span: u64) -> Result<(), StoreError> {
        let refusal = self.segment.refusal(span);
        refusal.map_or(Ok(()), |reason| {
            Err(self.fail(name, "appending", io::Error::other(reason)))
        })
    }

    /// Blanks what a failed write left at the front, so that the next cannot be mixed with it by a crash.
    pub(in crate::store) fn clean_front(&mut self) -> Result<(), StoreError> {
        let dirty = self.segment.dirty_bytes();
        if dirty == 0 {
            return Ok(());
        }
        let (file, name) = (self.segment.file().clone(), self.segment.name());
        let zeros = vec![0; dirty as usize];
        file.write_at(self.segment.front(), &[IoSlice::new(&zeros)])
            .map_err(|error| self.write_failed(&name, "blanking a failed append", error))?;
        self.sync(&*file, &name)?;
        self.segment.note_clean();
        Ok(())
    }

    /// Writes a slot of the file with term and vote, durably.
    pub(in crate::store) fn write_slot(
        &mut self,
        slots: &HardStateFile,
        number: usize,
        slot: &Slot,
    ) -> Result<(), StoreError> {
        let written = slots.write(number, slot);
        written.map_err(|error| self.write_failed(hard_state::FILE, "writing", error))?;
        self.sync(&*slots.file, hard_state::FILE)?;
        self.stats.bytes += PAGE as u64;
        Ok(())
    }

    fn sync(&mut self, file: &dyn DiskFile, name: &str) -> Result<(), StoreError> {
        let begun = (self.options.clock)();
        file.sync_data()
            .map_err(|error| self.fail(name, "syncing", error))?;
        self.note_sync(begun);
        Ok(())
    }

    fn note_sync(&mut self, begun: Instant) {
        self.stats.last_sync = (self.options.clock)() - begun;
        self.stats.syncs += 1;
    }

    /// A write that failed: a full disk passes, and so does a shortage; everything else is final.
    fn write_failed(&mut self, file: &str, doing: &'static str, error: io::Error) -> StoreError {
        let name = file.to_owned();
        if is_full(&error) {
            let source = error;
            return StoreError::Full { file: name, source };
        }
        if is_shortage(&error) {
            let source = error;
            return StoreError::Short { file: name, source };
        }
        self.fail(file, doing, error)
    }

    /// A failure after which nothing may be written.
    fn fail(&mut self, file: &str, doing: &'static str, error: io::Error) -> StoreError {
        let failure = Failure {
            file: file.to_owned(),
            doing,
            source: Arc::new(error),
        };
        self.failed = Some(failure.clone());
        failure.into()
    }

    /// What was done since opening, by the counters alone.
    pub(in crate::store) fn counters(&self) -> StoreStats {
        self.stats
    }

    /// The same, and what there is room for.
    pub(in crate::store) fn stats(&mut self) -> StoreStats {
        StoreStats {
            room_bytes: self.segment.room_bytes(),
            spare_ready: self.spares.is_ready(),
            spare_failed: self.spares.has_failed(),
            segment_bytes: self.segment.header().segment_bytes,
            ..self.stats
        }
    }

    /// Makes the next segment ahead of need, unless it is ready.
    pub(in crate::store) fn prepare_spare(&mut self) {
        self.spares.prepare(self.segment_number() + 1);
    }

    /// Removes segments that readers do not find any more, and then other files, in this order.
    pub(in crate::store) fn remove(&mut self, segments: Vec<u64>, others: impl Iterator<Item = String>) {
        self.stats.segments -= segments.len() as u64;
        let names = segments.into_iter().map(file_name).chain(others);
        self.spares.remove(names.collect());
    }
}

/// A batch of entries larger than this is split: each part is durable by itself.
const CHUNK_BYTES_MAX: u64 = 8 << 20;

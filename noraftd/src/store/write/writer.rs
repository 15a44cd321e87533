//! Appends batches to the active segment, one at a time, and rolls to the next.
//!
//! Invariants: nothing that was acknowledged is rewritten. The front moves only after a sync. A segment is
//! sealed only when its successor exists durably, and the successor's header is durable before its first
//! batch. After a failed sync nothing is written any more: the kernel may have dropped the data and
//! report success the next time.

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use noraft::LogPosition;

use crate::prng::Prng;
use crate::record::{Abstain, Base, HardState, Record, encode_config};
use crate::store::disk::shortage::{is_full, is_shortage};
use crate::store::disk::{Disk, DiskFile};
use crate::store::error::StoreError;
use crate::store::format::batch::{
    BatchWriter, CUT_IS_CLOSED_LATER, Kind, Mark, RecordHeader, batch_span, record_span,
};
use crate::store::format::layout::{BATCH_HEADER_BYTES, RECORD_HEADER_BYTES};
use crate::store::format::layout::{PAGE, SECTOR};
use crate::store::format::seal::SealIndex;
use crate::store::format::segment::{Link, SegmentHeader, file_name, rounded_size};
use crate::store::read::reader::{Directory, ReadableSegment};
use crate::store::shape::{Extent, Run};
use crate::store::types::{Options, StoreStats};
use crate::store::write::spare::Spares;
use crate::time::Instant;

/// What one batch on disk holds.
#[derive(Default)]
pub(in crate::store) struct Content<'a> {
    pub(in crate::store) hard_state: Option<HardState>,
    pub(in crate::store) base: Option<&'a Base>,
    pub(in crate::store) truncate: Option<LogPosition>,
    pub(in crate::store) records: &'a [Record],
    pub(in crate::store) runs: &'a [Run],
    /// Entries that are damaged further up.
    pub(in crate::store) patches: &'a [Record],
    pub(in crate::store) mark: Option<(Mark, u64)>,
}

impl Content<'_> {
    /// Bytes of its records.
    fn length(&self) -> usize {
        let controls = [
            self.hard_state.is_some(),
            self.truncate.is_some(),
            self.mark.is_some(),
        ];
        let controls = controls.into_iter().filter(|there| *there).count();
        let entries: usize = self
            .records
            .iter()
            .chain(self.patches)
            .map(|record| record_span(record.payload.len()))
            .sum();
        let base = self
            .base
            .map_or(0, |base| record_span(encode_config(&base.config).len()));
        controls * RECORD_HEADER_BYTES + base + entries
    }

    fn encode(&self, out: &mut BatchWriter) {
        if let Some(hard_state) = self.hard_state {
            let (flags, vote) = (
                u8::from(hard_state.voted_for.is_some()),
                hard_state.voted_for.unwrap_or(0),
            );
            out.control(
                &RecordHeader::control(Kind::HardState, flags, hard_state.term, vote, &[]),
                &[],
            );
        }
        if let Some(base) = self.base {
            let config = encode_config(&base.config);
            out.control(&RecordHeader::of_base(base, &config), &config);
        }
        if let Some(position) = self.truncate {
            let (term, index) = (position.term.get(), position.index.get());
            out.control(&RecordHeader::control(Kind::Truncate, 0, term, index, &[]), &[]);
        }
        for record in self.records {
            out.entry(record);
        }
        for record in self.patches {
            out.patch(record);
        }
        if let Some((mark, lsn)) = self.mark {
            out.control(&RecordHeader::control(Kind::Mark, mark as u8, 0, lsn, &[]), &[]);
        }
    }
}

/// The writing half of a store.
pub(in crate::store) struct Writer {
    pub(in crate::store) disk: Arc<dyn Disk>,
    pub(in crate::store) options: Options,
    pub(in crate::store) header: SegmentHeader,
    pub(in crate::store) file: Arc<dyn DiskFile>,
    /// Where the next batch goes.
    pub(in crate::store) front: u64,
    /// True between the SEAL of this segment and the header of the next.
    pub(in crate::store) sealed: bool,
    pub(in crate::store) index: SealIndex,
    /// The last durable batch.
    pub(in crate::store) last: Link,
    pub(in crate::store) lsn_next: u64,
    /// Beyond the front when a write failed: remains of it reach up to here.
    pub(in crate::store) dirty_until: u64,
    pub(in crate::store) batch: BatchWriter,
    pub(in crate::store) directory: Arc<Mutex<Directory>>,
    pub(in crate::store) spares: Spares,
    pub(in crate::store) salts: Prng,
    pub(in crate::store) stats: StoreStats,
    pub(in crate::store) abstain: Abstain,
    /// Where the log begins, repeated in the header of each segment.
    pub(in crate::store) base: Base,
    /// Repeated in the first batch of each segment, so that older segments can go.
    pub(in crate::store) hard_state: HardState,
    /// True when an idle mark would say nothing new.
    pub(in crate::store) ends_with_mark: bool,
    pub(in crate::store) failed: Option<Failure>,
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
        self.ensure_room(&content, prev)?;
        if self.front == PAGE as u64 {
            content.hard_state = content.hard_state.or(Some(self.hard_state));
        }
        let start = self.front;
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
        let controls = [content.hard_state.is_some(), content.truncate.is_some()]
            .into_iter()
            .filter(|there| *there);
        let mut at = start + (BATCH_HEADER_BYTES + controls.count() * RECORD_HEADER_BYTES) as u64;
        for record in content.records {
            self.index.add(record.position, at, record.payload_crc);
            at += record_span(record.payload.len()) as u64;
        }
        let (segment, page) = (self.header.number, u32::try_from(start / PAGE as u64));
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

    /// True when a batch with `content` fits, with `reserve` bytes and the SEAL after it.
    fn fits(&self, front: u64, index: &SealIndex, content: &Content<'_>, reserve: u64) -> bool {
        let hard_state = RECORD_HEADER_BYTES;
        let seal = batch_span(record_span(
            index.bytes_with(content.records.len(), content.runs.len()),
        ));
        let batch = batch_span(content.length() + hard_state);
        front + batch + seal + reserve <= self.header.batches_end()
    }

    /// Rolls when `content` does not fit, and makes sure that it does then: what ran past the end would take the
    /// place of the second header page.
    fn ensure_room(&mut self, content: &Content<'_>, prev: LogPosition) -> Result<(), StoreError> {
        if !self.sealed && self.has_room(content) {
            return Ok(());
        }
        self.roll(prev)?;
        if self.has_room(content) {
            return Ok(());
        }
        Err(StoreError::Invalid(format!(
            "records of {} bytes do not fit a segment of {} bytes",
            content.length(),
            self.header.segment_bytes
        )))
    }

    fn has_room(&self, content: &Content<'_>) -> bool {
        // Entries leave room for term and vote: on a full disk a node goes on voting.
        let reserve = if content.records.is_empty() && content.patches.is_empty() {
            0
        } else {
            reserve_bytes(self.header.segment_bytes)
        };
        self.fits(self.front, &self.index, content, reserve)
    }

    /// The least size that the next segment has: a smaller one that an earlier process made is not adopted.
    fn next_segment_bytes(&self) -> u64 {
        rounded_size(self.options.segment_bytes)
    }

    /// The largest payload that the next segment takes, whatever the size of this one.
    pub(in crate::store) fn payload_bytes_max(&self) -> usize {
        let bytes = self.next_segment_bytes();
        // Two header pages, a SEAL of one entry, and one page for the headers of batch and records.
        let taken = 4 * PAGE as u64 + reserve_bytes(bytes);
        bytes.saturating_sub(taken) as usize
    }

    /// Seals the active segment and begins the next.
    fn roll(&mut self, prev: LogPosition) -> Result<(), StoreError> {
        let number = self.header.number + 1;
        let name = file_name(number);
        let next = self
            .spares
            .get(number)
            .map_err(|error| self.write_failed(&name, "preparing a segment", error))?;
        if !self.sealed {
            if let Some((head, payload)) = self.seal() {
                self.write_batch(|out| out.control(&head, &payload))?;
            }
            self.sealed = true;
        }
        self.begin_segment(number, next, prev)
    }

    /// The SEAL with the index of this segment; or one that lists nothing and says so, where the cut of a torn SEAL
    /// took the room for that. None where damage left a batch on the last page: its segment ends without, and the next
    /// one's header says where the log was then.
    fn seal(&self) -> Option<(RecordHeader, Vec<u8>)> {
        let fits = |(head, _): &(RecordHeader, Vec<u8>)| {
            self.front + batch_span(head.span()) <= self.header.batches_end()
        };
        let complete = Some(self.index.encode()).filter(fits);
        complete.or_else(|| Some(SealIndex::of_nothing_known().encode()).filter(fits))
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
            salt: self.salts.next_u64(),
            segment_bytes: size,
            prev,
            link: self.last,
            abstain: self.abstain,
            ..self.header
        };
        let page = header.encode(Some(&self.base));
        for at in [0, header.batches_end()] {
            file.write_at(at, &[IoSlice::new(&page)])
                .map_err(|error| self.write_failed(&name, "writing a header", error))?;
        }
        self.sync(&*file, &name)?;
        self.stats.bytes += 2 * PAGE as u64;
        let before = readable_only(&self.header, &self.file);
        (self.header, self.file, self.front, self.dirty_until) = (header, file, PAGE as u64, PAGE as u64);
        (self.sealed, self.index) = (false, SealIndex::default());
        let new = readable(&header, self.file.clone());
        let mut directory = lock(&self.directory);
        for segment in before.into_iter().chain([(number, new)]) {
            directory.segments.insert(segment.0, Arc::new(segment.1));
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
        let (salt, lsn) = (self.header.salt, self.take_lsn());
        self.batch.begin(salt, lsn);
        encode(&mut self.batch);
        let link = self.batch.finish(salt, self.last, true);
        let (file, name, span) = (
            self.file.clone(),
            file_name(self.header.number),
            self.batch.span(),
        );
        self.check_end(&name, span)?;
        self.dirty_until = self.front + span;
        let begun = (self.options.clock)();
        let written = file.write_durably(self.front, &self.batch.pieces());
        if written.map_err(|error| self.write_failed(&name, "appending", error))? {
            self.note_sync(begun);
        } else {
            file.write_at(self.front, &self.batch.pieces())
                .map_err(|error| self.write_failed(&name, "appending", error))?;
            self.sync(&*file, &name)?;
        }
        self.stats.bytes += span;
        self.stats.batches += 1;
        self.last = link;
        self.front += span;
        Ok(())
    }

    /// Ends the store rather than write over the second header page.
    fn check_end(&mut self, name: &str, span: u64) -> Result<(), StoreError> {
        let end = self.front + span;
        if end <= self.header.batches_end() {
            return Ok(());
        }
        let reason = format!("a batch up to byte {end} runs over the second header page");
        Err(self.fail(name, "appending", io::Error::other(reason)))
    }

    /// Blanks what a failed write left at the front, so that the next cannot be mixed with it by a crash.
    pub(in crate::store) fn clean_front(&mut self) -> Result<(), StoreError> {
        if self.dirty_until <= self.front {
            return Ok(());
        }
        let (file, name) = (self.file.clone(), file_name(self.header.number));
        let zeros = vec![0; (self.dirty_until - self.front) as usize];
        file.write_at(self.front, &[IoSlice::new(&zeros)])
            .map_err(|error| self.write_failed(&name, "blanking a failed append", error))?;
        self.sync(&*file, &name)?;
        self.dirty_until = self.front;
        Ok(())
    }

    /// Ends the ambiguous tail from the front to `until`, durably: a mark first, in one sector, so that no
    /// crash in between makes the tail look clean, and another one when the tail is blank. Where no SEAL would have room
    /// behind it, as when the tail is a SEAL that was torn on the last page, the mark seals the segment as well.
    pub(in crate::store) fn cut(&mut self, until: u64, mark: Mark) -> Result<(), StoreError> {
        let (file, name) = (self.file.clone(), file_name(self.header.number));
        let seals = self.front + 2 * PAGE as u64 > self.header.batches_end();
        if seals {
            let next = self.header.number + 1;
            self.spares
                .get(next)
                .map_err(|error| self.write_failed(&file_name(next), "preparing a segment", error))?;
        }
        let (link, written) = self.encode_cut(until, mark, seals);
        let span = self.batch.span();
        self.check_end(&name, span)?;
        file.write_at(self.front, &self.batch.pieces())
            .map_err(|error| self.write_failed(&name, "marking a cut", error))?;
        self.sync(&*file, &name)?;
        let zeros = vec![0; (until.max(self.front + span) - self.front - written) as usize];
        file.write_at(self.front + written, &[IoSlice::new(&zeros)])
            .map_err(|error| self.write_failed(&name, "blanking a cut tail", error))?;
        self.sync(&*file, &name)?;
        self.last = link;
        self.front += span;
        self.dirty_until = self.front;
        self.sealed = seals;
        self.close_cut()
    }

    /// Says that the tail of the cut before is blank. What is found behind the mark of that cut alone is the rest of the
    /// tail; what is found behind this one was written later, and may have been acknowledged. Where there is no
    /// room for it, there is none for any batch, and the SEAL comes next and says the same.
    pub(in crate::store) fn close_cut(&mut self) -> Result<(), StoreError> {
        let content = Content {
            mark: Some((Mark::Idle, self.last.lsn)),
            ..Content::default()
        };
        if self.sealed || !self.has_room(&content) {
            return Ok(());
        }
        self.write_batch(|out| content.encode(out))?;
        self.ends_with_mark = true;
        Ok(())
    }

    /// Builds the mark of a cut; returns its link, and how many bytes it has.
    fn encode_cut(&mut self, until: u64, mark: Mark, seals: bool) -> (Link, u64) {
        let (salt, lsn) = (self.header.salt, self.take_lsn());
        let cut_lsn = self.last.lsn + 1;
        let mut written = BATCH_HEADER_BYTES + RECORD_HEADER_BYTES;
        self.batch.begin(salt, lsn);
        self.batch.control(
            &RecordHeader::control(Kind::Mark, mark as u8, until | CUT_IS_CLOSED_LATER, cut_lsn, &[]),
            &[],
        );
        if seals {
            let (head, payload) = SealIndex::of_nothing_known().encode();
            self.batch.control(&head, &payload);
            written += head.span();
        }
        assert!(written <= SECTOR, "a mark is there as a whole or not at all");
        (self.batch.finish(salt, self.last, false), written as u64)
    }

    fn take_lsn(&mut self) -> u64 {
        let lsn = self.lsn_next;
        self.lsn_next = lsn.checked_add(1).expect("2^64 batches are never reached");
        lsn
    }

    pub(in crate::store) fn sync(&mut self, file: &dyn DiskFile, name: &str) -> Result<(), StoreError> {
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
    pub(in crate::store) fn write_failed(
        &mut self,
        file: &str,
        doing: &'static str,
        error: io::Error,
    ) -> StoreError {
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
    pub(in crate::store) fn fail(&mut self, file: &str, doing: &'static str, error: io::Error) -> StoreError {
        let failure = Failure {
            file: file.to_owned(),
            doing,
            source: Arc::new(error),
        };
        self.failed = Some(failure.clone());
        failure.into()
    }

    /// Bytes that entries can still take in this segment, roughly.
    pub(in crate::store) fn room_bytes(&self) -> u64 {
        let seal = batch_span(record_span(self.index.bytes_with(0, 0)));
        let taken = self.front + seal + reserve_bytes(self.header.segment_bytes);
        self.header.batches_end().saturating_sub(taken)
    }
}

/// A batch of entries larger than this is split: each part is durable by itself.
const CHUNK_BYTES_MAX: u64 = 8 << 20;

/// Bytes kept free by entries for term and vote: sixteen elections, or less in a tiny segment.
fn reserve_bytes(segment_bytes: u64) -> u64 {
    let pages = segment_bytes / PAGE as u64;
    (pages / 8).min(16) * PAGE as u64
}

/// What readers need to know of a segment.
pub(in crate::store) fn readable(header: &SegmentHeader, file: Arc<dyn DiskFile>) -> ReadableSegment {
    let (salt, batches_end) = (header.salt, header.batches_end());
    ReadableSegment {
        name: file_name(header.number),
        prev_index: header.prev.index.get(),
        salt,
        file,
        batches_end,
    }
}

/// The same of a segment that is not written any more, and so needs no descriptor, where the disk can do without.
pub(super) fn readable_only(
    header: &SegmentHeader,
    file: &Arc<dyn DiskFile>,
) -> Option<(u64, ReadableSegment)> {
    Some((header.number, readable(header, file.only_read()?)))
}

/// The directory of the log, whatever became of other threads.
pub(in crate::store) fn lock(directory: &Mutex<Directory>) -> MutexGuard<'_, Directory> {
    directory.lock().unwrap_or_else(PoisonError::into_inner)
}

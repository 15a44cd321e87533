//! The segment that is written: where the next batch goes, and what still fits before its end.
//!
//! Invariant: the front moves only over batches that are durable, and never into the second header page. Where a write
//! failed, remains of it reach no further than `dirty_until`.

use std::sync::Arc;

use noraft::LogPosition;

use crate::store::disk::DiskFile;
use crate::store::format::batch::{RecordHeader, batch_span, record_span};
use crate::store::format::layout::{PAGE, RECORD_HEADER_BYTES};
use crate::store::format::seal::SealIndex;
use crate::store::format::segment::{SegmentHeader, file_name};
use crate::store::read::reader::ReadableSegment;
use crate::store::write::content::Content;

/// The segment that is written.
pub(in crate::store) struct ActiveSegment {
    header: SegmentHeader,
    file: Arc<dyn DiskFile>,
    /// Where the next batch goes.
    front: u64,
    /// True between its SEAL and the header of the next segment.
    sealed: bool,
    /// The entries in it, for its SEAL.
    index: SealIndex,
    /// Beyond the front when a write failed: remains of it reach up to here.
    dirty_until: u64,
}

/// Where the log's bytes end: in which segment, and how far that is written.
pub(in crate::store) struct LogEnd {
    pub(in crate::store) header: SegmentHeader,
    pub(in crate::store) front: u64,
    pub(in crate::store) sealed: bool,
    pub(in crate::store) index: SealIndex,
}

impl LogEnd {
    /// The end of a segment that was begun, and holds nothing yet.
    pub(in crate::store) fn of_new(header: SegmentHeader) -> Self {
        Self {
            header,
            front: PAGE as u64,
            sealed: false,
            index: SealIndex::default(),
        }
    }
}

impl ActiveSegment {
    /// Goes on at `end`, in `file`. Bytes from there up to `dirty_until` are to be blanked.
    pub(in crate::store) fn resume(end: LogEnd, file: Arc<dyn DiskFile>, dirty_until: Option<u64>) -> Self {
        Self {
            header: end.header,
            file,
            front: end.front,
            sealed: end.sealed,
            index: end.index,
            dirty_until: dirty_until.unwrap_or(end.front),
        }
    }

    pub(in crate::store) fn header(&self) -> &SegmentHeader {
        &self.header
    }

    pub(in crate::store) fn name(&self) -> String {
        file_name(self.header.number)
    }

    pub(in crate::store) fn file(&self) -> &Arc<dyn DiskFile> {
        &self.file
    }

    /// Where the next batch goes.
    pub(in crate::store) fn front(&self) -> u64 {
        self.front
    }

    /// True while no batch is in it.
    pub(in crate::store) fn is_new(&self) -> bool {
        self.front == PAGE as u64
    }

    pub(in crate::store) fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Nothing more is written to it.
    pub(in crate::store) fn note_sealed(&mut self) {
        self.sealed = true;
    }

    /// Notes the entry at byte `offset`.
    pub(in crate::store) fn note_entry(&mut self, position: LogPosition, offset: u64, payload_crc: u32) {
        self.index.add(position, offset, payload_crc);
    }

    /// A write of `span` bytes at the front is about to be tried.
    pub(in crate::store) fn note_attempt(&mut self, span: u64) {
        self.dirty_until = self.front + span;
    }

    /// A batch of `span` bytes at the front is durable, and nothing is behind it.
    pub(in crate::store) fn advance(&mut self, span: u64) {
        self.front += span;
        self.dirty_until = self.front;
    }

    /// Bytes from the front on that a failed write may have left.
    pub(in crate::store) fn dirty_bytes(&self) -> u64 {
        self.dirty_until.saturating_sub(self.front)
    }

    /// What a failed write left is blank.
    pub(in crate::store) fn note_clean(&mut self) {
        self.dirty_until = self.front;
    }

    /// Why a batch of `span` bytes must not be written at the front, if it must not.
    pub(in crate::store) fn refusal(&self, span: u64) -> Option<String> {
        let end = self.front + span;
        let runs_over = end > self.header.batches_end();
        runs_over.then(|| format!("a batch up to byte {end} runs over the second header page"))
    }

    /// True when a batch with `content` fits, and the SEAL after it.
    pub(in crate::store) fn has_room(&self, content: &Content<'_>) -> bool {
        // Entries leave room for term and vote: on a full disk a node goes on voting.
        let reserve = if content.records.is_empty() && content.patches.is_empty() {
            0
        } else {
            reserve_bytes(self.header.segment_bytes)
        };
        let index = self.index.bytes_with(content.records.len(), content.runs.len());
        let seal = batch_span(record_span(index));
        let batch = batch_span(content.length() + RECORD_HEADER_BYTES);
        self.front + batch + seal + reserve <= self.header.batches_end()
    }

    /// True when nothing but a SEAL would fit after a mark at the front.
    pub(in crate::store) fn is_at_end(&self) -> bool {
        self.front + 2 * PAGE as u64 > self.header.batches_end()
    }

    /// Bytes that entries can still take, roughly.
    pub(in crate::store) fn room_bytes(&self) -> u64 {
        let seal = batch_span(record_span(self.index.bytes_with(0, 0)));
        let taken = self.front + seal + reserve_bytes(self.header.segment_bytes);
        self.header.batches_end().saturating_sub(taken)
    }

    /// The SEAL with the index of this segment; or one that lists nothing and says so, where the cut of a torn SEAL
    /// took the room for that. None where damage left a batch on the last page: its segment ends without, and the next
    /// one's header says where the log was then.
    pub(in crate::store) fn seal(&self) -> Option<(RecordHeader, Vec<u8>)> {
        let fits = |(head, _): &(RecordHeader, Vec<u8>)| {
            self.front + batch_span(head.span()) <= self.header.batches_end()
        };
        let complete = Some(self.index.encode()).filter(fits);
        complete.or_else(|| Some(SealIndex::of_nothing_known().encode()).filter(fits))
    }

    /// For readers.
    pub(in crate::store) fn readable(&self) -> ReadableSegment {
        ReadableSegment::new(&self.header, self.file.clone())
    }

    /// For readers when it is not written any more, and so needs no descriptor, where the disk can do without.
    pub(in crate::store) fn only_read(&self) -> Option<ReadableSegment> {
        Some(ReadableSegment::new(&self.header, self.file.only_read()?))
    }
}

/// The largest payload that a segment of `bytes` bytes takes.
pub(in crate::store) fn payload_bytes_max(bytes: u64) -> usize {
    // Two header pages, a SEAL of one entry, and one page for the headers of batch and records.
    let taken = 4 * PAGE as u64 + reserve_bytes(bytes);
    bytes.saturating_sub(taken) as usize
}

/// Bytes kept free by entries for term and vote: sixteen elections, or less in a tiny segment.
fn reserve_bytes(segment_bytes: u64) -> u64 {
    let pages = segment_bytes / PAGE as u64;
    (pages / 8).min(16) * PAGE as u64
}

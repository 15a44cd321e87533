//! Ends an ambiguous tail, durably.
//!
//! Invariant: at every moment the bytes show one of three things: the tail, the mark of its cut with what is left of
//! the tail behind it, or a second mark that says that the rest is blank. Only what comes after the second one counts.

use std::io::IoSlice;

use super::Writer;
use crate::store::error::StoreError;
use crate::store::format::batch::{CUT_IS_CLOSED_LATER, Kind, Mark, RecordHeader};
use crate::store::format::layout::{BATCH_HEADER_BYTES, RECORD_HEADER_BYTES, SECTOR};
use crate::store::format::seal::SealIndex;
use crate::store::format::segment::{Link, file_name};
use crate::store::write::content::Content;

impl Writer {
    /// Ends the ambiguous tail from the front to `until`, durably: a mark first, in one sector, so that no
    /// crash in between makes the tail look clean, and another one when the tail is blank. Where no SEAL would have room
    /// behind it, as when the tail is a SEAL that was torn on the last page, the mark seals the segment as well.
    pub(in crate::store) fn cut(&mut self, until: u64, mark: Mark) -> Result<(), StoreError> {
        let (file, name, front) = (
            self.segment.file().clone(),
            self.segment.name(),
            self.segment.front(),
        );
        let seals = self.segment.is_at_end();
        if seals {
            let next = self.segment_number() + 1;
            self.spares
                .get(next)
                .map_err(|error| self.write_failed(&file_name(next), "preparing a segment", error))?;
        }
        let (link, written) = self.encode_cut(until, mark, seals);
        let span = self.batch.span();
        self.check_end(&name, span)?;
        file.write_at(front, &self.batch.pieces())
            .map_err(|error| self.write_failed(&name, "marking a cut", error))?;
        self.sync(&*file, &name)?;
        let zeros = vec![0; (until.max(front + span) - front - written) as usize];
        file.write_at(front + written, &[IoSlice::new(&zeros)])
            .map_err(|error| self.write_failed(&name, "blanking a cut tail", error))?;
        self.sync(&*file, &name)?;
        self.sequence.last = link;
        self.segment.advance(span);
        if seals {
            self.segment.note_sealed();
        }
        self.close_cut()
    }

    /// Says that the tail of the cut before is blank. What is found behind the mark of that cut alone is the rest of the
    /// tail; what is found behind this one was written later, and may have been acknowledged. Where there is no
    /// room for it, there is none for any batch, and the SEAL comes next and says the same.
    pub(in crate::store) fn close_cut(&mut self) -> Result<(), StoreError> {
        let content = Content {
            mark: Some((Mark::Idle, self.last_lsn())),
            ..Content::default()
        };
        if self.segment.is_sealed() || !self.segment.has_room(&content) {
            return Ok(());
        }
        self.write_batch(|out| content.encode(out))?;
        self.ends_with_mark = true;
        Ok(())
    }

    /// Builds the mark of a cut; returns its link, and how many bytes it has.
    fn encode_cut(&mut self, until: u64, mark: Mark, seals: bool) -> (Link, u64) {
        let (salt, lsn) = (self.segment.header().salt, self.sequence.take_lsn());
        let cut_lsn = self.last_lsn() + 1;
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
        (self.batch.finish(salt, self.sequence.last, false), written as u64)
    }
}

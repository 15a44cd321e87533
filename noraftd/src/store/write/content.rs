//! What one batch on disk holds, in the order in which its records are written.
//!
//! Invariant: term and vote come first, so that whatever else the batch says is said in that term.

use noraft::LogPosition;

use crate::record::{Base, HardState, Record, encode_config};
use crate::store::format::batch::{BatchWriter, Kind, Mark, RecordHeader, record_span};
use crate::store::format::layout::{BATCH_HEADER_BYTES, RECORD_HEADER_BYTES};
use crate::store::shape::Run;

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
    pub(in crate::store) fn length(&self) -> usize {
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

    /// The byte of its batch at which the first entry is.
    pub(in crate::store) fn entries_at(&self) -> usize {
        let controls = [self.hard_state.is_some(), self.truncate.is_some()];
        let controls = controls.into_iter().filter(|there| *there).count();
        BATCH_HEADER_BYTES + controls * RECORD_HEADER_BYTES
    }

    /// Adds its records to a batch that was begun.
    pub(in crate::store) fn encode(&self, out: &mut BatchWriter) {
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

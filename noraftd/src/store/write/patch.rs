//! Writing again what was damaged.
//!
//! Nothing that was acknowledged is rewritten in place: an entry whose bytes are damaged is appended again, as a
//! PATCH record. From then on readers find it there; whatever makes the entry void makes its patch void.
//!
//! Invariant: a patch is in the log only for a position that the log holds. A crash leaves each batch of patches
//! there or not; what is not there is a hole again.

use crate::record::{Record, RecordKind, decode_config};
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::types::PersistStats;
use crate::store::write::content::Content;

impl Store {
    /// Writes `records`, each at a position that the log holds, again and durably.
    ///
    /// # Errors
    ///
    /// As for [`Store::persist`]; a prefix of the records may be durable when the disk is full.
    pub fn patch(&mut self, records: &[Record]) -> Result<PersistStats, StoreError> {
        let before = self.writer.counters();
        self.writer.check_usable()?;
        records.iter().try_for_each(|record| self.check_patch(record))?;
        let mut left = records;
        while !left.is_empty() {
            let (patches, rest) = left.split_at(self.writer.chunk_length(left));
            let content = Content {
                patches,
                ..Content::default()
            };
            self.repeat_saved_vote();
            self.writer.append(content, self.shape.last_position())?;
            patches.iter().for_each(|record| self.note_patch(record));
            left = rest;
        }
        Ok(self.done_since(&before))
    }

    fn check_patch(&self, record: &Record) -> Result<(), StoreError> {
        let index = record.position.index;
        let refuse = |why: &str| {
            Err(StoreError::Invalid(format!(
                "a patch of entry {}: {why}",
                index.get()
            )))
        };
        if !self.shape.contains(record.position) || index <= self.shape.base_position().index {
            return refuse("the log does not hold that entry");
        }
        if self.shape.is_first_of_term(index.get()) != (record.kind == RecordKind::Term) {
            return refuse("the entry is of another kind");
        }
        if record.payload.len() > self.payload_bytes_max() {
            return refuse("it does not fit a segment");
        }
        if !record.is_intact() || record.to_entry().is_none() {
            return refuse("it is not intact");
        }
        Ok(())
    }

    fn note_patch(&mut self, record: &Record) {
        let index = record.position.index.get();
        if record.kind == RecordKind::Config
            && self.shape.config_at(index).is_none()
            && let Some(config) = decode_config(&record.payload)
        {
            self.shape.configure(index, config);
        }
    }
}

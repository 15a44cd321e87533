//! Where the log begins: compaction, and installing another node's snapshot (Raft 7).
//!
//! Invariant: the record that says where the log begins is durable before anything goes that lies before it,
//! and the snapshot of that position before the record. What goes, goes oldest first, each name durably gone
//! before the next, so that no crash leaves a gap between segments.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use noraft::LogPosition;

use crate::record::{Base, HardState};
use crate::store::Store;
use crate::store::disk::shortage::is_shortage;
use crate::store::error::StoreError;
use crate::store::read::reader::Directory;
use crate::store::snapshots::{self, SnapshotError, Snapshots};
use crate::store::write::content::Content;

impl Store {
    /// The snapshots in this directory.
    pub fn snapshots(&self) -> Snapshots {
        Snapshots::new(
            self.writer.disk().clone(),
            self.writer.identity().owner.cluster_id,
        )
    }

    /// Where the log begins.
    pub fn base(&self) -> LogPosition {
        self.shape.base_position()
    }

    /// The log begins at `base` from now on.
    pub(in crate::store) fn rebase(
        &mut self,
        hard_state: Option<HardState>,
        base: &Base,
    ) -> Result<(), StoreError> {
        self.check_base(hard_state, base)?;
        let content = Content {
            hard_state,
            base: Some(base),
            ..Content::default()
        };
        self.writer.append(content, self.shape.last_position())?;
        self.note_hard_state(hard_state);
        self.writer.note_base(base.clone());
        if !self.shape.contains(base.position) {
            // Another log went on from there: nothing of this one stays, what comes after the base neither.
            let mut directory = self.writer.lock_directory();
            directory.extents.truncate(0);
            directory.holes.clear();
        }
        self.shape.rebase(base.position, base.config.clone());
        self.remove_covered(self.writer.segment_number());
        Ok(())
    }

    fn check_base(&self, hard_state: Option<HardState>, base: &Base) -> Result<(), StoreError> {
        let (position, now) = (base.position, self.base());
        let term = hard_state.unwrap_or(self.writer.repeated().hard_state).term();
        if position.index <= now.index || position.term < now.term || position.term > term {
            return Err(StoreError::Invalid(format!(
                "the log cannot begin at {position:?}: it begins at {now:?}, in {term:?}"
            )));
        }
        let snapshots = self.snapshots().list().map_err(|error| match error {
            SnapshotError::Disk { file, source, .. } if is_shortage(&source) => {
                StoreError::Short { file, source }
            }
            SnapshotError::Disk { file, doing, source } => StoreError::Failed {
                file,
                doing,
                source: Arc::new(source),
            },
            other @ (SnapshotError::Damaged { .. } | SnapshotError::Version { .. }) => StoreError::Failed {
                file: String::new(),
                doing: "looking for a snapshot",
                source: Arc::new(io::Error::other(other)),
            },
        })?;
        if !snapshots.contains(&position) {
            return Err(StoreError::Invalid(format!(
                "the log cannot begin at {position:?}: there is no snapshot of it"
            )));
        }
        Ok(())
    }

    /// Lets go of everything before the log's beginning, but for the segment that says where that is.
    pub(in crate::store) fn remove_covered(&mut self, base_segment: u64) {
        let base = self.base();
        let mut directory = self.writer.lock_directory();
        let segments = take_covered(&mut directory, base, base_segment);
        drop(directory);
        // Where the directory cannot be read, the next compaction or opening finds them.
        let snapshots = self.snapshots().list().unwrap_or_default();
        let old = snapshots.into_iter().filter(|held| held.index < base.index);
        self.writer.remove(segments, old.map(snapshots::file_name));
    }
}

/// Takes the segments out that hold nothing after `base`, and neither say that the log begins there.
fn take_covered(directory: &mut Directory, base: LogPosition, base_segment: u64) -> Vec<u64> {
    directory.first = base.index.get() + 1;
    directory.extents.drop_until(base.index.get());
    directory.holes = directory.holes.split_off(&directory.first);
    let begins: BTreeMap<u64, u64> = directory
        .segments
        .iter()
        .map(|(number, segment)| (*number, segment.prev_index))
        .collect();
    let is_covered = |number: &u64| {
        let next = begins.get(&(number + 1));
        *number < base_segment && next.is_some_and(|prev| *prev <= base.index.get())
    };
    let covered: Vec<u64> = begins.keys().copied().take_while(is_covered).collect();
    for number in &covered {
        directory.segments.remove(number);
    }
    covered
}

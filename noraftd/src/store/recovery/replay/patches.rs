//! Entries that were damaged and are in a later batch again.
//!
//! Invariant: a position stands for one entry (Raft 5.3), so a patch fills the hole at its position whatever was lost meanwhile, also one
//! that is only known of from what comes after the patch.

use noraft::{ClusterConfig, LogPosition};

use super::{RecoveredLog, Replay};

/// An entry that is here again, intact.
#[derive(Debug, Clone)]
pub(super) struct Patch {
    pub(super) position: LogPosition,
    /// The segment, and the page of the batch that holds it.
    pub(super) place: (u64, u32),
    /// What it adds to the chain.
    pub(super) step: u64,
    /// What it says, if it is a configuration.
    pub(super) config: Option<ClusterConfig>,
}

impl Replay {
    pub(super) fn take_patch(&mut self, patch: Patch) {
        let mut is_placed = false;
        for log in [Some(&mut self.recovered), self.before.as_mut()]
            .into_iter()
            .flatten()
        {
            if log.goes_through(patch.position) {
                log.patch(&patch);
                is_placed = true;
            }
        }
        if !is_placed {
            self.unplaced.push(patch);
        }
    }

    /// After all batches: fills the holes that were not known when their patches came.
    pub(super) fn place_patches(&mut self) {
        for patch in std::mem::take(&mut self.unplaced) {
            for log in [Some(&mut self.recovered), self.before.as_mut()]
                .into_iter()
                .flatten()
            {
                if log.goes_through(patch.position) && log.holes.contains_key(&patch.position.index.get()) {
                    log.patch(&patch);
                }
            }
        }
    }
}

impl RecoveredLog {
    fn goes_through(&self, position: LogPosition) -> bool {
        self.shape.contains(position) && position.index > self.shape.base_position().index
    }

    fn patch(&mut self, patch: &Patch) {
        let index = patch.position.index.get();
        let (segment, page) = patch.place;
        self.holes.remove(&index);
        self.chain.fill(patch.position.index, patch.step);
        self.extents.patch(index, segment, page);
        if let Some(config) = &patch.config {
            self.shape.configure(index, config.clone());
        }
    }
}

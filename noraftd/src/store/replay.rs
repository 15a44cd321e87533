//! Runs through what valid batches say, oldest first.
//!
//! Invariant: LSN order decides: an entry is in the log when nothing later made it void or covered it.

use noraft::{ClusterConfig, LogPosition};

use super::batch::Mark;
use super::log::{Extent, Extents, Shape};
use super::scan::Event;
use super::segment::SegmentHeader;
use crate::record::HardState;

/// What valid batches add up to.
pub(super) struct Replay {
    pub(super) shape: Shape,
    pub(super) extents: Extents,
    /// The last term and vote in the stream, and the batch they stand in.
    pub(super) hard_state: Option<(u64, HardState)>,
    pub(super) abstain: bool,
    /// The segment with the record that says where the log begins.
    pub(super) base_segment: u64,
}

impl Replay {
    /// Begins with the oldest segment.
    pub(super) fn new(oldest: &SegmentHeader) -> Self {
        Self {
            shape: Shape::after(oldest.prev),
            extents: Extents::default(),
            hard_state: None,
            abstain: oldest.abstaining,
            base_segment: oldest.number,
        }
    }

    /// Takes the next event, which a batch of `segment` says; tells what does not fit what came before.
    pub(super) fn take(&mut self, segment: u64, event: &Event) -> Result<(), String> {
        match event {
            Event::Entries { page, run } => {
                self.shape
                    .append(*run)
                    .map_err(|found| format!("entry {}: {found}", run.first))?;
                self.extents.push(Extent {
                    first: run.first,
                    segment,
                    page: *page,
                    count: run.count,
                });
            }
            Event::Config { index, config } => self.shape.configure(*index, (**config).clone()),
            Event::HardState { lsn, hard_state } => self.hard_state = Some((*lsn, *hard_state)),
            Event::Truncate(position) => self.truncate(*position)?,
            Event::Snapshot { position, config } => self.rebase(segment, *position, config),
            Event::Mark(Mark::Cut) => self.abstain = true,
            Event::Mark(Mark::CaughtUp) => self.abstain = false,
            Event::Mark(Mark::Idle | Mark::CleanStop) => {}
        }
        Ok(())
    }

    fn truncate(&mut self, position: LogPosition) -> Result<(), String> {
        if self.shape.begins_after(position) {
            // Entries from here on were void before the segments that held them went.
            self.shape = Shape::after(position);
            self.extents = Extents::default();
            return Ok(());
        }
        self.shape
            .truncate(position)
            .map_err(|found| format!("entry {}: {found}", position.index.get()))?;
        self.extents.truncate(position.index.get());
        Ok(())
    }

    fn rebase(&mut self, segment: u64, position: LogPosition, config: &ClusterConfig) {
        if self.shape.begins_after(position) {
            // The log began later before the segments went that held what is between; that is said later.
            return;
        }
        if !self.shape.contains(position) {
            self.extents = Extents::default();
        }
        self.extents.drop_until(position.index.get());
        self.shape.rebase(position, config.clone());
        self.base_segment = segment;
    }
}

//! Everything that appends to the log: batches, the next segment, repaired entries, the place where the log begins.
//!
//! Invariant: one writer; what it reports as durable is.

pub(super) mod active;
pub(super) mod compaction;
pub(super) mod content;
pub(super) mod hard_state;
pub(super) mod patch;
pub(super) mod spare;
pub(super) mod writer;

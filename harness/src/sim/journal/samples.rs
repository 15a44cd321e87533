//! What each node is, a hundred times a virtual second, for the report of a run that is kept.
//!
//! Invariant: looking draws nothing and changes nothing; bounded: [`SAMPLES_MAX`].

use crate::nodes::NodeSample;
use crate::sim::parts::MILLI;

/// Samples that are kept: minutes of seven nodes.
const SAMPLES_MAX: usize = 500_000;
/// Between two samples of a node.
pub(crate) const SAMPLE_EVERY: u64 = 10 * MILLI;

/// The samples so far.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    /// In order of time.
    pub(crate) taken: Vec<NodeSample>,
    next: u64,
}

impl Samples {
    /// Whether it is time for the next ones.
    pub(crate) fn are_due(&self, now: u64) -> bool {
        now >= self.next && self.taken.len() < SAMPLES_MAX
    }

    pub(crate) fn take(&mut self, now: u64, samples: impl Iterator<Item = NodeSample>) {
        self.taken.extend(samples);
        self.next = now - now % SAMPLE_EVERY + SAMPLE_EVERY;
    }
}

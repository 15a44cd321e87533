//! What a replica counts for those who watch: elections, snapshots, what was sent again, how long writes take.
//!
//! Invariant: nothing that a replica does depends on it.

use std::collections::BTreeMap;

use noraft::NodeId;

use crate::histogram::Histogram;
use crate::time::{Instant, Stamp};

use super::Replica;

/// What a replica has counted since its start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Campaigns, because no leader was heard.
    pub campaigns: u64,
    /// Campaigns, because the leader wanted this node to lead.
    pub campaigns_wanted: u64,
    /// Elections that it won.
    pub won: u64,
    /// How often it stopped leading.
    pub ends: Ends,
    /// Snapshots of its own state that were made durable.
    pub snapshots_taken: u64,
    /// Snapshots of other nodes that were installed.
    pub snapshots_installed: u64,
    /// From the arrival of a write at this leader until it is in the log.
    pub queued: Histogram,
    /// From the arrival of a write at this leader until it is committed and applied.
    pub committed: Histogram,
    /// In earlier tenures: how often sending began again.
    resent: BTreeMap<NodeId, u64>,
}

/// How often a node stopped leading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ends {
    /// It heard no majority.
    pub no_quorum: u64,
    /// Entries on its disk were damaged.
    pub damage: u64,
    /// It held something else than a majority.
    pub divergence: u64,
    /// A later term began, or another node was to lead.
    pub other_leader: u64,
}

/// Why a node stops leading by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// It hears no majority.
    NoQuorum,
    /// Entries on its disk are damaged.
    Damage,
    /// It holds something else than a majority.
    Divergence,
}

impl Ends {
    /// It stopped, by itself for `reason`.
    pub(super) fn note(&mut self, reason: Option<EndReason>) {
        match reason {
            Some(EndReason::NoQuorum) => self.no_quorum += 1,
            Some(EndReason::Damage) => self.damage += 1,
            Some(EndReason::Divergence) => self.divergence += 1,
            None => self.other_leader += 1,
        }
    }
}

impl Counts {
    /// A tenure ended in which sending to `peer` began again so often.
    pub(super) fn note_resent(&mut self, peer: NodeId, count: u64) {
        if count > 0 {
            *self.resent.entry(peer).or_default() += count;
        }
    }
}

impl Replica {
    /// What was counted since the start.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How often sending began again at an earlier entry, by member.
    pub fn resent(&self) -> BTreeMap<NodeId, u64> {
        let mut resent = self.counts.resent.clone();
        for (peer, progress) in &self.leadership.progress {
            *resent.entry(*peer).or_default() += progress.resent();
        }
        resent
    }

    /// How far a wall clock that shows `wall` is ahead of the clock of the log, in milliseconds.
    pub fn clock_offset_ms(&self, wall: Stamp) -> i64 {
        self.clock.offset_ms(wall)
    }

    /// A write that has to be answered at `deadline` is in the log.
    pub(super) fn note_queued(&self, deadline: Instant) {
        self.counts
            .queued
            .observe(self.now + self.config.request_timeout - deadline);
    }

    /// A write that had to be answered at `deadline` is committed and applied.
    pub(super) fn note_committed(&self, deadline: Instant) {
        self.counts
            .committed
            .observe(self.now + self.config.request_timeout - deadline);
    }
}

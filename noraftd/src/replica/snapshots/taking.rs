//! When a snapshot is taken, and where the log begins then.
//!
//! Invariant: the log begins later only when the snapshot of that place is durable, and nothing older is being sent.

use std::time::Duration;

use noraft::{LogIndex, LogPosition};

use crate::record::{Base, SnapshotHead, SnapshotId};
use crate::replica::Replica;
use crate::replica::event::{Output, Snapshot};
use crate::time::Instant;

/// Snapshots of this node's own state.
#[derive(Debug, Default)]
pub(super) struct Taking {
    pub(super) work: Work,
    pub(super) purpose: Purpose,
    /// Bytes of entries applied since the newest, or since the one that is being written.
    pub(super) bytes_since: u64,
    /// After a failure, not before this.
    pub(super) save_after: Instant,
    /// The log may begin here as soon as nothing older is being sent.
    pub(super) compact_to: Option<LogPosition>,
    /// Where the log begins, for the next batch.
    pub(super) new_base: Option<Base>,
}

/// What is done about the next snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Work {
    /// Nothing, until the log is long enough.
    #[default]
    Idle,
    /// One is taken as soon as there is something to take.
    Wanted,
    /// One is being written.
    Writing,
    /// One is being written, and another one is wanted after it.
    WritingAndWanted,
}

/// Where the log is to begin after the next snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Purpose {
    /// At the one before it: a snapshot that turns out to be damaged then costs nothing.
    #[default]
    Keep,
    /// At this one: entries before it are lost.
    Cover,
}

impl Taking {
    /// Another node's snapshot was installed: the log begins at `base`.
    pub(super) fn on_installed(&mut self, base: Base) {
        (self.bytes_since, self.compact_to) = (0, None);
        self.purpose = Purpose::Keep;
        self.new_base = Some(base);
    }
}

impl Replica {
    /// Asks for a snapshot now, whatever the log's size.
    pub(in crate::replica) fn want_snapshot(&mut self) {
        self.snapshots.taking.work = match self.snapshots.taking.work {
            Work::Idle | Work::Wanted => Work::Wanted,
            Work::Writing | Work::WritingAndWanted => Work::WritingAndWanted,
        };
    }

    /// Asks for a snapshot at which the log is to begin.
    pub(in crate::replica) fn cover_with_snapshot(&mut self) {
        let taking = &mut self.snapshots.taking;
        if taking.purpose == Purpose::Keep && taking.compact_to.is_none() {
            taking.purpose = Purpose::Cover;
            self.want_snapshot();
        }
    }

    /// Takes a snapshot when it is time for one.
    pub(in crate::replica) fn take_snapshot(&mut self) {
        let due = self
            .snapshots
            .newest
            .map_or(0, |newest| newest.bytes)
            .max(self.config.snapshot_log_bytes);
        let taking = &mut self.snapshots.taking;
        let is_due = match taking.work {
            Work::Idle => taking.bytes_since >= due,
            Work::Wanted => true,
            Work::Writing | Work::WritingAndWanted => false,
        };
        if !is_due || self.now < taking.save_after {
            return;
        }
        let applied = self.apply.applied_index();
        let held = self
            .snapshots
            .newest
            .map_or(LogIndex::ZERO, |newest| newest.position.index);
        let Some((position, config)) = self.node.log().get_position_and_config(applied) else {
            return;
        };
        self.snapshots.taking.work = Work::Idle;
        if applied <= held && self.snapshots.taking.purpose == Purpose::Keep {
            return;
        }
        let base = Base {
            position,
            config: config.clone(),
            chain: self.chain_at(position),
        };
        let stamp = self.apply.applied_stamp();
        (self.snapshots.taking.work, self.snapshots.taking.bytes_since) = (Work::Writing, 0);
        self.outputs.push_back(Output::SaveSnapshot(Box::new(Snapshot {
            head: SnapshotHead { base, stamp },
            machine: self.machine.clone(),
        })));
    }

    /// The snapshot is durable, or the disk had no room for it.
    pub(in crate::replica) fn on_snapshot_saved(&mut self, saved: Option<SnapshotId>) {
        let taking = &mut self.snapshots.taking;
        let Some(saved) = saved else {
            (taking.work, taking.save_after) = (Work::Wanted, self.now + SAVE_AGAIN_AFTER);
            return;
        };
        taking.work = match taking.work {
            Work::Idle | Work::Writing => Work::Idle,
            Work::Wanted | Work::WritingAndWanted => Work::Wanted,
        };
        let older = self.snapshots.newest.map(|newest| newest.position);
        let is_covering = std::mem::take(&mut taking.purpose) == Purpose::Cover;
        let is_same = older == Some(saved.position);
        if older.is_some_and(|older| older.index >= saved.position.index) && !(is_covering && is_same) {
            // Another node's was installed meanwhile; the store removes this one with what lies before.
            return;
        }
        self.snapshots.newest = Some(saved);
        self.snapshots.taking.compact_to = if is_covering { Some(saved.position) } else { older };
    }

    /// Lets the log begin at the older of the two snapshots. Only while no sync is in flight.
    pub(in crate::replica) fn compact(&mut self) {
        let is_sent = |to: LogPosition| {
            let mut transfers = self.snapshots.sending.transfers.values();
            transfers.any(|transfer| transfer.id.position.index < to.index)
        };
        let Some(to) = self.snapshots.taking.compact_to.take_if(|to| !is_sent(*to)) else {
            return;
        };
        if to.index <= self.node.log().snapshot_position().index {
            return;
        }
        let Some((position, config)) = self.node.log().get_position_and_config(to.index) else {
            return;
        };
        let mut base = Base {
            position,
            config: config.clone(),
            chain: None,
        };
        if self
            .node
            .handle_snapshot_installed(base.position, base.config.clone())
        {
            self.begin_chain_at(&mut base, true);
            self.snapshots.taking.new_base = Some(base);
            self.forget_void_holes();
        }
    }

    /// A snapshot knows which configuration was in force there. If the log says another one, the entry that set it is
    /// damaged, and is applied: then the log begins behind it, or the next snapshot would hold a wrong one.
    pub(in crate::replica) fn trust_snapshot(&mut self, mut base: Base) {
        let log = self.node.log();
        let is_known = log
            .get_position_and_config(base.position.index)
            .is_none_or(|(_, config)| *config == base.config);
        if is_known {
            return;
        }
        let (position, config) = (base.position, base.config.clone());
        if self.node.handle_snapshot_installed(position, config) {
            self.begin_chain_at(&mut base, true);
            self.snapshots.taking.new_base = Some(base);
            self.forget_void_holes();
        }
    }
}

/// A disk without room may have some later.
const SAVE_AGAIN_AFTER: Duration = Duration::from_secs(5);

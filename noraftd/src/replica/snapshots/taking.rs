//! When a snapshot of this node's own state is taken.
//!
//! Invariant: one at a time is written; where the log may begin after it is said once it is durable.

use std::time::Duration;

use noraft::{LogIndex, LogPosition, Node};

use crate::record::{Base, SnapshotHead, SnapshotId};
use crate::replica::applied::Applied;
use crate::replica::content::Content;
use crate::replica::event::{Output, Snapshot};
use crate::replica::outputs::Outputs;
use crate::replica::{Replica, ReplicaConfig};
use crate::time::Instant;

use super::Snapshots;

/// Snapshots of this node's own state.
#[derive(Debug, Default)]
pub(super) struct Taking {
    pub(super) work: Work,
    pub(super) purpose: Purpose,
    /// Bytes of entries applied since the newest, or since the one that is being written.
    pub(super) bytes_since: u64,
    /// After a failure, not before this, unless the disk has room again.
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

impl Snapshots {
    /// Asks for a snapshot now, whatever the log's size.
    pub(in crate::replica) fn want(&mut self) {
        self.taking.work = match self.taking.work {
            Work::Idle | Work::Wanted => Work::Wanted,
            Work::Writing | Work::WritingAndWanted => Work::WritingAndWanted,
        };
    }

    /// Asks for a snapshot at which the log is to begin.
    pub(in crate::replica) fn cover(&mut self) {
        let taking = &mut self.taking;
        if taking.purpose == Purpose::Keep && taking.compact_to.is_none() {
            taking.purpose = Purpose::Cover;
            self.want();
        }
    }

    /// The disk has room again: what had none is tried again now.
    pub(in crate::replica) fn on_room_again(&mut self) {
        self.taking.save_after = Instant::ZERO;
    }

    /// The snapshot is durable, or the disk had no room for it.
    pub(in crate::replica) fn on_saved(&mut self, now: Instant, saved: Option<SnapshotId>) {
        let taking = &mut self.taking;
        let Some(saved) = saved else {
            (taking.work, taking.save_after) = (Work::Wanted, now + SAVE_AGAIN_AFTER);
            return;
        };
        taking.work = match taking.work {
            Work::Idle | Work::Writing => Work::Idle,
            Work::Wanted | Work::WritingAndWanted => Work::Wanted,
        };
        let older = self.newest.map(|newest| newest.position);
        let is_covering = std::mem::take(&mut taking.purpose) == Purpose::Cover;
        let is_same = older == Some(saved.position);
        if older.is_some_and(|older| older.index >= saved.position.index) && !(is_covering && is_same) {
            // Another node's was installed meanwhile; the store removes this one with what lies before.
            return;
        }
        self.newest = Some(saved);
        self.taking.compact_to = if is_covering { Some(saved.position) } else { older };
    }
}

/// Takes snapshots: reads log and state, and changes neither.
pub(in crate::replica) struct Taker<'a> {
    config: &'a ReplicaConfig,
    now: Instant,
    node: &'a Node,
    content: &'a Content,
    applied: &'a Applied,
    snapshots: &'a mut Snapshots,
    outputs: &'a mut Outputs,
}

impl Replica {
    pub(in crate::replica) fn taker(&mut self) -> Taker<'_> {
        Taker {
            config: &self.config,
            now: self.now,
            node: &self.node,
            content: &self.content,
            applied: &self.applied,
            snapshots: &mut self.snapshots,
            outputs: &mut self.outputs,
        }
    }
}

impl Taker<'_> {
    /// Takes a snapshot when it is time for one.
    pub(in crate::replica) fn take_when_due(&mut self) {
        let due = self
            .snapshots
            .newest
            .map_or(0, |newest| newest.bytes)
            .max(self.config.snapshots.log_bytes);
        let taking = &mut self.snapshots.taking;
        let is_due = match taking.work {
            Work::Idle => taking.bytes_since >= due,
            Work::Wanted => true,
            Work::Writing | Work::WritingAndWanted => false,
        };
        if !is_due || self.now < taking.save_after {
            return;
        }
        let applied = self.applied.index();
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
            chain: self.content.chain_at(self.node.log(), position),
        };
        let stamp = self.applied.stamp();
        (self.snapshots.taking.work, self.snapshots.taking.bytes_since) = (Work::Writing, 0);
        self.outputs.push(Output::SaveSnapshot(Box::new(Snapshot {
            head: SnapshotHead { base, stamp },
            machine: self.applied.machine().clone(),
        })));
    }
}

/// A disk without room may have some later, and a log that has enough of it does not say when.
const SAVE_AGAIN_AFTER: Duration = Duration::from_secs(5);

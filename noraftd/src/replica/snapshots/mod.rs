//! Snapshots (Raft 7): when to take one, when the log may begin later, sending and installing.
//!
//! *Taking*: when as many bytes were applied as the last snapshot had, or as configured if that is more, the state
//! is cloned, which costs nothing, and written beside the commits. Two snapshots are kept, and the log begins at
//! the older: a damaged snapshot costs nothing, and a follower that lags a little needs entries only.
//!
//! *Sending*: a follower whose log ends before the leader's begins gets the newest snapshot in chunks, one at a time
//! and not faster than configured; it says how much it has, so a transfer goes on where it stopped, whatever was
//! lost. *Installing*: when the file is whole and durable, the state is replaced at once, between two batches.
//!
//! Invariant: the log begins later only when the snapshot of that place is durable; nothing that is being sent is
//! removed; a follower's state is never a mixture.

mod log_start;
mod receiving;
mod sending;
mod taking;

use std::time::Duration;

use noraft::NodeId;

pub(super) use self::receiving::Part;
use self::receiving::Receiving;
use self::sending::Sending;
use self::taking::{Taking, Work};
use super::glance::{Receipt, SnapshotWork};
use crate::record::{Base, SnapshotId};
use crate::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Snapshots {
    /// The newest that is durable here.
    newest: Option<SnapshotId>,
    taking: Taking,
    sending: Sending,
    receiving: Receiving,
}

impl Snapshots {
    /// With what is durable here, if anything.
    pub(super) fn new(newest: Option<SnapshotId>) -> Self {
        Self {
            newest,
            ..Self::default()
        }
    }

    pub(super) fn newest(&self) -> Option<SnapshotId> {
        self.newest
    }

    /// What is being written or sent, at a glance.
    pub(super) fn work(&self) -> SnapshotWork {
        SnapshotWork {
            takes: match self.taking.work {
                Work::Idle | Work::Wanted => false,
                Work::Writing | Work::WritingAndWanted => true,
            },
            sends: !self.sending.transfers.is_empty(),
            receipt: match self.receiving {
                Receiving::Nothing => Receipt::Nothing,
                Receiving::Waiting(_) => Receipt::Waiting,
                Receiving::Writing(_) => Receipt::Writing,
                Receiving::Whole(..) => Receipt::Whole,
            },
        }
    }

    /// An entry of this many bytes was applied.
    pub(super) fn on_applied(&mut self, bytes: usize) {
        self.taking.bytes_since += (bytes + ENTRY_BYTES) as u64;
    }

    /// Where the log begins from the next batch on, if that changes.
    pub(super) fn take_base(&mut self) -> Option<Base> {
        self.taking.new_base.take()
    }

    /// Leadership has changed: the new leader sends from the beginning.
    pub(super) fn stop_sending(&mut self) {
        self.sending.transfers.clear();
    }

    /// A node that is no peer any more needs no snapshot, and the log need not be kept for it.
    pub(super) fn send_only_to(&mut self, peers: &[NodeId]) {
        self.sending.transfers.retain(|id, _| peers.contains(id));
    }

    /// When something has to be sent again, or may be sent at last.
    pub(super) fn deadline(&self, resend: Duration) -> Option<Instant> {
        self.sending.deadline(resend)
    }
}

/// What an entry costs in the log beside its payload.
const ENTRY_BYTES: usize = 40;

//! Kinds of operations of a disk.
//!
//! Invariant: every operation is of one kind.

use noraftd::store::disk::memory::Operation;

/// What kind of operation it is: troubles distinguish them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Reading,
    Writing,
    Growing,
    Syncing,
    Looking,
}

impl Doing {
    pub(super) fn of(operation: &Operation<'_>) -> Self {
        match operation {
            Operation::Lock | Operation::List | Operation::Open(_) | Operation::Forget(_) => Self::Looking,
            Operation::Create(_)
            | Operation::Allocate { .. }
            | Operation::Write { grows: true, .. }
            | Operation::WriteDurably { grows: true, .. } => Self::Growing,
            Operation::Rename { .. }
            | Operation::Remove(_)
            | Operation::Write { grows: false, .. }
            | Operation::WriteDurably { grows: false, .. } => Self::Writing,
            Operation::SyncDir | Operation::SyncData(_) | Operation::SyncAll(_) => Self::Syncing,
            Operation::Scan(_) | Operation::View(_) => Self::Reading,
        }
    }
}

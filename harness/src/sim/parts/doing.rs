//! Kinds of operations of a disk.
//!
//! Invariant: every operation is of one kind.

use noraftd::store::disk::memory::Operation;
use noraftd::store::disk::trouble::Doing;

/// What kind of call an operation is.
pub(super) fn doing_of(operation: &Operation<'_>) -> Doing {
    match operation {
        Operation::Lock | Operation::List | Operation::Open(_) | Operation::Forget(_) => Doing::Looking,
        Operation::Create(_)
        | Operation::Allocate { .. }
        | Operation::Write { grows: true, .. }
        | Operation::WriteDurably { grows: true, .. } => Doing::Growing,
        Operation::Rename { .. }
        | Operation::Remove(_)
        | Operation::Write { grows: false, .. }
        | Operation::WriteDurably { grows: false, .. } => Doing::Writing,
        Operation::SyncDir | Operation::SyncData(_) | Operation::SyncAll(_) => Doing::Syncing,
        Operation::Scan(_) | Operation::View(_) => Doing::Reading,
    }
}

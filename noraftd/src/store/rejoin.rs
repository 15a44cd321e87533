//! A member that lost what it knew begins again, under the same id and with another incarnation.
//!
//! Invariants: it starts in a term in which its predecessor has not voted, and it abstains, for the entries that its
//! predecessor acknowledged are not here. The segment comes last: without it, there is no store yet.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use noraft::Term;

use super::disk::Disk;
use super::hard_state::{self, Slot};
use super::open::{Locked, check_vacant, create_hard_state, failure, open_locked};
use super::replace::begin;
use super::segment::file_name;
use super::snapshot_file::Snapshots;
use super::spare::publish;
use super::verdict::OpenError;
use super::{Identity, Options, Store};
use crate::record::{HardState, Recovered, SnapshotHead};

/// See [`Store::create_rejoining`].
pub(super) fn create_rejoining(
    disk: Arc<dyn Disk>,
    options: Options,
    identity: Identity,
    term: Term,
    head: &SnapshotHead,
    chunks: &mut dyn Iterator<Item = Bytes>,
) -> Result<(Store, Recovered), OpenError> {
    let locked = Locked::new(disk)?;
    check_vacant(&locked)?;
    let disk = &*locked.disk;
    let hard_state = HardState::new(term, None);
    create_hard_state(disk, identity, hard_state).map_err(failure(disk, hard_state::FILE, "creating"))?;
    let snapshots = Snapshots::new(locked.disk.clone(), identity.owner.cluster_id);
    snapshots
        .save(head, chunks)
        .map_err(|error| failure(disk, "", "writing the snapshot")(io::Error::other(error.to_string())))?;
    let slot = Slot {
        identity,
        lsn: 0,
        hard_state,
    };
    begin(disk, options, 1, &slot, head)
        .and_then(|()| publish(disk, 1))
        .map_err(failure(disk, &file_name(1), "creating"))?;
    open_locked(locked, options, identity.owner)
}

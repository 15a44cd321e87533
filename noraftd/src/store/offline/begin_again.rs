//! A cluster begins again out of one directory: its state, a configuration of this node alone, a term of its own.
//!
//! What the other nodes know of this one's votes does not matter any more: they belong to another generation. So the vote is not
//! kept, and the term may be a lower one.
//!
//! Invariant: generation and state are durable, and marked as what counts, before anything is taken from the log that was. While
//! the mark is there the directory does not open, and all that follows can be done once more from the state. The log that was is
//! kept under other names.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::record::{Abstain, HardState, SnapshotHead};
use crate::store::disk::Disk;
use crate::store::format::hard_state::{self, Slot};
use crate::store::format::segment::{file_name, parse_name};
use crate::store::offline::replace::{begin, name_before, put_aside};
use crate::store::recovery::create::create_hard_state;
use crate::store::recovery::lock::{Locked, failure, read_slots};
use crate::store::recovery::setup::{BEGINS, half_begun};
use crate::store::recovery::verdict::OpenError;
use crate::store::snapshots::{SnapshotError, Snapshots};
use crate::store::types::{Identity, Options};
use crate::store::write::spare::publish;
use crate::store::{generation, genesis};

/// See [`Store::begin_again`](crate::store::Store::begin_again).
pub(in crate::store) fn begin_again(
    disk: Arc<dyn Disk>,
    options: Options,
    identity: Identity,
    new_generation: u64,
    head: &SnapshotHead,
    chunks: &mut dyn Iterator<Item = Bytes>,
) -> Result<(), OpenError> {
    let locked = Locked::new(disk)?;
    let disk = &*locked.disk;
    generation::save(disk, new_generation).map_err(failure(disk, generation::FILE, "writing"))?;
    let alone = BTreeSet::from([identity.owner.node_id]);
    genesis::save(disk, &alone).map_err(failure(disk, genesis::FILE, "writing"))?;
    Snapshots::new(locked.disk.clone(), identity.owner.cluster_id)
        .save(head, chunks)
        .map_err(|source| snapshot_error(disk, source))?;
    mark(disk).map_err(failure(disk, BEGINS, "creating"))?;
    begin_with_state(&locked, options, identity, head)
}

/// See [`Store::finish_beginning_again`](crate::store::Store::finish_beginning_again).
pub(in crate::store) fn finish(disk: Arc<dyn Disk>, options: Options) -> Result<(), OpenError> {
    let locked = Locked::new(disk)?;
    let disk = &*locked.disk;
    if half_begun(&locked.list()?).is_none() {
        return Ok(());
    }
    let slots = read_slots(&*locked.file(hard_state::FILE)?, disk)?;
    let lost = || io::Error::new(io::ErrorKind::InvalidData, "both slots are damaged");
    let newest = slots.newest().ok_or_else(lost);
    let (_, slot) = newest.map_err(failure(disk, hard_state::FILE, "reading"))?;
    let snapshots = Snapshots::new(locked.disk.clone(), slot.identity.owner.cluster_id);
    // Nothing came after it.
    let newest = snapshots
        .list()
        .map_err(|source| snapshot_error(disk, source))?
        .pop();
    let lost = || io::Error::new(io::ErrorKind::NotFound, "there is no snapshot");
    let position = newest
        .ok_or_else(lost)
        .map_err(failure(disk, BEGINS, "finishing"))?;
    let (head, _) = snapshots
        .load(position, &mut |_| true)
        .map_err(|source| snapshot_error(disk, source))?;
    begin_with_state(&locked, options, slot.identity, &head)
}

/// The log that was gives way to one that begins at `head`, and the mark goes.
fn begin_with_state(
    locked: &Locked,
    options: Options,
    identity: Identity,
    head: &SnapshotHead,
) -> Result<(), OpenError> {
    let disk = &*locked.disk;
    let slots = read_slots(&*locked.file(hard_state::FILE)?, disk)?;
    let names = locked.list()?;
    let segments: Vec<u64> = names.iter().filter_map(|name| parse_name(name)).collect();
    let aside = names.iter().filter_map(|name| parse_name(name_before(name)?));
    let number = aside
        .chain(segments.iter().copied())
        .max()
        .map_or(1, |last| last + 1);
    let slot = Slot {
        identity,
        lsn: slots.newest().map_or(0, |(_, slot)| slot.lsn),
        hard_state: HardState::new(head.base.position.term, None),
    };
    let name = file_name(number);
    begin(disk, options, number, &slot, head, Abstain::No).map_err(failure(
        disk,
        &name,
        "making a segment",
    ))?;
    create_hard_state(disk, identity, slot.hard_state).map_err(failure(disk, hard_state::FILE, "writing"))?;
    put_aside(disk, &segments)?;
    publish(disk, number).map_err(failure(disk, &name, "publishing it"))?;
    disk.remove(BEGINS)
        .and_then(|()| disk.sync_dir())
        .map_err(failure(disk, BEGINS, "removing"))
}

fn mark(disk: &dyn Disk) -> io::Result<()> {
    disk.create(BEGINS)?.sync_all()?;
    disk.sync_dir()
}

fn snapshot_error(disk: &dyn Disk, source: SnapshotError) -> OpenError {
    OpenError::Snapshot {
        directory: disk.describe(),
        source,
    }
}

//! Setting up a directory: with an empty log, or with a state.
//!
//! Invariant: the segment comes last. Without it, there is no store yet.

use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::Bytes;
use noraft::{ClusterConfig, LogPosition};

use crate::prng::Prng;
use crate::record::{Abstain, Base, HardState, SnapshotHead, encode_config};
use crate::recovered::Recovered;
use crate::store::Store;
use crate::store::disk::Disk;
use crate::store::format::batch::{BatchWriter, Kind, RecordHeader};
use crate::store::format::hard_state::{self, Slot};
use crate::store::format::layout::PAGE;
use crate::store::format::segment::{self, Link, SegmentHeader, file_name};
use crate::store::recovery::lock::{Locked, failure};
use crate::store::recovery::open::open_locked;
use crate::store::recovery::setup::{Leftovers, Vacant, check_vacant};
use crate::store::recovery::verdict::OpenError;
use crate::store::snapshots::Snapshots;
use crate::store::types::{Identity, Options};
use crate::store::write::spare::{fill_start, publish};

/// See [`Store::create`].
pub(in crate::store) fn create(
    disk: Arc<dyn Disk>,
    options: Options,
    identity: Identity,
    genesis: &ClusterConfig,
) -> Result<(Store, Recovered), OpenError> {
    let locked = Locked::new(disk)?;
    check_vacant(&locked, Leftovers::Kept)?;
    let disk = &*locked.disk;
    create_hard_state(disk, identity, HardState::default()).map_err(failure(
        disk,
        hard_state::FILE,
        "creating",
    ))?;
    let base = Base {
        position: LogPosition::ZERO,
        config: genesis.clone(),
        chain: None,
    };
    create_first_segment(disk, options, identity, &base).map_err(failure(disk, &file_name(1), "creating"))?;
    open_locked(locked, options, identity.owner)
}

/// Puts term, vote and state into a vacant directory. Without a segment, there is no store yet.
pub(in crate::store) fn begin_with_state(
    vacant: &Vacant,
    identity: Identity,
    hard_state: HardState,
    head: &SnapshotHead,
    chunks: &mut dyn Iterator<Item = Bytes>,
) -> Result<(), OpenError> {
    let disk = &*vacant.locked.disk;
    vacant.claim()?;
    create_hard_state(disk, identity, hard_state).map_err(failure(disk, hard_state::FILE, "creating"))?;
    let snapshots = Snapshots::new(vacant.locked.disk.clone(), identity.owner.cluster_id);
    snapshots
        .save(head, chunks)
        .map_err(|source| OpenError::Snapshot {
            directory: disk.describe(),
            source,
        })?;
    Ok(())
}

/// See [`Store::create_from`]. The segment comes last: without it, there is no store yet.
pub(in crate::store) fn create_from(
    vacant: Vacant,
    options: Options,
    identity: Identity,
    head: &SnapshotHead,
    chunks: &mut dyn Iterator<Item = Bytes>,
) -> Result<(Store, Recovered), OpenError> {
    begin_with_state(&vacant, identity, HardState::default(), head, chunks)?;
    let disk = &*vacant.locked.disk;
    create_first_segment(disk, options, identity, &head.base).map_err(failure(
        disk,
        &file_name(1),
        "creating",
    ))?;
    open_locked(vacant.finish()?, options, identity.owner)
}

pub(in crate::store) fn create_hard_state(
    disk: &dyn Disk,
    identity: Identity,
    hard_state: HardState,
) -> io::Result<()> {
    let slot = Slot {
        identity,
        lsn: 0,
        hard_state,
    }
    .encode();
    let file = disk.create(hard_state::TEMPORARY)?;
    file.allocate(2 * PAGE as u64)?;
    file.write_at(0, &[IoSlice::new(&slot), IoSlice::new(&slot)])?;
    file.sync_all()?;
    disk.rename(hard_state::TEMPORARY, hard_state::FILE)?;
    disk.sync_dir()
}

/// The first segment appears whole: with its header, and the base of the log in its first batch.
fn create_first_segment(
    disk: &dyn Disk,
    options: Options,
    identity: Identity,
    base: &Base,
) -> io::Result<()> {
    let bytes = segment::rounded_size(options.segment_bytes);
    let file = fill_start(disk, 1, bytes)?;
    let header = SegmentHeader {
        identity,
        number: 1,
        salt: Prng::new(options.salt_seed).next_u64(),
        segment_bytes: bytes,
        prev: base.position,
        link: Link::default(),
        abstain: Abstain::No,
    };
    let (term, index) = (base.position.term.get(), base.position.index.get());
    let config = encode_config(&base.config);
    let mut batch = BatchWriter::default();
    batch.begin(header.salt, 1);
    batch.control(&RecordHeader::control(Kind::HardState, 0, term, 0, &[]), &[]);
    batch.control(
        &RecordHeader::control(Kind::Snapshot, 0, term, index, &config),
        &config,
    );
    batch.finish(header.salt, header.link, true);
    let page = header.encode(Some(base));
    file.write_at(0, &[IoSlice::new(&page)])?;
    file.write_at(header.batches_end(), &[IoSlice::new(&page)])?;
    file.write_at(PAGE as u64, &batch.pieces())?;
    file.sync_all()?;
    publish(disk, 1)
}

//! A log that cannot be used any more gives way to another node's snapshot; a person asks for it.
//!
//! Invariant: term and vote stay, or nothing is done: a node that forgot a vote must not go on under its name. The node
//! abstains until it has caught up, for entries that it acknowledged may be gone. The old segments are kept under
//! other names, and they go oldest first: what is left after a crash is refused as before, never a shorter log that
//! looks whole.

use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::Bytes;

use crate::prng::Prng;
use crate::record::{Abstain, HardState, SnapshotHead, encode_config};
use crate::recovered::Recovered;
use crate::store::Store;
use crate::store::disk::Disk;
use crate::store::format::batch::{BatchWriter, Kind, RecordHeader};
use crate::store::format::hard_state::{self, Slot};
use crate::store::format::layout::PAGE;
use crate::store::format::segment::{self, Link, SegmentHeader, file_name, parse_name};
use crate::store::recovery::lock::{Locked, failure, read_slots};
use crate::store::recovery::open::open_locked;
use crate::store::recovery::verdict::{Finding, OpenError, Verdict};
use crate::store::snapshots::Snapshots;
use crate::store::types::{Options, Owner};
use crate::store::write::spare::{fill, publish};

/// See [`Store::replace_log`].
pub(in crate::store) fn replace_log(
    disk: Arc<dyn Disk>,
    options: Options,
    owner: Owner,
    head: &SnapshotHead,
    chunks: &mut dyn Iterator<Item = Bytes>,
) -> Result<(Store, Recovered), OpenError> {
    let locked = Locked::new(disk)?;
    let disk = &*locked.disk;
    let slot = certain_slot(&locked, owner)?;
    let segments: Vec<u64> = locked
        .list()?
        .iter()
        .filter_map(|name| parse_name(name))
        .collect();
    let number = segments.iter().max().map_or(1, |last| last + 1);
    Snapshots::new(locked.disk.clone(), owner.cluster_id)
        .save(head, chunks)
        .map_err(|source| OpenError::Snapshot {
            directory: disk.describe(),
            source,
        })?;
    let name = file_name(number);
    // A person has decided that this state will do: the node takes part again, when everyone does.
    begin(disk, options, number, &slot, head, Abstain::Tail).map_err(failure(
        disk,
        &name,
        "making a segment",
    ))?;
    put_aside(disk, &segments)?;
    publish(disk, number).map_err(failure(disk, &name, "publishing it"))?;
    open_locked(locked, options, owner)
}

/// These segments are the log no more.
pub(in crate::store) fn put_aside(disk: &dyn Disk, segments: &[u64]) -> Result<(), OpenError> {
    for old in segments {
        let old = file_name(*old);
        disk.rename(&old, &format!("{ASIDE}{old}"))
            .and_then(|()| disk.sync_dir())
            .map_err(failure(disk, &old, "putting it aside"))?;
    }
    Ok(())
}

/// What a file that was put aside was called before.
pub(in crate::store) fn name_before(name: &str) -> Option<&str> {
    name.strip_prefix(ASIDE)
}

/// The newest term and vote, if it is certain that they are.
fn certain_slot(locked: &Locked, owner: Owner) -> Result<Slot, OpenError> {
    let disk = &*locked.disk;
    let slots = read_slots(&*locked.file(hard_state::FILE)?, disk)?;
    let refused = |verdict, found: String| OpenError::Refused {
        directory: disk.describe(),
        finding: Finding {
            verdict,
            file: hard_state::FILE.to_owned(),
            offset: 0,
            found,
        },
    };
    let Some((_, slot)) = slots.newest().filter(|_| slots.broken().is_none()) else {
        let found = "one of the two slots, or both, are not what was written: a later vote may be lost";
        return Err(refused(Verdict::HardStateLost, found.to_owned()));
    };
    if slot.identity.owner != owner {
        let found = format!("belongs to {}, expected {owner:?}", slot.identity);
        return Err(refused(Verdict::WrongIdentity, found));
    }
    Ok(slot)
}

/// Makes the first segment of the new log, whole but under its temporary name.
pub(in crate::store) fn begin(
    disk: &dyn Disk,
    options: Options,
    number: u64,
    slot: &Slot,
    head: &SnapshotHead,
    abstain: Abstain,
) -> io::Result<()> {
    let bytes = segment::rounded_size(options.segment_bytes);
    let file = fill(disk, number, bytes)?;
    let (position, config) = (head.base.position, encode_config(&head.base.config));
    // No vote was given in a term that this node never heard of.
    let hard_state = if position.term > slot.hard_state.term() {
        HardState::new(position.term, None)
    } else {
        slot.hard_state
    };
    let header = SegmentHeader {
        identity: slot.identity,
        number,
        salt: Prng::new(options.salt_seed).fork(number).next_u64(),
        segment_bytes: bytes,
        prev: position,
        link: Link {
            lsn: slot.lsn + LSN_GAP,
            crc: 0,
        },
        abstain,
    };
    let (flags, vote) = (
        u8::from(hard_state.voted_for.is_some()),
        hard_state.voted_for.unwrap_or(0),
    );
    let (term, index) = (position.term.get(), position.index.get());
    let mut batch = BatchWriter::default();
    batch.begin(header.salt, header.link.lsn + 1);
    batch.control(
        &RecordHeader::control(Kind::HardState, flags, hard_state.term, vote, &[]),
        &[],
    );
    batch.control(
        &RecordHeader::control(Kind::Snapshot, 0, term, index, &config),
        &config,
    );
    batch.finish(header.salt, header.link, true);
    let page = header.encode(Some(&head.base));
    file.write_at(0, &[IoSlice::new(&page)])?;
    file.write_at(header.batches_end(), &[IoSlice::new(&page)])?;
    file.write_at(PAGE as u64, &batch.pieces())?;
    file.sync_all()
}

/// What old segments are called from then on.
const ASIDE: &str = "replaced-";
/// More than what may have been written since the slot: an LSN is never used twice.
const LSN_GAP: u64 = 1 << 40;

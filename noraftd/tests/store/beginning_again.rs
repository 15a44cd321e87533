//! A cluster that begins again out of one directory: whatever interrupts it, the same command leads there.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use noraft::LogPosition;
use noraftd::record::{Abstain, Append, Base, Batch, BatchId, SnapshotHead, genesis_config};
use noraftd::store::disk::Disk;
use noraftd::store::disk::memory::{Fault, MemDisk};
use noraftd::store::{OpenError, SetUp, Store, Vacant, Verdict, generation, genesis};

use crate::common::*;
use crate::compaction::{content, small_segments};

/// A log of several segments, and a vote in a term without an entry.
fn old_log() -> MemDisk {
    let disk = MemDisk::new();
    let created = Store::create(
        Arc::new(disk.clone()),
        small_segments(),
        identity(),
        &crate::common::genesis(),
    );
    let (mut store, _) = created.unwrap();
    let mut prev = LogPosition::ZERO;
    store.persist(&vote(3)).unwrap();
    for index in 1..=LAST {
        let append = Append {
            prev,
            records: vec![match index {
                1 => term_entry(3, 1),
                _ => command(3, index, &[index as u8; 1900]),
            }],
        };
        let batch = Batch {
            id: BatchId(index),
            hard_state: None,
            base: None,
            append: Some(append),
        };
        store.persist(&batch).unwrap();
        prev = at(3, index);
    }
    store.persist(&vote(9)).unwrap();
    drop(store);
    let segments = disk
        .files()
        .into_keys()
        .filter(|name| name.starts_with("segment-"));
    assert!(segments.count() > 2, "one after the other goes");
    disk
}

/// What `noraftd recover --yes` does, from whatever an earlier call left.
fn recover(disk: &MemDisk, generation: u64) -> Result<(), OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    if Store::has_half_begun(&*disk).unwrap() {
        return Store::finish_beginning_again(disk, small_segments());
    }
    let (mut store, recovered) = Store::open(Arc::clone(&disk), small_segments(), owner())?;
    store.restore(|| (), |(), _| true)?;
    let last = recovered.last_position();
    drop(store);
    let position = at(last.term.get() + 1, last.index.get() + 1);
    let head = SnapshotHead {
        base: Base {
            position,
            config: genesis_config([owner().node_id]),
            chain: None,
        },
        stamp: recovered.stamp,
    };
    let chunks: &mut dyn Iterator<Item = Bytes> = &mut content(position).into_iter();
    Store::begin_again(disk, small_segments(), identity(), generation, &head, chunks)
}

/// The cluster is this node, behind every entry that it had, and it has given no vote.
#[track_caller]
fn check_begun(disk: &MemDisk) {
    let (mut store, recovered) = Store::open(Arc::new(disk.clone()), small_segments(), owner()).unwrap();
    let found = store.restore(|| (), |(), _| true).unwrap();
    let last = recovered.last_position();
    assert_eq!(found.map(|(head, ..)| head.base.position), Some(last));
    assert!(last.index.get() > LAST && last.term.get() > 3, "{last:?}");
    let voters = &recovered.log.snapshot_config().voters;
    assert_eq!(voters.iter().copied().collect::<Vec<_>>(), [owner().node_id]);
    assert_eq!(recovered.hard_state.term(), last.term);
    assert_eq!(recovered.hard_state.voted_for(), None);
    assert_eq!(recovered.abstain, Abstain::No);
    assert_ne!(generation::load(disk).unwrap(), 0);
    let alone = BTreeSet::from([owner().node_id]);
    assert_eq!(genesis::load(disk, &recovered.log).unwrap(), Some(alone));
}

#[test]
fn whatever_interrupts_a_beginning_the_same_command_leads_there() {
    let files = old_log().files();
    let (mut op, mut half_begun, mut from_the_start) = (0, 0, 0);
    loop {
        let disk = MemDisk::with_files(files.clone());
        disk.arm(Some(Fault::PowerAfter { op }));
        let is_done = recover(&disk, 5).is_ok();
        for image in [disk.after_power_cut(op), disk.after_kill()] {
            if Store::has_half_begun(&image).unwrap() {
                half_begun += 1;
                check_waits(&image);
            } else if generation::load(&image).unwrap() != 5 || !is_done {
                from_the_start += 1;
            }
            if !is_done {
                recover(&image, 6).unwrap();
            }
            check_begun(&image);
            check_begun(&image.after_power_cut(op));
        }
        if is_done {
            break;
        }
        op += 1;
    }
    assert!(
        half_begun > 5 && from_the_start > 5,
        "{half_begun} and {from_the_start} of {op} points"
    );
}

/// It neither opens nor gives way to another setting up: all that there is of the state may be in it.
fn check_waits(disk: &MemDisk) {
    let before = disk.files();
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let Err(OpenError::Refused { finding, .. }) = Store::open(Arc::clone(&disk), small_segments(), owner())
    else {
        panic!("it was not refused")
    };
    assert_eq!(finding.verdict, Verdict::BeginningUnfinished);
    for set_up in [SetUp::Restore, SetUp::Rejoin, SetUp::Join] {
        assert!(Vacant::look(Arc::clone(&disk), set_up).is_err());
    }
    let names: Vec<String> = disk.list().unwrap();
    assert!(before.keys().all(|name| names.contains(name)));
}

/// A cluster that began again may have to do so once more.
#[test]
fn a_directory_begins_again_twice() {
    let disk = old_log();
    for generation in [5, 6] {
        recover(&disk, generation).unwrap();
        check_begun(&disk);
        assert_eq!(generation::load(&disk).unwrap(), generation);
    }
    let kept = disk
        .files()
        .into_keys()
        .filter(|name| name.starts_with("replaced-"));
    assert!(kept.count() > 3, "the logs that were are kept");
}

const LAST: u64 = 60;

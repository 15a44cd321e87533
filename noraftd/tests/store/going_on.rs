//! What a store that was opened again goes on with: the spare, the index of the segment that it fills, whether it abstains,
//! and what there is to remove.

use std::sync::Arc;

use noraft::LogPosition;
use noraftd::record::{Append, Base, Batch, BatchId, HardState, Record};
use noraftd::store::disk::Disk;
use noraftd::store::disk::memory::MemDisk;
use noraftd::store::inspect::Inspection;
use noraftd::store::{Kind, Store};

use crate::common::*;
use crate::compaction::{save, small_segments};
use crate::rejoining::begin_again;

const PAGE: usize = 4096;

fn open_small(disk: &MemDisk) -> (Store, noraftd::recovered::Recovered) {
    Store::open(Arc::new(disk.clone()), small_segments(), owner()).unwrap()
}

fn batch(prev: LogPosition, records: Vec<Record>) -> Batch {
    Batch {
        id: BatchId(1),
        hard_state: None,
        base: None,
        append: Some(Append { prev, records }),
    }
}

/// Three entries in one batch.
fn begun(disk: &MemDisk) -> Store {
    let (mut store, _) =
        Store::create(Arc::new(disk.clone()), small_segments(), identity(), &genesis()).unwrap();
    let records = vec![term_entry(1, 1), command(1, 2, b"two"), command(1, 3, b"three")];
    let hard_state = Some(HardState {
        term: 1,
        voted_for: Some(2),
    });
    let first = batch(at(0, 0), records);
    store.persist(&Batch { hard_state, ..first }).unwrap();
    store
}

/// Writes until there are so many segments.
fn fill(store: &mut Store, segments: u64) {
    while store.stats().segments < segments {
        let prev = store.last_position();
        let (term, index) = (prev.term.get(), prev.index.get() + 1);
        let record = command(term, index, &vec![index as u8 | 1; 3000]);
        store.persist(&batch(prev, vec![record])).unwrap();
    }
}

#[test]
fn a_spare_that_an_earlier_process_made_is_the_spare_again() {
    let disk = MemDisk::new();
    let mut store = begun(&disk);
    store.prepare_spare();
    assert!(store.stats().spare_ready);
    drop(store);
    let (mut store, _) = open_small(&disk);
    assert!(store.stats().spare_ready);
    let before = disk.operation_log().len();
    fill(&mut store, 2);
    let made: Vec<String> = disk.operation_log().split_off(before);
    assert!(
        !made.iter().any(|operation| operation.contains(".tmp")),
        "it is made once: {made:?}"
    );
}

#[test]
fn a_seal_lists_the_entries_that_earlier_processes_wrote() {
    let disk = MemDisk::new();
    drop(begun(&disk));
    let (mut store, _) = open_small(&disk);
    fill(&mut store, 2);
    let last = store.last_position();
    drop(store);
    let mut files = disk.files();
    let view = Inspection::of_files(&files);
    let is_command = |kind: Kind| kind == Kind::Command;
    let mut batches = view.segments[0].batches.iter();
    let first = batches.find(|batch| batch.records.iter().any(|record| is_command(record.kind)));
    let start = first.unwrap().offset as usize;
    let segment = files.get_mut(&view.segments[0].file).unwrap();
    segment[start..start + PAGE].fill(0xee);
    let (store, recovered) = open_small(&MemDisk::with_files(files));
    let holes: Vec<_> = recovered.holes.iter().map(|hole| hole.position).collect();
    assert_eq!(
        holes,
        [at(1, 1), at(1, 2), at(1, 3)],
        "{:?}",
        store.recovery_report()
    );
    assert!(recovered.holes.iter().all(|hole| hole.payload_crc.is_some()));
    assert_eq!(recovered.last_position(), last);
}

#[test]
fn a_node_that_has_caught_up_does_not_abstain_again_in_later_segments() {
    let disk = MemDisk::new();
    let (mut store, recovered) = begin_again(&disk);
    assert!(recovered.abstain.abstains() && store.abstains());
    let hard_state = Some(HardState {
        term: 8,
        voted_for: None,
    });
    let first = batch(at(3, 5), vec![term_entry(8, 6)]);
    store.persist(&Batch { hard_state, ..first }).unwrap();
    fill(&mut store, 2);
    drop(store);
    let (mut store, recovered) = open_small(&disk);
    assert!(recovered.abstain.abstains(), "and in later segments until then");
    store.mark_caught_up().unwrap();
    fill(&mut store, 4);
    drop(store);
    let (store, recovered) = open_small(&disk);
    assert!(!recovered.abstain.abstains() && !store.abstains());
}

#[test]
fn a_file_that_is_gone_already_does_not_keep_those_after_it() {
    let disk = MemDisk::new();
    let mut store = begun(&disk);
    fill(&mut store, 4);
    let position = store.last_position();
    save(&store.snapshots(), position).unwrap();
    disk.remove("segment-0000000000000001").unwrap();
    let base = Base {
        position,
        config: genesis(),
        chain: None,
    };
    let begins = Batch {
        id: BatchId(1),
        hard_state: None,
        base: Some(base),
        append: None,
    };
    store.persist(&begins).unwrap();
    let files = disk.files();
    let segments: Vec<&String> = files.keys().filter(|name| name.starts_with("segment-")).collect();
    assert_eq!(segments.len() as u64, store.stats().segments, "{segments:?}");
    assert!(
        !segments
            .iter()
            .any(|name| name.ends_with('2') || name.ends_with('3'))
    );
}

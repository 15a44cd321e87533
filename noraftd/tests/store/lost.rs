//! What a log that lost something is: as much as what is left of it shows, and said as it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use noraft::LogPosition;
use noraftd::record::{Abstain, Append, Base, Batch, BatchId, HardState, Record};
use noraftd::recovered::Recovered;
use noraftd::store::disk::memory::MemDisk;
use noraftd::store::inspect::{BatchView, Inspection};
use noraftd::store::{Kind, Options, Store};

use crate::common::*;
use crate::compaction::{head, save};

type Files = BTreeMap<String, Vec<u8>>;

const PAGE: usize = 4096;
const FIRST: &str = "segment-0000000000000001";

fn pages(pages: usize) -> Options {
    Options {
        segment_bytes: (pages * PAGE) as u64,
        ..options()
    }
}

fn create_sized(disk: &MemDisk, options: Options) -> Store {
    let created = Store::create(Arc::new(disk.clone()), options, identity(), &genesis());
    created.unwrap().0
}

fn open_sized(disk: &MemDisk, options: Options) -> (Store, Recovered) {
    Store::open(Arc::new(disk.clone()), options, owner()).unwrap()
}

fn vote(term: u64) -> Batch {
    Batch {
        id: BatchId(term),
        hard_state: Some(HardState {
            term,
            voted_for: Some(2),
        }),
        base: None,
        append: None,
    }
}

fn append(store: &mut Store, prev: LogPosition, records: Vec<Record>) {
    let batch = Batch {
        id: BatchId(0),
        hard_state: None,
        base: None,
        append: Some(Append { prev, records }),
    };
    store.persist(&batch).unwrap();
}

/// A store with the first entry of term 1.
fn begun(disk: &MemDisk, options: Options) -> Store {
    let mut store = create_sized(disk, options);
    store.persist(&vote(1)).unwrap();
    append(&mut store, at(0, 0), vec![term_entry(1, 1)]);
    store
}

fn batches(files: &Files) -> Vec<BatchView> {
    let view = Inspection::of_files(files);
    let first = view.segments.iter().find(|segment| segment.file == FIRST);
    first.unwrap().batches.clone()
}

fn kinds(batch: &BatchView) -> Vec<Kind> {
    batch.records.iter().map(|record| record.kind).collect()
}

/// The pages of the batches that `is_lost` names are as if they had never been written.
fn without(disk: &MemDisk, is_lost: impl Fn(&BatchView) -> bool) -> MemDisk {
    let mut files = disk.files();
    let lost: Vec<_> = batches(&files)
        .into_iter()
        .filter(|batch| is_lost(batch))
        .collect();
    assert!(!lost.is_empty());
    for batch in lost {
        let (from, bytes) = (batch.offset as usize, batch.length as usize);
        files.get_mut(FIRST).unwrap()[from..(from + bytes).next_multiple_of(PAGE)].fill(0);
    }
    MemDisk::with_files(files)
}

/// However many they are: as many as fit are believed.
#[test]
fn entries_of_a_large_batch_that_is_lost_are_holes() {
    let disk = MemDisk::new();
    let mut store = begun(&disk, options());
    let large = (2..=301).map(|index| command(1, index, b"lost")).collect();
    append(&mut store, at(1, 1), large);
    append(&mut store, at(1, 301), vec![command(1, 302, b"behind it")]);
    drop(store);
    let is_large = |batch: &BatchView| {
        batch
            .records
            .iter()
            .any(|record| (2..=301).contains(&record.index))
    };
    let disk = without(&disk, is_large);
    let (_store, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.last_position(), at(1, 302));
    let holes = recovered.holes.iter().map(|hole| hole.position);
    assert!(
        holes.eq((2..=301).map(|index| at(1, index))),
        "{:?}",
        recovered.holes
    );
}

/// No interrupted write makes a file shorter.
#[test]
fn a_file_that_was_cut_behind_its_last_batch_is_damaged_for_certain() {
    let disk = MemDisk::new();
    drop(begun(&disk, options()));
    let mut files = disk.files();
    let last = batches(&files).pop().unwrap();
    let end = (last.offset as usize + last.length as usize).next_multiple_of(PAGE);
    files.get_mut(FIRST).unwrap().truncate(end);
    let (store, recovered) = open(&MemDisk::with_files(files)).unwrap();
    let report = store.recovery_report();
    assert!(report.tail_damaged, "{:?}", report.findings);
    assert_eq!(recovered.abstain, Abstain::Loss);
    assert_eq!(recovered.last_position(), at(1, 1));
}

/// The mark of the cut takes one of the two pages that are left, and the SEAL the other.
#[test]
fn a_tail_that_is_cut_two_pages_before_the_end_leaves_the_seal_its_room() {
    let disk = MemDisk::new();
    let mut store = begun(&disk, pages(8));
    append(&mut store, at(1, 1), vec![command(1, 2, b"kept")]);
    store.persist(&vote(2)).unwrap();
    drop(store);
    let mut files = disk.files();
    let torn = batches(&files).pop().unwrap();
    assert_eq!(
        torn.offset as usize,
        5 * PAGE,
        "two pages before the second header page"
    );
    files.get_mut(FIRST).unwrap()[5 * PAGE..5 * PAGE + 512].fill(0);
    files.get_mut(FIRST).unwrap()[5 * PAGE + 600] = 1;
    let disk = MemDisk::with_files(files);
    let (mut store, recovered) = open_sized(&disk, pages(8));
    assert_eq!(recovered.last_position(), at(1, 2));
    store.persist(&vote(3)).unwrap();
    drop(store);
    let ends: Vec<_> = batches(&disk.files()).split_off(4);
    let ends: Vec<_> = ends.iter().map(kinds).collect();
    assert_eq!(ends, [[Kind::Mark], [Kind::Seal]]);
    // It lists the entries: one whose batch is lost is a hole.
    let disk = without(&disk, |batch| kinds(batch).contains(&Kind::Command));
    let (_store, recovered) = open_sized(&disk, pages(8));
    assert_eq!(recovered.last_position(), at(1, 2));
    assert_eq!(
        recovered
            .holes
            .iter()
            .map(|hole| hole.position.index.get())
            .collect::<Vec<_>>(),
        [2]
    );
}

/// Only a SEAL says that there was an entry of a later term, behind more than what is lost. What is between is not of the
/// term before.
#[test]
fn an_entry_after_a_replaced_log_is_not_taken_for_one_that_follows_what_was_replaced() {
    let disk = MemDisk::new();
    let mut store = begun(&disk, pages(12));
    append(&mut store, at(1, 1), vec![command(1, 2, b"replaced")]);
    save(&store.snapshots(), at(2, 50)).unwrap();
    let base: Base = head(at(2, 50)).base;
    let replaced = Batch {
        base: Some(base),
        ..vote(2)
    };
    store.persist(&replaced).unwrap();
    append(&mut store, at(2, 50), vec![command(2, 51, b"lost")]);
    let mut last = 51;
    while store.stats().segments < 2 {
        append(&mut store, at(2, last), vec![command(2, last + 1, &[7; 3000])]);
        last += 1;
    }
    drop(store);
    let is_lost = |batch: &BatchView| {
        let records = || batch.records.iter();
        records().any(|record| matches!((record.term, record.index), (2, 50 | 51)))
    };
    let disk = without(&disk, is_lost);
    let (store, recovered) = open_sized(&disk, pages(12));
    assert_eq!(
        recovered.log.snapshot_position(),
        at(2, 50),
        "{:?}",
        store.recovery_report()
    );
    assert_eq!(recovered.last_position(), at(2, last));
    let mut holes = recovered.holes.iter().map(|hole| hole.position);
    assert!(holes.any(|hole| hole == at(2, 51)), "{:?}", recovered.holes);
}

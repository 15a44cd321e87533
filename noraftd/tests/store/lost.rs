//! What a log that lost something is: as much as what is left of it shows, and said as it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use noraft::LogPosition;
use noraftd::record::{Abstain, Append, Base, Batch, BatchId, Record};
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

/// Entries 1 to 5, of which the last two were replaced in the next term.
fn replaced_from_four_on(disk: &MemDisk) -> Store {
    let mut store = begun(disk, options());
    for index in 2..=5 {
        append(&mut store, at(1, index - 1), vec![command(1, index, b"first")]);
    }
    store.persist(&vote(2)).unwrap();
    append(
        &mut store,
        at(1, 3),
        vec![term_entry(2, 4), command(2, 5, b"second")],
    );
    store
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

/// What was written again belongs to an entry that nothing else shows any more.
#[test]
fn a_patch_of_an_entry_whose_place_is_lost_touches_no_other() {
    let disk = MemDisk::new();
    let mut store = begun(&disk, options());
    for index in 2..=5 {
        append(&mut store, at(1, index - 1), vec![command(1, index, b"written")]);
    }
    store.persist(&vote(2)).unwrap();
    append(&mut store, at(1, 5), vec![term_entry(2, 6)]);
    store.patch(&[command(1, 5, b"written")]).unwrap();
    drop(store);
    let is_lost = |batch: &BatchView| {
        let mut records = batch.records.iter();
        records.any(|record| (record.kind, record.index) == (Kind::Command, 5))
    };
    let disk = without(&disk, is_lost);
    let (mut store, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.last_position(), at(1, 4));
    assert!(recovered.abstain.abstains());
    store.persist(&vote(3)).unwrap();
    let again = vec![term_entry(3, 5), command(3, 6, b"again")];
    append(&mut store, at(1, 4), again.clone());
    let read = |store: &Store| {
        let (from, to) = (noraft::LogIndex::new(5), noraft::LogIndex::new(6));
        store.reader().read(from, to, usize::MAX).unwrap()
    };
    assert_eq!(read(&store), again);
    drop(store);
    let (store, recovered) = open(&disk).unwrap();
    assert_eq!((recovered.last_position(), recovered.holes.len()), (at(3, 6), 0));
    assert_eq!(read(&store), again);
}

/// It was of a later term than the entry that is left at its index.
#[test]
fn a_patch_of_an_entry_that_replaced_another_is_not_taken_for_that_one() {
    let disk = MemDisk::new();
    let mut store = replaced_from_four_on(&disk);
    store.patch(&[command(2, 5, b"second")]).unwrap();
    append(&mut store, at(2, 5), vec![command(2, 6, b"third")]);
    drop(store);
    let is_lost = |batch: &BatchView| {
        let mut records = batch.records.iter();
        records.any(|record| (record.kind, record.term, record.index) == (Kind::Term, 2, 4))
    };
    let (store, recovered) = open(&without(&disk, is_lost)).unwrap();
    assert_eq!(recovered.last_position(), at(1, 5));
    assert!(recovered.abstain.abstains() && recovered.holes.is_empty());
    let five = noraft::LogIndex::new(5);
    let read = store.reader().read(five, five, usize::MAX).unwrap();
    assert_eq!(read, [command(1, 5, b"first")]);
}

/// Where the payload of a SEAL is damaged, nothing is missing.
#[test]
fn a_seal_that_is_damaged_costs_no_entry() {
    let disk = MemDisk::new();
    let mut store = begun(&disk, pages(12));
    while store.stats().segments < 2 {
        let last = store.last_position();
        append(
            &mut store,
            last,
            vec![command(1, last.index.get() + 1, &[7; 3000])],
        );
    }
    let last = store.last_position();
    drop(store);
    let mut files = disk.files();
    let seal = batches(&files).pop().unwrap();
    assert_eq!(kinds(&seal), [Kind::Seal]);
    files.get_mut(FIRST).unwrap()[seal.records[0].offset as usize + 45] ^= 1;
    let (store, recovered) = open_sized(&MemDisk::with_files(files), pages(12));
    let findings = &store.recovery_report().findings;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].offset, seal.records[0].offset);
    assert_eq!(recovered.last_position(), last);
    assert!(recovered.holes.is_empty() && !recovered.abstain.abstains());
}

/// The index of a segment that lost something once is not complete, and what it lists is known all the same.
#[test]
fn an_entry_that_an_incomplete_seal_lists_is_a_hole() {
    let disk = MemDisk::new();
    let mut store = begun(&disk, pages(12));
    for index in 2..=4 {
        append(&mut store, at(1, index - 1), vec![command(1, index, b"early")]);
    }
    drop(store);
    let holds = |batch: &BatchView, index: u64| {
        let mut records = batch.records.iter();
        records.any(|record| (record.kind, record.index) == (Kind::Command, index))
    };
    let disk = without(&disk, |batch| holds(batch, 3));
    let (mut store, recovered) = open_sized(&disk, pages(12));
    assert_eq!(recovered.holes.len(), 1);
    while store.stats().segments < 2 {
        let last = store.last_position();
        append(
            &mut store,
            last,
            vec![command(1, last.index.get() + 1, &[7; 3000])],
        );
    }
    let last = store.last_position();
    drop(store);
    let (_store, recovered) = open_sized(&without(&disk, |batch| holds(batch, 6)), pages(12));
    assert_eq!(recovered.last_position(), last);
    assert!(!recovered.abstain.abstains());
    let holes: Vec<_> = recovered.holes.iter().map(|hole| hole.position).collect();
    assert_eq!(holes, [at(1, 3), at(1, 6)]);
}

/// Its records are found one by one: where the log was cut, and what came then.
#[test]
fn a_truncation_whose_batch_has_no_header_is_one() {
    let disk = MemDisk::new();
    let mut store = replaced_from_four_on(&disk);
    append(&mut store, at(2, 5), vec![command(2, 6, b"third")]);
    drop(store);
    let mut files = disk.files();
    let batches = batches(&files);
    let truncates = |batch: &&BatchView| kinds(batch).contains(&Kind::Truncate);
    let header = batches.iter().find(truncates).unwrap().offset as usize;
    files.get_mut(FIRST).unwrap()[header + 9] ^= 1;
    let (_store, recovered) = open(&MemDisk::with_files(files)).unwrap();
    assert_eq!(recovered.last_position(), at(2, 6));
    assert!(!recovered.abstain.abstains());
    let holes: Vec<_> = recovered.holes.iter().map(|hole| hole.position).collect();
    assert_eq!(holes, [at(2, 4), at(2, 5)]);
}

/// The beginning of a log is lost when the configuration in its record is, whatever the record's header says.
#[test]
fn a_record_of_the_beginning_with_a_damaged_payload_is_a_loss() {
    let disk = MemDisk::new();
    let mut store = begun(&disk, options());
    append(&mut store, at(1, 1), vec![command(1, 2, b"replaced")]);
    save(&store.snapshots(), at(2, 50)).unwrap();
    let replaced = Batch {
        base: Some(head(at(2, 50)).base),
        ..vote(2)
    };
    store.persist(&replaced).unwrap();
    append(&mut store, at(2, 50), vec![command(2, 51, b"after it")]);
    drop(store);
    let mut files = disk.files();
    let batches = batches(&files);
    let mut records = batches.iter().flat_map(|batch| &batch.records);
    let record = records
        .find(|record| (record.kind, record.index) == (Kind::Snapshot, 50))
        .unwrap();
    files.get_mut(FIRST).unwrap()[record.offset as usize + 50] ^= 1;
    let (_store, recovered) = open(&MemDisk::with_files(files)).unwrap();
    assert_eq!(recovered.last_position(), at(1, 2));
    assert!(recovered.abstain.abstains());
}

/// A store with entries of these many bytes, one a batch, behind the first of the term, and the batches of them.
fn with_entries(lengths: &[usize]) -> (Files, Vec<BatchView>) {
    let disk = MemDisk::new();
    let mut store = begun(&disk, options());
    for (index, length) in (2..).zip(lengths) {
        let payload = vec![7; *length];
        append(&mut store, at(1, index - 1), vec![command(1, index, &payload)]);
    }
    drop(store);
    let files = disk.files();
    let all = batches(&files);
    (files, all[all.len() - lengths.len()..].to_vec())
}

/// The first page of `batch` was written over the one at `to` as well, and its entry is damaged in its own place.
fn displace(files: &mut Files, batch: &BatchView, to: u64) {
    let (from, record) = (batch.offset as usize, batch.records[0].offset as usize);
    let bytes = files.get_mut(FIRST).unwrap();
    bytes.copy_within(from..from + PAGE, to as usize);
    bytes[record + 50] ^= 1;
}

/// What was at the place of the copy, if anything, nothing shows any more.
#[test]
fn a_last_batch_whose_copy_lies_elsewhere_is_read_there_and_the_node_abstains() {
    for lengths in [&[24, 24][..], &[24, 24, 24]] {
        let (mut files, batches) = with_entries(lengths);
        displace(&mut files, &batches[1], batches[1].offset + PAGE as u64);
        let disk = MemDisk::with_files(files);
        for _ in 0..3 {
            let (store, recovered) = open(&disk).unwrap();
            assert_eq!(recovered.last_position(), at(1, 3));
            assert_eq!(recovered.abstain, Abstain::Loss, "{:?}", store.recovery_report());
        }
        let (mut store, _) = open(&disk).unwrap();
        append(
            &mut store,
            at(1, 3),
            vec![command(1, 4, b"from the leader again")],
        );
        store.mark_caught_up().unwrap();
        drop(store);
        let (_, recovered) = open(&disk).unwrap();
        assert_eq!(recovered.last_position(), at(1, 4));
        assert!(!recovered.abstain.abstains());
    }
}

#[test]
fn a_batch_after_one_whose_copy_covers_another_shows_what_was_covered() {
    let (mut files, batches) = with_entries(&[24, 24, 24, 24]);
    displace(&mut files, &batches[1], batches[2].offset);
    let (_, recovered) = open(&MemDisk::with_files(files)).unwrap();
    assert_eq!(recovered.last_position(), at(1, 5));
    let holes: Vec<_> = recovered.holes.iter().map(|hole| hole.position).collect();
    assert_eq!(holes, [at(1, 3), at(1, 4)]);
    assert!(!recovered.abstain.abstains());
}

/// No interrupted write leaves the first page of a batch elsewhere.
#[test]
fn the_first_page_of_a_batch_over_the_last_one_is_damage_for_certain() {
    let (mut files, batches) = with_entries(&[24, 6000, 24]);
    displace(&mut files, &batches[1], batches[2].offset);
    let (store, recovered) = open(&MemDisk::with_files(files)).unwrap();
    assert!(store.recovery_report().tail_damaged);
    assert_eq!(recovered.abstain, Abstain::Loss);
}

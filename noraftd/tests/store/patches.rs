//! Repairing what was damaged: durable, in the stream, and safe to be interrupted at any point, twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use noraft::{LogIndex, LogPosition};
use noraftd::record::{Append, Batch, BatchId, HardState, Record};
use noraftd::store::disk::memory::{Fault, MemDisk};
use noraftd::store::{Options, ReadError, Scrubber, Store, StoreError, Verdict};

use crate::common::*;

type Files = BTreeMap<String, Vec<u8>>;

fn options_of_tests() -> Options {
    Options {
        segment_bytes: 40 << 10,
        ..options()
    }
}

fn open_small(disk: &MemDisk) -> (Store, noraftd::recovered::Recovered) {
    Store::open(Arc::new(disk.clone()), options_of_tests(), owner()).unwrap()
}

/// A run over some segments, and the same with the payloads of many entries damaged.
fn damaged(seed: u64) -> (MemDisk, Model) {
    let disk = MemDisk::new();
    let (mut store, _) =
        Store::create(Arc::new(disk.clone()), options_of_tests(), identity(), &genesis()).unwrap();
    let mut model = run(&mut store, seed, 30).pop().unwrap();
    // Whatever is damaged, later batches prove that it was durable.
    for _ in 0..2 {
        let batch = next_command(&model, b"last");
        store.persist(&batch).unwrap();
        model.apply(&batch);
    }
    drop(store);
    (MemDisk::with_files(damage_payloads(disk.files())), model)
}

fn next_command(model: &Model, payload: &[u8]) -> Batch {
    let (prev, term) = (model.last(), model.last().term.get());
    let records = vec![command(term, prev.index.get() + 1, payload)];
    Batch {
        id: BatchId(0),
        hard_state: None,
        base: None,
        append: Some(Append { prev, records }),
    }
}

/// Flips a bit in the payload of every third entry that has one, but for the last page that was written.
fn damage_payloads(mut files: Files) -> Files {
    let inspection = noraftd::store::inspect::Inspection::of_files(&files);
    let mut count = 0;
    let last = inspection.segments.len() - 1;
    for (at, segment) in inspection.segments.iter().enumerate() {
        let batches = segment.batches.len() - usize::from(at == last);
        let records = segment.batches[..batches].iter().flat_map(|batch| &batch.records);
        for record in records.filter(|record| matches!(record.kind, noraftd::store::Kind::Command)) {
            count += 1;
            if count % 3 == 0 && record.length > 0 {
                files.get_mut(&segment.file).unwrap()[record.offset as usize + 40] ^= 1;
            }
        }
    }
    assert!(count > 10, "the run has entries to damage");
    files
}

fn missing(model: &Model, recovered: &noraftd::recovered::Recovered) -> Vec<Record> {
    let of = |hole: &noraftd::record::Hole| model.records[hole.position.index.get() as usize - 1].clone();
    recovered.holes.iter().map(of).collect()
}

#[test]
fn holes_are_named_with_all_that_is_known_and_not_given_to_readers() {
    let (disk, model) = damaged(3);
    let (store, recovered) = open_small(&disk);
    assert!(recovered.holes.len() > 3 && !recovered.abstain.abstains());
    assert_eq!(store.recovery_report().holes, recovered.holes.len() as u64);
    for hole in &recovered.holes {
        let index = hole.position.index;
        let record = &model.records[index.get() as usize - 1];
        assert!(hole.is_filled_by(record) && hole.payload_crc.is_some() && hole.kind.is_some());
        let read = store.reader().read(index, index, 1);
        assert!(matches!(read, Err(ReadError::Damaged { .. })), "{read:?}");
    }
    assert_eq!(recovered.last_position(), model.last());
}

#[test]
fn patched_entries_are_read_again_now_and_after_every_opening() {
    for seed in 0..6 {
        let (disk, mut model) = damaged(seed);
        let (mut store, recovered) = open_small(&disk);
        let lost = missing(&model, &recovered);
        store.patch(&lost).unwrap();
        model.check_reader(&store.reader());
        let batch = next_command(&model, b"after");
        store.persist(&batch).unwrap();
        model.apply(&batch);
        drop(store);
        let (store, recovered) = open_small(&disk);
        assert_eq!(recovered.holes, [], "seed {seed}");
        model.check(&recovered, &store.reader());
    }
}

/// A candidate voted for itself, in the log, and follows the leader of the same term, beside it. A patch begins a segment, which repeats term and
/// vote with a later number than that of the file.
#[test]
fn a_vote_beside_the_log_is_what_a_segment_repeats_that_a_patch_or_a_mark_begins() {
    let (disk, model) = damaged(1);
    let (mut store, recovered) = open_small(&disk);
    let lost = missing(&model, &recovered);
    let state = |voted_for| HardState {
        term: recovered.hard_state.term + 1,
        voted_for: Some(voted_for),
    };
    let voted = Batch {
        id: BatchId(0),
        hard_state: Some(state(1)),
        base: None,
        append: None,
    };
    store.persist(&voted).unwrap();
    store.votes().save(state(2)).unwrap();
    let segments = |disk: &MemDisk| {
        noraftd::store::inspect::Inspection::of_files(&disk.files())
            .segments
            .len()
    };
    let before = segments(&disk);
    while segments(&disk) == before {
        store.patch(&lost).unwrap();
        store.mark_idle().unwrap();
    }
    drop(store);
    assert_eq!(open_small(&disk).1.hard_state, state(2));
}

/// Its own record is lost, and with it those before and behind, so that only what comes after the patch shows that the log has it.
#[test]
fn a_patch_fills_a_hole_that_only_later_entries_show() {
    let disk = MemDisk::new();
    let (mut store, _) = create(&disk).unwrap();
    let mut model = Model::default();
    let mut persist = |store: &mut Store, records: Vec<Record>| {
        let batch = Batch {
            id: BatchId(0),
            hard_state: Some(HardState {
                term: 1,
                voted_for: None,
            }),
            base: None,
            append: Some(Append {
                prev: model.last(),
                records,
            }),
        };
        store.persist(&batch).unwrap();
        model.apply(&batch);
        model.records.clone()
    };
    persist(&mut store, vec![term_entry(1, 1)]);
    let mut records = Vec::new();
    for index in 2..=6 {
        records = persist(&mut store, vec![command(1, index, b"an entry")]);
    }
    let edited = |disk: &MemDisk, indices: &[u64], at: u64| {
        let mut files = disk.files();
        let inspection = noraftd::store::inspect::Inspection::of_files(&files);
        for segment in &inspection.segments {
            let records = segment.batches.iter().flat_map(|batch| &batch.records);
            for record in records.filter(|record| record.kind == noraftd::store::Kind::Command) {
                if indices.contains(&record.index) {
                    files.get_mut(&segment.file).unwrap()[(record.offset + at) as usize] ^= 1;
                }
            }
        }
        MemDisk::with_files(files)
    };
    drop(store);
    let disk = edited(&disk, &[4], 40);
    let (mut store, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.holes.len(), 1);
    store.patch(&records[3..4]).unwrap();
    persist(&mut store, vec![command(1, 7, b"later")]);
    drop(store);
    let (_, recovered) = open(&edited(&disk, &[3, 4, 5, 6], 8)).unwrap();
    let holes: Vec<u64> = recovered
        .holes
        .iter()
        .map(|hole| hole.position.index.get())
        .collect();
    assert_eq!(holes, [3, 5, 6]);
}

#[test]
fn a_damaged_patch_is_a_hole_again() {
    let (disk, model) = damaged(1);
    let (mut store, recovered) = open_small(&disk);
    let lost = missing(&model, &recovered);
    store.patch(&lost).unwrap();
    store.mark_idle().unwrap();
    drop(store);
    let mut files = disk.files();
    let inspection = noraftd::store::inspect::Inspection::of_files(&files);
    for segment in &inspection.segments {
        let records = segment.batches.iter().flat_map(|batch| &batch.records);
        for record in records.filter(|record| record.kind == noraftd::store::Kind::Patch) {
            files.get_mut(&segment.file).unwrap()[record.offset as usize + 40] ^= 1;
        }
    }
    let disk = MemDisk::with_files(files);
    let (mut store, again) = open_small(&disk);
    assert_eq!(again.holes, recovered.holes);
    store.patch(&lost).unwrap();
    model.check_reader(&store.reader());
}

/// What a patch says is of the entry, wherever the log is known to hold it: also where the patch follows a loss that
/// ends the log before it.
#[test]
fn a_configuration_that_was_patched_behind_a_loss_is_in_the_log_that_is_left() {
    let batch = |term: u64, prev: LogPosition, records: Vec<Record>| Batch {
        id: BatchId(0),
        hard_state: Some(noraftd::record::HardState {
            term,
            voted_for: Some(2),
        }),
        base: None,
        append: Some(Append { prev, records }),
    };
    let disk = MemDisk::new();
    let (mut store, _) = create(&disk).unwrap();
    let config = noraftd::record::genesis_config([1, 2, 3, 4].map(noraft::NodeId::new));
    let changed = config_entry(1, 2, &config);
    store
        .persist(&batch(1, at(0, 0), vec![term_entry(1, 1)]))
        .unwrap();
    store.persist(&batch(1, at(1, 1), vec![changed.clone()])).unwrap();
    store
        .persist(&batch(1, at(1, 2), vec![command(1, 3, b"x")]))
        .unwrap();
    drop(store);
    // The payload of entry 2.
    let disk = flipped(&disk, noraftd::store::Kind::Config, 40);
    let (mut store, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.holes.len(), 1);
    store
        .persist(&batch(2, at(1, 3), vec![term_entry(2, 4)]))
        .unwrap();
    store.patch(&[changed]).unwrap();
    drop(store);
    // The head of the last term and vote: whether the log was cut there, before entry 4, is not known any more.
    let disk = flipped(&disk, noraftd::store::Kind::HardState, 17);
    let (_store, recovered) = open(&disk).unwrap();
    let left = &recovered.log;
    assert_eq!(left.last_position(), at(1, 3));
    assert_eq!(recovered.holes, []);
    let held = left.get_position_and_config(LogIndex::new(2));
    assert_eq!(held, Some((at(1, 2), &config)));
}

/// The same files with a bit flipped in the last record of `kind`, `offset` bytes from its beginning.
fn flipped(disk: &MemDisk, kind: noraftd::store::Kind, offset: u64) -> MemDisk {
    let mut files = disk.files();
    let inspection = noraftd::store::inspect::Inspection::of_files(&files);
    let records = inspection.segments.iter().flat_map(|segment| {
        let records = segment.batches.iter().flat_map(|batch| &batch.records);
        records.map(|record| (segment.file.clone(), record))
    });
    let (file, record) = records
        .filter(|(_, record)| record.kind == kind)
        .max_by_key(|(file, record)| (file.clone(), record.offset))
        .expect("there is such a record");
    let byte = (record.offset + offset) as usize;
    files.get_mut(&file).expect("it was read")[byte] ^= 1;
    MemDisk::with_files(files)
}

/// What could be written can be written again.
#[test]
fn the_largest_entry_that_a_segment_takes_can_be_patched() {
    let disk = MemDisk::new();
    let (mut store, _) =
        Store::create(Arc::new(disk.clone()), options_of_tests(), identity(), &genesis()).unwrap();
    let bytes = store.payload_bytes_max();
    let vote = Some(noraftd::record::HardState {
        term: 1,
        voted_for: Some(2),
    });
    let records = vec![term_entry(1, 1), command(1, 2, &vec![7; bytes])];
    let batch = Batch {
        id: BatchId(1),
        hard_state: vote,
        base: None,
        append: Some(Append {
            prev: at(0, 0),
            records: records.clone(),
        }),
    };
    store.persist(&batch).unwrap();
    store.patch(&records[1..]).unwrap();
    assert_eq!(read_all(&store.reader(), 2), records);
    let larger = command(1, 2, &vec![7; bytes + 1]);
    assert!(matches!(store.patch(&[larger]), Err(StoreError::Invalid(_))));
}

#[test]
fn a_patch_of_what_the_log_does_not_hold_is_refused() {
    let (disk, model) = damaged(2);
    let (mut store, recovered) = open_small(&disk);
    let good = missing(&model, &recovered).remove(0);
    let elsewhere = Record {
        position: at(99, good.position.index.get()),
        ..good.clone()
    };
    let rotten = Record {
        payload_crc: good.payload_crc ^ 1,
        ..good.clone()
    };
    let of_another_kind = Record {
        kind: noraftd::record::RecordKind::Term,
        payload: bytes::Bytes::new(),
        payload_crc: 0,
        ..good.clone()
    };
    for record in [elsewhere, rotten, of_another_kind] {
        let refused = store.patch(&[good.clone(), record]);
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    }
    assert!(
        store
            .reader()
            .read(good.position.index, good.position.index, 1)
            .is_err()
    );
    store.patch(&[good]).unwrap();
}

#[test]
fn what_makes_an_entry_void_makes_its_patch_and_its_hole_void() {
    let (disk, model) = damaged(4);
    let (mut store, recovered) = open_small(&disk);
    let lost = missing(&model, &recovered);
    let (first, rest) = lost.split_first().unwrap();
    assert!(!rest.is_empty());
    store.patch(std::slice::from_ref(first)).unwrap();
    let cut = first.position.index.get() - 1;
    let mut shorter = Model {
        hard_state: model.hard_state,
        records: model.records[..cut as usize].to_vec(),
        batches: 0,
    };
    let term = model.hard_state.term + 1;
    let batch = Batch {
        id: BatchId(0),
        hard_state: Some(noraftd::record::HardState {
            term,
            voted_for: None,
        }),
        base: None,
        append: Some(Append {
            prev: shorter.last(),
            records: vec![term_entry(term, cut + 1), command(term, cut + 2, b"new")],
        }),
    };
    store.persist(&batch).unwrap();
    shorter.apply(&batch);
    shorter.check_reader(&store.reader());
    assert!(store.patch(rest).is_err(), "the log does not hold them any more");
    drop(store);
    let (store, recovered) = open_small(&disk);
    assert_eq!(recovered.holes, []);
    shorter.check(&recovered, &store.reader());
}

#[test]
fn a_crash_at_any_point_of_a_repair_twice_leaves_holes_that_can_be_repaired() {
    let (mut interrupted, mut partly) = (0, 0);
    for seed in 0..3 {
        let (image, model) = damaged(seed);
        for op in 0.. {
            let disk = image.after_kill();
            disk.arm(Some(Fault::PowerAfter { op }));
            if repair(&disk, &model) {
                break;
            }
            interrupted += 1;
            let disk = disk.after_power_cut(op);
            disk.arm(Some(Fault::PowerAfter { op: 3 + op % 17 }));
            repair(&disk, &model);
            let disk = disk.after_power_cut(op + 1);
            let (mut store, recovered) = open_small(&disk);
            let all = missing(&model, &open_small(&image.after_kill()).1);
            let lost = missing(&model, &recovered);
            partly += u64::from(!lost.is_empty() && lost.len() < all.len());
            let torn = store.recovery_report().findings.iter();
            let torn = torn
                .filter(|found| found.verdict == Verdict::AmbiguousTail)
                .count();
            assert!(torn <= 1);
            store.patch(&lost).unwrap();
            drop(store);
            let (store, recovered) = open_small(&disk);
            assert_eq!(recovered.holes, [], "seed {seed}, operation {op}");
            assert_eq!(recovered.last_position(), model.last());
            model.check_reader(&store.reader());
        }
    }
    assert!(interrupted > 20, "only {interrupted} repairs were interrupted");
    assert!(partly > 0, "no repair was interrupted half way");
}

/// Opens, and repairs a few entries at a time; false when it was interrupted.
fn repair(disk: &MemDisk, model: &Model) -> bool {
    let opened = Store::open(Arc::new(disk.clone()), options_of_tests(), owner());
    let Ok((mut store, recovered)) = opened else {
        return false;
    };
    let lost = missing(model, &recovered);
    lost.chunks(2).all(|some| store.patch(some).is_ok())
}

#[test]
fn a_reader_beside_the_writer_sees_the_patch() {
    let (disk, model) = damaged(5);
    let (mut store, recovered) = open_small(&disk);
    let reader = store.reader();
    let lost = missing(&model, &recovered);
    let index = lost[0].position.index;
    assert!(reader.read(index, LogIndex::new(u64::MAX), 1).is_err());
    store.patch(&lost[..1]).unwrap();
    assert_eq!(reader.read(index, index, 1).unwrap(), lost[..1]);
}

#[test]
fn the_scrub_finds_what_rots_and_reads_everything_again_and_again() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(noraftd::store::disk::RealDisk::open(directory.path()).unwrap());
    let (mut store, _) = Store::create(disk, options_of_tests(), identity(), &genesis()).unwrap();
    let mut scrubber = Scrubber::new(store.reader());
    assert_eq!(scrubber.step(1000).unwrap().bytes, 0, "an empty log");
    let model = run(&mut store, 7, 40).pop().unwrap();
    let whole_pass = |scrubber: &mut Scrubber| {
        let (mut bytes, mut damaged, passes) = (0, Vec::new(), scrubber.passes());
        while scrubber.passes() == passes {
            let read = scrubber.step(1000).unwrap();
            bytes += read.bytes;
            damaged.extend(read.damaged.map(LogIndex::get));
        }
        (bytes, damaged)
    };
    let of_record = |record: &Record| record.payload.len() as u64 + 40;
    let all: u64 = model.records.iter().map(of_record).sum();
    assert_eq!(whole_pass(&mut scrubber), (all, vec![]));
    let is_command =
        |record: &&Record| record.kind == noraftd::record::RecordKind::Command && !record.payload.is_empty();
    let victim = model.records.iter().rev().filter(is_command).nth(5).unwrap();
    let inspection =
        noraftd::store::inspect::inspect(directory.path(), noraftd::store::inspect::Detail::Records);
    let inspection = inspection.unwrap();
    let batches = inspection.segments.iter().flat_map(|segment| {
        let records = segment.batches.iter().flat_map(|batch| &batch.records);
        records.map(move |record| (segment.file.clone(), *record))
    });
    let at = (victim.position.term.get(), victim.position.index.get());
    let (file, record) = batches
        .filter(|(_, record)| record.kind == noraftd::store::Kind::Command)
        .find(|(_, record)| (record.term, record.index) == at)
        .unwrap_or_else(|| panic!("entry {at:?} is a command"));
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(directory.path().join(file))
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, record.offset + 36).unwrap();
    file.write_all_at(&[byte[0] ^ 1], record.offset + 36).unwrap();
    let (_, damaged) = whole_pass(&mut scrubber);
    assert!(damaged.contains(&at.1), "{damaged:?}");
    let lost: Vec<Record> = damaged
        .iter()
        .map(|index| model.records[*index as usize - 1].clone())
        .collect();
    store.patch(&lost).unwrap();
    assert_eq!(whole_pass(&mut scrubber), (all, vec![]));
}

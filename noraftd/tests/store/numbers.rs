//! Numbers that bytes on disk say, at the ends of what numbers can be, under crcs that are right.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use noraft::LogIndex;
use noraftd::prng::Prng;
use noraftd::record::{Append, Batch, BatchId, HardState};
use noraftd::store::disk::memory::MemDisk;
use noraftd::store::inspect::Inspection;
use noraftd::store::{OpenError, Store};

use crate::common::*;
use crate::compaction::{save, small_segments};

type Files = BTreeMap<String, Vec<u8>>;

const PAGE: usize = 4096;

fn crc(seed: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// A number that code which adds, subtracts or allocates is likely to stumble over.
fn extreme(prng: &mut Prng) -> u64 {
    let near = prng.below(3);
    let anchors = [0_u64, 1, 8, 4096, 1 << 31, 1 << 32, 1 << 34, 1 << 62, 1 << 63];
    match prng.below(4) {
        0 => u64::MAX - near,
        1 => anchors[prng.below(anchors.len() as u64) as usize].wrapping_sub(near),
        2 => anchors[prng.below(anchors.len() as u64) as usize] + near,
        _ => prng.next_u64(),
    }
}

/// Directories with several segments, a compaction, a snapshot and truncations.
fn directory(seed: u64) -> Files {
    let disk = MemDisk::new();
    let created = Store::create(Arc::new(disk.clone()), small_segments(), identity(), &genesis());
    let (mut store, _) = created.unwrap();
    let model = run(&mut store, seed, 30).pop().unwrap();
    save(&store.snapshots(), model.last()).unwrap();
    drop(store);
    disk.files()
}

fn mutate_header(bytes: &mut [u8], prng: &mut Prng) {
    let at = [16, 24, 32, 40, 56, 64, 72, 80][prng.below(8) as usize];
    let value = extreme(prng).to_le_bytes();
    let copy = bytes.len() - PAGE;
    for start in [0, copy] {
        put(bytes, start + at, &value);
        let sum = crc(0, &bytes[start..start + 92]);
        put(bytes, start + 92, &sum.to_le_bytes());
        if start == 0 && prng.chance(1, 4) {
            return;
        }
    }
}

fn mutate_base(bytes: &mut [u8], prng: &mut Prng) {
    let at = [96, 104, 112][prng.below(3) as usize];
    let value = extreme(prng).to_le_bytes();
    let copy = bytes.len() - PAGE;
    for start in [0, copy] {
        let end = start + 116 + u32_at(bytes, start + 112) as usize;
        if end + 4 > start + PAGE {
            return;
        }
        if at < 112 {
            put(bytes, start + at, &value);
        } else {
            put(bytes, start + at, &value[..4]);
        }
        let sum = crc(0, &bytes[start + 96..end]);
        put(bytes, end, &sum.to_le_bytes());
    }
}

/// The pages on which a batch begins.
fn batches(bytes: &[u8]) -> Vec<usize> {
    let starts = (PAGE..bytes.len() - PAGE).step_by(PAGE);
    starts.filter(|at| bytes[*at..].starts_with(b"nrb1")).collect()
}

fn mutate_batch(bytes: &mut [u8], prng: &mut Prng) {
    let seed = crc(0, &bytes[48..56]);
    let Some(start) = prng.choose(&batches(bytes)).copied() else {
        return;
    };
    match prng.below(3) {
        0 => put(bytes, start + 8, &extreme(prng).to_le_bytes()),
        1 => put(bytes, start + 4, &extreme(prng).to_le_bytes()[..4]),
        _ => put(bytes, start + 16, &extreme(prng).to_le_bytes()[..4]),
    }
    let sum = crc(seed, &bytes[start..start + 28]);
    put(bytes, start + 28, &sum.to_le_bytes());
}

fn mutate_record(bytes: &mut [u8], prng: &mut Prng) {
    let Some(start) = prng.choose(&batches(bytes)).copied() else {
        return;
    };
    let seed = crc(crc(0, &bytes[48..56]), &bytes[start + 8..start + 16]);
    let mut at = start + 32;
    for _ in 0..prng.below(u64::from(u32_at(bytes, start + 4))) {
        at += (40 + u32_at(bytes, at) as usize).next_multiple_of(8);
        if at + 40 > bytes.len() {
            return;
        }
    }
    match prng.below(5) {
        0 => put(bytes, at, &extreme(prng).to_le_bytes()[..4]),
        1 => bytes[at + 4] = prng.between(1, 9) as u8,
        2 => bytes[at + 5] = prng.below(7) as u8,
        3 => put(bytes, at + 8, &extreme(prng).to_le_bytes()),
        _ => put(bytes, at + 16, &extreme(prng).to_le_bytes()),
    }
    let (from, length) = (at + 40, u32_at(bytes, at) as usize);
    if let Some(payload) = bytes.get_mut(from..from.saturating_add(length)) {
        // A SEAL's payload is numbers as well.
        if payload.len() >= 32 && prng.chance(1, 4) {
            let field = prng.below(payload.len() as u64 / 8) as usize * 8;
            put(payload, field, &extreme(prng).to_le_bytes());
        }
        let sum = crc(0, payload);
        put(bytes, at + 32, &sum.to_le_bytes());
    }
    let sum = crc(seed, &bytes[at..at + 36]);
    put(bytes, at + 36, &sum.to_le_bytes());
}

fn mutate_slots(bytes: &mut [u8], prng: &mut Prng) {
    let slot = prng.below(2) as usize * PAGE;
    let at = slot + [16, 24, 32, 40, 48, 56][prng.below(6) as usize];
    put(bytes, at, &extreme(prng).to_le_bytes());
    let sum = crc(0, &bytes[slot..slot + 64]);
    put(bytes, slot + 64, &sum.to_le_bytes());
}

fn mutate_snapshot(bytes: &mut [u8], prng: &mut Prng) {
    let at = [12, 20, 28, 36][prng.below(4) as usize];
    put(bytes, at, &extreme(prng).to_le_bytes());
    let end = 48 + u32_at(bytes, 44) as usize;
    if end + 4 > bytes.len() {
        return;
    }
    let sum = crc(0, &bytes[..end]);
    put(bytes, end, &sum.to_le_bytes());
}

fn mutate(files: &mut Files, prng: &mut Prng) {
    let names: Vec<String> = files.keys().cloned().collect();
    let name = prng.choose(&names).cloned().unwrap();
    let bytes = files.get_mut(&name).unwrap();
    if name.starts_with("segment-") {
        match prng.below(4) {
            0 => mutate_header(bytes, prng),
            1 => mutate_base(bytes, prng),
            2 => mutate_batch(bytes, prng),
            _ => mutate_record(bytes, prng),
        }
    } else if name == "hard_state" {
        mutate_slots(bytes, prng);
    } else if name.starts_with("snapshot-") {
        mutate_snapshot(bytes, prng);
    }
    if prng.chance(1, 12) {
        let number = extreme(prng);
        let bytes = files.get(&name).cloned().unwrap();
        files.insert(format!("segment-{number:016}"), bytes);
    }
}

/// All that is done with a directory.
fn use_directory(files: &Files) -> Result<(), OpenError> {
    let shown = Inspection::of_files(files).to_string();
    assert!(!shown.is_empty());
    let disk = MemDisk::with_files(files.clone());
    let (mut store, recovered) = Store::open(Arc::new(disk), small_segments(), owner())?;
    store.restore(|| (), |(), _| true)?;
    let last = recovered.last_position();
    // Damage may be found here; what matters is that it is found.
    let _ = store.reader().read(LogIndex::new(1), last.index, usize::MAX);
    let _ = store.reader().read(last.index, last.index, usize::MAX);
    for term in 1..40 {
        let mut model = Model::default();
        model.hard_state.term = recovered.hard_state.term.saturating_add(term);
        let batch = noraftd::record::Batch {
            id: noraftd::record::BatchId(term),
            base: None,
            hard_state: Some(model.hard_state),
            append: None,
        };
        if store.persist(&batch).is_err() {
            break;
        }
    }
    Ok(())
}

#[test]
fn no_number_on_disk_ends_an_inspection_or_an_opening_with_a_panic() {
    let (mut refused, mut opened) = (0, 0);
    let originals: Vec<Files> = (0..4).map(directory).collect();
    for seed in 0..runs(500) {
        let prng = &mut Prng::new(seed);
        let mut files = originals[(seed % 4) as usize].clone();
        for _ in 0..prng.between(1, 3) {
            mutate(&mut files, prng);
        }
        let used = catch_unwind(AssertUnwindSafe(|| use_directory(&files)));
        match used.unwrap_or_else(|_| panic!("seed {seed}")) {
            Ok(()) => opened += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 50 && opened > 50, "{refused} refused, {opened} opened");
}

#[test]
fn a_segment_that_says_it_has_no_bytes_is_damaged() {
    let mut files = directory(1);
    let name = files
        .keys()
        .find(|name| name.starts_with("segment-"))
        .cloned()
        .unwrap();
    let bytes = files.get_mut(&name).unwrap();
    for start in [0, bytes.len() - PAGE] {
        put(bytes, start + 56, &0u64.to_le_bytes());
        let sum = crc(0, &bytes[start..start + 92]);
        put(bytes, start + 92, &sum.to_le_bytes());
    }
    assert_eq!(u64_at(bytes, 56), 0);
    let shown = Inspection::of_files(&files).to_string();
    assert!(shown.contains("both pages damaged"), "{shown}");
}

/// Its checksum is good, and what it says cannot be.
#[test]
fn a_log_is_no_longer_than_its_segments_hold_whatever_a_header_says() {
    let disk = MemDisk::new();
    let created = Store::create(Arc::new(disk.clone()), small_segments(), identity(), &genesis());
    let (mut store, _) = created.unwrap();
    let mut term = 0;
    while store.stats().segments < 2 {
        term += 1;
        let hard_state = Some(HardState {
            term,
            voted_for: None,
        });
        let append = (term == 1).then(|| Append {
            prev: at(0, 0),
            records: vec![term_entry(1, 1), command(1, 2, b"lost")],
        });
        let batch = Batch {
            id: BatchId(term),
            base: None,
            hard_state,
            append,
        };
        store.persist(&batch).unwrap();
    }
    drop(store);
    let mut files = disk.files();
    let first = files.get_mut("segment-0000000000000001").unwrap();
    let end = first.len() - PAGE;
    // All that followed the entries is lost, and some of them may be.
    first[3 * PAGE..end].fill(0);
    let second = files.get_mut("segment-0000000000000002").unwrap();
    let claimed = 100_000_u64;
    for start in [0, second.len() - PAGE] {
        put(second, start + 64, &(claimed + 1).to_le_bytes());
        let sum = crc(0, &second[start..start + 92]);
        put(second, start + 92, &sum.to_le_bytes());
    }
    let disk = MemDisk::with_files(files);
    let opened = Store::open(Arc::new(disk), small_segments(), owner());
    let (_store, recovered) = opened.unwrap();
    assert_eq!(recovered.last_position(), at(1, 2));
    assert!(recovered.abstain.abstains());
}

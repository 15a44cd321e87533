//! Damage to what was written after a tail was cut: it is never taken for the rest of that tail, and so never blanked.

use std::collections::BTreeMap;
use std::sync::Arc;

use noraft::{ClusterConfig, NodeId};
use noraftd::record::{Abstain, Append, Batch, BatchId, HardState, Record, genesis_config};
use noraftd::recovered::Recovered;
use noraftd::store::disk::memory::MemDisk;
use noraftd::store::inspect::{BatchView, Inspection};
use noraftd::store::{Kind, OpenError, RecoveryReport, Store, Verdict};

use crate::common::*;

type Files = BTreeMap<String, Vec<u8>>;

const PAGE: usize = 4096;
const BATCH_HEADER_BYTES: usize = 32;
const RECORD_HEADER_BYTES: usize = 40;
/// Where a segment's header has the salt of its crcs.
const SALT_AT: usize = 48;
/// Pages of the batch that is torn, and so of the tail that is cut.
const TORN_PAGES: usize = 4;

/// A directory in which a tail was cut, and what was written then.
struct AfterCut {
    files: Files,
    segment: String,
    /// The mark of the cut, the mark that its tail is blank, and the batches after it.
    batches: Vec<BatchView>,
}

fn batch(prev: u64, records: Vec<Record>) -> Batch {
    let hard_state = (prev == 0).then_some(HardState {
        term: 1,
        voted_for: Some(2),
    });
    Batch {
        id: BatchId(0),
        base: None,
        hard_state,
        append: Some(Append {
            prev: at(u64::from(prev > 0), prev),
            records,
        }),
    }
}

fn batches_of(files: &Files) -> (String, Vec<BatchView>) {
    let view = Inspection::of_files(files);
    let begun = view.segments.iter().rfind(|segment| !segment.batches.is_empty());
    let segment = begun.unwrap();
    (segment.file.clone(), segment.batches.clone())
}

fn open_files(files: &Files) -> (MemDisk, Result<(Store, Recovered), OpenError>) {
    let disk = MemDisk::with_files(files.clone());
    let opened = open(&disk);
    (disk, opened)
}

/// A directory that a torn batch of several pages ends: the first sector of it was never written.
fn torn(voters: &ClusterConfig) -> Files {
    let disk = MemDisk::new();
    let (mut store, _) = Store::create(Arc::new(disk.clone()), options(), identity(), voters).unwrap();
    let first = vec![term_entry(1, 1), command(1, 2, b"two"), command(1, 3, b"three")];
    store.persist(&batch(0, first)).unwrap();
    let torn = command(1, 4, &[7; (TORN_PAGES - 1) * PAGE + 100]);
    store.persist(&batch(3, vec![torn])).unwrap();
    drop(store);
    let mut files = disk.files();
    let (segment, batches) = batches_of(&files);
    let at = batches.last().unwrap().offset as usize;
    files.get_mut(&segment).unwrap()[at..at + 512].fill(0);
    files
}

impl AfterCut {
    /// Cuts the torn tail, and writes `later` batches of one entry.
    fn new(voters: &ClusterConfig, later: u64) -> Self {
        let (disk, opened) = open_files(&torn(voters));
        let (mut store, recovered) = opened.unwrap();
        assert_eq!(recovered.last_position(), at(1, 3));
        assert_eq!(recovered.abstain, Abstain::Tail);
        for index in 4..4 + later {
            let records = vec![command(1, index, b"acknowledged")];
            store.persist(&batch(index - 1, records)).unwrap();
        }
        drop(store);
        let files = disk.files();
        let (segment, mut batches) = batches_of(&files);
        let is_cut = |batch: &BatchView| batch.records[0].kind == Kind::Mark && batch.records[0].flags == 3;
        let cut = batches.iter().position(is_cut).unwrap();
        let batches = batches.split_off(cut);
        let after = batches[0].offset as usize + TORN_PAGES * PAGE;
        assert!(
            (batches.last().unwrap().offset as usize) < after,
            "all of it lies where the tail was"
        );
        Self {
            files,
            segment,
            batches,
        }
    }

    /// The batches of entries.
    fn entries(&self) -> &[BatchView] {
        let is_entry = |batch: &BatchView| batch.records[0].kind == Kind::Command;
        let first = self.batches.iter().position(is_entry).unwrap();
        &self.batches[first..]
    }

    /// The directory with bits of the segment flipped.
    fn with_flipped(&self, bits: &[usize]) -> Files {
        let mut files = self.files.clone();
        let segment = files.get_mut(&self.segment).unwrap();
        for bit in bits {
            segment[bit / 8] ^= 1 << (bit % 8);
        }
        files
    }
}

/// The bits of a batch's header.
fn header_bits(batch: &BatchView) -> impl Iterator<Item = usize> {
    let start = batch.offset as usize;
    (start * 8)..((start + BATCH_HEADER_BYTES) * 8)
}

fn alone() -> ClusterConfig {
    genesis_config([NodeId::new(2)])
}

/// A node that decides alone must not go on without what it acknowledged, nor blank it.
fn check_refused(files: &Files, what: &str) {
    let (disk, opened) = open_files(files);
    match opened {
        Err(OpenError::Refused { finding, .. }) => {
            assert_eq!(finding.verdict, Verdict::DamageUncovered, "{what}: {finding}");
        }
        Err(error) => panic!("{what}: {error}"),
        Ok((store, recovered)) => panic!(
            "{what}: opened with {:?}, {:?}",
            recovered.last_position(),
            store.recovery_report().findings
        ),
    }
    assert_eq!(
        &disk.files(),
        files,
        "{what}: a refused directory is left as it is"
    );
}

/// One of several opens, and says that damage took what it may have acknowledged; or misses nothing but holes.
fn check_noticed(files: &Files, last: u64, what: &str) -> RecoveryReport {
    let (_, opened) = open_files(files);
    let (store, recovered) = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
    let report = store.recovery_report().clone();
    if recovered.last_position() != at(1, last) {
        assert_eq!(recovered.abstain, Abstain::Loss, "{what}: {:?}", report.findings);
    }
    assert!(!report.findings.is_empty(), "{what}");
    report
}

#[test]
fn a_flipped_bit_in_the_batch_after_a_cut_is_damage_when_nothing_comes_after_it() {
    let after = AfterCut::new(&alone(), 1);
    for bit in header_bits(&after.entries()[0]) {
        check_refused(&after.with_flipped(&[bit]), &format!("bit {bit}"));
    }
    let after = AfterCut::new(&genesis(), 1);
    for bit in header_bits(&after.entries()[0]) {
        let report = check_noticed(&after.with_flipped(&[bit]), 4, &format!("bit {bit}"));
        assert!(report.tail_damaged, "bit {bit}: {:?}", report.findings);
    }
}

#[test]
fn a_flipped_bit_in_the_batch_after_a_cut_is_damage_when_others_come_after_it() {
    let (after, shared) = (AfterCut::new(&alone(), 2), AfterCut::new(&genesis(), 2));
    for bit in header_bits(&after.entries()[0]) {
        check_refused(&after.with_flipped(&[bit]), &format!("bit {bit}"));
        let report = check_noticed(&shared.with_flipped(&[bit]), 5, &format!("bit {bit}"));
        let is_damage = |verdict| matches!(verdict, Verdict::Damage | Verdict::DamageCut);
        assert!(
            report.findings.iter().any(|finding| is_damage(finding.verdict)),
            "bit {bit}: {:?}",
            report.findings
        );
    }
}

#[test]
fn damage_to_everything_after_the_mark_of_a_cut_is_still_damage() {
    let after = AfterCut::new(&alone(), 1);
    let [_, blank, entries] = &after.batches[..] else {
        panic!("{:?}", after.batches)
    };
    for (one, other) in header_bits(blank).zip(header_bits(entries)) {
        check_refused(
            &after.with_flipped(&[one, other]),
            &format!("bits {one} and {other}"),
        );
    }
}

/// Garbage where the tail was that the last batch, the mark of a cut, speaks of; `signed` says that another mark
/// follows when that tail is blank.
fn garbage_after_cut(signed: bool) -> (Files, usize) {
    let mut after = AfterCut::new(&alone(), 0);
    let mark = after.batches[0].offset as usize;
    let segment = after.files.get_mut(&after.segment).unwrap();
    segment[mark + PAGE..mark + 2 * PAGE].fill(0x5a);
    if !signed {
        unsign(segment, mark, after.batches[0].lsn);
    }
    (after.files, mark + PAGE)
}

/// Makes the mark of a cut one of an earlier version, which wrote no second one.
fn unsign(segment: &mut [u8], mark: usize, lsn: u64) {
    let salt = &segment_salt(segment);
    let record = mark + BATCH_HEADER_BYTES;
    segment[record + 8] &= !1;
    let seed = [&salt[..], &lsn.to_le_bytes()].iter().fold(0, |seed, bytes| {
        let mut hasher = crc32fast::Hasher::new_with_initial(seed);
        hasher.update(bytes);
        hasher.finalize()
    });
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(&segment[record..record + 36]);
    let sum = hasher.finalize().to_le_bytes();
    segment[record + 36..record + RECORD_HEADER_BYTES].copy_from_slice(&sum);
}

fn segment_salt(segment: &[u8]) -> [u8; 8] {
    segment[SALT_AT..SALT_AT + 8].try_into().unwrap()
}

#[test]
fn what_the_mark_of_a_cut_does_not_vouch_for_is_damage() {
    let (files, garbage) = garbage_after_cut(true);
    let (disk, opened) = open_files(&files);
    let (store, recovered) = opened.unwrap();
    assert_eq!(recovered.last_position(), at(1, 3));
    let report = store.recovery_report();
    let [finding] = &report.findings[..] else {
        panic!("{:?}", report.findings)
    };
    assert_eq!(
        (finding.verdict, finding.offset),
        (Verdict::AmbiguousTail, garbage as u64)
    );
    drop(store);
    let (segment, batches) = batches_of(&disk.files());
    assert_eq!(
        batches.last().unwrap().offset as usize,
        garbage,
        "{segment}: it was blanked"
    );
    assert_eq!(batches.last().unwrap().records[0].kind, Kind::Mark);
    check_refused(&garbage_after_cut(false).0, "a mark that no other one follows");
}

#[test]
fn a_cut_that_an_opening_finds_blank_is_said_to_be() {
    let mut after = AfterCut::new(&alone(), 0);
    let [_, blank] = &after.batches[..] else {
        panic!("{:?}", after.batches)
    };
    let at = blank.offset as usize;
    after.files.get_mut(&after.segment).unwrap()[at..at + PAGE].fill(0);
    let (disk, opened) = open_files(&after.files);
    assert_eq!(opened.unwrap().0.recovery_report().findings, []);
    let (_, batches) = batches_of(&disk.files());
    assert_eq!(batches.last().unwrap().offset as usize, at);
}

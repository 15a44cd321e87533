//! Pages in the wrong place, beside other damage: what they repeat is never taken for more than it is.

use std::sync::Arc;

use noraftd::prng::Prng;
use noraftd::record::{Append, Batch, BatchId, HardState};
use noraftd::store::disk::memory::MemDisk;
use noraftd::store::{OpenError, Options, Store, Verdict};

use crate::common::{at, command, create, genesis, identity, open, options, term_entry};
use crate::damage::{Outcome, marked};

const PAGE: usize = 4096;

#[test]
fn a_page_in_the_wrong_place_and_a_file_cut_at_any_page_leave_no_gap() {
    let small = marked();
    let name = "segment-0000000000000001";
    let pages = small.file(1).len() / PAGE;
    for (page, other) in (1..pages).flat_map(|page| (1..pages).map(move |other| (page, other))) {
        for length in (1..pages).flat_map(|cut| [0, 40, 200, 748].map(|rest| cut * PAGE + rest)) {
            let files = small.with(name, |bytes| {
                bytes.copy_within(other * PAGE..(other + 1) * PAGE, page * PAGE);
                bytes.truncate(length);
            });
            let what = format!("page {page} repeats page {other}, cut to {length}");
            let outcome = small.check(&what, &files);
            assert!(
                !matches!(&outcome, Outcome::Refused(finding) if finding.verdict == Verdict::Gap),
                "{what}: {outcome:?}"
            );
        }
    }
}

#[test]
fn pages_of_one_segment_never_pass_for_those_of_another() {
    let small = marked();
    let (one, two) = (small.file(1).to_vec(), small.file(2).to_vec());
    for page in 0..8 {
        let range = page * PAGE..(page + 1) * PAGE;
        for (name, from) in [
            ("segment-0000000000000001", &two),
            ("segment-0000000000000002", &one),
        ] {
            let files = small.with(name, |bytes| {
                bytes[range.clone()].copy_from_slice(&from[range.clone()])
            });
            small.check(&format!("{name}, page {page} of the other segment"), &files);
        }
    }
    let mut files = small.files.clone();
    files.insert("segment-0000000000000001".to_owned(), two);
    files.insert("segment-0000000000000002".to_owned(), one);
    assert!(
        matches!(small.check("swapped", &files), Outcome::Refused(found) if found.verdict == Verdict::WrongIdentity)
    );
}

#[test]
fn several_pages_lost_or_in_the_wrong_place_leave_holes_and_never_a_wrong_entry() {
    let small = marked();
    let name = "segment-0000000000000001";
    let mut holes = 0;
    for seed in 0..1500 {
        let mut prng = Prng::new(seed);
        let files = small.with(name, |bytes| {
            for _ in 0..prng.between(2, 4) {
                let (page, other) = (
                    prng.between(2, 6) as usize * PAGE,
                    prng.between(1, 6) as usize * PAGE,
                );
                match prng.below(3) {
                    0 => bytes[page..page + PAGE].fill(0),
                    1 => bytes.copy_within(other..other + PAGE, page),
                    _ => bytes[page + prng.below(100) as usize] ^= 1 << prng.below(8),
                }
            }
        });
        holes += small.check(&format!("seed {seed}"), &files).holes();
    }
    assert!(holes > 500, "only {holes} holes: the test tests nothing");
}

/// A segment with batches of so many entries each, and the last of these.
fn batches_of(counts: [u64; 4]) -> (MemDisk, u64) {
    let disk = MemDisk::new();
    let (mut store, _) = create(&disk).expect("an empty disk");
    let mut first = 1;
    for count in counts {
        let entry = |index| match index {
            1 => term_entry(1, 1),
            _ => command(1, index, b"a payload of some bytes"),
        };
        let batch = Batch {
            id: BatchId(first),
            base: None,
            hard_state: (first == 1).then_some(HardState {
                term: 1,
                voted_for: Some(2),
            }),
            append: Some(Append {
                prev: at(u64::from(first > 1), first - 1),
                records: (first..first + count).map(entry).collect(),
            }),
        };
        store.persist(&batch).expect("it is written");
        first += count;
    }
    store.mark_clean_stop().expect("it is written");
    (disk, first - 1)
}

/// The batch before one of several pages has its first page instead: the whole batch is where it was.
#[test]
fn a_batch_whose_first_page_is_repeated_before_it_is_read_where_it_is_whole() {
    let (disk, last) = batches_of([1, 1, 90, 3]);
    let name = "segment-0000000000000001";
    let mut bytes = disk.files()[name].clone();
    // Page 1 has the batch that a directory begins with.
    bytes.copy_within(4 * PAGE..5 * PAGE, 3 * PAGE);
    disk.overwrite(name, bytes);
    let (_, recovered) = open(&disk).expect("what is lost is known");
    assert_eq!(recovered.last_position(), at(1, last));
    let holes: Vec<_> = recovered.holes.iter().map(|hole| hole.position).collect();
    assert_eq!(holes, [at(1, 2)], "only what was overwritten");
}

/// The records of a batch of several pages have one seed, wherever in it they lie.
#[test]
fn a_page_of_a_batch_in_the_place_of_another_page_of_it_leaves_no_gap() {
    let (disk, last) = batches_of([1, 90, 40, 3]);
    let name = "segment-0000000000000001";
    let whole = disk.files()[name].clone();
    for (page, other) in (2..8).flat_map(|page| (2..8).map(move |other| (page, other))) {
        for flipped in (0..8).map(|page| page * PAGE + 100) {
            let mut bytes = whole.clone();
            bytes.copy_within(other * PAGE..(other + 1) * PAGE, page * PAGE);
            bytes[flipped] ^= 1;
            disk.overwrite(name, bytes);
            let copy = MemDisk::new();
            copy.replace(disk.files());
            let what = format!("page {page} repeats page {other}, a bit of byte {flipped} flips");
            match open(&copy) {
                Ok((_, recovered)) => assert!(recovered.last_position() <= at(1, last), "{what}"),
                Err(OpenError::Refused { finding, .. }) => {
                    assert_ne!(finding.verdict, Verdict::Gap, "{what}: {}", finding.found);
                }
                Err(other) => panic!("{what}: {other}"),
            }
        }
    }
}

/// A sealed segment with entries 1 to 5 on pages 2 to 6, and the SEAL after them: page 1 has the batch that a directory begins
/// with.
fn sealed() -> MemDisk {
    let disk = MemDisk::new();
    let options = Options {
        segment_bytes: 10 * PAGE as u64,
        ..options()
    };
    let (mut store, _) = Store::create(Arc::new(disk.clone()), options, identity(), &genesis()).unwrap();
    for index in 1..=7 {
        let entry = match index {
            1 => term_entry(1, 1),
            _ => command(1, index, b"a payload of some bytes"),
        };
        let batch = Batch {
            id: BatchId(index),
            base: None,
            hard_state: (index == 1).then_some(HardState {
                term: 1,
                voted_for: Some(2),
            }),
            append: Some(Append {
                prev: at(u64::from(index > 1), index - 1),
                records: vec![entry],
            }),
        };
        store.persist(&batch).expect("it is written");
    }
    disk
}

/// The index of a segment shows which of two pages that repeat one batch is where it was written: its entry is readable,
/// whatever is lost around it.
#[test]
fn of_two_pages_with_one_batch_the_one_that_the_index_names_is_read() {
    let disk = sealed();
    let name = "segment-0000000000000001";
    let whole = disk.files()[name].clone();
    assert!(
        disk.files().contains_key("segment-0000000000000002"),
        "it is sealed"
    );
    for (page, own) in (2..=5).flat_map(|page| (page + 1..=5).map(move |own| (page, own))) {
        let mut bytes = whole.clone();
        bytes.copy_within(own * PAGE..(own + 1) * PAGE, page * PAGE);
        bytes[(page + 1) * PAGE..own * PAGE].fill(0);
        bytes[(own + 1) * PAGE..(own + 2) * PAGE].fill(0);
        disk.overwrite(name, bytes);
        let copy = MemDisk::new();
        copy.replace(disk.files());
        let (_, recovered) = open(&copy).expect("what is lost is known");
        let holes: Vec<u64> = recovered
            .holes
            .iter()
            .map(|hole| hole.position.index.get())
            .collect();
        let lost: Vec<u64> = (page..=own + 1)
            .filter(|at| *at != own)
            .map(|at| at as u64 - 1)
            .collect();
        assert_eq!(holes, lost, "page {page} repeats page {own}");
    }
}

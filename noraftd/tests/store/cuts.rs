//! Power cuts while a tail is cut, once and again; and tails on the last page of a segment.

use std::sync::Arc;

use noraftd::record::{Append, Batch, BatchId, HardState};
use noraftd::store::disk::memory::{Fault, MemDisk};
use noraftd::store::{OpenError, Options, Store, Verdict};

use crate::common::*;
use crate::crash::{Run, small_segments, torn_image};

/// Opens what a power cut left, and checks that it passes for nothing worse.
fn open_cut(image: &MemDisk, run: &Run, what: &str) {
    let opened = Store::open(Arc::new(image.after_kill()), small_segments(), owner());
    let (store, recovered) = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(recovered.abstain.abstains(), "{what}: forgot to abstain");
    let report = store.recovery_report();
    assert!(!report.tail_damaged, "{what}: {:?}", report.findings);
    let mut findings = report.findings.iter();
    assert!(
        findings.all(|finding| finding.verdict == Verdict::AmbiguousTail),
        "{what}: {:?}",
        report.findings
    );
    run.check(&store, &recovered)
        .unwrap_or_else(|why| panic!("{what}: {why}"));
}

/// Cuts the power after each operation of an opening of `image`, and again in the openings of what that leaves.
fn cut_openings(image: &MemDisk, run: &Run, depth: u32, what: &str, points: &mut u64) {
    for op in 0.. {
        let disk = image.after_kill();
        disk.arm(Some(Fault::PowerAfter { op }));
        if Store::open(Arc::new(disk.clone()), small_segments(), owner()).is_ok() {
            return;
        }
        let draws = if depth == 0 { 3 } else { 1 };
        for draw in 0..draws {
            let left = disk.after_power_cut(op * 31 + draw);
            let what = format!("{what}, then after operation {op} of the opening, draw {draw}");
            open_cut(&left, run, &what);
            *points += 1;
            if depth < 1 {
                cut_openings(&left, run, depth + 1, &what, points);
            }
        }
    }
}

#[test]
fn power_cuts_within_the_cut_of_a_tail_never_make_damage_of_it() {
    let mut points = 0;
    let torn = (0..).filter_map(|seed| Some((seed, torn_with_long_tail(seed)?)));
    for (seed, (image, run)) in torn.take(2) {
        cut_openings(&image, &run, 0, &format!("seed {seed}"), &mut points);
    }
    assert!(points > 100, "only {points} points were reached");
}

#[test]
fn what_is_left_of_a_tail_whose_cut_was_interrupted_is_blanked_under_its_verdict() {
    let (image, run) = (0..).find_map(torn_with_long_tail).unwrap();
    let opening = image.after_kill();
    let begun = opening.operations();
    drop(Store::open(Arc::new(opening.clone()), small_segments(), owner()).unwrap());
    let log = opening.operation_log();
    let mark = log.iter().position(|line| line.contains("+72")).unwrap();
    assert!(mark as u64 > begun);
    // The mark is durable, and its tail is not blanked.
    let disk = image.after_kill();
    disk.arm(Some(Fault::PowerAfter { op: mark as u64 + 1 }));
    assert!(Store::open(Arc::new(disk.clone()), small_segments(), owner()).is_err());
    let left = disk.after_kill();
    open_cut(&left, &run, "the tail is there, its cut is on record");
    let open = || Store::open(Arc::new(left.clone()), small_segments(), owner()).unwrap();
    assert_eq!(open().0.recovery_report().findings.len(), 1);
    let (store, recovered) = open();
    assert_eq!(store.recovery_report().findings, [], "it was blanked");
    assert!(recovered.abstain.abstains());
}

/// An image that a torn batch of several pages ends.
fn torn_with_long_tail(seed: u64) -> Option<(MemDisk, Run)> {
    let (image, run) = torn_image(seed)?;
    let opening = image.after_kill();
    drop(Store::open(Arc::new(opening.clone()), small_segments(), owner()).ok()?);
    let log = opening.operation_log();
    let mark = log.iter().position(|line| line.contains("+72"))?;
    let disk = image.after_kill();
    disk.arm(Some(Fault::PowerAfter { op: mark as u64 + 1 }));
    drop(Store::open(Arc::new(disk.clone()), small_segments(), owner()));
    let (store, _) = Store::open(Arc::new(disk.after_kill()), small_segments(), owner()).ok()?;
    (store.recovery_report().findings.len() == 1).then_some((image, run))
}

fn eight_pages() -> Options {
    Options {
        segment_bytes: 32 << 10,
        ..options()
    }
}

fn vote(term: u64) -> Batch {
    Batch {
        id: BatchId(term),
        base: None,
        hard_state: Some(HardState {
            term,
            voted_for: None,
        }),
        append: None,
    }
}

/// A segment with a SEAL on its last page that takes more than a sector; its votes leave room for no more.
fn until_the_seal(disk: &MemDisk) -> Result<(), ()> {
    let created = Store::create(Arc::new(disk.clone()), eight_pages(), identity(), &genesis());
    let (mut store, _) = created.map_err(drop)?;
    let records = std::iter::once(term_entry(1, 1)).chain((2..=70).map(|index| command(1, index, b"x")));
    let entries = Batch {
        append: Some(Append {
            prev: at(0, 0),
            records: records.collect(),
        }),
        ..vote(1)
    };
    store.persist(&entries).map_err(drop)?;
    for term in 2..=9 {
        store.persist(&vote(term)).map_err(drop)?;
    }
    Ok(())
}

#[test]
fn a_torn_seal_on_the_last_page_costs_no_header_page() {
    let whole = MemDisk::new();
    until_the_seal(&whole).unwrap();
    let mut torn = 0;
    for op in 0..whole.operations() {
        for draw in 0..40 {
            let disk = MemDisk::new();
            disk.arm(Some(Fault::PowerAfter { op }));
            let _ = until_the_seal(&disk);
            let image = disk.after_power_cut(op * 40 + draw);
            let open = || Store::open(Arc::new(image.clone()), eight_pages(), owner());
            let (mut store, recovered) = match open() {
                Err(OpenError::NoStore { .. }) => continue,
                opened => opened.unwrap_or_else(|error| panic!("operation {op}, draw {draw}: {error}")),
            };
            torn += u64::from(recovered.abstain.abstains());
            let report = store.recovery_report();
            assert!(
                !report.tail_damaged,
                "operation {op}, draw {draw}: {:?}",
                report.findings
            );
            for term in 10..=30 {
                store.persist(&vote(term)).unwrap();
            }
            drop(store);
            let (store, again) =
                open().unwrap_or_else(|error| panic!("operation {op}, draw {draw}: {error}"));
            let findings = &store.recovery_report().findings;
            assert!(findings.is_empty(), "operation {op}, draw {draw}: {findings:?}");
            assert_eq!(again.hard_state.term, 30);
            assert_eq!(again.last_position(), recovered.last_position());
        }
    }
    assert!(torn > 10, "only {torn} openings found a torn batch");
}

//! Pages in the wrong place, beside other damage: what they repeat is never taken for more than it is.

use noraftd::prng::Prng;
use noraftd::store::Verdict;

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

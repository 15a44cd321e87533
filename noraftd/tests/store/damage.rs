//! Damage at every byte: each result is one row of the table, never a panic, and never is an acknowledged
//! entry missing without a verdict.

use std::collections::BTreeMap;

use noraftd::prng::Prng;
use noraftd::record::{Append, Batch, BatchId, HardState, Record};
use noraftd::recovered::Recovered;
use noraftd::store::disk::memory::MemDisk;
use noraftd::store::{Finding, Kind, OpenError, Options, ReadError, RecoveryReport, Store, Verdict};

use crate::common::*;

type Files = BTreeMap<String, Vec<u8>>;

const PAGE: usize = 4096;

/// A log of a few batches over two segments, and what it holds.
pub(crate) struct Small {
    pub(crate) files: Files,
    model: Model,
}

fn tiny_segments() -> Options {
    Options {
        segment_bytes: 8 * 4096,
        ..options()
    }
}

/// Ends with a batch of two pages.
fn small() -> Small {
    ending_with(5000, false)
}

/// Ends with a batch of two pages and a mark.
pub(crate) fn marked() -> Small {
    ending_with(5000, true)
}

fn ending_with(last_payload_bytes: usize, marked: bool) -> Small {
    let disk = MemDisk::new();
    let (mut store, _) = Store::create(
        std::sync::Arc::new(disk.clone()),
        tiny_segments(),
        identity(),
        &genesis(),
    )
    .unwrap();
    let mut model = Model::default();
    let hard_state = Some(HardState {
        term: 1,
        voted_for: Some(2),
    });
    let mut persist = |hard_state, prev, records| {
        let append = Some(noraftd::record::Append { prev, records });
        let batch = Batch {
            id: BatchId(0),
            base: None,
            hard_state,
            append,
        };
        store.persist(&batch).unwrap();
        model.apply(&batch);
    };
    persist(
        hard_state,
        at(0, 0),
        vec![term_entry(1, 1), command(1, 2, b"two"), command(1, 3, b"three")],
    );
    persist(
        None,
        at(1, 3),
        vec![config_entry(1, 4, &genesis()), command(1, 5, b"five")],
    );
    let hard_state = Some(HardState {
        term: 2,
        voted_for: Some(3),
    });
    persist(
        hard_state,
        at(1, 3),
        vec![term_entry(2, 4), command(2, 5, &[7; 40])],
    );
    persist(None, at(2, 5), vec![command(2, 6, b"six")]);
    persist(None, at(2, 6), vec![command(2, 7, &vec![9; last_payload_bytes])]);
    if marked {
        store.mark_clean_stop().unwrap();
    }
    drop(store);
    Small {
        files: disk.files(),
        model,
    }
}

/// What became of a damaged directory.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Everything is there, but for holes, which are reported and can be patched.
    Whole(RecoveryReport),
    /// The log ends earlier, and the node abstains.
    Cut(RecoveryReport),
    /// The directory was refused.
    Refused(Finding),
}

impl Outcome {
    fn findings(&self) -> &[Finding] {
        match self {
            Self::Whole(report) | Self::Cut(report) => &report.findings,
            Self::Refused(finding) => std::slice::from_ref(finding),
        }
    }

    pub(crate) fn holes(&self) -> u64 {
        match self {
            Self::Whole(report) | Self::Cut(report) => report.holes,
            Self::Refused(_) => 0,
        }
    }
}

impl Small {
    pub(crate) fn file(&self, number: u64) -> &[u8] {
        &self.files[&format!("segment-{number:016}")]
    }

    fn segments(&self) -> usize {
        self.files
            .keys()
            .filter(|name| name.starts_with("segment-"))
            .count()
    }

    /// The directory with one file changed.
    pub(crate) fn with(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Files {
        let mut files = self.files.clone();
        change(files.get_mut(name).unwrap());
        files
    }

    /// Opens `files`: an acknowledged entry must be there, or a verdict or a hole must say why not. What is
    /// missing is then given back, as peers would do it, and the log must be whole, now and after a restart.
    fn outcome(&self, files: &Files) -> Result<Outcome, String> {
        let disk = MemDisk::with_files(files.clone());
        let opened = Store::open(std::sync::Arc::new(disk.clone()), tiny_segments(), owner());
        let (mut store, recovered) = match opened {
            Ok(opened) => opened,
            Err(OpenError::Refused { finding, .. }) if finding.verdict.is_fatal() => {
                return if disk.files() == *files {
                    Ok(Outcome::Refused(finding))
                } else {
                    Err("changed".to_owned())
                };
            }
            Err(error) => return Err(format!("no row of the table: {error}")),
        };
        let report = store.recovery_report().clone();
        if recovered.hard_state != self.model.hard_state {
            return Err(format!("{:?} without a refusal", recovered.hard_state));
        }
        let found = self.check_recovered(&store, &recovered)?;
        let is_whole = found == self.model.records.len();
        let is_cut = report
            .findings
            .iter()
            .any(|finding| matches!(finding.verdict, Verdict::AmbiguousTail | Verdict::DamageCut));
        if !(is_whole || is_cut && recovered.abstain.abstains()) {
            return Err(format!(
                "{found} entries instead of {}: {report:?}",
                self.model.records.len()
            ));
        }
        self.repair(&mut store, &recovered, found)?;
        drop(store);
        let (store, again) = Store::open(std::sync::Arc::new(disk), tiny_segments(), owner())
            .map_err(|error| format!("repaired, and refused: {error}"))?;
        if again.abstain.abstains() != recovered.abstain.abstains() || !again.holes.is_empty() {
            return Err(format!("after the repair: {again:?}"));
        }
        if read_all(&store.reader(), self.model.records.len()) != self.model.records {
            return Err("after the repair, the log is another one".to_owned());
        }
        if is_whole {
            Ok(Outcome::Whole(report))
        } else {
            Ok(Outcome::Cut(report))
        }
    }

    /// Each entry is the model's, or a hole that the model's entry fills, or (at the end, void before) gone.
    fn check_recovered(&self, store: &Store, recovered: &Recovered) -> Result<usize, String> {
        let (reader, mut holes) = (store.reader(), recovered.holes.iter().peekable());
        let mut same = 0;
        for (position, entry) in recovered.log.entries().iter_with_positions() {
            let index = position.index;
            let hole = holes.next_if(|hole| hole.position == position);
            let read = reader.read(index, index, 1);
            let expected = self.model.records.get(index.get() as usize - 1);
            let is_stale = expected.is_none_or(|record| record.position != position);
            if is_stale && recovered.abstain.abstains() {
                // A log of an earlier moment: what was made void since is there again.
                break;
            }
            let expected = expected
                .filter(|_| !is_stale)
                .ok_or(format!("{position:?} is none of ours"))?;
            match (hole, read) {
                (Some(hole), Err(ReadError::Damaged { .. })) if hole.is_filled_by(expected) => {}
                (None, Ok(read))
                    if read == [expected.clone()] && Some(&entry) == expected.to_entry().as_ref() => {}
                (hole, read) => return Err(format!("{position:?} is {read:?}, hole {hole:?}")),
            }
            same += 1;
        }
        Ok(same)
    }

    /// Gives back what is missing.
    fn repair(&self, store: &mut Store, recovered: &Recovered, found: usize) -> Result<(), String> {
        let lost = recovered
            .holes
            .iter()
            .map(|hole| hole.position.index.get() as usize);
        let lost: Vec<Record> = lost
            .filter(|index| *index <= found)
            .map(|index| self.model.records[index - 1].clone())
            .collect();
        store.patch(&lost).map_err(|error| format!("patching: {error}"))?;
        let prev = match found {
            0 => at(0, 0),
            _ => self.model.records[found - 1].position,
        };
        let append = (found < self.model.records.len()).then(|| Append {
            prev,
            records: self.model.records[found..].to_vec(),
        });
        let batch = Batch {
            id: BatchId(0),
            hard_state: None,
            base: None,
            append,
        };
        store
            .persist(&batch)
            .map_err(|error| format!("replicating: {error}"))?;
        if read_all(&store.reader(), self.model.records.len()) != self.model.records {
            return Err("repaired, the log is another one".to_owned());
        }
        Ok(())
    }

    pub(crate) fn check(&self, what: &str, files: &Files) -> Outcome {
        match self.outcome(files) {
            Ok(outcome) => outcome,
            Err(why) => panic!("{what}: {why}"),
        }
    }
}

#[test]
fn the_small_log_has_what_it_needs() {
    let small = small();
    assert_eq!(small.segments(), 2);
    assert!(
        matches!(small.check("undamaged", &small.files), Outcome::Whole(report) if report.findings.is_empty())
    );
}

#[test]
fn every_flipped_bit_is_harmless_or_has_a_verdict() {
    let small = ending_with(50, false);
    let mut verdicts: BTreeMap<Verdict, u32> = BTreeMap::new();
    for (name, bytes) in &small.files {
        for at in (0..bytes.len()).filter(|at| bytes[*at] != 0 || at % 61 == 0) {
            // All bits where a byte says something; padding and blank pages are sampled.
            let bits = if bytes[at] != 0 { 0..8 } else { at % 8..at % 8 + 1 };
            for bit in bits {
                let files = small.with(name, |bytes| bytes[at] ^= 1 << bit);
                let outcome = small.check(&format!("{name}, byte {at}, bit {bit}"), &files);
                let silent = outcome.findings().is_empty();
                assert!(
                    !silent || bytes[at] == 0,
                    "{name}, byte {at}, bit {bit}: not noticed"
                );
                outcome
                    .findings()
                    .iter()
                    .for_each(|finding| *verdicts.entry(finding.verdict).or_default() += 1);
            }
        }
    }
    let expected = [
        Verdict::Damage,
        Verdict::AmbiguousTail,
        Verdict::HeaderFromCopy,
        Verdict::HardStateOneSlot,
    ];
    assert!(
        expected.iter().all(|verdict| verdicts.contains_key(verdict)),
        "{verdicts:?}"
    );
}

#[test]
fn a_file_cut_at_any_byte_has_a_verdict() {
    let small = marked();
    for (name, bytes) in &small.files {
        for length in (0..bytes.len()).filter(|at| at % 37 == 0 || at % PAGE < 140 || at % PAGE > PAGE - 3) {
            let files = small.with(name, |bytes| bytes.truncate(length));
            let outcome = small.check(&format!("{name} cut to {length}"), &files);
            let needs_verdict = name.starts_with("segment-") || length < PAGE + 68;
            assert!(
                !needs_verdict || !outcome.findings().is_empty(),
                "{name} cut to {length}: not noticed"
            );
        }
    }
}

#[test]
fn every_page_zeroed_or_overwritten_by_another_has_a_verdict_or_misses_nothing() {
    let small = marked();
    for (name, bytes) in &small.files {
        for page in 0..bytes.len() / PAGE {
            let range = page * PAGE..(page + 1) * PAGE;
            let files = small.with(name, |bytes| bytes[range.clone()].fill(0));
            small.check(&format!("{name}, page {page} zeroed"), &files);
            for other in (0..bytes.len() / PAGE).filter(|other| *other != page) {
                let from = other * PAGE..(other + 1) * PAGE;
                let files = small.with(name, |bytes| bytes.copy_within(from.clone(), range.start));
                small.check(&format!("{name}, page {page} repeats page {other}"), &files);
                let files = small.with(name, |bytes| {
                    let (one, two) = (bytes[range.clone()].to_vec(), bytes[from.clone()].to_vec());
                    bytes[range.clone()].copy_from_slice(&two);
                    bytes[from.clone()].copy_from_slice(&one);
                });
                small.check(&format!("{name}, pages {page} and {other} swapped"), &files);
            }
        }
    }
}

#[test]
fn a_missing_file_has_a_verdict() {
    let small = marked();
    for name in small.files.keys() {
        let mut files = small.files.clone();
        files.remove(name);
        let Outcome::Refused(finding) = small.check(&format!("{name} removed"), &files) else {
            assert_eq!(name, "lock", "{name} removed: not noticed");
            continue;
        };
        let expected = if name == "hard_state" {
            Verdict::HardStateLost
        } else {
            Verdict::SegmentMissing
        };
        assert!(
            finding.verdict == expected || finding.verdict == Verdict::Gap,
            "{name} removed: {finding}"
        );
    }
}

#[test]
fn random_bytes_never_panic() {
    let small = small();
    for seed in 0..300 {
        let mut prng = Prng::new(seed);
        let names: Vec<&String> = small.files.keys().collect();
        let name = names[prng.below(names.len() as u64) as usize];
        let files = small.with(name, |bytes| {
            let start = prng.below(bytes.len() as u64) as usize;
            let magnitude = prng.below(15);
            let length = 1 + prng.below(1 << magnitude) as usize;
            let end = (start + length).min(bytes.len());
            bytes[start..end]
                .iter_mut()
                .for_each(|byte| *byte = prng.next_u64() as u8);
        });
        small.check(&format!("seed {seed}: random bytes in {name}"), &files);
        let all_random = small.with(name, |bytes| {
            bytes.iter_mut().for_each(|byte| *byte = prng.next_u64() as u8)
        });
        small.check(&format!("seed {seed}: {name} of random bytes"), &all_random);
    }
}

/// The byte of `file` at which the last batch of entries begins.
fn last_batch(small: &Small) -> (String, usize) {
    let inspection = noraftd::store::inspect::Inspection::of_files(&small.files);
    let segment = inspection
        .segments
        .iter()
        .rfind(|segment| !segment.batches.is_empty())
        .unwrap();
    let has_entry = |batch: &&noraftd::store::inspect::BatchView| {
        batch.records.iter().any(|record| record.kind == Kind::Command)
    };
    let batch = segment.batches.iter().rfind(has_entry).unwrap();
    (segment.file.clone(), batch.offset as usize)
}

#[test]
fn a_last_batch_with_a_sector_missing_is_an_interrupted_write() {
    let small = small();
    let (name, start) = last_batch(&small);
    for sector in 0..9 {
        let range = start + sector * 512..start + (sector + 1) * 512;
        let files = small.with(&name, |bytes| bytes[range].fill(0));
        let Outcome::Cut(report) = small.check(&format!("sector {sector}"), &files) else {
            panic!("sector {sector} missing: not noticed");
        };
        assert!(!report.tail_damaged, "sector {sector}");
    }
}

#[test]
fn a_last_batch_with_a_flipped_bit_is_damaged_for_certain() {
    let small = small();
    let (name, start) = last_batch(&small);
    for byte in [0, 9, 40, 75, 300, 1000, 4000] {
        let files = small.with(&name, |bytes| bytes[start + byte] ^= 4);
        let Outcome::Cut(report) = small.check(&format!("byte {byte}"), &files) else {
            panic!("byte {byte} flipped: not noticed");
        };
        assert!(report.tail_damaged, "byte {byte}");
    }
}

#[test]
fn a_lone_voter_with_a_damaged_last_batch_is_refused() {
    let disk = MemDisk::new();
    let alone = noraftd::record::genesis_config([owner().node_id]);
    let (mut store, _) = Store::create(
        std::sync::Arc::new(disk.clone()),
        tiny_segments(),
        identity(),
        &alone,
    )
    .unwrap();
    let vote = Some(HardState {
        term: 1,
        voted_for: Some(2),
    });
    let append = noraftd::record::Append {
        prev: at(0, 0),
        records: vec![term_entry(1, 1)],
    };
    store
        .persist(&Batch {
            id: BatchId(1),
            base: None,
            hard_state: vote,
            append: Some(append),
        })
        .unwrap();
    drop(store);
    let damage = |byte: usize, change: fn(&mut u8)| {
        let mut files = disk.files();
        change(&mut files.get_mut("segment-0000000000000001").unwrap()[2 * PAGE + byte]);
        Store::open(
            std::sync::Arc::new(MemDisk::with_files(files)),
            tiny_segments(),
            owner(),
        )
    };
    assert!(damage(600, |_| {}).is_ok());
    let Some(OpenError::Refused { finding, .. }) = damage(40, |byte| *byte ^= 1).err() else {
        panic!("no other node has the entry");
    };
    assert_eq!(finding.verdict, Verdict::DamageUncovered);
}

#[test]
fn a_batch_that_is_wholly_lost_is_seen_when_anything_was_written_after_it() {
    let small = marked();
    let (name, start) = last_batch(&small);
    let files = small.with(&name, |bytes| bytes[start..start + 2 * PAGE].fill(0));
    let outcome = small.check("last batch zeroed", &files);
    let found: Vec<Verdict> = outcome.findings().iter().map(|finding| finding.verdict).collect();
    assert_eq!(found, [Verdict::DamageAtMark, Verdict::DamageCut], "{outcome:?}");
}

#[test]
fn a_record_whose_header_is_intact_is_a_hole_and_not_a_cut() {
    let small = marked();
    let (name, start) = last_batch(&small);
    // The second page of the last batch is gone; a mark proves that it was durable.
    let files = small.with(&name, |bytes| bytes[start + PAGE..start + 2 * PAGE].fill(0));
    let outcome = small.check("second page zeroed", &files);
    assert!(matches!(&outcome, Outcome::Whole(_)), "{outcome:?}");
    assert_eq!(
        (outcome.holes(), outcome.findings()[0].verdict),
        (1, Verdict::DamageAtMark)
    );
}

/// Where the records of the first batch of entries are.
fn first_records(small: &Small) -> Vec<usize> {
    let inspection = noraftd::store::inspect::Inspection::of_files(&small.files);
    let batches = inspection.segments[0].batches.iter();
    let has_entries = |batch: &&noraftd::store::inspect::BatchView| {
        batch.records.iter().any(|record| record.kind == Kind::Command)
    };
    let batch = batches.clone().find(has_entries).unwrap();
    let entries = batch.records.iter().filter(|record| record.kind == Kind::Command);
    entries.map(|record| record.offset as usize).collect()
}

/// The last of its batch, too: that something came after it is known from the batch's length alone.
#[test]
fn an_entry_whose_header_is_damaged_is_a_hole_wherever_in_its_batch_it_is() {
    let small = marked();
    let records = first_records(&small);
    assert_eq!(records.len(), 2);
    for offset in records {
        for byte in [8, 20] {
            let files = small.with("segment-0000000000000001", |bytes| bytes[offset + byte] ^= 1);
            let outcome = small.check(&format!("byte {byte} of the header at {offset}"), &files);
            assert!(matches!(&outcome, Outcome::Whole(_)), "{offset}: {outcome:?}");
            assert!(outcome.holes() >= 1, "{offset}: {outcome:?}");
        }
    }
}

#[test]
fn the_seal_reveals_entries_whose_headers_are_gone() {
    let small = marked();
    // The first batch of entries: three of them, and nothing else.
    let name = "segment-0000000000000001";
    let files = small.with(name, |bytes| bytes[2 * PAGE..3 * PAGE].fill(0xee));
    let outcome = small.check("first entries overwritten", &files);
    assert!(matches!(&outcome, Outcome::Whole(_)), "{outcome:?}");
    assert_eq!(outcome.holes(), 3, "{outcome:?}");
}

#[test]
fn the_one_loss_that_leaves_no_trace_is_the_whole_of_the_last_batch_before_any_mark() {
    // Stated in `recovery/judge/mod.rs`; when this fails, something better was found: then say so there.
    let small = small();
    let (name, start) = last_batch(&small);
    let files = small.with(&name, |bytes| bytes[start..start + 2 * PAGE].fill(0));
    assert!(small.outcome(&files).is_err());
}

#[test]
fn a_refusal_names_file_offset_finding_and_what_to_do() {
    let small = marked();
    // The genesis: no other batch says what the log begins with, and no header any more.
    let name = "segment-0000000000000001";
    let mut files = small.with(name, |bytes| bytes[PAGE + 80] ^= 1);
    crate::beginning::lose_bases_of_headers(&mut files);
    let Outcome::Refused(finding) = small.check("flipped", &files) else {
        panic!("must be refused")
    };
    let text = finding.to_string();
    for part in [
        name,
        &finding.offset.to_string(),
        "no batch says",
        "noraftd repair",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

/// Term and vote in a batch of their own, then the first entry of the term, then others.
fn elected() -> Small {
    let disk = MemDisk::new();
    let (mut store, _) = Store::create(
        std::sync::Arc::new(disk.clone()),
        options(),
        identity(),
        &genesis(),
    )
    .unwrap();
    let mut model = Model::default();
    let vote = |term| {
        Some(HardState {
            term,
            voted_for: Some(2),
        })
    };
    let mut persist = |hard_state, append| {
        let batch = Batch {
            id: BatchId(0),
            hard_state,
            base: None,
            append,
        };
        store.persist(&batch).unwrap();
        model.apply(&batch);
    };
    let append = |prev, records| Some(Append { prev, records });
    persist(vote(1), append(at(0, 0), vec![term_entry(1, 1)]));
    persist(vote(2), None);
    persist(None, append(at(1, 1), vec![term_entry(2, 2)]));
    persist(None, append(at(2, 2), vec![command(2, 3, b"three")]));
    persist(None, append(at(2, 3), vec![command(2, 4, b"four")]));
    drop(store);
    Small {
        files: disk.files(),
        model,
    }
}

#[test]
fn what_comes_after_a_cut_is_not_cut_again() {
    let small = elected();
    let mut cuts = 0;
    for vote_byte in [10, 50] {
        for term_byte in [10, 50] {
            let files = small.with("segment-0000000000000001", |bytes| {
                bytes[3 * PAGE + vote_byte] ^= 4;
                bytes[4 * PAGE + term_byte] ^= 4;
            });
            let outcome = small.check(&format!("bytes {vote_byte} and {term_byte} flipped"), &files);
            cuts += u32::from(matches!(outcome, Outcome::Cut(_)));
        }
    }
    assert!(cuts > 0, "nothing was cut: the test tests nothing");
}

#[test]
fn a_vote_in_the_place_of_a_terms_first_entry_ends_the_log_and_the_node_abstains() {
    let small = elected();
    let name = "segment-0000000000000001";
    // The vote is where the first entry of its term was, and nothing is where the vote was.
    let files = small.with(name, |bytes| {
        bytes.copy_within(3 * PAGE..4 * PAGE, 4 * PAGE);
        bytes[3 * PAGE..4 * PAGE].fill(0);
    });
    let outcome = small.check("the vote in the wrong place", &files);
    // The lost batch may have cut the log before it began the term: what it left is not known.
    assert!(matches!(&outcome, Outcome::Cut(_)), "{outcome:?}");
}

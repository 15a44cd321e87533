//! Each row of the table in `recovery/judge/mod.rs`, by name, and that what can be mended is mended.

use std::collections::BTreeMap;
use std::sync::Arc;

use noraftd::exit::Exit;
use noraftd::prng::Prng;
use noraftd::record::{Append, Batch, BatchId, HardState};
use noraftd::store::disk::memory::{Fault, MemDisk};
use noraftd::store::inspect::Inspection;
use noraftd::store::{Finding, Kind, OpenError, Options, Store, StoreError, Verdict};

use crate::common::*;

type Files = BTreeMap<String, Vec<u8>>;

const PAGE: usize = 4096;

/// A run over several segments that ended without a mark.
fn run_files() -> (Files, Model) {
    let disk = MemDisk::new();
    let (mut store, _) = create(&disk).unwrap();
    let model = run(&mut store, 11, 50).pop().unwrap();
    assert!(store.stats().segments >= 3);
    drop(store);
    (disk.files(), model)
}

fn segment(files: &Files, number: u64) -> String {
    let name = format!("segment-{number:016}");
    assert!(files.contains_key(&name));
    name
}

/// The verdicts on `files` after `change`.
fn verdicts(change: impl FnOnce(&mut Files)) -> Vec<Verdict> {
    let (mut files, _) = run_files();
    change(&mut files);
    match open(&MemDisk::with_files(files)) {
        Ok((store, _)) => store
            .recovery_report()
            .findings
            .iter()
            .map(|finding| finding.verdict)
            .collect(),
        Err(OpenError::Refused { finding, .. }) => vec![finding.verdict],
        Err(error) => panic!("{error}"),
    }
}

fn edit(files: &mut Files, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    change(files.get_mut(name).unwrap());
}

#[test]
fn batch_valid_take_it() {
    assert_eq!(verdicts(|_| {}), []);
}

#[test]
fn batch_invalid_with_a_later_valid_batch_is_damage() {
    let in_same_segment = verdicts(|files| {
        let name = segment(files, 1);
        edit(files, &name, |bytes| bytes[2 * PAGE + 50] ^= 1);
    });
    assert_eq!(in_same_segment, [Verdict::Damage]);
    let by_a_later_segment = verdicts(|files| {
        let name = segment(files, 1);
        edit(files, &name, |bytes| {
            let end = bytes.len() - PAGE;
            bytes[4 * PAGE..end].fill(0);
        });
    });
    assert_eq!(by_a_later_segment, [Verdict::Damage]);
}

#[test]
fn bytes_after_a_seal_are_named_by_the_page_that_they_are_on() {
    let (files, _) = run_files();
    let view = Inspection::of_files(&files);
    let seal = view.segments[0].batches.last().unwrap();
    assert!(seal.records.iter().any(|record| record.kind == Kind::Seal));
    let name = segment(&files, 1);
    let end = files[&name].len() - PAGE;
    let blank = (seal.offset as usize + seal.length as usize).next_multiple_of(PAGE) + PAGE;
    let pages: Vec<usize> = (blank..end).step_by(PAGE).collect();
    assert!(pages.len() > 1, "there are blank pages");
    for page in pages {
        let mut files = files.clone();
        edit(&mut files, &name, |bytes| bytes[page + 77] = 1);
        let (store, _) = open(&MemDisk::with_files(files)).unwrap();
        let findings = store.recovery_report().findings.iter();
        let found: Vec<_> = findings
            .map(|finding| (finding.verdict, finding.offset))
            .collect();
        assert_eq!(found, [(Verdict::DamageAtMark, page as u64)]);
    }
}

/// Nothing is written behind a SEAL, so it is no tail of a write: there is nothing to cut, and no node has forgotten anything.
#[test]
fn bytes_after_the_last_seal_are_damage_at_it_and_no_tail() {
    let (mut files, _) = run_files();
    let first = segment(&files, 1);
    files.retain(|name, _| !name.starts_with("segment-") || *name == first);
    // The next segment was made, and not begun.
    let blank = vec![0; files[&first].len()];
    files.insert("segment-0000000000000002".to_owned(), blank);
    let page = files[&first].len() - 2 * PAGE;
    assert!(files[&first][page..page + PAGE].iter().all(|byte| *byte == 0));
    edit(&mut files, &first, |bytes| bytes[page + 77] = 1);
    // Term and vote were written after it.
    let (store, recovered) = open(&MemDisk::with_files(files)).unwrap();
    let findings = store.recovery_report().findings.iter();
    let found: Vec<_> = findings
        .map(|finding| (finding.verdict, finding.offset))
        .collect();
    assert_eq!(found, [(Verdict::DamageAtMark, page as u64)]);
    assert!(!recovered.abstain.abstains());
}

/// What other voters could give back is a hole; here there are none.
#[test]
fn an_entry_that_the_only_voter_cannot_read_is_refused_and_one_of_several_opens_with_a_hole() {
    let only = noraftd::record::genesis_config([owner().node_id]);
    for (config, is_refused) in [(only, true), (genesis(), false)] {
        let disk = MemDisk::new();
        let shared = std::sync::Arc::new(disk.clone());
        let created = noraftd::store::Store::create(shared, options(), identity(), &config);
        let (mut store, _) = created.unwrap();
        let payload: &[u8] = b"a payload to be found";
        let hard_state = Some(HardState {
            term: 1,
            voted_for: Some(2),
        });
        for (hard_state, prev, records) in [
            (
                hard_state,
                at(0, 0),
                vec![term_entry(1, 1), command(1, 2, payload)],
            ),
            (None, at(1, 2), vec![command(1, 3, b"later")]),
        ] {
            let append = Some(Append { prev, records });
            let (id, base) = (BatchId(1), None);
            let batch = Batch {
                id,
                hard_state,
                base,
                append,
            };
            store.persist(&batch).unwrap();
        }
        drop(store);
        let mut files = disk.files();
        let name = segment(&files, 1);
        edit(&mut files, &name, |bytes| {
            let found = bytes.windows(payload.len()).position(|part| part == payload);
            bytes[found.unwrap()] ^= 1;
        });
        match open(&MemDisk::with_files(files)) {
            Ok((_, recovered)) => assert!(!is_refused && recovered.holes.len() == 1),
            Err(OpenError::Refused { finding, .. }) => {
                assert!(
                    is_refused && finding.verdict == Verdict::DamageUncovered,
                    "{finding}"
                );
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn header_page_invalid_takes_the_second_copy_and_mends_the_first() {
    let (mut files, model) = run_files();
    let name = segment(&files, 2);
    edit(&mut files, &name, |bytes| bytes[..PAGE].fill(0));
    let disk = MemDisk::with_files(files.clone());
    let (store, recovered) = open(&disk).unwrap();
    assert_eq!(
        store.recovery_report().findings[0].verdict,
        Verdict::HeaderFromCopy
    );
    model.check(&recovered, &store.reader());
    drop(store);
    assert_eq!(
        open(&disk).unwrap().0.recovery_report().findings,
        [],
        "it was written again"
    );
}

/// Wherever its file was cut, on its first page, too.
#[test]
fn a_header_is_there_twice_again_after_its_file_was_cut() {
    let (files, _) = run_files();
    for number in [1, 2] {
        for cut in [
            200,
            300,
            PAGE - 1,
            PAGE,
            PAGE + 1,
            2 * PAGE - 1,
            2 * PAGE,
            3 * PAGE,
        ] {
            let mut files = files.clone();
            let name = segment(&files, number);
            edit(&mut files, &name, |bytes| bytes.truncate(cut));
            let disk = MemDisk::with_files(files);
            drop(open(&disk).unwrap_or_else(|error| panic!("cut to {cut} bytes: {error}")));
            let mut again = disk.files();
            edit(&mut again, &name, |bytes| bytes[..PAGE].fill(0xff));
            let (store, _) = open(&MemDisk::with_files(again))
                .unwrap_or_else(|error| panic!("cut to {cut} bytes: {error}"));
            let findings = &store.recovery_report().findings;
            let from_copy =
                |finding: &Finding| finding.verdict == Verdict::HeaderFromCopy && finding.file == name;
            assert!(findings.iter().any(from_copy), "cut to {cut} bytes: {findings:?}");
        }
    }
}

#[test]
fn both_header_pages_invalid_is_damage() {
    let found = verdicts(|files| {
        let name = segment(files, 2);
        edit(files, &name, |bytes| {
            let last = bytes.len() - PAGE;
            bytes[20] ^= 1;
            bytes[last + 20] ^= 1;
        });
    });
    assert_eq!(found, [Verdict::HeaderLost]);
}

/// Whichever pages of it are blank.
#[test]
fn a_segment_of_which_only_some_pages_and_no_header_are_left_is_damage() {
    let (files, _) = run_files();
    let name = segment(&files, 2);
    for blank in 0..6 {
        let mut files = files.clone();
        edit(&mut files, &name, |bytes| {
            let last = bytes.len() - PAGE;
            bytes[..(1 + blank) * PAGE].fill(0);
            bytes[last..].fill(0);
        });
        let (store, _) = open(&MemDisk::with_files(files)).unwrap();
        let findings = &store.recovery_report().findings;
        assert!(
            findings
                .iter()
                .any(|finding| finding.verdict == Verdict::HeaderLost && finding.file == name),
            "{blank} blank pages: {findings:?}"
        );
    }
}

#[test]
fn hard_state_with_one_valid_slot_is_the_newest_of_slots_and_stream() {
    for slot in [0, 1] {
        let (mut files, model) = run_files();
        edit(&mut files, "hard_state", |bytes| {
            bytes[slot * PAGE..(slot + 1) * PAGE].fill(0xff)
        });
        let disk = MemDisk::with_files(files);
        let (store, recovered) = open(&disk).unwrap();
        assert_eq!(
            store.recovery_report().findings[0].verdict,
            Verdict::HardStateOneSlot
        );
        assert_eq!(recovered.hard_state, model.hard_state, "slot {slot}");
        drop(store);
        assert_eq!(
            open(&disk).unwrap().0.recovery_report().findings,
            [],
            "it was written again"
        );
    }
}

#[test]
fn hard_state_with_one_valid_slot_and_a_damaged_last_batch_is_refused() {
    let disk = MemDisk::new();
    let (mut store, _) = create(&disk).unwrap();
    for term in 1..=3 {
        let hard_state = Some(HardState {
            term,
            voted_for: Some(term),
        });
        let batch = Batch {
            id: BatchId(term),
            base: None,
            hard_state,
            append: None,
        };
        store.persist(&batch).unwrap();
    }
    drop(store);
    let view = Inspection::of_files(&disk.files());
    let last = view.segments[0].batches.last().unwrap();
    let record = last.records[0].offset as usize;
    for slot in [0, 1] {
        let mut files = disk.files();
        edit(&mut files, "hard_state", |bytes| {
            bytes[slot * PAGE..(slot + 1) * PAGE].fill(0)
        });
        edit(&mut files, &segment(&disk.files(), 1), |bytes| {
            bytes[record + 9] ^= 1
        });
        let refused = match open(&MemDisk::with_files(files)) {
            Err(OpenError::Refused { finding, .. }) => finding.verdict,
            Err(error) => panic!("slot {slot}: {error}"),
            Ok((_, recovered)) => panic!(
                "slot {slot}: {:?}, and a vote of term 3 is lost",
                recovered.hard_state
            ),
        };
        assert_eq!(refused, Verdict::HardStateLost, "slot {slot}");
    }
}

#[test]
fn hard_state_without_a_valid_slot_is_refused() {
    let found = verdicts(|files| edit(files, "hard_state", |bytes| bytes.fill(0)));
    assert_eq!(found, [Verdict::HardStateLost]);
}

#[test]
fn a_segment_missing_in_the_middle_is_refused() {
    let found = verdicts(|files| {
        let name = segment(files, 2);
        files.remove(&name);
    });
    assert_eq!(found, [Verdict::SegmentMissing]);
}

#[test]
fn a_log_without_its_beginning_is_refused() {
    let found = verdicts(|files| {
        let name = segment(files, 1);
        files.remove(&name);
    });
    assert_eq!(found, [Verdict::Gap]);
}

#[test]
fn an_incarnation_that_is_not_the_logs_is_refused() {
    let other = MemDisk::new();
    let stranger = noraftd::store::Identity {
        incarnation: 9,
        ..identity()
    };
    drop(
        noraftd::store::Store::create(
            std::sync::Arc::new(other.clone()),
            options(),
            stranger,
            &genesis(),
        )
        .unwrap(),
    );
    let found = verdicts(|files| {
        files.insert("hard_state".to_owned(), other.files()["hard_state"].clone());
    });
    assert_eq!(found, [Verdict::WrongIdentity]);
}

#[test]
fn on_a_full_disk_entries_are_refused_while_term_and_vote_are_kept() {
    let disk = MemDisk::new();
    let (mut store, _) = create(&disk).unwrap();
    let mut model = run(&mut store, 2, 10).pop().unwrap();
    disk.arm(Some(Fault::Full));
    let append = |model: &Model| {
        let (prev, term) = (model.last(), model.last().term.get());
        let records = vec![command(term, prev.index.get() + 1, &[1; 3000])];
        Batch {
            id: BatchId(0),
            base: None,
            hard_state: None,
            append: Some(Append { prev, records }),
        }
    };
    let refused = loop {
        let batch = append(&model);
        match store.persist(&batch) {
            Ok(_) => model.apply(&batch),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::Full { .. }), "{refused}");
    for _ in 0..2 {
        let hard_state = HardState {
            term: model.hard_state.term + 1,
            voted_for: Some(1),
        };
        let vote = Batch {
            id: BatchId(0),
            base: None,
            hard_state: Some(hard_state),
            append: None,
        };
        store.persist(&vote).unwrap();
        model.apply(&vote);
    }
    model.check_reader(&store.reader());
    disk.arm(None);
    let batch = append(&model);
    store.persist(&batch).unwrap();
    model.apply(&batch);
    drop(store);
    let (store, recovered) = open(&disk.after_power_cut(Prng::new(1).next_u64())).unwrap();
    model.check(&recovered, &store.reader());
}

#[test]
fn a_disk_that_is_full_while_a_tail_is_cut_ends_a_start_with_the_code_for_that() {
    let (mut files, _) = run_files();
    let last_batch = |bytes: &[u8]| bytes.chunks(PAGE).rposition(|page| page.starts_with(b"nrb1"));
    let segments = files.iter().filter(|(name, _)| name.starts_with("segment-"));
    let mut with_batches = segments.filter_map(|(name, bytes)| Some((name.clone(), last_batch(bytes)?)));
    let (name, page) = with_batches.next_back().unwrap();
    edit(&mut files, &name, |bytes| bytes[page * PAGE + 50] ^= 1);
    let mut codes = Vec::new();
    for op in 0.. {
        let disk = MemDisk::with_files(files.clone());
        disk.arm(Some(Fault::Once { op, errno: ENOSPC }));
        match open(&disk) {
            Ok((store, _)) if disk.operations() <= op => {
                assert!(store.abstains(), "the tail is cut");
                break;
            }
            // A segment for later can be made later.
            Ok(_) => {}
            Err(OpenError::Cut { source, .. }) => codes.push(source.exit()),
            Err(error) => assert_eq!(error.exit(), Exit::CannotCreate, "{error}"),
        }
    }
    // The mark, its sync, the zeros behind it, their sync.
    assert!(codes.len() >= 4, "{codes:?}");
    assert!(codes.iter().all(|code| *code == Exit::CannotCreate), "{codes:?}");
}

/// No space left on device.
const ENOSPC: i32 = 28;

#[test]
fn a_record_is_checked_before_a_reader_gets_it() {
    let directory = tempfile::tempdir().unwrap();
    let disk: std::sync::Arc<dyn noraftd::store::disk::Disk> =
        std::sync::Arc::new(noraftd::store::disk::RealDisk::open(directory.path()).unwrap());
    let (mut store, _) = noraftd::store::Store::create(disk, options(), identity(), &genesis()).unwrap();
    let hard_state = Some(HardState {
        term: 1,
        voted_for: None,
    });
    let records = vec![
        term_entry(1, 1),
        command(1, 2, b"will rot"),
        command(1, 3, b"three"),
    ];
    let append = Some(Append {
        prev: at(0, 0),
        records,
    });
    store
        .persist(&Batch {
            id: BatchId(1),
            base: None,
            hard_state,
            append,
        })
        .unwrap();
    let path = directory.path().join("segment-0000000000000001");
    let mut bytes = std::fs::read(&path).unwrap();
    let rot = bytes.windows(8).position(|window| window == b"will rot").unwrap();
    bytes[rot] ^= 1;
    use std::os::unix::fs::FileExt;
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .write_all_at(&bytes[rot..=rot], rot as u64)
        .unwrap();
    let read = |from| {
        store
            .reader()
            .read(noraft::LogIndex::new(from), noraft::LogIndex::new(3), 1 << 20)
    };
    let error = read(2).unwrap_err();
    assert!(
        matches!(error, noraftd::store::ReadError::Damaged { index: 2, .. }),
        "{error}"
    );
    assert_eq!(read(1).unwrap().len(), 1, "what comes before the damage is given");
    assert_eq!(read(3).unwrap().len(), 1);
}

/// The index of a sealed segment lists entries only, so a cut among what is lost shows as an index that goes back.
#[test]
fn entries_are_known_from_the_seal_where_a_cut_among_them_is_lost() {
    let disk = MemDisk::new();
    let options = || Options {
        segment_bytes: 40 << 10,
        ..options()
    };
    let shared = Arc::new(disk.clone());
    let (mut store, _) = Store::create(shared, options(), identity(), &genesis()).unwrap();
    let mut persist = |term: u64, prev, records: Vec<noraftd::record::Record>| {
        let hard_state = HardState {
            term,
            voted_for: Some(2),
        };
        let batch = Batch {
            id: BatchId(0),
            hard_state: Some(hard_state),
            base: None,
            append: Some(Append { prev, records }),
        };
        store.persist(&batch).unwrap();
    };
    let first = [term_entry(1, 1), command(1, 2, b"void"), command(1, 3, b"void")];
    persist(1, at(0, 0), first.to_vec());
    persist(2, at(1, 1), vec![term_entry(2, 2), command(2, 3, b"kept")]);
    let mut last = 3;
    let is_sealed = |disk: &MemDisk| {
        let inspection = Inspection::of_files(&disk.files());
        let mut records = inspection.segments[0]
            .batches
            .iter()
            .flat_map(|batch| &batch.records);
        records.any(|record| record.kind == Kind::Seal)
    };
    while !is_sealed(&disk) {
        last += 1;
        persist(2, at(2, last - 1), vec![command(2, last, &[7; 3000])]);
    }
    drop(store);
    let mut files = disk.files();
    let (_, bytes) = files
        .iter_mut()
        .find(|(name, _)| name.as_str() == "segment-0000000000000001")
        .expect("the first segment is there");
    bytes[8 << 10..16 << 10].fill(0);
    let disk = MemDisk::with_files(files);
    let opened = Store::open(Arc::new(disk), options(), owner());
    let (_store, recovered) = opened.unwrap();
    assert_eq!(recovered.log.last_position(), at(2, last));
    let holes: Vec<_> = recovered.holes.iter().map(|hole| hole.position).collect();
    assert_eq!(holes, [at(1, 1), at(2, 2), at(2, 3)]);
}

//! Where the log begins: said in the stream, repeated by headers, and known to every snapshot. Each of them may be
//! damaged; what can no longer be determined is refused, and no loss goes unnoticed by it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use noraft::{LogIndex, LogPosition};
use noraftd::record::{Append, Base, Batch, BatchId, HardState, Record};
use noraftd::recovered::Recovered;
use noraftd::store::disk::memory::{Fault, MemDisk};
use noraftd::store::inspect::{Inspection, RecordView};
use noraftd::store::{Kind, OpenError, Options, Store, Verdict, snapshot_file_name};

use crate::common::*;
use crate::compaction::{head, receive, save, small_segments};

type Files = BTreeMap<String, Vec<u8>>;

const PAGE: usize = 4096;
/// Behind what every header has, before the base that it repeats.
const BASE_AT: usize = 96;

/// A store under test.
struct Log {
    disk: MemDisk,
    store: Store,
}

impl Log {
    fn new() -> Self {
        Self::with(small_segments())
    }

    /// A log that stays in one segment, so that no header and no SEAL shows what is lost.
    fn in_one_segment() -> Self {
        Self::with(Options {
            segment_bytes: 1 << 20,
            ..options()
        })
    }

    fn with(options: Options) -> Self {
        let disk = MemDisk::new();
        let created = Store::create(Arc::new(disk.clone()), options, identity(), &genesis());
        let (store, _) = created.unwrap();
        let mut log = Self { disk, store };
        log.vote(1);
        log.append(at(0, 0), vec![term_entry(1, 1)]);
        log
    }

    fn persist(&mut self, base: Option<Base>, hard_state: Option<HardState>, append: Option<Append>) {
        let id = BatchId(1);
        let batch = Batch {
            id,
            base,
            hard_state,
            append,
        };
        self.store.persist(&batch).unwrap();
    }

    fn vote(&mut self, term: u64) {
        let voted_for = Some(2);
        self.persist(None, Some(HardState { term, voted_for }), None);
    }

    fn append(&mut self, prev: LogPosition, records: Vec<Record>) {
        self.persist(None, None, Some(Append { prev, records }));
    }

    /// Appends entries of term 1, one a batch, up to `last`.
    fn append_until(&mut self, last: u64) {
        let first = self.store.last_position().index.get() + 1;
        for index in first..=last {
            self.append(at(1, index - 1), vec![entry(index)]);
        }
    }

    fn snapshot(&mut self, index: u64) {
        save(&self.store.snapshots(), at(1, index)).unwrap();
    }

    fn begin_at(&mut self, position: LogPosition) {
        self.persist(Some(head(position).base), None, None);
    }

    fn files(self) -> Files {
        drop(self.store);
        self.disk.files()
    }
}

fn entry(index: u64) -> Record {
    command(1, index, &vec![index as u8 | 1; 1900])
}

/// A log that begins at entry 20, with snapshots of 20 and 30; ends with entry 40.
fn compacted() -> Files {
    let mut log = Log::new();
    for newest in [20, 30] {
        log.append_until(newest);
        log.snapshot(newest);
    }
    log.begin_at(at(1, 20));
    log.append_until(40);
    log.files()
}

/// Damages the copies of the base in all headers; the headers themselves stay valid.
pub(crate) fn lose_bases_of_headers(files: &mut Files) {
    for (_, bytes) in files.iter_mut().filter(|(name, _)| name.starts_with("segment-")) {
        let copy = bytes.len() - PAGE;
        for page in [0, copy] {
            bytes[page + BASE_AT] ^= 1;
        }
    }
}

/// Damages the batches that say where the log begins, all of them.
fn lose_records_of_base(files: &mut Files) -> usize {
    let view = Inspection::of_files(files);
    let mut lost = 0;
    for segment in &view.segments {
        for batch in &segment.batches {
            if batch.records.iter().any(|record| record.kind == Kind::Snapshot) {
                let start = batch.offset as usize;
                files.get_mut(&segment.file).unwrap()[start..start + PAGE].fill(0xee);
                lost += 1;
            }
        }
    }
    lost
}

/// Damages the batches that hold commands of these indexes.
fn lose_entries(files: &mut Files, lost: RangeInclusive<u64>) {
    let view = Inspection::of_files(files);
    for segment in &view.segments {
        for batch in &segment.batches {
            let is_lost = |record: &RecordView| record.kind == Kind::Command && lost.contains(&record.index);
            if batch.records.iter().any(is_lost) {
                let start = batch.offset as usize;
                files.get_mut(&segment.file).unwrap()[start..start + PAGE].fill(0xee);
            }
        }
    }
}

fn lose_snapshot(files: &mut Files, index: u64) {
    files.get_mut(&snapshot_file_name(at(1, index))).unwrap()[60] ^= 1;
}

/// What an opening comes to, with the state that it goes on from.
struct Opened {
    store: Store,
    recovered: Recovered,
    state: Option<LogPosition>,
}

impl Opened {
    fn has(&self, verdict: Verdict) -> bool {
        let findings = &self.store.recovery_report().findings;
        findings.iter().any(|finding| finding.verdict == verdict)
    }

    fn base(&self) -> u64 {
        self.recovered.log.snapshot_position().index.get()
    }

    fn last(&self) -> u64 {
        self.recovered.last_position().index.get()
    }

    /// Every entry after the base is what was written.
    fn check_entries(&self) {
        for index in self.base() + 1..=self.last() {
            let index = LogIndex::new(index);
            let read = self.store.reader().read(index, index, 1).unwrap();
            let expected = if index.get() == 1 {
                term_entry(1, 1)
            } else {
                entry(index.get())
            };
            assert_eq!(read, [expected]);
        }
    }
}

fn open_disk(disk: &MemDisk) -> Result<Opened, OpenError> {
    let (mut store, recovered) = Store::open(Arc::new(disk.clone()), small_segments(), owner())?;
    let state = store.restore(|| (), |(), _| true)?;
    Ok(Opened {
        store,
        recovered,
        state: state.map(|(head, ..)| head.base.position),
    })
}

/// Opens the directory, with the power cut after each of so many operations, and then once more.
fn check_after_cuts(files: &Files, operations: u64, check: impl Fn(&Opened)) {
    for op in 0..operations {
        let disk = MemDisk::with_files(files.clone());
        disk.arm(Some(Fault::PowerAfter { op }));
        let _ = open_disk(&disk);
        check(&open_disk(&disk.after_power_cut(op)).unwrap());
    }
}

fn refusal(files: &Files) -> Verdict {
    let disk = MemDisk::with_files(files.clone());
    match open_disk(&disk) {
        Err(OpenError::Refused { finding, .. }) => {
            assert!(disk.files() == *files, "a refused directory is left as it was");
            finding.verdict
        }
        Err(error) => panic!("{error}"),
        Ok(opened) => panic!("opened with {:?}", opened.recovered),
    }
}

#[test]
fn the_record_of_the_beginning_is_lost_and_a_header_has_it() {
    let mut log = Log::new();
    log.append_until(3);
    let mut files = log.files();
    assert_eq!(lose_records_of_base(&mut files), 1);
    let disk = MemDisk::with_files(files);
    for _ in 0..2 {
        let opened = open_disk(&disk).unwrap();
        assert!(opened.has(Verdict::Damage));
        assert_eq!((opened.base(), opened.last()), (0, 3));
        assert!(!opened.recovered.abstain.abstains() && opened.recovered.holes.is_empty());
        assert_eq!(opened.recovered.log.snapshot_config(), &genesis());
        opened.check_entries();
    }
}

#[test]
fn a_copy_of_the_beginning_is_written_again_from_the_other() {
    let mut log = Log::new();
    log.append_until(3);
    let files = log.files();
    let name = "segment-0000000000000001";
    for page in [0, files[name].len() - PAGE] {
        let mut damaged = files.clone();
        damaged.get_mut(name).unwrap()[page + BASE_AT + 3] ^= 1;
        let disk = MemDisk::with_files(damaged);
        let opened = open_disk(&disk).unwrap();
        assert!(opened.has(Verdict::HeaderFromCopy));
        drop(opened);
        assert!(disk.files()[name] == files[name], "page at {page}");
    }
}

#[test]
fn every_copy_of_the_beginning_is_lost_and_a_snapshot_has_it() {
    let mut log = Log::new();
    log.append_until(9);
    log.snapshot(9);
    log.append_until(12);
    let mut files = log.files();
    lose_bases_of_headers(&mut files);
    lose_records_of_base(&mut files);
    let disk = MemDisk::with_files(files);
    for again in [false, true] {
        let opened = open_disk(&disk).unwrap();
        assert_eq!(
            opened.has(Verdict::BaseFromSnapshot),
            !again,
            "it was written again"
        );
        assert_eq!((opened.base(), opened.last()), (9, 12));
        assert_eq!(opened.state, Some(at(1, 9)));
        assert!(!opened.recovered.abstain.abstains());
        opened.check_entries();
    }
}

#[test]
fn every_copy_of_the_beginning_is_lost_and_no_snapshot_is_whole() {
    let mut log = Log::new();
    log.append_until(9);
    let mut files = log.files();
    lose_bases_of_headers(&mut files);
    lose_records_of_base(&mut files);
    assert_eq!(refusal(&files), Verdict::Gap);
    let mut files = compacted();
    lose_bases_of_headers(&mut files);
    lose_records_of_base(&mut files);
    lose_snapshot(&mut files, 20);
    lose_snapshot(&mut files, 30);
    assert_eq!(refusal(&files), Verdict::Gap);
}

#[test]
fn a_compacted_log_takes_the_oldest_snapshot_that_is_whole() {
    for (lost, expected) in [(None, 20), (Some(30), 20), (Some(20), 30)] {
        let mut files = compacted();
        lose_bases_of_headers(&mut files);
        assert!(lose_records_of_base(&mut files) > 0);
        if let Some(index) = lost {
            lose_snapshot(&mut files, index);
        }
        let disk = MemDisk::with_files(files);
        let opened = open_disk(&disk).unwrap();
        assert!(opened.has(Verdict::BaseFromSnapshot));
        assert_eq!((opened.base(), opened.last()), (expected, 40));
        assert!(!opened.recovered.abstain.abstains());
        opened.check_entries();
        drop(opened);
        assert_eq!(open_disk(&disk).unwrap().base(), expected);
    }
}

#[test]
fn a_lost_record_of_an_installed_state_is_found_in_its_file() {
    // An entry after it, or nothing; in the term of the old log, or in a later one.
    for (term, with_entry) in [(1, true), (1, false), (2, true), (2, false)] {
        let mut log = Log::new();
        log.append_until(20);
        log.snapshot(20);
        log.append_until(21);
        log.begin_at(at(1, 20));
        log.vote(term);
        receive(&log.store.snapshots(), at(term, 50)).unwrap();
        log.begin_at(at(term, 50));
        if with_entry {
            log.append(at(term, 50), vec![command(term, 51, b"after")]);
        }
        let mut files = log.files();
        assert!(
            !files.contains_key(&snapshot_file_name(at(1, 20))),
            "older snapshots go"
        );
        lose_records_of_base(&mut files);
        let disk = MemDisk::with_files(files);
        let opened = open_disk(&disk).unwrap();
        let last = if with_entry { 51 } else { 50 };
        assert_eq!(
            opened.state,
            Some(at(term, 50)),
            "term {term}, entry {with_entry}"
        );
        assert_eq!(opened.last(), last, "term {term}, entry {with_entry}");
        // With nothing after it, it is not known that nothing was.
        assert_eq!(opened.recovered.abstain.abstains(), !with_entry, "term {term}");
        let again = opened.recovered.clone();
        drop(opened);
        let opened = open_disk(&disk).unwrap();
        assert_eq!(opened.recovered.abstain.abstains(), again.abstain.abstains());
        assert_eq!(opened.recovered.last_position(), again.last_position());
    }
}

/// Opens the directory twice: each time the log ends at its beginning, `last`, and the node says that it forgot.
fn check_forgotten(files: Files, last: u64) {
    let disk = MemDisk::with_files(files);
    for _ in 0..2 {
        let opened = open_disk(&disk).unwrap();
        assert_eq!((opened.base(), opened.last()), (last, last));
        assert!(opened.recovered.abstain.abstains(), "{:?}", opened.recovered);
    }
}

/// Nothing but the lost record says what the first entry of a term follows: those after it may be void.
#[test]
fn entries_of_a_later_term_after_a_lost_beginning_do_not_go_unnoticed() {
    let mut log = Log::in_one_segment();
    log.append_until(3);
    receive(&log.store.snapshots(), at(1, 50)).unwrap();
    log.begin_at(at(1, 50));
    log.vote(2);
    let records = vec![term_entry(2, 51), command(2, 52, b"after")];
    log.append(at(1, 50), records);
    let mut files = log.files();
    lose_bases_of_headers(&mut files);
    assert!(lose_records_of_base(&mut files) > 0);
    check_forgotten(files, 50);
}

/// The next segment's header says what they follow.
#[test]
fn entries_of_a_later_term_after_a_lost_beginning_are_kept_when_a_header_says_what_they_follow() {
    let mut log = Log::new();
    log.append_until(3);
    receive(&log.store.snapshots(), at(1, 50)).unwrap();
    log.begin_at(at(1, 50));
    log.vote(2);
    log.append(at(1, 50), vec![term_entry(2, 51)]);
    let (begun, mut next) = (log.store.stats().segments, 52);
    while log.store.stats().segments == begun {
        log.append(at(2, next - 1), vec![command(2, next, &[7; 1900])]);
        next += 1;
    }
    let mut files = log.files();
    assert!(lose_records_of_base(&mut files) > 0);
    let disk = MemDisk::with_files(files);
    for _ in 0..2 {
        let opened = open_disk(&disk).unwrap();
        assert_eq!((opened.base(), opened.last()), (50, next - 1));
        assert!(!opened.recovered.abstain.abstains(), "{:?}", opened.recovered);
    }
}

/// The same for entries of which a later batch says that the log begins right before them.
#[test]
fn a_beginning_right_after_a_loss_does_not_drop_what_follows_it_unnoticed() {
    for with_entry in [false, true] {
        let mut log = Log::in_one_segment();
        log.append_until(20);
        log.snapshot(20);
        log.vote(2);
        log.append(at(1, 20), vec![term_entry(2, 21), command(2, 22, b"later")]);
        log.begin_at(at(1, 20));
        if with_entry {
            log.append(at(2, 22), vec![command(2, 23, b"after")]);
        }
        let mut files = log.files();
        lose_entries(&mut files, 19..=20);
        check_forgotten(files, 20);
    }
}

#[test]
fn entries_lost_with_a_beginning_further_up_are_holes_and_no_gap() {
    let mut log = Log::new();
    log.append_until(20);
    log.snapshot(20);
    for index in 21..=24 {
        log.append_until(index);
    }
    log.begin_at(at(1, 20));
    log.append_until(25);
    let mut files = log.files();
    // Everything from entry 19 on up to the record of the beginning, but not the record.
    lose_entries(&mut files, 19..=24);
    let disk = MemDisk::with_files(files);
    let opened = open_disk(&disk).unwrap();
    let holes: Vec<u64> = opened
        .recovered
        .holes
        .iter()
        .map(|hole| hole.position.index.get())
        .collect();
    assert_eq!((opened.base(), opened.last()), (20, 25));
    assert_eq!(holes, [21, 22, 23, 24]);
}

#[test]
fn a_repeated_beginning_does_not_make_a_loss_unnoticed() {
    let mut log = Log::new();
    log.append_until(12);
    log.vote(2);
    log.append(at(1, 10), vec![term_entry(2, 11), command(2, 12, b"twelve")]);
    let rolled = log.store.stats().segments;
    let mut next = 13;
    while log.store.stats().segments == rolled {
        log.append(at(2, next - 1), vec![command(2, next, &[7; 1900])]);
        next += 1;
    }
    let mut files = log.files();
    // What ended term 1 and began term 2 is lost with the SEAL; the next segment repeats where the log begins.
    let name = format!("segment-{rolled:016}");
    let bytes = files.get_mut(&name).unwrap();
    let end = bytes.len() - PAGE;
    bytes[PAGE..end].fill(0xee);
    let opened = open_disk(&MemDisk::with_files(files)).unwrap();
    let report = opened.store.recovery_report();
    assert!(
        opened.recovered.abstain.abstains() && opened.has(Verdict::DamageCut),
        "{report:?}"
    );
    assert!(opened.last() < 12, "{:?}", opened.recovered);
}

/// The log may have gone on to those entries from there.
#[test]
fn entries_that_do_not_follow_the_only_snapshot_are_not_dropped_unnoticed() {
    let mut log = Log::new();
    log.append_until(12);
    log.vote(2);
    save(&log.store.snapshots(), at(2, 9)).unwrap();
    let mut files = log.files();
    lose_bases_of_headers(&mut files);
    lose_records_of_base(&mut files);
    let opened = open_disk(&MemDisk::with_files(files)).unwrap();
    assert!(opened.has(Verdict::BaseFromSnapshot));
    assert_eq!((opened.base(), opened.last()), (9, 9));
    assert!(opened.recovered.abstain.abstains());
}

/// The log of before the loss has no state to go on from any more.
#[test]
fn a_beginning_that_is_lost_with_what_led_there_is_found_in_its_snapshot() {
    let mut log = Log::in_one_segment();
    log.append_until(9);
    log.snapshot(9);
    log.begin_at(at(1, 9));
    log.append_until(20);
    log.snapshot(20);
    log.begin_at(at(1, 20));
    log.vote(2);
    log.append(at(1, 20), vec![term_entry(2, 21)]);
    let mut files = log.files();
    assert!(
        !files.contains_key(&snapshot_file_name(at(1, 9))),
        "nothing needs it"
    );
    lose_entries(&mut files, 15..=20);
    let view = Inspection::of_files(&files);
    let mut batches = view.segments.iter().flat_map(|segment| &segment.batches);
    let says = |record: &RecordView| record.kind == Kind::Snapshot && record.index == 20;
    let batch = batches.find(|batch| batch.records.iter().any(says)).unwrap();
    let start = batch.offset as usize;
    files.get_mut("segment-0000000000000001").unwrap()[start..start + PAGE].fill(0xee);
    let opened = open_disk(&MemDisk::with_files(files)).unwrap();
    assert!(opened.has(Verdict::BaseFromSnapshot));
    // What follows opens a term: the log may have been longer before.
    assert_eq!((opened.base(), opened.last()), (20, 20));
    assert!(opened.recovered.abstain.abstains());
    assert_eq!(opened.state.map(|state| state.index.get()), Some(20));
}

/// It was durable before the snapshot went at which the log had begun, whenever the power goes as this is made good.
#[test]
fn a_beginning_that_is_lost_as_the_last_batch_is_found_in_its_snapshot() {
    let mut log = Log::in_one_segment();
    log.append_until(9);
    log.snapshot(9);
    log.begin_at(at(1, 9));
    log.append_until(12);
    log.snapshot(30);
    log.begin_at(at(1, 30));
    let mut files = log.files();
    assert!(
        !files.contains_key(&snapshot_file_name(at(1, 9))),
        "nothing needs it"
    );
    let view = Inspection::of_files(&files);
    let last = view.segments.iter().flat_map(|segment| &segment.batches).last();
    let last = last.unwrap();
    assert!(
        last.records
            .iter()
            .any(|record| record.kind == Kind::Snapshot && record.index == 30)
    );
    files.get_mut("segment-0000000000000001").unwrap()[last.offset as usize + 40] ^= 1;
    let check = |opened: &Opened| {
        assert_eq!((opened.base(), opened.last()), (30, 30));
        assert_eq!(opened.state, Some(at(1, 30)));
        assert!(opened.recovered.abstain.abstains());
    };
    let disk = MemDisk::with_files(files.clone());
    let opened = open_disk(&disk).unwrap();
    assert!(opened.has(Verdict::BaseFromSnapshot));
    check(&opened);
    check_after_cuts(&files, disk.operations(), check);
}

/// Its state is there without a snapshot.
#[test]
fn a_log_that_begins_at_the_genesis_keeps_what_is_before_a_loss() {
    let mut log = Log::in_one_segment();
    log.append_until(9);
    log.vote(2);
    log.append(at(1, 9), vec![term_entry(2, 10)]);
    save(&log.store.snapshots(), at(2, 10)).unwrap();
    let mut files = log.files();
    lose_entries(&mut files, 5..=9);
    let opened = open_disk(&MemDisk::with_files(files)).unwrap();
    assert!(!opened.has(Verdict::BaseFromSnapshot));
    assert_eq!((opened.base(), opened.last()), (0, 4));
    assert!(opened.recovered.abstain.abstains());
    opened.check_entries();
}

/// A log that begins at entry 9, with a term that begins at entry 13 and snapshots of 9 and 15; ends with entry 17. The one
/// of 9 is damaged, and so is the page of the batch with entry 13, and when `is_tail` all that are behind it.
fn cut_before_its_snapshot(is_tail: bool) -> Files {
    let mut log = Log::in_one_segment();
    log.append_until(9);
    log.snapshot(9);
    log.begin_at(at(1, 9));
    log.append_until(12);
    log.vote(2);
    log.append(at(1, 12), vec![term_entry(2, 13)]);
    for index in 14..=17 {
        log.append(at(2, index - 1), vec![command(2, index, b"of the later term")]);
    }
    save(&log.store.snapshots(), at(2, 15)).unwrap();
    let mut files = log.files();
    lose_snapshot(&mut files, 9);
    let view = Inspection::of_files(&files);
    for batch in view.segments.iter().flat_map(|segment| &segment.batches) {
        let is_lost = |record: &RecordView| {
            let is_entry = matches!(record.kind, Kind::Term | Kind::Command);
            is_entry && (record.index == 13 || is_tail && record.index > 13)
        };
        if batch.records.iter().any(is_lost) {
            let start = batch.offset as usize;
            files.get_mut("segment-0000000000000001").unwrap()[start..start + PAGE].fill(0xee);
        }
    }
    files
}

/// What it covers was committed, and it has what was lost; what was lost behind it, the node has forgotten.
#[test]
fn a_log_that_is_cut_before_a_whole_snapshot_begins_there_when_no_other_leads_on() {
    for (is_tail, last) in [(false, 17), (true, 15)] {
        let files = cut_before_its_snapshot(is_tail);
        let check = |opened: &Opened| {
            assert_eq!((opened.base(), opened.last()), (15, last));
            assert_eq!(opened.state, Some(at(2, 15)));
            assert_eq!(opened.recovered.abstain.abstains(), is_tail);
        };
        let disk = MemDisk::with_files(files.clone());
        let opened = open_disk(&disk).unwrap();
        assert!(opened.has(Verdict::BaseFromSnapshot));
        check(&opened);
        check_after_cuts(&files, disk.operations(), check);
    }
}

#[test]
fn a_start_that_is_refused_for_want_of_a_state_removes_no_snapshot() {
    let snapshots = |files: &Files| -> Vec<String> {
        let is_snapshot = |name: &&String| name.starts_with("snapshot-");
        files.keys().filter(is_snapshot).cloned().collect()
    };
    let mut lost = cut_before_its_snapshot(false);
    lost.get_mut(&snapshot_file_name(at(2, 15))).unwrap()[60] ^= 1;
    // Nothing is lost of this log, so it never began at the later one.
    let mut log = Log::in_one_segment();
    log.append_until(9);
    log.snapshot(9);
    log.begin_at(at(1, 9));
    log.snapshot(30);
    let mut never_installed = log.files();
    lose_snapshot(&mut never_installed, 9);
    for files in [lost, never_installed] {
        let disk = MemDisk::with_files(files.clone());
        let refused = open_disk(&disk).err();
        assert!(
            matches!(&refused, Some(OpenError::Refused { finding, .. }) if finding.verdict == Verdict::SnapshotLost),
            "{refused:?}"
        );
        assert_eq!(snapshots(&disk.files()), snapshots(&files));
        assert_eq!(snapshots(&files).len(), 2);
    }
}

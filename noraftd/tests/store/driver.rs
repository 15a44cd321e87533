//! The disk's driver: what it reports, when it tries again, and what ends the process.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use noraft::LogIndex;
use noraftd::exit::Exit;
use noraftd::record::{Append, Batch, BatchId, HardState, Record};
use noraftd::replica::event::{Input, Room};
use noraftd::storage::{Driver, Fetch, FetchStep, ReadDriver, Retry, Step, VoteJob, WriteJob};
use noraftd::store::disk::Disk;
use noraftd::store::disk::memory::{Fault, MemDisk};
use noraftd::store::inspect::Inspection;
use noraftd::store::{Store, StoreError};
use noraftd::time::Instant;

use crate::common::{at, command, create, open, owner, term_entry};
use crate::compaction::small_segments;
use crate::rejoining::begin_again;

const PAUSE: Duration = Duration::from_millis(100);

/// A driver, its disk, and time that only the test moves.
struct Bench {
    disk: MemDisk,
    driver: Driver,
    now: Instant,
    last: u64,
    batches: u64,
}

impl Bench {
    fn new() -> Self {
        let disk = MemDisk::new();
        let (store, _) = create(&disk).unwrap();
        let mut bench = Self {
            driver: Driver::new(store, Instant::ZERO),
            disk,
            now: Instant::ZERO,
            last: 0,
            batches: 0,
        };
        let first = bench.batch(vec![term_entry(1, 1)]);
        let first = Batch {
            hard_state: Some(HardState {
                term: 1,
                voted_for: Some(2),
            }),
            ..first
        };
        assert!(matches!(bench.run(&WriteJob::Persist(first)), Step::Done(_)));
        bench.last = 1;
        bench
    }

    fn batch(&mut self, records: Vec<Record>) -> Batch {
        self.batches += 1;
        let prev = if self.last == 0 {
            at(0, 0)
        } else {
            at(1, self.last)
        };
        Batch {
            id: BatchId(self.batches),
            base: None,
            hard_state: None,
            append: Some(Append { prev, records }),
        }
    }

    /// A job that appends one entry of `bytes` bytes.
    fn append(&mut self, bytes: usize) -> WriteJob {
        let record = command(1, self.last + 1, &vec![7; bytes]);
        WriteJob::Persist(self.batch(vec![record]))
    }

    fn run(&mut self, job: &WriteJob) -> Step {
        self.driver.run(self.now, job)
    }

    /// Appends, a look for room apart, until the driver does not call the room plenty.
    fn fill(&mut self) -> Room {
        loop {
            self.now = self.now + PAUSE;
            let job = self.append(1500);
            match self.run(&job) {
                Step::Done(done) => {
                    assert!(matches!(done.input, Some(Input::Synced(_))));
                    self.last += 1;
                }
                step => panic!("the room is reported before it is gone, but: {step:?}"),
            }
            if let Some(room) = self.driver.news() {
                return room;
            }
        }
    }
}

#[test]
fn a_disk_that_runs_full_is_low_then_spent_then_free_again() {
    let mut bench = Bench::new();
    bench.disk.arm(Some(Fault::Full));
    assert_eq!(bench.fill(), Room::Low, "while entries on their way still fit");
    bench.driver.note_reported(Room::Low);
    assert_eq!(bench.fill(), Room::Spent);
    bench.driver.note_reported(Room::Spent);
    assert_eq!(bench.driver.news(), None);

    // Nothing is written meanwhile: the driver asks for time.
    let due = bench.driver.deadline().unwrap();
    assert_eq!(due, bench.now + PAUSE);
    assert!(bench.driver.due(bench.now).is_none());
    bench.now = due;
    let look = bench.driver.due(bench.now).unwrap();
    assert!(matches!(look, WriteJob::LookForRoom));
    assert!(matches!(bench.run(&look), Step::Done(_)));
    assert_eq!(bench.driver.room(), Room::Spent, "it is as full as before");

    bench.disk.arm(None);
    bench.now = bench.now + PAUSE;
    assert!(matches!(bench.run(&look), Step::Done(_)));
    assert_eq!(bench.driver.news(), Some(Room::Plenty));
    let job = bench.append(30_000);
    assert!(matches!(bench.run(&job), Step::Done(_)));
}

#[test]
fn a_batch_without_room_waits_and_is_written_once_there_is() {
    let mut bench = Bench::new();
    bench.disk.arm(Some(Fault::Full));
    // Larger than what is left: the look for room comes too late.
    let mut firsts = Vec::new();
    let job = loop {
        let job = bench.append(20_000);
        match bench.run(&job) {
            Step::Done(_) => bench.last += 1,
            Step::Retry(Retry { at, why, is_first }) => {
                assert!(matches!(why, StoreError::Full { .. }), "{why}");
                assert_eq!(at, bench.now + PAUSE);
                firsts.push(is_first);
                break job;
            }
            Step::Stop(stop) => panic!("{stop}"),
        }
    };
    assert_eq!(bench.driver.news(), Some(Room::Spent));
    let again = bench.run(&job);
    firsts.push(matches!(again, Step::Retry(Retry { is_first: true, .. })));
    assert_eq!(firsts, [true, false], "why it waits is worth one line");
    bench.disk.arm(None);
    match bench.run(&job) {
        Step::Done(done) => assert!(matches!(done.input, Some(Input::Synced(_)))),
        step => panic!("{step:?}"),
    }
    assert_eq!(bench.driver.room(), Room::Plenty);
    let (store, _) = open(&bench.disk.after_power_cut(3)).unwrap();
    assert_eq!(store.last_position(), at(1, bench.last + 1));
}

#[test]
fn a_shortage_of_descriptors_is_no_full_disk() {
    let mut bench = Bench::new();
    let op = bench.disk.operations();
    bench.disk.arm(Some(Fault::Once { op, errno: EMFILE }));
    let job = bench.append(10);
    match bench.run(&job) {
        Step::Retry(Retry { why, .. }) => assert!(matches!(why, StoreError::Short { .. }), "{why}"),
        step => panic!("{step:?}"),
    }
    assert_eq!(bench.driver.room(), Room::Plenty);
    match bench.run(&job) {
        Step::Done(done) => assert!(done.was_short),
        step => panic!("{step:?}"),
    }
}

#[test]
fn a_write_into_reserved_room_that_finds_none_waits_and_loses_nothing() {
    let mut bench = Bench::new();
    let kept = bench.last;
    bench.disk.arm(Some(Fault::FullOverwrite));
    let job = bench.append(5000);
    for attempt in 0..3 {
        match bench.run(&job) {
            Step::Retry(Retry { why, is_first, .. }) => {
                assert!(matches!(why, StoreError::Full { .. }), "{why}");
                assert_eq!(is_first, attempt == 0);
            }
            step => panic!("attempt {attempt}: {step:?}"),
        }
        for seed in 0..8 {
            let (store, _) = open(&bench.disk.after_power_cut(seed)).unwrap();
            let last = store.last_position().index.get();
            assert!((kept..=kept + 1).contains(&last), "seed {seed}: {last}");
        }
        bench.now = bench.now + PAUSE;
    }
    assert_eq!(
        bench.driver.news(),
        Some(Room::Spent),
        "clients are refused meanwhile"
    );
    bench.disk.arm(None);
    assert!(matches!(bench.run(&job), Step::Done(_)));
    assert_eq!(bench.driver.room(), Room::Plenty);
    bench.last += 1;
    let job = bench.append(10);
    assert!(matches!(bench.run(&job), Step::Done(_)));
    for seed in 0..8 {
        let (store, recovered) = open(&bench.disk.after_power_cut(seed)).unwrap();
        assert_eq!(store.last_position(), at(1, bench.last + 1));
        assert!(recovered.holes.is_empty() && store.recovery_report().findings.is_empty());
    }
}

#[test]
fn a_vote_that_finds_no_room_waits_and_is_given_once_there_is() {
    let bench = Bench::new();
    let votes = bench.driver.store().votes();
    let given = HardState {
        term: 7,
        voted_for: Some(3),
    };
    let before = open(&bench.disk.after_kill()).unwrap().1.hard_state;
    bench.disk.arm(Some(Fault::FullOverwrite));
    let mut job = VoteJob::Save(given);
    for _ in 0..3 {
        let step = job.run(&votes).unwrap();
        assert!(matches!(step.waits, Some(StoreError::Full { .. })));
        assert!(step.input.is_none(), "it is not given yet");
        job = step.next.expect("it is to be tried again");
        for seed in 0..8 {
            // The slot that is written may hold anything; the other one is as it was.
            let (_, recovered) = open(&bench.disk.after_power_cut(seed)).unwrap();
            assert!([before, given].contains(&recovered.hard_state), "seed {seed}");
        }
    }
    bench.disk.arm(None);
    let step = job.run(&votes).unwrap();
    assert!(matches!(step.input, Some(Input::VoteSynced)) && step.waits.is_none());
    bench.disk.arm(Some(Fault::FullOverwrite));
    let again = step.next.expect("the other slot follows").run(&votes).unwrap();
    assert!(again.waits.is_some() && matches!(again.next, Some(VoteJob::Repeat)));
    for seed in 0..8 {
        let (_, recovered) = open(&bench.disk.after_power_cut(seed)).unwrap();
        assert_eq!(recovered.hard_state, given, "seed {seed}");
    }
}

#[test]
fn a_vote_whose_sync_fails_ends_the_process_even_for_want_of_room() {
    let bench = Bench::new();
    let votes = bench.driver.store().votes();
    let op = bench.disk.operations() + 1;
    bench.disk.arm(Some(Fault::Once { op, errno: ENOSPC }));
    let vote = VoteJob::Save(HardState {
        term: 7,
        voted_for: Some(3),
    });
    let stop = vote.run(&votes).expect_err("what was written may be lost");
    assert_eq!(stop.exit(), Exit::Disk, "{stop}");
}

#[test]
fn the_log_is_marked_as_idle_once_a_second_without_a_batch_is_over() {
    let mut bench = Bench::new();
    let idle = Instant::ZERO + Duration::from_secs(1);
    assert_eq!(bench.driver.deadline(), Some(idle));
    assert!(
        bench
            .driver
            .due(Instant::from_nanos(idle.as_nanos() - 1))
            .is_none()
    );
    bench.now = idle;
    let mark = bench.driver.due(idle).unwrap();
    assert!(matches!(mark, WriteJob::MarkIdle));
    assert!(matches!(bench.run(&mark), Step::Done(_)));
    assert_eq!(bench.driver.deadline(), None, "one mark is enough");
    let job = bench.append(10);
    assert!(matches!(bench.run(&job), Step::Done(_)));
    assert_eq!(bench.driver.deadline(), Some(idle + Duration::from_secs(1)));
}

#[test]
fn what_contradicts_the_log_ends_the_process_as_a_bug_and_a_failed_sync_as_the_disks_fault() {
    let mut bench = Bench::new();
    bench.last = 40;
    let job = bench.append(10);
    match bench.run(&job) {
        Step::Stop(stop) => assert_eq!(stop.exit(), Exit::Software, "{stop}"),
        step => panic!("{step:?}"),
    }
    bench.last = 1;
    let op = bench.disk.operations();
    bench.disk.arm(Some(Fault::Once { op, errno: EIO }));
    let job = bench.append(10);
    match bench.run(&job) {
        Step::Stop(stop) => assert_eq!(stop.exit(), Exit::Disk, "{stop}"),
        step => panic!("{step:?}"),
    }
    match bench.run(&job) {
        Step::Stop(stop) => assert_eq!(stop.exit(), Exit::Disk, "it is never tried again: {stop}"),
        step => panic!("{step:?}"),
    }
}

#[test]
fn a_finding_of_the_scrub_is_news_until_it_was_passed_on_and_a_fetch_of_it_fails() {
    let mut bench = Bench::new();
    let job = bench.append(3000);
    assert!(matches!(bench.run(&job), Step::Done(_)));
    let (name, payload) = bench
        .disk
        .files()
        .into_iter()
        .find_map(|(name, bytes)| Some((name, bytes.windows(64).position(|part| part == [7; 64])?)))
        .unwrap();
    let disk: &dyn Disk = &bench.disk;
    let file = disk.open(&name).unwrap();
    file.write_at(payload as u64 + 1000, &[IoSlice::new(&[6])])
        .unwrap();

    let index = LogIndex::new(2);
    let mut reading = ReadDriver::new(bench.driver.store().reader(), 64 << 10);
    let found = (0..4).find_map(|_| reading.scrub().unwrap().and_then(|read| read.damaged));
    assert_eq!(found, Some(index));
    for _ in 0..2 {
        assert!(matches!(reading.news(), Some(Input::EntryDamaged { index: found }) if found == index));
        assert!(
            reading.scrub().unwrap().is_none(),
            "it waits until this one is known"
        );
    }
    reading.note_reported();
    assert!(reading.news().is_none());
    assert!(reading.scrub().unwrap().is_some());
    let fetch = Fetch {
        from: index,
        to: index,
        bytes_max: 1,
    };
    match reading.fetch(&fetch) {
        FetchStep::Done {
            input: Input::FetchFailed { from },
            damage: Some(damage),
        } => assert_eq!(
            (from, damage.to_string().contains("entry 2 is damaged")),
            (index, true)
        ),
        step => panic!("{step:?}"),
    }
}

const EMFILE: i32 = 24;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// Without the mark, the node would abstain again after its next start, and with two such nodes of three nothing could go on.
#[test]
fn the_mark_that_a_node_caught_up_is_written_once_there_is_room() {
    let disk = MemDisk::new();
    let (store, _) = begin_again(&disk);
    let mut driver = Driver::new(store, Instant::ZERO);
    disk.arm(Some(Fault::FullOverwrite));
    let missed = driver.run(Instant::ZERO, &WriteJob::MarkCaughtUp);
    assert!(matches!(missed, Step::Done(done) if done.missed.is_some()));
    let again = |driver: &mut Driver, now| {
        let due = driver.due(now).expect("the mark is owed");
        match driver.run(now, &due) {
            // An idle mark that is tried after it says for both that there was no room.
            Step::Done(done) => done.owed.or(done.missed).is_some(),
            step @ (Step::Retry(_) | Step::Stop(_)) => panic!("{step:?}"),
        }
    };
    let mut now = Instant::ZERO;
    for _ in 0..3 {
        now = driver.deadline().expect("the mark is owed").max(now);
        assert!(
            again(&mut driver, now),
            "it says what it has left at the log's end"
        );
        assert!(driver.store().abstains(), "there is no room yet");
    }
    disk.arm(None);
    now = driver.deadline().expect("the mark is owed").max(now);
    assert!(!again(&mut driver, now));
    assert!(!driver.store().abstains());
    drop(driver);
    let (_, recovered) = Store::open(Arc::new(disk), small_segments(), owner()).unwrap();
    assert!(!recovered.abstain.abstains());
}

/// What such a mark says is so only while nothing comes after it.
#[test]
fn the_mark_that_was_missed_does_not_come_after_an_idle_mark_or_a_clean_stop() {
    for job in [WriteJob::MarkIdle, WriteJob::MarkCleanStop] {
        let last_record = |is_missed: bool| {
            let disk = MemDisk::new();
            let (store, _) = begin_again(&disk);
            let mut driver = Driver::new(store, Instant::ZERO);
            if is_missed {
                disk.arm(Some(Fault::FullOverwrite));
            }
            driver.run(Instant::ZERO, &WriteJob::MarkCaughtUp);
            disk.arm(None);
            let step = driver.run(Instant::ZERO, &job);
            assert!(matches!(step, Step::Done(_)), "{step:?}");
            assert!(!driver.store().abstains());
            let view = Inspection::of_files(&disk.files());
            let mut batches = view.segments.iter().flat_map(|segment| &segment.batches);
            let last = batches.next_back().and_then(|batch| batch.records.last());
            let last = last.expect("a mark was written");
            (last.kind, last.flags)
        };
        assert_eq!(last_record(true), last_record(false), "{job}");
    }
}

//! What the store says of itself: what it wrote and synced, how long that took, and what there is still room for.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use noraft::LogPosition;
use noraftd::record::{Append, Base, Batch, BatchId, Record};
use noraftd::store::disk::memory::{Fault, MemDisk};
use noraftd::store::{Options, PersistStats, Store, StoreError};
use noraftd::time::Instant;

use crate::common::*;
use crate::compaction::save;

const PAGE: u64 = 4096;
const TICK: Duration = Duration::from_millis(3);

/// A clock that goes on with every look.
fn clock() -> Instant {
    thread_local!(static LOOKS: Cell<u32> = const { Cell::new(0) });
    LOOKS.with(|looks| {
        looks.set(looks.get() + 1);
        Instant::ZERO + TICK * looks.get()
    })
}

fn sized(pages: u64) -> Options {
    Options {
        segment_bytes: pages * PAGE,
        clock,
        ..options()
    }
}

fn entry(prev: LogPosition, record: Record) -> Batch {
    let append = Append {
        prev,
        records: vec![record],
    };
    Batch {
        id: BatchId(0),
        hard_state: None,
        base: None,
        append: Some(append),
    }
}

/// An entry with so many bytes of payload.
fn next(store: &Store, bytes: usize) -> Batch {
    let prev = store.last_position();
    let index = prev.index.get() + 1;
    entry(prev, command(1, index, &vec![index as u8 | 1; bytes]))
}

/// A store with the first entry of a term.
fn begun(disk: &MemDisk, pages: u64) -> Store {
    let created = Store::create(Arc::new(disk.clone()), sized(pages), identity(), &genesis());
    let (mut store, _) = created.unwrap();
    store.persist(&vote(1)).unwrap();
    store.persist(&entry(at(0, 0), term_entry(1, 1))).unwrap();
    store
}

/// What the disk was asked for, without the making of segments: that may happen ahead of need, in another thread.
fn asked(operations: &[String]) -> PersistStats {
    let (mut asked, mut is_making) = (PersistStats::default(), false);
    for operation in operations {
        let words: Vec<_> = operation.split(' ').collect();
        match words[0] {
            "create" => is_making = true,
            "rename" => is_making = false,
            _ if is_making => continue,
            _ => {}
        }
        let is_durable = matches!(words[0], "sync_data" | "write_durably");
        asked.syncs += u64::from(is_durable);
        if let "write" | "write_durably" = words[0] {
            let (_, length) = words[2].split_once('+').unwrap();
            asked.bytes += length.parse::<u64>().unwrap();
        }
    }
    asked
}

/// Counts over a run that takes several segments, truncates, patches, and replaces its log.
fn check_counters(disk: &MemDisk) {
    let mut store = begun(disk, 8);
    let check = |store: &mut Store, step: &dyn Fn(&mut Store) -> PersistStats| {
        let (before, stats) = (disk.operations() as usize, store.stats());
        let said = step(store);
        let asked = asked(&disk.operation_log()[before..]);
        let now = store.stats();
        assert_eq!((said.syncs, said.bytes), (asked.syncs, asked.bytes));
        assert_eq!(now.syncs - stats.syncs, asked.syncs);
        assert_eq!(now.bytes - stats.bytes, asked.bytes);
        assert_eq!(now.last_sync, TICK);
        now
    };
    for _ in 0..12 {
        check(&mut store, &|store| store.persist(&next(store, 6000)).unwrap());
    }
    assert!(store.stats().segments > 3, "it rolled");
    check(&mut store, &|store| store.persist(&vote(2)).unwrap());
    let second = entry(at(1, 5), term_entry(2, 6));
    check(&mut store, &|store| store.persist(&second).unwrap());
    check(&mut store, &|store| store.mark_idle().unwrap());
    save(&store.snapshots(), at(2, 40)).unwrap();
    let base = Base {
        position: at(2, 40),
        config: genesis(),
        chain: None,
    };
    let replaced = Batch {
        base: Some(base),
        ..vote(3)
    };
    check(&mut store, &|store| store.persist(&replaced).unwrap());
    let batches = store.stats().batches;
    let now = check(&mut store, &|store| store.mark_clean_stop().unwrap());
    assert_eq!(now.batches, batches + 1);
}

#[test]
fn the_counters_say_what_the_disk_was_asked_for() {
    check_counters(&MemDisk::new());
}

#[test]
fn the_counters_say_what_was_written_past_the_cache() {
    let disk = MemDisk::new();
    disk.write_directly_from(1);
    check_counters(&disk);
    let operations = disk.operation_log();
    assert!(operations.iter().any(|line| line.starts_with("write_durably")));
}

/// An entry of a page fits where two pages are said to be free, and does not where none is.
#[test]
fn the_room_of_a_segment_is_what_entries_can_still_take() {
    let disk = MemDisk::new();
    let mut store = begun(&disk, 16);
    disk.arm(Some(Fault::Full));
    let mut rooms = vec![store.stats().room_bytes];
    loop {
        let batch = next(&store, 3000);
        let room = store.stats().room_bytes;
        match store.persist(&batch) {
            Ok(_) => assert!(room >= PAGE, "{rooms:?}"),
            Err(StoreError::Full { .. }) => break assert!(room < 2 * PAGE, "{rooms:?}"),
            Err(error) => panic!("{error}"),
        }
        rooms.push(store.stats().room_bytes);
    }
    assert!(rooms.len() > 2, "{rooms:?}");
    assert!(rooms.windows(2).all(|two| two[0] - two[1] == PAGE), "{rooms:?}");
    let stats = store.stats();
    assert_eq!(stats.segment_bytes, 16 * PAGE);
    assert!(
        stats.spare_failed && !stats.spare_ready,
        "the next segment has no room"
    );
    disk.arm(None);
    store.prepare_spare();
    assert!(store.stats().spare_ready && !store.stats().spare_failed);
}

/// Whatever sizes entries have, they leave a page for term and vote, and the SEAL has its own.
#[test]
fn entries_of_any_size_leave_room_for_a_vote() {
    for small in 0..4 {
        for bytes in (3800..4100).chain(7900..8200) {
            let disk = MemDisk::new();
            let mut store = begun(&disk, 8);
            for _ in 0..small {
                store.persist(&next(&store, 3000)).unwrap();
            }
            disk.arm(Some(Fault::Full));
            let large = next(&store, bytes);
            let taken = store.persist(&large);
            assert!(matches!(taken, Ok(_) | Err(StoreError::Full { .. })), "{taken:?}");
            let voted = store.persist(&vote(2));
            assert!(voted.is_ok(), "{small} of a page, and one of {bytes}: {voted:?}");
        }
    }
}

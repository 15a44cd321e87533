//! What the store promises when nothing goes wrong, and when the caller does.

use crate::common::*;

use std::sync::Arc;

use noraft::{LogIndex, LogPosition};
use noraftd::record::{Append, Batch, BatchId, HardState};
use noraftd::store::disk::memory::MemDisk;
use noraftd::store::disk::{Disk, RealDisk};
use noraftd::store::{
    HARD_STATE_FILE, OpenError, Options, Owner, ReadError, SpareBy, Store, StoreError, Verdict,
};

fn batch(prev: LogPosition, records: Vec<noraftd::record::Record>) -> Batch {
    Batch {
        id: BatchId(1),
        base: None,
        hard_state: None,
        append: Some(Append { prev, records }),
    }
}

/// A store at position (1, 4).
fn small(disk: &MemDisk) -> Store {
    let (mut store, _) = create(disk).unwrap();
    store.persist(&vote(1)).unwrap();
    let entries = vec![
        term_entry(1, 1),
        command(1, 2, b"a"),
        command(1, 3, b"b"),
        command(1, 4, b"c"),
    ];
    store.persist(&batch(LogPosition::ZERO, entries)).unwrap();
    store
}

#[test]
fn a_new_store_is_an_empty_log_with_the_genesis_configuration() {
    let disk = MemDisk::new();
    let (store, recovered) = create(&disk).unwrap();
    assert_eq!(recovered.last_position(), LogPosition::ZERO);
    assert_eq!(recovered.log.snapshot_config(), &genesis());
    assert_eq!(recovered.hard_state, HardState::default());
    assert!(!recovered.abstain.abstains());
    assert_eq!(store.identity(), identity());
}

#[test]
fn what_was_acknowledged_is_found_again() {
    for seed in 0..20 {
        let disk = MemDisk::new();
        let (mut store, _) = create(&disk).unwrap();
        let models = run(&mut store, seed, 60);
        models.last().unwrap().check_reader(&store.reader());
        drop(store);
        let (store, recovered) = open(&disk).unwrap();
        models.last().unwrap().check(&recovered, &store.reader());
        assert_eq!(store.recovery_report().findings, [], "seed {seed}");
        assert!(
            store.recovery_report().segments > 2,
            "seed {seed}: the run must roll"
        );
    }
}

#[test]
fn a_store_goes_on_after_each_opening() {
    let disk = MemDisk::new();
    drop(create(&disk).unwrap());
    let mut model = Model::default();
    let mut prng = noraftd::prng::Prng::new(3);
    for _ in 0..40 {
        let (mut store, recovered) = open(&disk).unwrap();
        model.check(&recovered, &store.reader());
        for _ in 0..3 {
            let batch = model.next_batch(&mut prng);
            store.persist(&batch).unwrap();
            model.apply(&batch);
        }
        if prng.chance(1, 3) {
            store.mark_clean_stop().unwrap();
        }
    }
}

#[test]
fn a_batch_takes_one_sync() {
    let disk = MemDisk::new();
    let mut store = small(&disk);
    let stats = store
        .persist(&batch(at(1, 4), vec![command(1, 5, b"d")]))
        .unwrap();
    assert_eq!((stats.syncs, stats.bytes), (1, 4096));
    let stats = store.persist(&vote(2)).unwrap();
    assert_eq!(stats.syncs, 2, "term and vote go to a file of their own as well");
    let stats = store.persist(&vote(2)).unwrap();
    assert_eq!(stats.syncs, 1, "but only when they change");
    assert_eq!(
        store
            .persist(&Batch {
                id: BatchId(9),
                base: None,
                hard_state: None,
                append: None
            })
            .unwrap()
            .syncs,
        0
    );
}

#[test]
fn an_append_below_the_end_replaces_what_follows() {
    let disk = MemDisk::new();
    let mut store = small(&disk);
    store.persist(&vote(2)).unwrap();
    store.persist(&batch(at(1, 2), vec![term_entry(2, 3)])).unwrap();
    assert_eq!(store.last_position(), at(2, 3));
    assert!(matches!(
        store.reader().read(LogIndex::new(4), LogIndex::new(4), 9),
        Err(ReadError::Absent(_))
    ));
    let read = store
        .reader()
        .read(LogIndex::new(1), LogIndex::new(9), 1 << 20)
        .unwrap();
    let expected = [term_entry(1, 1), command(1, 2, b"a"), term_entry(2, 3)];
    assert_eq!(read, expected);
    drop(store);
    assert_eq!(open(&disk).unwrap().1.last_position(), at(2, 3));
}

#[test]
fn entries_that_the_log_holds_are_not_written_again() {
    let disk = MemDisk::new();
    let mut store = small(&disk);
    let entries = vec![command(1, 3, b"b"), command(1, 4, b"c")];
    let stats = store.persist(&batch(at(1, 2), entries)).unwrap();
    assert_eq!((stats.syncs, store.last_position()), (0, at(1, 4)));
    store
        .persist(&batch(at(1, 2), vec![command(1, 3, b"b")]))
        .unwrap();
    assert_eq!(
        store.last_position(),
        at(1, 3),
        "what follows the last of them is replaced by nothing"
    );
    drop(store);
    assert_eq!(open(&disk).unwrap().1.last_position(), at(1, 3));
}

#[test]
fn a_batch_that_contradicts_the_log_is_refused_and_changes_nothing() {
    let disk = MemDisk::new();
    let mut store = small(&disk);
    let before = disk.files();
    let bad = [
        batch(at(1, 5), vec![command(1, 6, b"")]),
        batch(at(2, 4), vec![command(2, 5, b"")]),
        batch(at(1, 4), vec![command(1, 6, b"")]),
        batch(at(1, 4), vec![term_entry(2, 5)]),
        batch(at(1, 4), vec![command(1, 5, b""), term_entry(1, 6)]),
        vote(0),
        Batch {
            base: None,
            hard_state: Some(HardState {
                term: 9,
                voted_for: None,
            }),
            ..batch(at(7, 7), vec![])
        },
    ];
    for batch in &bad {
        assert!(
            matches!(store.persist(batch), Err(StoreError::Invalid(_))),
            "{batch:?}"
        );
    }
    assert_eq!(disk.files(), before);
    store
        .persist(&batch(at(1, 4), vec![command(1, 5, b"d")]))
        .unwrap();
}

#[test]
fn a_batch_larger_than_a_segment_becomes_several() {
    let disk = MemDisk::new();
    let mut store = small(&disk);
    let records: Vec<_> = (5..200)
        .map(|index| command(1, index, &[index as u8; 2000]))
        .collect();
    store.persist(&batch(at(1, 4), records.clone())).unwrap();
    let read = store
        .reader()
        .read(LogIndex::new(5), LogIndex::new(199), usize::MAX)
        .unwrap();
    assert_eq!(read, records);
    drop(store);
    assert_eq!(open(&disk).unwrap().1.last_position(), at(1, 199));
}

#[test]
fn an_entry_larger_than_a_segment_is_refused() {
    let disk = MemDisk::new();
    let mut store = small(&disk);
    let huge = batch(at(1, 4), vec![command(1, 5, &vec![1; SEGMENT_BYTES as usize])]);
    assert!(matches!(store.persist(&huge), Err(StoreError::Invalid(_))));
    store
        .persist(&batch(at(1, 4), vec![command(1, 5, b"d")]))
        .unwrap();
}

#[test]
fn reads_stop_at_the_wanted_number_of_bytes_but_give_one_record() {
    let disk = MemDisk::new();
    let store = small(&disk);
    let read = |from, to, bytes| {
        store
            .reader()
            .read(LogIndex::new(from), LogIndex::new(to), bytes)
            .unwrap()
            .len()
    };
    assert_eq!(
        (
            read(1, 4, usize::MAX),
            read(2, 4, 0),
            read(2, 4, 2),
            read(2, 3, 100)
        ),
        (4, 1, 2, 2)
    );
    assert!(matches!(
        store.reader().read(LogIndex::new(0), LogIndex::new(4), 9),
        Err(ReadError::Absent(_))
    ));
    assert!(matches!(
        store.reader().read(LogIndex::new(5), LogIndex::new(9), 9),
        Err(ReadError::Absent(_))
    ));
    assert!(matches!(
        store.reader().read(LogIndex::new(3), LogIndex::new(2), 9),
        Err(ReadError::Absent(_))
    ));
}

#[test]
fn a_directory_serves_one_store_and_is_made_once() {
    let disk = MemDisk::new();
    assert!(matches!(open(&disk), Err(OpenError::NoStore { .. })));
    let store = small(&disk);
    assert!(matches!(open(&disk), Err(OpenError::Locked { .. })));
    drop(store);
    assert!(matches!(create(&disk), Err(OpenError::Exists { .. })));
    open(&disk).unwrap();
}

#[test]
fn another_nodes_directory_is_refused() {
    let disk = MemDisk::new();
    drop(small(&disk));
    let before = disk.files();
    for owner in [
        Owner {
            cluster_id: 9,
            ..owner()
        },
        Owner {
            node_id: noraft::NodeId::new(9),
            ..owner()
        },
    ] {
        let error = Store::open(Arc::new(disk.clone()), options(), owner)
            .err()
            .unwrap();
        let OpenError::Refused { finding, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(finding.verdict, Verdict::WrongIdentity);
        assert!(error.to_string().contains("segment-0000000000000001"), "{error}");
    }
    assert_eq!(disk.files(), before);
}

#[test]
fn an_idle_mark_is_written_once() {
    let disk = MemDisk::new();
    let mut store = small(&disk);
    assert_eq!(store.mark_idle().unwrap().syncs, 1);
    assert_eq!(store.mark_idle().unwrap().syncs, 0);
    assert_eq!(store.mark_caught_up().unwrap().syncs, 0, "it does not abstain");
}

#[test]
fn real_files_keep_what_was_acknowledged_and_segments_are_made_ahead() {
    let directory = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(directory.path()).unwrap());
    let options = Options {
        spare: SpareBy::Thread,
        ..options()
    };
    let (mut store, _) = Store::create(disk.clone(), options, identity(), &genesis()).unwrap();
    let models = run(&mut store, 5, 80);
    models.last().unwrap().check_reader(&store.reader());
    assert!(matches!(
        Store::open(disk.clone(), options, owner()),
        Err(OpenError::Locked { .. })
    ));
    drop(store);
    let (mut store, recovered) = Store::open(disk, options, owner()).unwrap();
    models.last().unwrap().check(&recovered, &store.reader());
    assert!(store.stats().segments > 2);
}

#[test]
fn readers_on_other_threads_see_only_whole_durable_batches() {
    let directory = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(directory.path()).unwrap());
    let options = Options {
        spare: SpareBy::Thread,
        ..options()
    };
    let (mut store, _) = Store::create(disk, options, identity(), &genesis()).unwrap();
    store.persist(&vote(1)).unwrap();
    store
        .persist(&batch(LogPosition::ZERO, vec![term_entry(1, 1)]))
        .unwrap();
    let reader = store.reader();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut next = 1;
            while next < 300 {
                let Ok(records) = reader.read(LogIndex::new(next), LogIndex::new(300), 4000) else {
                    continue;
                };
                for record in &records {
                    assert_eq!(record.position.index.get(), next);
                    assert!(record.is_intact());
                    next += 1;
                }
            }
        });
        for first in (2..301).step_by(3) {
            let records = (first..first + 3)
                .map(|index| command(1, index, &[index as u8; 500]))
                .collect();
            store.persist(&batch(at(1, first - 1), records)).unwrap();
        }
        reading.join().unwrap();
    });
}

/// A candidate voted for itself, lost, and follows the leader of the same term: both are a state with a vote, of one term.
#[test]
fn what_follows_a_vote_in_its_term_is_newer_than_both_its_copies() {
    for (votes_before, broken) in (1..4).flat_map(|votes| [(votes, 0), (votes, 1)]) {
        let disk = MemDisk::new();
        let (mut store, _) = create(&disk).expect("an empty disk");
        let state = |term, voted_for| HardState {
            term,
            voted_for: Some(voted_for),
        };
        let own = owner().node_id.get();
        for term in 1..=votes_before {
            store.votes().save(state(term, own)).expect("it is written");
            store.votes().repeat().expect("it is written");
        }
        let followed = state(votes_before, own + 1);
        let records = vec![term_entry(votes_before, 1)];
        let batch = Batch {
            hard_state: Some(followed),
            ..batch(at(0, 0), records)
        };
        store.persist(&batch).expect("it is written");
        drop(store);
        let mut slots = disk.files()[HARD_STATE_FILE].clone();
        slots[broken * 4096 + 50] ^= 1;
        disk.overwrite(HARD_STATE_FILE, slots);
        let (_, recovered) = open(&disk).expect("one slot and the log are whole");
        assert_eq!(
            recovered.hard_state, followed,
            "{votes_before} votes, slot {broken} is damaged"
        );
    }
}

/// It overtook its batch, which a crash prevented: whichever slot is damaged next, the other one has it.
#[test]
fn a_vote_that_was_in_one_place_is_in_two_after_an_opening() {
    for broken in [0, 1] {
        let disk = MemDisk::new();
        let (store, _) = create(&disk).expect("an empty disk");
        let voted = HardState {
            term: 3,
            voted_for: Some(1),
        };
        store.votes().save(voted).expect("it is written");
        drop(store);
        assert_eq!(open(&disk).expect("it is whole").1.hard_state, voted);
        let mut slots = disk.files()[HARD_STATE_FILE].clone();
        slots[broken * 4096 + 50] ^= 1;
        disk.overwrite(HARD_STATE_FILE, slots);
        let (_, recovered) = open(&disk).expect("one slot is whole");
        assert_eq!(recovered.hard_state, voted, "slot {broken} is damaged");
    }
}

/// Its file is made whole, and what readers had of it ended where it was cut.
#[test]
fn entries_behind_the_end_of_a_cut_file_are_damaged_and_no_failure_of_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(directory.path()).unwrap());
    let (mut store, _) = Store::create(disk.clone(), options(), identity(), &genesis()).unwrap();
    let last = run(&mut store, 5, 80).pop().unwrap().last().index.get();
    drop(store);
    let names = std::fs::read_dir(directory.path()).unwrap();
    let mut segments: Vec<_> = names
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("segment-"))
        .collect();
    segments.sort();
    let mut damaged = 0;
    for path in &segments[..segments.len() - 1] {
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(length / 2).unwrap();
    }
    let (store, recovered) = Store::open(disk, options(), owner()).unwrap();
    let begin = store.base().index.get() + 1;
    for index in (begin..=recovered.last_position().index.get().min(last)).map(LogIndex::new) {
        match store.reader().read(index, index, 1) {
            Ok(_) => {}
            Err(ReadError::Damaged { .. }) => damaged += 1,
            Err(error) => panic!("entry {}: {error}", index.get()),
        }
    }
    assert!(damaged > 0, "something was cut off");
}

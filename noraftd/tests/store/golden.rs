//! The format, byte for byte: what version 1 wrote can always be opened.
//!
//! `v1` holds what the first builds wrote, `v1-base` what is written since headers say where the log begins.
//!
//! `NORAFT_BLESS=1 cargo test -p noraftd --test store golden` writes the golden directory again. That is
//! right only before a version is released; a change of format after it is a new version beside the old.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use noraft::LogIndex;
use noraftd::level::Level;
use noraftd::machine::Machine;
use noraftd::protocol::command::{Parsed, Request, parse};
use noraftd::protocol::resp::Reply;
use noraftd::record::{Append, Base, Batch, BatchId, HardState, SnapshotHead, genesis_config};
use noraftd::replica::event::Snapshot;
use noraftd::snapshot;
use noraftd::store::disk::RealDisk;
use noraftd::store::disk::memory::MemDisk;
use noraftd::store::inspect::{Detail, Inspection, inspect};
use noraftd::store::{Options, Snapshots, Store};
use noraftd::time::Stamp;

use crate::common::*;

/// What this version writes.
fn golden() -> PathBuf {
    golden_of("v1-base")
}

fn golden_of(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/store/golden")
        .join(version)
}

pub(crate) fn golden_files(version: &str) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(golden_of(version))
        .unwrap()
        .map(|entry| entry.unwrap());
    files
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                std::fs::read(entry.path()).unwrap(),
            )
        })
        .collect()
}

/// Every kind of record, over two segments.
fn write_log(disk: &MemDisk) -> Model {
    let options = Options {
        segment_bytes: 8 * 4096,
        ..options()
    };
    let (mut store, _) = Store::create(Arc::new(disk.clone()), options, identity(), &genesis()).unwrap();
    let mut model = Model::default();
    let elected = |term| {
        Some(HardState {
            term,
            voted_for: Some(2),
        })
    };
    let four = genesis_config([1, 2, 3, 4].map(noraft::NodeId::new));
    let batches = [
        (
            elected(1),
            at(0, 0),
            vec![term_entry(1, 1), command(1, 2, b"two"), command(1, 3, b"three")],
        ),
        (None, at(1, 3), vec![config_entry(1, 4, &four)]),
        (
            elected(3),
            at(1, 2),
            vec![term_entry(3, 3), command(3, 4, &[7; 100])],
        ),
        (None, at(3, 4), vec![command(3, 5, b"five")]),
        (
            Some(HardState {
                term: 4,
                voted_for: None,
            }),
            at(3, 5),
            vec![command(3, 6, b"six")],
        ),
        (None, at(3, 6), vec![command(3, 7, b"seven")]),
    ];
    for (hard_state, prev, records) in batches {
        let batch = Batch {
            id: BatchId(0),
            base: None,
            hard_state,
            append: Some(Append { prev, records }),
        };
        store.persist(&batch).unwrap();
        model.apply(&batch);
        if model.records.len() == 6 {
            store.mark_idle().unwrap();
        }
    }
    store.mark_clean_stop().unwrap();
    model
}

#[test]
fn this_version_writes_the_golden_bytes() {
    let disk = MemDisk::new();
    write_log(&disk);
    if std::env::var_os("NORAFT_BLESS").is_some() {
        std::fs::create_dir_all(golden()).unwrap();
        for (name, bytes) in disk.files() {
            std::fs::write(golden().join(name), bytes).unwrap();
        }
    }
    assert!(
        disk.files() == golden_files("v1-base"),
        "the format changed; see the head of this file"
    );
}

#[test]
fn the_golden_directories_open_with_all_they_hold() {
    for version in ["v1", "v1-base"] {
        let disk = MemDisk::with_files(golden_files(version));
        let (store, recovered) = open(&disk).unwrap();
        write_log(&MemDisk::new()).check(&recovered, &store.reader());
        assert_eq!(store.recovery_report().findings, [], "{version}");
        assert_eq!(store.recovery_report().segments, 2, "{version}");
    }
}

#[test]
fn the_golden_directory_reads_as_it_should() {
    insta::assert_snapshot!(Inspection::of_files(&golden_files("v1")));
}

#[test]
fn a_damaged_directory_is_described_in_words() {
    let mut files = golden_files("v1");
    let first = files.get_mut("segment-0000000000000001").unwrap();
    first[2 * 4096 + 40] ^= 1;
    files.get_mut("hard_state").unwrap()[50] ^= 1;
    insta::assert_snapshot!(Inspection::of_files(&files));
}

#[test]
fn an_unknown_version_is_refused_with_a_clear_message() {
    let mut files = golden_files("v1");
    let first = files.get_mut("segment-0000000000000001").unwrap();
    for at in [0, 7 * 4096] {
        first[at + 8] = 2;
        let sum = crc32fast::hash(&first[at..at + 92]);
        first[at + 92..at + 96].copy_from_slice(&sum.to_le_bytes());
    }
    let error = open(&MemDisk::with_files(files)).err().unwrap();
    insta::assert_snapshot!(error);
}

#[test]
fn inspecting_changes_nothing_and_works_beside_a_running_store() {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in golden_files("v1") {
        std::fs::write(directory.path().join(name), bytes).unwrap();
    }
    let disk = Arc::new(RealDisk::open(directory.path()).unwrap());
    let (store, recovered) = Store::open(disk, options(), owner()).unwrap();
    let listing = || {
        let mut names: Vec<_> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap())
            .collect();
        names.sort_by_key(|entry| entry.file_name());
        names
            .iter()
            .map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap()))
            .collect::<Vec<_>>()
    };
    let before = listing();
    let inspection = inspect(directory.path(), Detail::Batches).unwrap();
    assert_eq!(inspection.recovered.unwrap().last, recovered.last_position());
    assert_eq!(inspection.identity, Some(store.identity()));
    assert!(listing() == before);
    assert!(inspect(&directory.path().join("absent"), Detail::Segments).is_err());
}

/// A state with a string, a counter and a stream, after three entries.
fn golden_state() -> Snapshot {
    state_of(
        Machine::new(),
        &["SET greeting hello", "INCRBY n 41", "XADD log 5-1 field value"],
    )
}

/// At level 1: a string and a stream that go, and a string that stays.
fn golden_timed_state() -> Snapshot {
    let mut machine = Machine::new();
    let raise = Request::to_raise(Level::EXPIRY);
    machine.apply(LogIndex::new(1), Stamp::from_millis(1), &raise.body);
    state_of(
        machine,
        &[
            "SET greeting hello PXAT 1234567890123",
            "XADD log 5-1 field value",
            "EXPIREAT log 9999999999",
            "SET stays here",
            "SET gone already PXAT 5",
        ],
    )
}

fn state_of(mut machine: Machine, commands: &[&str]) -> Snapshot {
    for words in commands {
        let args = words
            .split(' ')
            .map(|word| Bytes::copy_from_slice(word.as_bytes()));
        let Ok(Parsed::Replicated(request)) = parse(args.collect()) else {
            panic!("{words} is a command that is replicated")
        };
        let index = LogIndex::new(machine.applied_index().get() + 1);
        machine.apply(index, Stamp::from_millis(index.get()), &request.body);
    }
    let index = machine.applied_index().get();
    let base = Base {
        position: at(2, index),
        config: genesis(),
        chain: None,
    };
    let head = SnapshotHead {
        base,
        stamp: Stamp::from_millis(index),
    };
    Snapshot { head, machine }
}

fn golden_snapshot() -> PathBuf {
    golden_of("snapshot-v1")
}

#[test]
fn a_snapshot_with_deadlines_has_the_golden_bytes_and_they_are_read() {
    check_snapshot("snapshot-v1-modified", &golden_timed_state());
    assert_eq!(
        golden_timed_state().machine.state_hash(),
        GOLDEN_TIMED_DIGEST,
        "the digest is the same in every version"
    );
}

const GOLDEN_TIMED_DIGEST: u64 = 12_410_971_830_721_015_674;

/// Of before keys had the index of the entry that changed them: it is the snapshot's.
#[test]
fn a_snapshot_without_indexes_of_keys_is_read() {
    let golden = std::fs::read(golden_of("snapshot-v1-timed")).unwrap();
    let disk = MemDisk::with_files([("any".to_owned(), golden)]);
    let (_, read) = snapshot::read_file(Arc::new(disk), "any", None).unwrap();
    let (now, was) = (golden_timed_state(), read.machine);
    assert_eq!(read.head, now.head);
    assert_eq!(was.key_count(), now.machine.key_count());
    assert_eq!(was.next_deadline(), now.machine.next_deadline());
    let keys = [Bytes::from_static(b"stays"), Bytes::from_static(b"nosuch")];
    let asked = Request::for_modified(&keys).unwrap();
    let index = i64::try_from(was.applied_index().get()).unwrap();
    let expected = Reply::Array(vec![Reply::Integer(index), Reply::Integer(0)]);
    assert_eq!(was.query(&asked.body), expected);
}

#[test]
fn a_snapshot_has_the_golden_bytes_and_they_are_read() {
    check_snapshot("snapshot-v1", &golden_state());
}

fn check_snapshot(golden: &str, state: &Snapshot) {
    let disk = MemDisk::new();
    let id = snapshot::save(&Snapshots::new(Arc::new(disk.clone()), 9), state).unwrap();
    let (name, bytes) = disk.files().pop_first().unwrap();
    let index = state.head.base.position.index.get();
    assert_eq!(name, format!("snapshot-{index:016x}-0000000000000002"));
    if std::env::var_os("NORAFT_BLESS").is_some() {
        std::fs::write(golden_of(golden), &bytes).unwrap();
    }
    let golden = std::fs::read(golden_of(golden)).unwrap();
    assert!(bytes == golden, "the format changed; see the head of this file");
    let disk = MemDisk::with_files([("any".to_owned(), golden)]);
    let (found, read) = snapshot::read_file(Arc::new(disk), "any", None).unwrap();
    assert_eq!((found, &read.head), (id, &state.head));
    assert_eq!(read.machine.state_hash(), state.machine.state_hash());
    assert_eq!(read.machine.next_deadline(), state.machine.next_deadline());
}

#[test]
fn a_snapshot_of_an_unknown_version_is_refused_with_a_clear_message() {
    let mut bytes = std::fs::read(golden_snapshot()).unwrap();
    let config = u32::from_le_bytes(bytes[44..48].try_into().unwrap()) as usize;
    bytes[8] = 2;
    let sum = crc32fast::hash(&bytes[..48 + config]);
    bytes[48 + config..52 + config].copy_from_slice(&sum.to_le_bytes());
    let disk = MemDisk::with_files([("any".to_owned(), bytes)]);
    let error = snapshot::read_file(Arc::new(disk), "any", None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "any: format version 2, this code knows 1; start the version that wrote it, or a later one"
    );
}

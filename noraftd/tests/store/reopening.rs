//! What opens, opens again, and says the same: recovery leaves nothing half done, whatever it found.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use noraftd::store::disk::memory::{Happens, Interference, MemDisk, Operation};
use noraftd::store::{Options, Store};

use crate::common::*;
use crate::golden::golden_files;

type Files = BTreeMap<String, Vec<u8>>;

const PAGE: usize = 4096;

fn reopened(files: &Files) {
    let options = Options {
        segment_bytes: 8 * PAGE as u64,
        ..options()
    };
    let disk = MemDisk::with_files(files.clone());
    let (store, first) = Store::open(Arc::new(disk.clone()), options, owner()).unwrap();
    drop(store);
    let again = Store::open(Arc::new(disk), options, owner()).map(|(_, again)| again);
    let again = again.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again.last_position(), first.last_position());
}

#[test]
fn a_file_that_was_cut_is_judged_as_it_will_be_with_its_size_again() {
    let mut files = golden_files("v1-base");
    let segment = files.get_mut("segment-0000000000000001").unwrap();
    // Its SEAL is all there, but not the page of it.
    segment.truncate(24439);
    // The header's page came down where the batch was that truncates.
    segment.copy_within(..PAGE, 4 * PAGE);
    reopened(&files);
}

/// Notes the files of which nothing cached is used any more, and those that are read, in order.
#[derive(Default)]
struct Reading(Mutex<Vec<String>>);

impl Interference for Reading {
    fn meet(&self, operation: &Operation<'_>) -> Happens {
        if let Operation::Forget(_) | Operation::Scan(_) = operation {
            self.0.lock().unwrap().push(operation.to_string());
        }
        Ok(())
    }
}

/// A write that the disk lost may be in the cache still, as if it were there.
#[test]
fn what_was_written_last_is_read_from_the_disk_and_not_from_what_is_cached_of_it() {
    let reading = Arc::new(Reading::default());
    let disk = MemDisk::with_interference(reading.clone());
    let (mut store, _) = Store::create(Arc::new(disk.clone()), options(), identity(), &genesis()).unwrap();
    run(&mut store, 3, 80);
    let segments = store.stats().segments;
    assert!(segments > 3, "there are {segments} segments");
    drop(store);
    reading.0.lock().unwrap().clear();
    let (_store, _) = Store::open(Arc::new(disk.clone()), options(), owner()).unwrap();
    let done = reading.0.lock().unwrap().clone();
    let at = |operation: String| done.iter().position(|line| *line == operation);
    let files = disk.files();
    let names: Vec<_> = files.keys().filter(|name| name.starts_with("segment-")).collect();
    for name in names.iter().rev().take(3) {
        let (forgotten, read) = (at(format!("forget {name}")), at(format!("scan {name}")));
        assert!(
            read.is_some() && forgotten.is_some() && forgotten < read,
            "{name}: {done:?}"
        );
    }
    assert_eq!(
        at(format!("forget {}", names[0])),
        None,
        "it was written long ago: {done:?}"
    );
}

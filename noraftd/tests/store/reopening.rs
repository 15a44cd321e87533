//! What opens, opens again, and says the same: recovery leaves nothing half done, whatever it found.

use std::collections::BTreeMap;
use std::sync::Arc;

use noraftd::store::disk::memory::MemDisk;
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

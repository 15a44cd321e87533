//! Large batches bypass the page cache; a reader of the same file through a mapping sees them at once.

use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use memmap2::MmapMut;
use noraftd::store::disk::{Disk, DiskFile, RealDisk};

use crate::skip::skip;

const FILE_BYTES: usize = 8 << 20;
const BATCH_BYTES: usize = 64 << 10;

/// A file full of zeros that are in the page cache and mapped; `None`, with a message, where nothing can be written
/// directly.
fn mapped_file(folder: &Path) -> Option<Arc<dyn DiskFile>> {
    let disk = RealDisk::open(folder).expect("a directory");
    let file = disk.create("file").expect("a writable directory");
    let zeros = vec![0; FILE_BYTES];
    file.allocate(FILE_BYTES as u64).expect("room");
    file.write_at(0, &[IoSlice::new(&zeros)]).expect("room");
    file.sync_all().expect("a disk");
    file.view(0, FILE_BYTES, &mut |bytes| {
        assert!(bytes.iter().all(|byte| *byte == 0))
    })
    .expect("it can be read");
    let aligned = MmapMut::map_anon(BATCH_BYTES).expect("memory");
    let is_direct = file.write_durably(0, &[IoSlice::new(&aligned)]).expect("a disk");
    if !is_direct {
        skip(&format!(
            "the file system of {} has no direct writes",
            folder.display()
        ));
    }
    is_direct.then_some(file)
}

/// What batch `number` is filled with.
fn pattern(number: u64) -> u8 {
    1 + (number % 250) as u8
}

#[test]
fn what_is_written_directly_is_seen_through_a_mapping_while_others_read_ahead() {
    let folder = tempfile::tempdir().expect("a directory");
    let Some(file) = mapped_file(folder.path()) else {
        return;
    };
    let (written, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let (written, done) = (&written, &done);
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let file = file.clone();
            scope.spawn(move || {
                let mut at = reader;
                while !done.load(Ordering::Acquire) {
                    let until = written.load(Ordering::Acquire);
                    // Read ahead of what is written: these pages come into the cache as zeros.
                    let ahead = (until + 1 + at % 4).min((FILE_BYTES / BATCH_BYTES) as u64 - 1);
                    file.view(ahead * BATCH_BYTES as u64, BATCH_BYTES, &mut |bytes| {
                        std::hint::black_box(bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>());
                    })
                    .expect("it can be read");
                    if until > 0 {
                        let number = until - 1 - at % until.min(8);
                        check(&*file, number);
                    }
                    at += 1;
                }
            });
        }
        let mut batch = MmapMut::map_anon(BATCH_BYTES).expect("memory");
        for number in 0..(FILE_BYTES / BATCH_BYTES) as u64 {
            batch.fill(pattern(number));
            let pieces = [IoSlice::new(&batch)];
            assert!(
                file.write_durably(number * BATCH_BYTES as u64, &pieces)
                    .expect("a disk")
            );
            written.store(number + 1, Ordering::Release);
        }
        done.store(true, Ordering::Release);
    });
    (0..(FILE_BYTES / BATCH_BYTES) as u64).for_each(|number| check(&*file, number));
}

fn check(file: &dyn DiskFile, number: u64) {
    file.view(number * BATCH_BYTES as u64, BATCH_BYTES, &mut |bytes| {
        let stale = bytes.iter().position(|byte| *byte != pattern(number));
        assert_eq!(stale, None, "batch {number}: a byte that is not the one written");
    })
    .expect("it can be read");
}

#[test]
fn bytes_that_are_not_whole_aligned_pages_are_left_to_the_page_cache() {
    let folder = tempfile::tempdir().expect("a directory");
    let Some(file) = mapped_file(folder.path()) else {
        return;
    };
    let mut batch = MmapMut::map_anon(2 * BATCH_BYTES).expect("memory");
    batch.fill(9);
    let refused = [
        (0, &batch[1..=BATCH_BYTES]),
        (0, &batch[..BATCH_BYTES - 512]),
        (512, &batch[..BATCH_BYTES]),
        (0, &batch[..4096]),
    ];
    for (offset, bytes) in refused {
        assert!(
            !file
                .write_durably(offset, &[IoSlice::new(bytes)])
                .expect("no error")
        );
    }
    file.view(0, 2 * BATCH_BYTES, &mut |bytes| assert!(!bytes.contains(&9)))
        .expect("it can be read");
}

/// A start reads a file that was cut, and makes it whole afterwards.
#[test]
fn a_file_that_was_read_when_it_was_short_is_read_to_its_end_once_it_is_whole() {
    let folder = tempfile::tempdir().expect("a directory");
    let disk = RealDisk::open(folder.path()).expect("a directory");
    let file = disk.create("file").expect("a writable directory");
    file.write_at(0, &[IoSlice::new(&[1; 100])]).expect("room");
    let read = |offset: u64, length: usize| {
        let mut seen = Vec::new();
        file.view(offset, length, &mut |bytes| seen = bytes.to_vec())
            .map(|()| seen)
    };
    assert_eq!(read(0, 100).expect("it can be read"), [1; 100]);
    assert!(read(50, 51).is_err(), "it ends before");
    file.allocate(2 * FILE_BYTES as u64).expect("room");
    let late = FILE_BYTES as u64;
    file.write_at(late, &[IoSlice::new(&[2; 100])]).expect("room");
    assert_eq!(read(late, 100).expect("it can be read"), [2; 100]);
    assert_eq!(read(0, 100).expect("it can be read"), [1; 100]);
    let only_read = file.only_read().expect("a map");
    let mut seen = 0;
    let view = only_read.view(late, 100, &mut |bytes| seen = bytes[0]);
    assert!(view.is_ok() && seen == 2);
}

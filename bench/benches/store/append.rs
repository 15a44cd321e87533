//! Append and sync.

use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use noraftd::record::Batch;
use noraftd::store::disk::{Disk, DiskFile, RealDisk};
use noraftd::store::{Options, Store};

use super::clock::{mean, median, micros, timed};
use super::peer::Peer;
use super::subject::Bench;
use super::unsynced::Unsynced;
use super::{PAYLOAD_BYTES, line};

/// Batches between two looks at whether the raw file is full.
const TURN: usize = 40;

/// Batch sizes, and how many turns of each.
const SIZES: [(usize, usize); 3] = [(1, 60), (64, 50), (1024, 20)];

pub(crate) fn report(report: &mut String) {
    line(report, format_args!("## Append and sync\n"));
    line(
        report,
        format_args!(
            "| entries a batch | store | raw | raft-engine | store, batches/s | store / raw | of means | raft-engine / raw |"
        ),
    );
    line(report, format_args!("|-|-|-|-|-|-|-|-|"));
    for (entries, turns) in SIZES {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let [ours, raw, peer] = measure(directory.path(), entries, turns);
        let means = mean(&raw) / mean(&ours);
        let (ours, raw, peer) = (micros(median(ours)), micros(median(raw)), micros(median(peer)));
        line(
            report,
            format_args!(
                "| {entries} | {ours:.0} us | {raw:.0} us | {peer:.0} us | {:.0} | **{:.2}** | {means:.2} | {:.2} |",
                1e6 / ours,
                raw / ours,
                raw / peer
            ),
        );
    }
    line(report, format_args!(""));
}

/// Times of the store, of raw writes, and of the peer.
fn measure(directory: &Path, entries: usize, turns: usize) -> [Vec<Duration>; 3] {
    std::fs::create_dir(directory.join("peer")).unwrap();
    let mut peer = Peer::open(&directory.join("peer"));
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(directory).unwrap());
    let mut bench = settled(disk.clone());
    let batch = bench.batch(entries);
    let bytes = vec![7; bench.store.persist(&batch).unwrap().bytes as usize];
    // As large as a segment and written from front to back, like it: a disk may like small files better.
    let raw = raw_file(&*disk, Options::SEGMENT_BYTES);
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    let mut offset = Options::SEGMENT_BYTES;
    for _ in 0..turns {
        if offset + (bytes.len() * TURN) as u64 > Options::SEGMENT_BYTES {
            blank(&*raw, Options::SEGMENT_BYTES);
            offset = 0;
        }
        for at in 0..TURN {
            // Made now, as entries have just come in when they are written: all three have theirs in the cache.
            let batch = bench.batch(entries);
            let theirs = peer.entries(entries, &[7; PAYLOAD_BYTES]);
            // Each is first as often as the others: whatever else the machine does, all meet it.
            for step in 0..3 {
                match (at + step) % 3 {
                    0 => times[0].push(persist(&mut bench.store, &batch)),
                    1 => times[1].push(write_raw(&*raw, offset, &bytes)),
                    _ => times[2].push(timed(|| peer.persist(&theirs))),
                }
            }
            offset += bytes.len() as u64;
        }
    }
    times
}

/// A store that is past its first segment, whose zeros are not all written, with the next one ready.
fn settled(disk: Arc<dyn Disk>) -> Bench {
    let mut bench = Bench::new(disk);
    while bench.store.stats().segments < 2 {
        let batch = bench.batch(4096);
        bench.store.persist(&batch).unwrap();
    }
    while !bench.store.stats().spare_ready {
        std::thread::yield_now();
    }
    bench
}

fn persist(store: &mut Store, batch: &Batch) -> Duration {
    timed(|| store.persist(batch).map(|_| ()).unwrap())
}

fn write_raw(file: &dyn DiskFile, offset: u64, bytes: &[u8]) -> Duration {
    timed(|| {
        file.write_at(offset, &[IoSlice::new(bytes)]).unwrap();
        file.sync_data().unwrap();
    })
}

fn raw_file(disk: &dyn Disk, bytes: u64) -> Arc<dyn DiskFile> {
    let file = disk.create("raw").unwrap();
    file.allocate(bytes).unwrap();
    file
}

fn blank(file: &dyn DiskFile, bytes: u64) {
    let zeros = vec![0; 1 << 20];
    for at in (0..bytes).step_by(zeros.len()) {
        let length = (bytes - at).min(zeros.len() as u64) as usize;
        file.write_at(at, &[IoSlice::new(&zeros[..length])]).unwrap();
    }
    file.sync_all().unwrap();
}

/// What the store adds to the system call, apart from the disk: the same without any sync.
pub(crate) fn report_without_sync(report: &mut String) {
    line(
        report,
        format_args!("## The same without any sync: what the processor does\n"),
    );
    line(report, format_args!("| entries a batch | store | raw |"));
    line(report, format_args!("|-|-|-|"));
    for (entries, _) in SIZES {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let disk: Arc<dyn Disk> = Arc::new(Unsynced(RealDisk::open(directory.path()).unwrap()));
        let mut bench = settled(disk.clone());
        let batch = bench.batch(entries);
        let bytes = vec![7; bench.store.persist(&batch).unwrap().bytes as usize];
        let raw = raw_file(&*disk, (bytes.len() * 4 * TURN) as u64);
        blank(&*raw, (bytes.len() * 4 * TURN) as u64);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for at in 0..4 * TURN {
            let batch = bench.batch(entries);
            ours.push(persist(&mut bench.store, &batch));
            theirs.push(write_raw(&*raw, (at * bytes.len()) as u64, &bytes));
        }
        let (ours, theirs) = (micros(median(ours)), micros(median(theirs)));
        line(
            report,
            format_args!("| {entries} | {ours:.1} us | {theirs:.1} us |"),
        );
    }
    line(report, format_args!(""));
}

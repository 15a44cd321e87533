//! Opening a log: every crc is checked.

use std::sync::Arc;

use noraftd::store::Store;
use noraftd::store::disk::{Disk, RealDisk};

use super::clock::{median, timed};
use super::line;
use super::subject::{Bench, options, owner};

/// A GiB of log, roughly.
const ENTRIES: u64 = 3_400_000;
const ROUNDS: usize = 3;

pub(crate) fn report(report: &mut String) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(directory.path()).unwrap());
    let mut bench = Bench::new(disk.clone());
    while bench.next.index.get() < ENTRIES {
        let batch = bench.batch(4096);
        bench.store.persist(&batch).unwrap();
    }
    drop(bench);
    // The first of all openings: a later one would use again what an earlier one gave back.
    let anonymous = anonymous_growth(|| {
        let (store, _) = Store::open(disk.clone(), options(), owner()).unwrap();
        store
    });
    let open = || timed(|| drop(Store::open(disk.clone(), options(), owner()).unwrap()));
    let (mut cold, mut warm, mut raw_cold, mut raw_warm) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        forget(&*disk);
        raw_cold.push(timed(|| bytes = scan_raw(&*disk)));
        raw_warm.push(timed(|| bytes = scan_raw(&*disk)));
        forget(&*disk);
        cold.push(open());
        warm.push(open());
    }
    line(
        report,
        format_args!("## Opening {ENTRIES} entries, {} MiB\n", bytes >> 20),
    );
    line(
        report,
        format_args!("| | store, every crc, position and link | one crc over the files, one thread |"),
    );
    line(report, format_args!("|-|-|-|"));
    for (name, ours, raw) in [("cold", cold, raw_cold), ("warm", warm, raw_warm)] {
        let (ours, raw) = (median(ours).as_secs_f64(), median(raw).as_secs_f64());
        let speed = |seconds: f64| bytes as f64 / seconds / 1e9;
        line(
            report,
            format_args!(
                "| {name} | {:.0} ms, {:.1} GB/s | {:.0} ms, {:.1} GB/s |",
                ours * 1e3,
                speed(ours),
                raw * 1e3,
                speed(raw)
            ),
        );
    }
    line(
        report,
        format_args!(
            "\nWarm, the store still reads the last segments from the disk, on purpose (see store/recovery/open.rs). An open store"
        ),
    );
    line(
        report,
        format_args!(
            "holds {:.1} MiB of memory of its own; what it maps belongs to the page cache.",
            anonymous as f64 / 1024.0
        ),
    );
}

/// Drops what is cached of every file.
fn forget(disk: &dyn Disk) {
    for name in disk.list().unwrap() {
        let file = disk.open(&name).unwrap();
        file.sync_all().unwrap();
        file.forget_cached().unwrap();
    }
}

fn scan_raw(disk: &dyn Disk) -> u64 {
    let mut bytes_read = 0;
    for name in disk.list().unwrap() {
        disk.open(&name)
            .unwrap()
            .scan(&mut |bytes| {
                std::hint::black_box(crc32fast::hash(bytes));
                bytes_read += bytes.len() as u64;
            })
            .unwrap();
    }
    bytes_read
}

/// KiB of anonymous memory that what `make` gives holds while it lives.
fn anonymous_growth<T>(make: impl FnOnce() -> T) -> u64 {
    let before = anonymous_kib();
    let made = make();
    let after = anonymous_kib();
    drop(made);
    after.saturating_sub(before)
}

fn anonymous_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

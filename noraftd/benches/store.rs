//! The store beside the least that the disk can do: `cargo bench -p noraftd --bench store`.
//!
//! Append and sync of 1, 64 and 1024 entries of 256 bytes against `pwrite` + `fdatasync` of as many bytes
//! into a preallocated, zero-filled file, in turns; then the opening of a log, every crc checked, against
//! a bare pass over the same files with one crc. Figures are medians; a ratio above 1 is better than raw.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot write has nothing to say"
)]

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use noraft::{LogIndex, LogPosition, NodeId, Term};
use noraftd::record::{Append, Batch, BatchId, HardState, Record, RecordKind, genesis_config};
use noraftd::store::disk::{DirLock, Disk, DiskFile, RealDisk};
use noraftd::store::{Identity, Options, Owner, SpareBy, Store};
use noraftd::time::{Instant, Stamp};

const PAYLOAD_BYTES: usize = 256;
/// Batches of one turn; short, so that both see the same disk.
const TURN: usize = 40;

fn main() {
    println!("append + sync, entries of {PAYLOAD_BYTES} bytes (medians)");
    println!(
        "{:>8} {:>12} {:>12} {:>12} {:>7} {:>7}",
        "entries", "store us", "raw us", "batches/s", "ratio", "mean"
    );
    for (entries, turns) in [(1, 50), (64, 40), (1024, 14)] {
        append(entries, turns);
    }
    cpu();
    open_log();
}

struct Bench {
    store: Store,
    next: LogPosition,
    payload: Bytes,
}

impl Bench {
    fn new(disk: Arc<dyn Disk>) -> Self {
        let identity = Identity {
            owner: owner(),
            incarnation: 1,
        };
        let (mut store, _) =
            Store::create(disk, options(), identity, &genesis_config([NodeId::new(1)])).unwrap();
        let hard_state = Some(HardState {
            term: 1,
            voted_for: Some(1),
        });
        let next = LogPosition {
            term: Term::new(1),
            index: LogIndex::new(1),
        };
        let records = vec![Record::new(
            next,
            RecordKind::Term,
            Stamp::default(),
            Bytes::new(),
        )];
        let append = Some(Append {
            prev: LogPosition::ZERO,
            records,
        });
        store
            .persist(&Batch {
                id: BatchId(0),
                base: None,
                hard_state,
                append,
            })
            .unwrap();
        Self {
            store,
            next,
            payload: Bytes::from(vec![7; PAYLOAD_BYTES]),
        }
    }

    fn batch(&mut self, entries: usize) -> Batch {
        let prev = self.next;
        let record = |_| {
            self.next.index += LogIndex::new(1);
            Record::new(
                self.next,
                RecordKind::Command,
                Stamp::from_millis(1),
                self.payload.clone(),
            )
        };
        let records = (0..entries).map(record).collect();
        Batch {
            id: BatchId(0),
            base: None,
            hard_state: None,
            append: Some(Append { prev, records }),
        }
    }
}

fn owner() -> Owner {
    Owner {
        cluster_id: 1,
        node_id: NodeId::new(1),
    }
}

fn options() -> Options {
    Options {
        segment_bytes: Options::SEGMENT_BYTES,
        spare: SpareBy::Thread,
        clock: now,
        salt_seed: 1,
    }
}

fn append(entries: usize, turns: usize) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(directory.path()).unwrap());
    let mut bench = Bench::new(disk.clone());
    while !bench.store.stats().spare_ready {
        std::thread::yield_now();
    }
    let batch = bench.batch(entries);
    let bytes = vec![7; bench.store.persist(&batch).unwrap().bytes as usize];
    // As large as a segment and written from front to back, like it: a disk may like small files better.
    let raw = raw_file(&*disk, Options::SEGMENT_BYTES);
    let (mut ours, mut theirs, mut offset) = (Vec::new(), Vec::new(), Options::SEGMENT_BYTES);
    for _ in 0..turns {
        if offset + (bytes.len() * TURN) as u64 > Options::SEGMENT_BYTES {
            blank(&*raw, Options::SEGMENT_BYTES);
            offset = 0;
        }
        let batches: Vec<Batch> = (0..TURN).map(|_| bench.batch(entries)).collect();
        for (at, batch) in batches.iter().enumerate() {
            // Batch by batch, now one first and now the other: whatever else the machine does, both meet it.
            if at % 2 == 0 {
                ours.push(persist(&mut bench.store, batch));
            }
            theirs.push(write_raw(&*raw, offset, &bytes));
            offset += bytes.len() as u64;
            if at % 2 == 1 {
                ours.push(persist(&mut bench.store, batch));
            }
        }
    }
    let means = mean(&theirs) / mean(&ours);
    let (ours, theirs) = (median(ours), median(theirs));
    println!(
        "{entries:>8} {:>12.1} {:>12.1} {:>12.0} {:>7.3} {means:>7.3}",
        micros(ours),
        micros(theirs),
        1.0 / ours.as_secs_f64(),
        theirs.as_secs_f64() / ours.as_secs_f64(),
    );
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

/// What the store adds to the system call, told apart from the disk: the same without any sync.
fn cpu() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(Unsynced(RealDisk::open(directory.path()).unwrap()));
    for entries in [1, 64, 1024] {
        let mut bench = Bench::new(disk.clone());
        let batch = bench.batch(entries);
        let bytes = vec![7; bench.store.persist(&batch).unwrap().bytes as usize];
        let raw = raw_file(&*disk, (bytes.len() * TURN) as u64);
        let batches: Vec<Batch> = (0..TURN).map(|_| bench.batch(entries)).collect();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for (at, batch) in batches.iter().enumerate() {
            ours.push(persist(&mut bench.store, batch));
            theirs.push(write_raw(&*raw, (at * bytes.len()) as u64, &bytes));
        }
        let (ours, theirs) = (micros(median(ours)), micros(median(theirs)));
        println!("without sync, {entries} entries: store {ours:.1} us, raw {theirs:.1} us");
        drop(bench);
        for name in disk.list().unwrap() {
            disk.remove(&name).unwrap();
        }
    }
}

/// A disk that never syncs.
struct Unsynced(RealDisk);

struct UnsyncedFile(Arc<dyn DiskFile>);

impl Disk for Unsynced {
    fn describe(&self) -> String {
        self.0.describe()
    }
    fn lock(&self) -> io::Result<Box<dyn DirLock>> {
        self.0.lock()
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(UnsyncedFile(self.0.open(name)?)))
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(UnsyncedFile(self.0.create(name)?)))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for UnsyncedFile {
    fn write_at(&self, offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        self.0.write_at(offset, pieces)
    }
    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.0.allocate(bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
    fn forget_cached(&self) -> io::Result<()> {
        self.0.forget_cached()
    }
    fn scan(&self, visit: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        self.0.scan(visit)
    }
    fn view(&self, offset: u64, length: usize, visit: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        self.0.view(offset, length, visit)
    }
}

fn open_log() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(directory.path()).unwrap());
    let mut bench = Bench::new(disk.clone());
    while bench.next.index.get() < 1 << 20 {
        let batch = bench.batch(4096);
        bench.store.persist(&batch).unwrap();
    }
    let entries = bench.next.index.get();
    drop(bench);
    let (mut ours, mut raw, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..5 {
        ours.push(timed(|| {
            drop(Store::open(disk.clone(), options(), owner()).unwrap())
        }));
        raw.push(timed(|| bytes = scan_raw(&*disk)));
    }
    let (ours, raw) = (median(ours), median(raw));
    println!(
        "open: {entries} entries, {} MiB, warm: {:.0} ms ({:.1} GB/s); raw scan with one crc, one thread: {:.0} ms",
        bytes >> 20,
        ours.as_secs_f64() * 1e3,
        bytes as f64 / ours.as_secs_f64() / 1e9,
        raw.as_secs_f64() * 1e3,
    );
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

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn timed(work: impl FnOnce()) -> Duration {
    let begun = std::time::Instant::now();
    work();
    begun.elapsed()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    static ORIGIN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let since = ORIGIN.get_or_init(std::time::Instant::now).elapsed();
    Instant::ZERO + since
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn mean(times: &[Duration]) -> f64 {
    times.iter().sum::<Duration>().as_secs_f64() / times.len() as f64
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

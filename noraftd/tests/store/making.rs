//! A segment that is needed while the thread is still making it.

use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use noraftd::record::{Append, Batch, BatchId, HardState};
use noraftd::store::disk::memory::MemDisk;
use noraftd::store::disk::{DirLock, Disk, DiskFile};
use noraftd::store::{Options, SpareBy, Store};

use crate::common::*;

/// What the thread that makes segments is held up by.
#[derive(Default)]
struct Making {
    /// True when the segment is needed.
    is_needed: bool,
    /// Every file that was begun as a segment.
    begun: Vec<String>,
}

/// A disk on which the thread begins a segment only when it is needed, and a little later than anyone else would.
#[derive(Clone)]
struct SlowThread {
    disk: MemDisk,
    making: Arc<(Mutex<Making>, Condvar)>,
}

impl SlowThread {
    fn note_needed(&self) {
        self.making.0.lock().unwrap().is_needed = true;
        self.making.1.notify_all();
    }

    fn begun(&self) -> Vec<String> {
        self.making.0.lock().unwrap().begun.clone()
    }
}

impl Disk for SlowThread {
    fn describe(&self) -> String {
        self.disk.describe()
    }

    fn lock(&self) -> io::Result<Box<dyn DirLock>> {
        self.disk.lock()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(name)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let (making, changed) = &*self.making;
        let mut making = making.lock().unwrap();
        let before = making.begun.len();
        if thread::current().name() == Some("segments") {
            making = changed.wait_while(making, |making| !making.is_needed).unwrap();
            let no_other = |making: &mut Making| making.begun.len() == before;
            making = changed.wait_timeout_while(making, LATER, no_other).unwrap().0;
        }
        making.begun.push(name.to_owned());
        changed.notify_all();
        drop(making);
        self.disk.create(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }
}

/// What someone else who makes the segment has time for.
const LATER: Duration = Duration::from_millis(200);

/// Made twice, the second file would take the name of the one that is written.
#[test]
fn a_segment_that_the_thread_is_making_is_waited_for() {
    let disk = SlowThread {
        disk: MemDisk::new(),
        making: Arc::default(),
    };
    let options = Options {
        spare: SpareBy::Thread,
        ..options()
    };
    let (mut store, _) = Store::create(Arc::new(disk.clone()), options, identity(), &genesis()).unwrap();
    let first = Batch {
        id: BatchId(1),
        base: None,
        hard_state: Some(HardState {
            term: 1,
            voted_for: Some(2),
        }),
        append: Some(Append {
            prev: at(0, 0),
            records: vec![term_entry(1, 1)],
        }),
    };
    store.persist(&first).unwrap();
    disk.note_needed();
    let mut records = vec![term_entry(1, 1)];
    while store.stats().segments < 2 {
        let prev = store.last_position();
        let record = command(1, prev.index.get() + 1, &[7; 9000]);
        let append = Some(Append {
            prev,
            records: vec![record.clone()],
        });
        let batch = Batch {
            hard_state: None,
            append,
            ..first.clone()
        };
        store.persist(&batch).unwrap();
        records.push(record);
    }
    drop(store);
    let second = disk.begun();
    let second = second.iter().filter(|name| name.ends_with("2.tmp"));
    assert_eq!(second.count(), 1, "{:?}", disk.begun());
    let (store, _) = open(&disk.disk).unwrap();
    assert_eq!(read_all(&store.reader(), records.len()), records);
}

/// A sync into blocks that were never written would write their allocation as well.
#[test]
fn a_segment_is_written_as_a_whole_and_durable_before_it_has_its_name() {
    let disk = MemDisk::new();
    let (mut store, _) = create(&disk).unwrap();
    let before = disk.operation_log().len();
    store.prepare_spare();
    let mut made = disk.operation_log().split_off(before).into_iter();
    let name = "segment-0000000000000002";
    assert!(made.any(|line| line == format!("create {name}.tmp")));
    let filled: Vec<_> = made
        .by_ref()
        .take_while(|line| *line != format!("rename {name}.tmp {name}"))
        .collect();
    let (synced, written) = filled.split_last().unwrap();
    assert_eq!(*synced, format!("sync_all {name}.tmp"));
    let mut end = 0;
    for line in written.iter().filter(|line| line.starts_with("write")) {
        let (offset, length) = line.rsplit(' ').next().unwrap().split_once('+').unwrap();
        assert_eq!(offset.parse::<u64>().unwrap(), end, "{line}");
        end += length.parse::<u64>().unwrap();
    }
    assert_eq!(end, SEGMENT_BYTES);
    assert_eq!(made.next().as_deref(), Some("sync_dir"));
}

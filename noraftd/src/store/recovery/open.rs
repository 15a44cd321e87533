//! Opening a directory: what is read, and in which order.
//!
//! Invariant: files and directory are synced *before* they are read, and what the last process wrote is read
//! from the disk (after a failed sync the page cache shows what the disk never got, and no later sync says
//! so); everything is read before anything is written, and a refused directory is left as it was.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::recovered::Recovered;
use crate::store::Store;
use crate::store::disk::{Disk, DiskFile};
use crate::store::format::hard_state::{self, Slots};
use crate::store::format::segment::{self, file_name, parse_name};
use crate::store::recovery::assemble::assemble;
use crate::store::recovery::judge::{DirectoryContents, Judgement, SnapshotSource, judge};
use crate::store::recovery::lock::{Locked, failure, read_slots};
use crate::store::recovery::scan::SegmentScan;
use crate::store::recovery::setup;
use crate::store::recovery::verdict::OpenError;
use crate::store::snapshots::{self, Snapshots};
use crate::store::types::{Options, Owner, SpareBy};

/// See [`Store::open`].
pub(in crate::store) fn open(
    disk: Arc<dyn Disk>,
    options: Options,
    owner: Owner,
) -> Result<(Store, Recovered), OpenError> {
    open_locked(Locked::new(disk)?, options, owner)
}

pub(in crate::store) fn open_locked(
    locked: Locked,
    options: Options,
    owner: Owner,
) -> Result<(Store, Recovered), OpenError> {
    let names = locked.list()?;
    let disk = &*locked.disk;
    let mut files = BTreeMap::new();
    for name in &names {
        if let Some(number) = parse_name(name) {
            files.insert(number, locked.file(name)?);
        }
    }
    let slots_file = names
        .iter()
        .any(|name| name == hard_state::FILE)
        .then(|| locked.file(hard_state::FILE))
        .transpose()?;
    sync_all(disk, &files, slots_file.as_deref())?;
    let slots = slots_file
        .as_deref()
        .map(|file| read_slots(file, disk))
        .transpose()?;
    let half_set_up = || setup::unfinished(&names, &slots, &|| read_marker(&locked));
    if let Some(finding) = setup::half_begun(&names).or_else(half_set_up) {
        let directory = disk.describe();
        return Err(OpenError::Refused { directory, finding });
    }
    let hard_state = slots.unwrap_or_else(|| Slots::decode(&[]));
    if files.is_empty() && (slots_file.is_none() || hard_state.is_pristine()) {
        return Err(OpenError::NoStore {
            directory: disk.describe(),
        });
    }
    let segments = scan_all(disk, &files, options.spare)?;
    let snapshots = Snapshots::new(locked.disk.clone(), owner.cluster_id);
    let Judgement { report, state } = judge(DirectoryContents {
        owner: Some(owner),
        segments,
        hard_state,
        snapshots: SnapshotSource {
            positions: names
                .iter()
                .filter_map(|name| snapshots::parse_name(name))
                .collect(),
            load: &|position| Some(snapshots.load(position, &mut |_| true).ok()?.0.base),
        },
    });
    let (Some(state), Some(slots_file)) = (state, slots_file) else {
        return Err(refused(disk, &report));
    };
    remove_temporaries(disk, &names)?;
    let mut store = assemble(locked, options, state, files, slots_file)?;
    store.0.report = report;
    Ok(store)
}

fn refused(disk: &dyn Disk, report: &crate::store::RecoveryReport) -> OpenError {
    let finding = report.findings.iter().find(|finding| finding.verdict.is_fatal());
    let finding = finding.cloned().expect("a directory is refused for a reason");
    OpenError::Refused {
        directory: disk.describe(),
        finding,
    }
}

/// What is read next is what the disk has, not what it was meant to get.
fn sync_all(
    disk: &dyn Disk,
    files: &BTreeMap<u64, Arc<dyn DiskFile>>,
    slots_file: Option<&dyn DiskFile>,
) -> Result<(), OpenError> {
    for (at, (number, file)) in files.iter().rev().enumerate() {
        let name = file_name(*number);
        file.sync_all().map_err(failure(disk, &name, "syncing"))?;
        if at < WRITTEN_LAST_MAX {
            file.forget_cached()
                .map_err(failure(disk, &name, "reading again"))?;
        }
    }
    if let Some(file) = slots_file {
        file.sync_all()
            .map_err(failure(disk, hard_state::FILE, "syncing"))?;
        file.forget_cached()
            .map_err(failure(disk, hard_state::FILE, "reading again"))?;
    }
    disk.sync_dir()
        .map_err(failure(disk, "", "syncing the directory"))
}

/// Scans all segments, several at a time where threads are welcome.
fn scan_all(
    disk: &dyn Disk,
    files: &BTreeMap<u64, Arc<dyn DiskFile>>,
    by: SpareBy,
) -> Result<BTreeMap<u64, SegmentScan>, OpenError> {
    let threads = match by {
        SpareBy::Caller => 1,
        SpareBy::Thread => std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(SCAN_THREADS_MAX),
    };
    let jobs: Vec<(u64, &Arc<dyn DiskFile>)> = files.iter().map(|(number, file)| (*number, file)).collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(jobs.len())));
    let work = || {
        while let Some((number, file)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let scanned = scan(*number, &***file);
            done.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((*number, scanned));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(jobs.len()) {
            // Without a thread to spare, there are fewer of them.
            if std::thread::Builder::new().spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    let scans = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let read = |(number, scanned): (u64, io::Result<SegmentScan>)| {
        scanned
            .map(|scan| (number, scan))
            .map_err(failure(disk, &file_name(number), "reading"))
    };
    scans.into_iter().map(read).collect()
}

fn scan(number: u64, file: &dyn DiskFile) -> io::Result<SegmentScan> {
    segment::check_size(file.size()?)?;
    let mut scanned = None;
    file.scan(&mut |bytes| scanned = Some(SegmentScan::of(number, bytes)))?;
    scanned.ok_or_else(|| io::Error::other("the file was not shown"))
}

/// What the marker of a setting up says, as far as it can be read.
fn read_marker(locked: &Locked) -> Option<Vec<u8>> {
    let mut text = None;
    let file = locked.file(setup::MARKER).ok()?;
    file.scan(&mut |bytes| text = Some(bytes.to_vec())).ok()?;
    text
}

/// Half-made files go, and the marker of a setting up whose store is there.
fn remove_temporaries(disk: &dyn Disk, names: &[String]) -> Result<(), OpenError> {
    let is_left = |name: &&String| segment::is_temporary(name) || *name == setup::MARKER;
    for name in names.iter().filter(is_left) {
        disk.remove(name).map_err(failure(disk, name, "removing"))?;
    }
    Ok(())
}

/// Segments that the last process may have been writing when its disk failed: the one with the front, the
/// next, and one that was being made. Whatever is older was followed by a sync that succeeded.
const WRITTEN_LAST_MAX: usize = 3;

/// More threads than this wait for the disk, not for the processor.
const SCAN_THREADS_MAX: usize = 4;

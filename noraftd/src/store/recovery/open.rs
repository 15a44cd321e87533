//! Setting up a directory, and opening one.
//!
//! Invariant: files and directory are synced *before* they are read, and what the last process wrote is read
//! from the disk (after a failed sync the page cache shows what the disk never got, and no later sync says
//! so); everything is read before anything is written, and a refused directory is left as it was.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use noraft::{ClusterConfig, LogPosition};

use crate::prng::Prng;
use crate::record::{Abstain, Base, HardState, Recovered, SnapshotHead, encode_config};
use crate::store::disk::{DirLock, Disk, DiskFile};
use crate::store::format::batch::{BatchWriter, Kind, Mark, RecordHeader};
use crate::store::format::hard_state::{self, HardStateFile, Slot, Slots};
use crate::store::format::seal::SealIndex;
use crate::store::format::segment::{self, Link, PAGE, SegmentHeader, file_name, parse_name};
use crate::store::read::reader::Directory;
use crate::store::recovery::judge::{
    BrokenHeader, DirectoryContents, Judgement, SnapshotSource, State, judge,
};
use crate::store::recovery::scan::SegmentScan;
use crate::store::recovery::setup::{self, Leftovers, Vacant, check_vacant};
use crate::store::recovery::verdict::OpenError;
use crate::store::snapshots::{self, Snapshots};
use crate::store::write::spare::{Spares, fill, fill_start, publish};
use crate::store::write::writer::{Content, Writer, readable};
use crate::store::{Identity, Options, Owner, SpareBy, Store, StoreError, StoreStats};

/// A directory that is locked by this process.
pub(in crate::store) struct Locked {
    pub(in crate::store) disk: Arc<dyn Disk>,
    lock: Box<dyn DirLock>,
}

impl Locked {
    pub(in crate::store) fn new(disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        let lock = disk.lock().map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::Locked {
                directory: disk.describe(),
            },
            _ => failure(&*disk, "", "locking the directory")(error),
        })?;
        Ok(Self { disk, lock })
    }

    pub(in crate::store) fn list(&self) -> Result<Vec<String>, OpenError> {
        let mut names = self
            .disk
            .list()
            .map_err(failure(&*self.disk, "", "listing the directory"))?;
        names.sort();
        Ok(names)
    }

    pub(in crate::store) fn file(&self, name: &str) -> Result<Arc<dyn DiskFile>, OpenError> {
        self.disk
            .open(name)
            .map_err(failure(&*self.disk, name, "opening"))
    }
}

pub(in crate::store) fn failure<'a>(
    disk: &'a dyn Disk,
    file: &'a str,
    doing: &'static str,
) -> impl FnOnce(io::Error) -> OpenError + 'a {
    move |source| OpenError::Disk {
        directory: disk.describe(),
        file: file.to_owned(),
        doing,
        source,
    }
}

/// See [`Store::create`].
pub(in crate::store) fn create(
    disk: Arc<dyn Disk>,
    options: Options,
    identity: Identity,
    genesis: &ClusterConfig,
) -> Result<(Store, Recovered), OpenError> {
    let locked = Locked::new(disk)?;
    check_vacant(&locked, Leftovers::Kept)?;
    let disk = &*locked.disk;
    create_hard_state(disk, identity, HardState::default()).map_err(failure(
        disk,
        hard_state::FILE,
        "creating",
    ))?;
    let base = Base {
        position: LogPosition::ZERO,
        config: genesis.clone(),
        chain: None,
    };
    create_first_segment(disk, options, identity, &base).map_err(failure(disk, &file_name(1), "creating"))?;
    open_locked(locked, options, identity.owner)
}

/// Puts term, vote and state into a vacant directory. Without a segment, there is no store yet.
pub(in crate::store) fn begin_with_state(
    vacant: &Vacant,
    identity: Identity,
    hard_state: HardState,
    head: &SnapshotHead,
    chunks: &mut dyn Iterator<Item = Bytes>,
) -> Result<(), OpenError> {
    let disk = &*vacant.locked.disk;
    vacant.claim()?;
    create_hard_state(disk, identity, hard_state).map_err(failure(disk, hard_state::FILE, "creating"))?;
    let snapshots = Snapshots::new(vacant.locked.disk.clone(), identity.owner.cluster_id);
    snapshots
        .save(head, chunks)
        .map_err(|error| failure(disk, "", "writing the snapshot")(io::Error::other(error.to_string())))?;
    Ok(())
}

/// See [`Store::create_from`]. The segment comes last: without it, there is no store yet.
pub(in crate::store) fn create_from(
    vacant: Vacant,
    options: Options,
    identity: Identity,
    head: &SnapshotHead,
    chunks: &mut dyn Iterator<Item = Bytes>,
) -> Result<(Store, Recovered), OpenError> {
    begin_with_state(&vacant, identity, HardState::default(), head, chunks)?;
    let disk = &*vacant.locked.disk;
    create_first_segment(disk, options, identity, &head.base).map_err(failure(
        disk,
        &file_name(1),
        "creating",
    ))?;
    open_locked(vacant.finish()?, options, identity.owner)
}

pub(in crate::store) fn create_hard_state(
    disk: &dyn Disk,
    identity: Identity,
    hard_state: HardState,
) -> io::Result<()> {
    let slot = Slot {
        identity,
        lsn: 0,
        hard_state,
    }
    .encode();
    let file = disk.create(hard_state::TEMPORARY)?;
    file.allocate(2 * PAGE as u64)?;
    file.write_at(0, &[IoSlice::new(&slot), IoSlice::new(&slot)])?;
    file.sync_all()?;
    disk.rename(hard_state::TEMPORARY, hard_state::FILE)?;
    disk.sync_dir()
}

/// The first segment appears whole: with its header, and the base of the log in its first batch.
fn create_first_segment(
    disk: &dyn Disk,
    options: Options,
    identity: Identity,
    base: &Base,
) -> io::Result<()> {
    let bytes = segment::rounded_size(options.segment_bytes);
    let file = fill_start(disk, 1, bytes)?;
    let header = SegmentHeader {
        identity,
        number: 1,
        salt: Prng::new(options.salt_seed).next_u64(),
        segment_bytes: bytes,
        prev: base.position,
        link: Link::default(),
        abstain: Abstain::No,
    };
    let (term, index) = (base.position.term.get(), base.position.index.get());
    let config = encode_config(&base.config);
    let mut batch = BatchWriter::default();
    batch.begin(header.salt, 1);
    batch.control(&RecordHeader::control(Kind::HardState, 0, term, 0, &[]), &[]);
    batch.control(
        &RecordHeader::control(Kind::Snapshot, 0, term, index, &config),
        &config,
    );
    batch.finish(header.salt, header.link, true);
    let page = header.encode(Some(base));
    file.write_at(0, &[IoSlice::new(&page)])?;
    file.write_at(header.batches_end(), &[IoSlice::new(&page)])?;
    file.write_at(PAGE as u64, &batch.pieces())?;
    file.sync_all()?;
    publish(disk, 1)
}

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
    if let Some(finding) = setup::unfinished(&names, &slots, &|| read_marker(&locked)) {
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
                .map_err(failure(disk, &name, "reading anew"))?;
        }
    }
    if let Some(file) = slots_file {
        file.sync_all()
            .map_err(failure(disk, hard_state::FILE, "syncing"))?;
        file.forget_cached()
            .map_err(failure(disk, hard_state::FILE, "reading anew"))?;
    }
    disk.sync_dir()
        .map_err(failure(disk, "", "syncing the directory"))
}

pub(in crate::store) fn read_slots(file: &dyn DiskFile, disk: &dyn Disk) -> Result<Slots, OpenError> {
    let mut slots = Slots::decode(&[]);
    file.scan(&mut |bytes| slots = Slots::decode(bytes))
        .map_err(failure(disk, hard_state::FILE, "reading"))?;
    Ok(slots)
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

/// Acts on the verdicts, and builds the store.
fn assemble(
    locked: Locked,
    options: Options,
    mut state: State,
    mut files: BTreeMap<u64, Arc<dyn DiskFile>>,
    slots_file: Arc<dyn DiskFile>,
) -> Result<(Store, Recovered), OpenError> {
    let Locked { disk, lock } = locked;
    let slots = HardStateFile {
        file: slots_file,
        newest: state.slot,
    };
    rewrite_slot(&*disk, &state, &slots)?;
    if let Some(number) = state.replace {
        replace_segment(&*disk, options, number, &mut state, &mut files).map_err(failure(
            &*disk,
            &file_name(number),
            "beginning a lost segment anew",
        ))?;
    }
    let recovered = Recovered {
        hard_state: state.hard_state,
        log: state.log.clone(),
        abstain: state.abstain,
        holes: state.recovered.holes.values().copied().collect(),
        chain: state.recovered.chain.clone(),
    };
    let spares = spares(&disk, options, &state.spares, &mut files, state.active.number).map_err(failure(
        &*disk,
        "",
        "taking up the next segment",
    ))?;
    let (cut_until, cut_is_open, cut_log, abstain, shape) = (
        state.cut_until,
        state.cut_is_open,
        state.cut_log,
        state.abstain,
        state.recovered.shape.clone(),
    );
    let rebase = state.rebase.take();
    let base_segment = state.recovered.base_segment;
    let (cut_files, broken_headers) = (
        std::mem::take(&mut state.resize),
        std::mem::take(&mut state.broken_headers),
    );
    let writer = writer(disk, options, state, &files, spares);
    let mut store = Store {
        writer,
        slots,
        shape,
        report: Default::default(),
        _lock: lock,
    };
    let mark = if abstain == Abstain::Loss {
        Mark::Lost
    } else {
        Mark::Cut
    };
    let tail = match cut_until {
        Some(until) => Tail::Cut(until, mark),
        None if cut_is_open => Tail::WasCut,
        None => Tail::Clean,
    };
    cut(&mut store, tail, cut_log.then_some(mark), rebase.as_ref())
        .map_err(|error| cut_failed(&store, error))?;
    make_whole(&store, &cut_files, &broken_headers, &files)?;
    store.remove_covered(base_segment);
    Ok((store, recovered))
}

/// What is behind the last valid batch.
enum Tail {
    Clean,
    /// To be cut up to this byte, with this mark.
    Cut(u64, Mark),
    /// Cut already, but it is not on record that it is blank.
    WasCut,
}

/// Makes durable that the log ends where it does, and that the node abstains; and where it begins, when that was
/// lost. Both in one batch: where the log ends may only be known by where it begins.
fn cut(store: &mut Store, tail: Tail, log: Option<Mark>, rebase: Option<&Base>) -> Result<(), StoreError> {
    store.writer.clean_front()?;
    match tail {
        Tail::Clean => {}
        Tail::Cut(until, mark) => store.writer.cut(until, mark)?,
        Tail::WasCut => store.writer.close_cut()?,
    }
    if log.is_some() || rebase.is_some() {
        let (last, lsn) = (store.shape.last_position(), store.writer.last.lsn + 1);
        let content = Content {
            base: rebase,
            truncate: log.is_some().then_some(last),
            mark: log.map(|mark| (mark, lsn)),
            ..Content::default()
        };
        store.writer.append(content, last)?;
    }
    Ok(())
}

/// Puts a segment that says where the log ends, and that the node abstains, in the place of one that nothing
/// can be read of: whole, under its name, so that no crash leaves one that looks unused.
fn replace_segment(
    disk: &dyn Disk,
    options: Options,
    number: u64,
    state: &mut State,
    files: &mut BTreeMap<u64, Arc<dyn DiskFile>>,
) -> io::Result<()> {
    let bytes = segment::rounded_size(options.segment_bytes);
    let file = fill(disk, number, bytes)?;
    let header = SegmentHeader {
        number,
        salt: Prng::new(options.salt_seed).fork(number).next_u64(),
        segment_bytes: bytes,
        prev: state.recovered.shape.last_position(),
        link: state.last,
        abstain: Abstain::Loss,
        ..state.active
    };
    let page = header.encode(state.recovered.shape.base().as_ref());
    file.write_at(0, &[IoSlice::new(&page)])?;
    file.write_at(header.batches_end(), &[IoSlice::new(&page)])?;
    file.sync_all()?;
    publish(disk, number)?;
    files.insert(number, file);
    state.headers.push(header);
    (state.active, state.front, state.sealed) = (header, PAGE as u64, false);
    (state.index, state.cut_until, state.blank_until) = (SealIndex::default(), None, None);
    state.cut_is_open = false;
    Ok(())
}

/// Makes files that were cut as long as their headers say, and writes header pages again: after what was lost with their ends is on record, for a
/// file of zeros in its full length looks as if nothing had ever been written.
fn make_whole(
    store: &Store,
    cut_files: &[SegmentHeader],
    broken_headers: &[BrokenHeader],
    files: &BTreeMap<u64, Arc<dyn DiskFile>>,
) -> Result<(), OpenError> {
    let disk = &*store.writer.disk;
    for header in cut_files {
        let file = &files[&header.number];
        file.allocate(header.segment_bytes)
            .and_then(|()| file.sync_all())
            .map_err(failure(disk, &file_name(header.number), "making it whole again"))?;
    }
    for broken in broken_headers {
        let number = broken.header.number;
        rewrite_header(&*files[&number], broken).map_err(failure(
            disk,
            &file_name(number),
            "rewriting a header",
        ))?;
    }
    Ok(())
}

/// Writes a slot again whose other copy is good.
fn rewrite_slot(disk: &dyn Disk, state: &State, slots: &HardStateFile) -> Result<(), OpenError> {
    if state.slot_is_stale {
        let rewritten = slots
            .write(state.slot.0, &state.slot.1)
            .and_then(|()| slots.file.sync_data());
        rewritten.map_err(failure(disk, hard_state::FILE, "rewriting a slot"))?;
    }
    Ok(())
}

fn writer(
    disk: Arc<dyn Disk>,
    options: Options,
    state: State,
    files: &BTreeMap<u64, Arc<dyn DiskFile>>,
    spares: Spares,
) -> Writer {
    let readable = |header: &SegmentHeader| {
        let file = &files[&header.number];
        let is_written = header.number == state.active.number;
        let only_read = file.only_read().filter(|_| !is_written);
        let file = only_read.unwrap_or_else(|| Arc::clone(file));
        (header.number, Arc::new(readable(header, file)))
    };
    let segments: BTreeMap<_, _> = state.headers.iter().map(readable).collect();
    let stats = StoreStats {
        segments: segments.len() as u64,
        ..StoreStats::default()
    };
    let directory = Directory {
        first: state.log_first,
        extents: state.recovered.extents,
        holes: state.recovered.holes,
        segments,
    };
    Writer {
        disk,
        options,
        header: state.active,
        file: files[&state.active.number].clone(),
        front: state.front,
        sealed: state.sealed,
        index: state.index,
        last: state.last,
        // One more than an interrupted batch may have used: an LSN is never used twice.
        lsn_next: state.last.lsn.max(state.slot.1.lsn) + 2,
        dirty_until: state.blank_until.unwrap_or(state.front),
        batch: BatchWriter::default(),
        directory: Arc::new(Mutex::new(directory)),
        spares,
        salts: Prng::new(options.salt_seed).fork(state.last.lsn),
        stats,
        abstain: state.abstain,
        base: Base {
            position: state.log.snapshot_position(),
            config: state.log.snapshot_config().clone(),
            chain: state.recovered.chain.at(state.log.snapshot_position().index),
        },
        hard_state: state.hard_state,
        ends_with_mark: false,
        failed: None,
    }
}

fn cut_failed(store: &Store, error: StoreError) -> OpenError {
    OpenError::Disk {
        directory: store.writer.disk.describe(),
        file: file_name(store.writer.header.number),
        doing: "cutting the tail",
        source: io::Error::other(error.to_string()),
    }
}

fn rewrite_header(file: &dyn DiskFile, broken: &BrokenHeader) -> io::Result<()> {
    let page = broken.header.encode(broken.base.as_ref());
    file.write_at(broken.at, &[IoSlice::new(&page)])?;
    file.sync_data()
}

/// A spare that was made when segments were smaller is not adopted: payloads may be larger than it now. It is
/// replaced when one is needed, and stays until then, because a SEAL says that there is one.
fn spares(
    disk: &Arc<dyn Disk>,
    options: Options,
    found: &[u64],
    files: &mut BTreeMap<u64, Arc<dyn DiskFile>>,
    active: u64,
) -> io::Result<Spares> {
    let bytes = segment::rounded_size(options.segment_bytes);
    let mut spares = Spares::new(disk.clone(), bytes, options.spare)?;
    for number in found {
        if let Some(file) = files.remove(number)
            && *number == active + 1
            && (bytes..=segment::SEGMENT_BYTES_MAX).contains(&file.size()?)
        {
            spares.adopt(*number, file);
        }
    }
    spares.request(active + 1);
    Ok(spares)
}

/// Segments that the last process may have been writing when its disk failed: the one with the front, the
/// next, and one that was being made. Whatever is older was followed by a sync that succeeded.
const WRITTEN_LAST_MAX: usize = 3;

/// More threads than this wait for the disk, not for the processor.
const SCAN_THREADS_MAX: usize = 4;

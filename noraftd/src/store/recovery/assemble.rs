//! What is done about what the judgement found, and the store that comes of it.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex};

use crate::prng::Prng;
use crate::record::{Abstain, Base};
use crate::recovered::Recovered;
use crate::store::Store;
use crate::store::disk::{Disk, DiskFile};
use crate::store::error::StoreError;
use crate::store::format::batch::{BatchWriter, Mark};
use crate::store::format::hard_state::{self};
use crate::store::format::layout;
use crate::store::format::layout::PAGE;
use crate::store::format::seal::SealIndex;
use crate::store::format::segment::{self, SegmentHeader, file_name};
use crate::store::read::reader::Directory;
use crate::store::recovery::judge::{BrokenHeader, State};
use crate::store::recovery::lock::{Locked, failure};
use crate::store::recovery::verdict::OpenError;
use crate::store::types::{Options, StoreStats};
use crate::store::write::hard_state::HardStateFile;
use crate::store::write::spare::{Spares, fill, publish};
use crate::store::write::writer::{Content, Writer, readable};

/// Acts on the verdicts, and builds the store.
pub(super) fn assemble(
    locked: Locked,
    options: Options,
    mut state: State,
    mut files: BTreeMap<u64, Arc<dyn DiskFile>>,
    slots_file: Arc<dyn DiskFile>,
) -> Result<(Store, Recovered), OpenError> {
    let Locked { disk, lock } = locked;
    let slots = HardStateFile::new(slots_file, state.slot);
    rewrite_slot(&*disk, &state, &slots)?;
    if let Some(number) = state.replace {
        replace_segment(&*disk, options, number, &mut state, &mut files).map_err(failure(
            &*disk,
            &file_name(number),
            "beginning a lost segment again",
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

fn cut_failed(store: &Store, source: StoreError) -> OpenError {
    OpenError::Cut {
        directory: store.writer.disk.describe(),
        source,
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
            && (bytes..=layout::SEGMENT_BYTES_MAX).contains(&file.size()?)
        {
            spares.adopt(*number, file);
        }
    }
    spares.request(active + 1);
    Ok(spares)
}

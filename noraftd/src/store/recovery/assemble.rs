//! What is done about what the judgement found, and the store that comes of it.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::Arc;

use crate::prng::Prng;
use crate::record::{Abstain, Base};
use crate::recovered::Recovered;
use crate::store::Store;
use crate::store::disk::{Disk, DiskFile};
use crate::store::error::StoreError;
use crate::store::format::batch::Mark;
use crate::store::format::hard_state;
use crate::store::format::layout;
use crate::store::format::segment::{self, SegmentHeader, file_name};
use crate::store::read::reader::{Directory, ReadableSegment};
use crate::store::recovery::judge::{BrokenHeader, Repairs, State, Tail};
use crate::store::recovery::lock::{Locked, failure};
use crate::store::recovery::verdict::OpenError;
use crate::store::types::Options;
use crate::store::write::active::{ActiveSegment, LogEnd};
use crate::store::write::content::Content;
use crate::store::write::hard_state::HardStateFile;
use crate::store::write::spare::{Spares, fill, publish};
use crate::store::write::writer::{Repeated, Resumed, Sequence, Writer};

/// Acts on the verdicts, and builds the store.
pub(super) fn assemble(
    locked: Locked,
    options: Options,
    mut state: State,
    mut files: BTreeMap<u64, Arc<dyn DiskFile>>,
    slots_file: Arc<dyn DiskFile>,
) -> Result<(Store, Recovered), OpenError> {
    let Locked { disk, lock } = locked;
    let slots = HardStateFile::new(slots_file, (state.slot.number, state.slot.slot));
    rewrite_slot(&*disk, &state, &slots)?;
    if let Some(number) = state.repairs.replace {
        replace_segment(&*disk, options, number, &mut state, &mut files).map_err(failure(
            &*disk,
            &file_name(number),
            "beginning a lost segment again",
        ))?;
    }
    let recovered = Recovered {
        hard_state: state.slot.slot.hard_state,
        log: state.log.clone(),
        abstain: state.abstain,
        holes: state.recovered.holes.values().copied().collect(),
        chain: state.recovered.chain.clone(),
        stamp: state.recovered.stamp,
    };
    let spares = spares(&disk, options, &state.spares, &mut files, state.end.header.number)
        .map_err(failure(&*disk, "", "taking up the next segment"))?;
    let (tail, abstain, shape) = (state.tail, state.abstain, state.recovered.shape.clone());
    let base_segment = state.recovered.base_segment;
    let repairs = std::mem::take(&mut state.repairs);
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
    cut(&mut store, tail, mark, &repairs).map_err(|error| cut_failed(&store, error))?;
    make_whole(&store, &repairs, &files)?;
    store.remove_covered(base_segment);
    Ok((store, recovered))
}

/// Makes durable that the log ends where it does, and that the node abstains; and where it begins, when that was
/// lost. Both in one batch: where the log ends may only be known by where it begins.
fn cut(store: &mut Store, tail: Tail, mark: Mark, repairs: &Repairs) -> Result<(), StoreError> {
    store.writer.clean_front()?;
    match tail {
        Tail::Blank => {}
        Tail::Uncut { until } => store.writer.cut(until, mark)?,
        Tail::Cut { .. } => store.writer.close_cut()?,
    }
    if repairs.cut_log || repairs.rebase.is_some() {
        let (last, lsn) = (store.shape.last_position(), store.writer.last_lsn() + 1);
        let content = Content {
            base: repairs.rebase.as_ref(),
            truncate: repairs.cut_log.then_some(last),
            mark: repairs.cut_log.then_some((mark, lsn)),
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
        ..state.end.header
    };
    let page = header.encode(state.recovered.shape.base().as_ref());
    file.write_at(0, &[IoSlice::new(&page)])?;
    file.write_at(header.batches_end(), &[IoSlice::new(&page)])?;
    file.sync_all()?;
    publish(disk, number)?;
    files.insert(number, file);
    state.headers.push(header);
    (state.end, state.tail) = (LogEnd::of_new(header), Tail::Blank);
    Ok(())
}

/// Makes files that were cut as long as their headers say, and writes header pages again: after what was lost with their ends is on record, for a
/// file of zeros in its full length looks as if nothing had ever been written.
fn make_whole(
    store: &Store,
    repairs: &Repairs,
    files: &BTreeMap<u64, Arc<dyn DiskFile>>,
) -> Result<(), OpenError> {
    let disk = &**store.writer.disk();
    for header in &repairs.resize {
        let file = &files[&header.number];
        file.allocate(header.segment_bytes)
            .and_then(|()| file.sync_all())
            .map_err(failure(disk, &file_name(header.number), "making it whole again"))?;
        // What readers have of it ends where it was cut.
        let is_written = header.number == store.writer.segment_number();
        let mut directory = store.writer.lock_directory();
        directory
            .segments
            .insert(header.number, readable(header, file, is_written));
    }
    for broken in &repairs.broken_headers {
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
    if state.slot.is_stale {
        let rewritten = slots
            .write(state.slot.number, &state.slot.slot)
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
    let active = state.end.header.number;
    let in_file = |header: &SegmentHeader| {
        let file = &files[&header.number];
        (header.number, readable(header, file, header.number == active))
    };
    let segments: BTreeMap<_, _> = state.headers.iter().map(in_file).collect();
    let (position, config) = (state.log.snapshot_position(), state.log.snapshot_config());
    let base = Base {
        position,
        config: config.clone(),
        chain: state.recovered.chain.at(position.index),
    };
    let resumed = Resumed {
        segment: ActiveSegment::resume(state.end, files[&active].clone(), state.tail.left_until()),
        sequence: Sequence::after(state.last, state.slot.slot.lsn),
        repeated: Repeated {
            base,
            abstain: state.abstain,
            hard_state: state.slot.slot.hard_state,
        },
        directory: Directory {
            first: position.index.get() + 1,
            extents: state.recovered.extents,
            holes: state.recovered.holes,
            segments,
        },
    };
    Writer::resume(disk, options, spares, resumed)
}

/// What readers get of a segment; the descriptor stays open of the one that is written.
fn readable(header: &SegmentHeader, file: &Arc<dyn DiskFile>, is_written: bool) -> Arc<ReadableSegment> {
    let only_read = file.only_read().filter(|_| !is_written);
    let file = only_read.unwrap_or_else(|| Arc::clone(file));
    Arc::new(ReadableSegment::new(header, file))
}

fn cut_failed(store: &Store, source: StoreError) -> OpenError {
    OpenError::Cut {
        directory: store.writer.disk().describe(),
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

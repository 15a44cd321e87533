//! What lies behind the last valid batch, or between two: blank, interrupted, or damaged.
//!
//! Invariant: pure, and total: any bytes give an answer.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::store::format::batch::{BatchHeader, Kind, RecordHeader, record_seed};
use crate::store::format::check::check_record;
use crate::store::format::layout::{BATCH_HEADER_BYTES, RECORD_HEADER_BYTES};
use crate::store::format::layout::{PAGE, SECTOR, is_zero};
use crate::store::format::seal::SealIndex;
use crate::store::format::segment::{Link, SegmentHeader};

/// Valid batches after an invalid one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum FollowingBatches {
    /// Only marks and a SEAL, the first at this byte.
    Marks(u64),
    /// Others, the first batch at this byte.
    Batches(u64),
}

/// The batch headers of a segment, with their bytes.
pub(in crate::store) type Heads = Vec<(usize, BatchHeader)>;

/// The bytes in which batches may be. A file that was cut is read as what it is once it has its size again, as far as a
/// batch goes that begins in it: the next opening must not find what this one did not.
pub(in crate::store) fn as_resized<'a>(bytes: &'a [u8], header: &SegmentHeader) -> Cow<'a, [u8]> {
    let end = usize::try_from(header.batches_end()).unwrap_or(usize::MAX);
    if end <= bytes.len() {
        return Cow::Borrowed(&bytes[..end]);
    }
    let starts = (PAGE..bytes.len()).step_by(PAGE);
    let ends = starts.filter_map(|at| {
        let head = BatchHeader::decode(&bytes[at..], header.salt).ok()?;
        usize::try_from(head.span()).ok()?.checked_add(at)
    });
    let most = bytes.len().saturating_add(EXTENDED_BYTES_MAX);
    match ends.max().map(|batch| batch.min(end).min(most)) {
        Some(extended) if extended > bytes.len() => {
            let mut whole = bytes.to_vec();
            whole.resize(extended, 0);
            Cow::Owned(whole)
        }
        Some(_) | None => Cow::Borrowed(bytes),
    }
}

/// Every intact header from the page at `from` on of a batch that fits, whether the batch is valid or not. Where pages
/// repeat the header of a batch, and the segment's index shows at which of them the whole batch was written, only that one.
pub(in crate::store) fn batch_heads(bytes: &[u8], from: usize, salt: u64) -> Heads {
    let pages = (from..bytes.len()).step_by(PAGE);
    let head = |at: usize| {
        let head = BatchHeader::decode(&bytes[at..], salt).ok()?;
        let fits = head.records > 0 && head.span() <= (bytes.len() - at) as u64;
        fits.then_some((at, head))
    };
    let mut heads: Heads = pages.filter_map(head).collect();
    let repeated = repeated(&heads);
    if !repeated.is_empty()
        && let Some(seal) = heads
            .iter()
            .find_map(|(at, head)| seal_in(&bytes[*at..], salt, head))
    {
        let is_own = |(at, head): &(usize, BatchHeader)| {
            repeated.contains(&head.link.lsn)
                && is_whole(&bytes[*at..], salt, head)
                && is_indexed(&seal, bytes, salt, (*at, head))
        };
        let own: BTreeMap<u64, usize> = heads
            .iter()
            .filter(|head| is_own(head))
            .map(|(at, head)| (head.link.lsn, *at))
            .collect();
        heads.retain(|(at, head)| own.get(&head.link.lsn).is_none_or(|own| own == at));
    }
    heads
}

/// The LSNs that more than one header has.
fn repeated(heads: &Heads) -> BTreeSet<u64> {
    let mut seen = BTreeSet::new();
    let lsns = heads.iter().map(|(_, head)| head.link.lsn);
    lsns.filter(|lsn| !seen.insert(*lsn)).collect()
}

/// The index that `batch`, at the front of `area`, holds.
fn seal_in(area: &[u8], salt: u64, batch: &BatchHeader) -> Option<SealIndex> {
    let seed = record_seed(salt, batch.link.lsn);
    let (head, payload) = check_record(area.get(BATCH_HEADER_BYTES..)?, seed).ok()?;
    (head.kind == Kind::Seal)
        .then(|| SealIndex::decode(head.flags, payload))
        .flatten()
}

/// True when the segment's index has an entry of the batch where the batch is.
fn is_indexed(seal: &SealIndex, bytes: &[u8], salt: u64, (at, batch): (usize, &BatchHeader)) -> bool {
    let seed = record_seed(salt, batch.link.lsn);
    let end = at as u64 + batch.span();
    seal.entries().any(|entry| {
        let head = bytes
            .get(entry.offset as usize..)
            .and_then(|area| RecordHeader::decode(area, seed).ok());
        (at as u64..end).contains(&entry.offset) && head.is_some_and(|head| head.position() == entry.position)
    })
}

/// The batch that comes after an invalid one at `front`, wherever it lies: LSNs give the order, and a page that
/// was written to the wrong place repeats a batch, or has one instead of another. A batch that was begun proves
/// that all before it were durable, because only one is in flight at a time. Its header is enough; but where a page
/// repeats the header of a batch that is whole elsewhere, that one is meant.
pub(in crate::store) fn next_batch(
    bytes: &[u8],
    heads: &Heads,
    salt: u64,
    reached: (u64, Link),
    own: Option<&BatchHeader>,
) -> Option<(usize, BatchHeader)> {
    let (front, last) = reached;
    let least = |lsn: u64, taken: u64| {
        let is_taken = |at: usize| (front..front + taken).contains(&(at as u64));
        let later = heads
            .iter()
            .filter(|(at, head)| head.link.lsn > lsn && !is_taken(*at));
        let order = |(at, head): &(usize, BatchHeader)| (head.link.lsn, (*at as u64) < front);
        let first = later.clone().map(order).min()?;
        let mut copies = later.filter(|next| order(next) == first);
        let whole = |(at, head): &&(usize, BatchHeader)| is_whole(&bytes[*at..], salt, head);
        copies.clone().find(whole).or_else(|| copies.next()).copied()
    };
    match own {
        // The batch at the front is the one that is invalid.
        Some(own) => least(own.link.lsn, own.span()).or_else(|| least(last.lsn, PAGE as u64)),
        // What is at the front may be a batch that follows one that is lost.
        None => least(last.lsn, 0),
    }
}

/// True when every record of `batch`, at the front of `area`, is what was written.
fn is_whole(area: &[u8], salt: u64, batch: &BatchHeader) -> bool {
    let seed = record_seed(salt, batch.link.lsn);
    let mut at = BATCH_HEADER_BYTES;
    (0..batch.records).all(|_| {
        let record = area.get(at..).and_then(|rest| check_record(rest, seed).ok());
        at += record.map_or(0, |(head, _)| head.span());
        record.is_some()
    })
}

/// What was begun from the batch `next` on.
pub(in crate::store) fn following_batches(
    bytes: &[u8],
    heads: &Heads,
    next: (usize, BatchHeader),
    salt: u64,
) -> FollowingBatches {
    let begun = || heads.iter().filter(|(_, head)| head.link.lsn >= next.1.link.lsn);
    let other = begun().find(|(at, head)| !is_only_marks(&bytes[*at..], salt, head));
    match other {
        Some((at, _)) => FollowingBatches::Batches(*at as u64),
        None => FollowingBatches::Marks(next.0 as u64),
    }
}

fn is_only_marks(area: &[u8], salt: u64, batch: &BatchHeader) -> bool {
    let seed = record_seed(salt, batch.link.lsn);
    let mut at = BATCH_HEADER_BYTES;
    (0..batch.records).all(|_| {
        let head = area
            .get(at..)
            .and_then(|rest| RecordHeader::decode(rest, seed).ok());
        at += head.map_or(0, |head| head.span());
        head.is_some_and(|head| matches!(head.kind, Kind::Seal | Kind::Mark))
    })
}

/// True when `region`, which is not blank, can be what an interrupted write of one batch left: each sector
/// is what was to be written, or was never written and so is zero.
pub(in crate::store) fn looks_interrupted(region: &[u8], salt: u64, last: Link) -> bool {
    let Ok(batch) = BatchHeader::decode(region, salt) else {
        return is_zero(&region[..SECTOR.min(region.len())]);
    };
    if batch.link.lsn <= last.lsn || batch.prev_crc != last.crc || batch.span() > region.len() as u64 {
        return false;
    }
    if !is_zero(&region[batch.span() as usize..]) {
        return false;
    }
    let area = &region[..BATCH_HEADER_BYTES + batch.length];
    let seed = record_seed(salt, batch.link.lsn);
    let mut at = BATCH_HEADER_BYTES;
    while at < area.len() {
        let Ok(head) = RecordHeader::decode(&area[at..], seed) else {
            return has_zero_sector(region, at, at + RECORD_HEADER_BYTES);
        };
        if check_record(&area[at..], seed).is_err() && !has_zero_sector(region, at, at + head.span()) {
            return false;
        }
        at += head.span();
    }
    true
}

fn has_zero_sector(region: &[u8], from: usize, to: usize) -> bool {
    let from = from / SECTOR * SECTOR;
    let to = to.next_multiple_of(SECTOR).min(region.len());
    region[from..to].chunks(SECTOR).any(is_zero)
}

pub(in crate::store) fn first_nonzero_page(region: &[u8]) -> Option<usize> {
    region
        .chunks(PAGE)
        .position(|page| !is_zero(page))
        .map(|page| page * PAGE)
}

/// Bytes of `region` up to its last page that is not blank.
pub(in crate::store) fn used_bytes(region: &[u8]) -> usize {
    let last = region.chunks(PAGE).rposition(|page| !is_zero(page));
    last.map_or(0, |page| ((page + 1) * PAGE).min(region.len()))
}

/// More than a batch has: what a damaged length says beyond that is not made room for.
const EXTENDED_BYTES_MAX: usize = 64 << 20;

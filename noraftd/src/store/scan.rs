//! One segment, read from front to back: what is valid, and what the rest looks like.
//!
//! Invariant: pure, and total: any bytes give a scan, never a panic. Memory is O(batches + terms +
//! configurations), and every crc of a batch was checked before anything of it is reported.

use noraft::{ClusterConfig, LogPosition};

use super::batch::{
    BATCH_HEADER_BYTES, BatchHeader, Kind, Mark, RECORD_HEADER_BYTES, RecordHeader, record_seed,
};
use super::codec::crc;
use super::log::Run;
use super::seal::SealIndex;
use super::segment::{HeaderFault, Link, PAGE, SECTOR, SegmentHeader, is_zero};
use crate::record::{HardState, decode_config};

/// Something a valid batch says, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// Consecutive entries of one term in the batch at `page`.
    Entries { page: u32, run: Run },
    /// The configuration in an entry that was just told.
    Config { index: u64, config: Box<ClusterConfig> },
    /// Term and vote.
    HardState { lsn: u64, hard_state: HardState },
    /// Entries after this are void.
    Truncate(LogPosition),
    /// Entries up to this are covered.
    Snapshot {
        position: LogPosition,
        config: Box<ClusterConfig>,
    },
    /// A remark.
    Mark(Mark),
}

/// What the two header pages say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderFound {
    /// Both agree.
    Both(SegmentHeader),
    /// One of the two is not valid.
    One {
        header: SegmentHeader,
        broken: HeaderFault,
        broken_at: u64,
    },
    /// Neither is valid.
    None { fault: HeaderFault },
}

/// What lies after the last valid batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Only zeros: nothing was ever written there.
    Blank,
    /// Something that is no valid batch.
    Invalid(InvalidRest),
}

/// Bytes after the last valid batch that are no valid batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InvalidRest {
    /// The byte at which reading failed.
    pub(super) offset: u64,
    /// How it failed.
    pub(super) found: &'static str,
    /// The byte after the last that is not zero, rounded up to a page.
    pub(super) end: u64,
    /// What valid batches lie after it.
    pub(super) later: Later,
    /// True when each missing part can be a sector that was never written, as after an interrupted write.
    pub(super) interrupted: bool,
}

/// Valid batches after an invalid one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Later {
    /// None.
    None,
    /// Only marks and a SEAL, the first at this byte.
    Marks(u64),
    /// Others, the first batch at this byte.
    Batches(u64),
}

/// One segment file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SegmentScan {
    pub(super) size: u64,
    pub(super) header: HeaderFound,
    pub(super) events: Vec<Event>,
    pub(super) batches: u64,
    pub(super) entries: u64,
    /// The last valid batch, or the one that the header names.
    pub(super) last: Link,
    /// The byte after the last valid batch.
    pub(super) front: u64,
    pub(super) sealed: bool,
    pub(super) rest: Rest,
    /// The index so far, of a segment that is not sealed.
    pub(super) index: SealIndex,
}

impl SegmentScan {
    /// Reads a whole segment file.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let header = read_header(bytes);
        let mut scan = Self {
            size: bytes.len() as u64,
            header,
            events: Vec::new(),
            batches: 0,
            entries: 0,
            last: Link::default(),
            front: PAGE as u64,
            sealed: false,
            rest: Rest::Blank,
            index: SealIndex::default(),
        };
        match header {
            HeaderFound::Both(header) | HeaderFound::One { header, .. } => scan.take_all(bytes, &header),
            HeaderFound::None { .. } => scan.note_unread(bytes),
        }
        scan
    }

    /// The header that is valid, if one is.
    pub(super) fn valid_header(&self) -> Option<&SegmentHeader> {
        match &self.header {
            HeaderFound::Both(header) | HeaderFound::One { header, .. } => Some(header),
            HeaderFound::None { .. } => None,
        }
    }

    fn note_unread(&mut self, bytes: &[u8]) {
        let end = bytes.len().saturating_sub(PAGE).max(PAGE);
        if let Some(offset) = bytes.get(PAGE..end).and_then(first_nonzero_page) {
            self.rest = Rest::Invalid(InvalidRest {
                offset: (PAGE + offset) as u64,
                found: "bytes in a segment without a valid header",
                end: end as u64,
                later: Later::None,
                interrupted: false,
            });
        }
    }

    fn take_all(&mut self, bytes: &[u8], header: &SegmentHeader) {
        let end = usize::try_from(header.batches_end())
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let bytes = &bytes[..end];
        self.last = header.link;
        let mut fault = (0, "bytes that no batch explains");
        while !self.sealed && (self.front as usize) < bytes.len() {
            match self.take_batch(bytes, header.salt) {
                Ok(()) => {}
                Err(found) => {
                    fault = found;
                    break;
                }
            }
        }
        self.judge_rest(bytes, header.salt, fault);
        if self.sealed {
            self.index = SealIndex::default();
        }
    }

    /// Takes the batch at the front, or nothing of it.
    fn take_batch(&mut self, bytes: &[u8], salt: u64) -> Result<(), (usize, &'static str)> {
        let start = self.front as usize;
        let area = &bytes[start..];
        let batch = check_batch(area, salt, self.last).map_err(|found| (start, found))?;
        let (events, index, entries) = (self.events.len(), self.index.mark(), self.entries);
        let area = &area[..BATCH_HEADER_BYTES + batch.length];
        if let Err((at, found)) = self.take_records(area, salt, &batch) {
            self.events.truncate(events);
            self.index.rewind(&index);
            self.entries = entries;
            self.sealed = false;
            return Err((start + at, found));
        }
        self.batches += 1;
        self.last = batch.link;
        self.front += batch.span();
        Ok(())
    }

    fn take_records(
        &mut self,
        area: &[u8],
        salt: u64,
        batch: &BatchHeader,
    ) -> Result<(), (usize, &'static str)> {
        let seed = record_seed(salt, batch.link.lsn);
        let (mut at, begun) = (BATCH_HEADER_BYTES, self.events.len());
        for _ in 0..batch.records {
            let (head, payload) = check_record(&area[at..], seed).map_err(|found| (at, found))?;
            self.note(&head, payload, at, begun, batch.link.lsn)
                .map_err(|found| (at, found))?;
            at += head.span();
        }
        if at != area.len() {
            return Err((at, "a batch is longer than its records"));
        }
        Ok(())
    }

    /// Notes what a valid record says; `begun` is the number of events before its batch.
    fn note(
        &mut self,
        head: &RecordHeader,
        payload: &[u8],
        at: usize,
        begun: usize,
        lsn: u64,
    ) -> Result<(), &'static str> {
        let config = || {
            decode_config(payload)
                .map(Box::new)
                .ok_or("a configuration does not parse")
        };
        match head.kind {
            Kind::Term | Kind::Command => self.note_entry(head, at, begun),
            Kind::Config => {
                let config = config()?;
                self.note_entry(head, at, begun);
                self.events.push(Event::Config {
                    index: head.index,
                    config,
                });
            }
            Kind::HardState => {
                let voted_for = (head.flags & 1 != 0).then_some(head.index);
                self.events.push(Event::HardState {
                    lsn,
                    hard_state: HardState {
                        term: head.term,
                        voted_for,
                    },
                });
            }
            Kind::Truncate => self.events.push(Event::Truncate(head.position())),
            Kind::Snapshot => {
                self.events.push(Event::Snapshot {
                    position: head.position(),
                    config: config()?,
                });
            }
            Kind::Seal => self.sealed = true,
            Kind::Mark => self
                .events
                .push(Event::Mark(Mark::from_byte(head.flags).ok_or("an unknown mark")?)),
        }
        Ok(())
    }

    fn note_entry(&mut self, head: &RecordHeader, at: usize, begun: usize) {
        self.entries += 1;
        self.index
            .add(head.position(), self.front + at as u64, head.payload_crc);
        let page = u32::try_from(self.front / PAGE as u64).expect("a segment has fewer than 2^32 pages");
        let opens = head.kind == Kind::Term;
        if self.events.len() > begun
            && let Some(Event::Entries { run, .. }) = self.events.last_mut()
            && !opens
            && run.term == head.term
            && run.last().checked_add(1) == Some(head.index)
        {
            run.count += 1;
            return;
        }
        let run = Run {
            first: head.index,
            count: 1,
            term: head.term,
            opens,
        };
        self.events.push(Event::Entries { page, run });
    }

    fn judge_rest(&mut self, bytes: &[u8], salt: u64, fault: (usize, &'static str)) {
        let region = bytes.get(self.front as usize..).unwrap_or_default();
        let Some(first) = first_nonzero_page(region) else {
            return;
        };
        let (offset, found) = fault;
        self.rest = Rest::Invalid(InvalidRest {
            offset: (offset as u64).max(self.front + if offset == 0 { first as u64 } else { 0 }),
            found,
            end: self.front + used_bytes(region) as u64,
            later: find_later(region, salt, self.last, self.front),
            interrupted: !self.sealed && looks_interrupted(region, salt, self.last),
        });
    }
}

/// Reads both header pages.
fn read_header(bytes: &[u8]) -> HeaderFound {
    let first = SegmentHeader::decode(bytes.get(..PAGE).unwrap_or_default());
    let copy_at = bytes.len().saturating_sub(PAGE);
    let second = SegmentHeader::decode(&bytes[copy_at..]);
    match (first, second) {
        (Ok(header), Ok(copy)) if header == copy => HeaderFound::Both(header),
        (Ok(header), copy) => {
            // A file that was cut has no second copy where it should be.
            let broken = copy.err().unwrap_or(HeaderFault::Damaged);
            HeaderFound::One {
                header,
                broken,
                broken_at: header.batches_end(),
            }
        }
        (Err(broken), Ok(header)) => HeaderFound::One {
            header,
            broken,
            broken_at: 0,
        },
        (Err(HeaderFault::Version(version)), Err(_)) | (Err(_), Err(HeaderFault::Version(version))) => {
            HeaderFound::None {
                fault: HeaderFault::Version(version),
            }
        }
        (Err(fault), Err(_)) => HeaderFound::None { fault },
    }
}

/// The batch header at the front of `area`, if it comes after `last` and fits.
fn check_batch(area: &[u8], salt: u64, last: Link) -> Result<BatchHeader, &'static str> {
    let batch = BatchHeader::decode(area, salt)?;
    if batch.link.lsn <= last.lsn || batch.prev_crc != last.crc {
        return Err("a batch does not follow the one before it");
    }
    if batch.records == 0 || batch.span() > area.len() as u64 {
        return Err("a batch has no records or more than fit");
    }
    Ok(batch)
}

/// The record at the front of `area`, if header and payload are intact.
pub(super) fn check_record(area: &[u8], seed: u32) -> Result<(RecordHeader, &[u8]), &'static str> {
    let head = RecordHeader::decode(area, seed)?;
    let payload = area
        .get(RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + head.length)
        .ok_or("a record is cut short")?;
    if crc(0, payload) != head.payload_crc {
        return Err("a record's payload is not what was written");
    }
    if area.len() < head.span() {
        return Err("a record's padding is cut short");
    }
    Ok((head, payload))
}

/// The batches that were begun after an invalid one: each proves that all before it were durable, because
/// only one is in flight at a time. Its header is enough.
fn find_later(region: &[u8], salt: u64, last: Link, front: u64) -> Later {
    let mut later = Later::None;
    for at in (PAGE..region.len()).step_by(PAGE) {
        let area = &region[at..];
        let Ok(batch) = BatchHeader::decode(area, salt) else {
            continue;
        };
        if batch.link.lsn <= last.lsn {
            continue;
        }
        let offset = front + at as u64;
        if !is_only_marks(area, salt, &batch) {
            return Later::Batches(offset);
        }
        if later == Later::None {
            later = Later::Marks(offset);
        }
    }
    later
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
fn looks_interrupted(region: &[u8], salt: u64, last: Link) -> bool {
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

fn first_nonzero_page(region: &[u8]) -> Option<usize> {
    region
        .chunks(PAGE)
        .position(|page| !is_zero(page))
        .map(|page| page * PAGE)
}

/// Bytes of `region` up to its last page that is not blank.
fn used_bytes(region: &[u8]) -> usize {
    let last = region.chunks(PAGE).rposition(|page| !is_zero(page));
    last.map_or(0, |page| ((page + 1) * PAGE).min(region.len()))
}

//! One segment, read from front to back: what is valid, and what the rest looks like.
//!
//! A batch that is not valid does not end the reading when a later one exists: what is known of its records
//! is salvaged (`salvage.rs`), and the reading goes on after it.
//!
//! Invariant: pure, and total: any bytes give a scan, never a panic. Memory is O(entries), 8 bytes each beside
//! batches, terms, configurations and damaged entries, and every crc of a batch was checked before anything of it is reported,
//! but for what is reported as damaged.

use crate::record::Base;
use crate::store::format::batch::{BatchHeader, CUT_IS_CLOSED_LATER, Kind, Mark, RecordHeader, record_seed};
use crate::store::format::check::{check_batch, check_record};
use crate::store::format::layout::{BATCH_HEADER_BYTES, PAGE, RECORD_HEADER_BYTES};
use crate::store::format::segment::{HeaderFault, Link, SegmentHeader};
use crate::store::recovery::noted::{Event, Noted, Place};
use crate::store::recovery::tail::{
    FollowingBatches, as_resized, batch_heads, first_nonzero_page, following_batches, looks_interrupted,
    next_batch, used_bytes,
};
use crate::store::write::active::LogEnd;

/// What the two header pages say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum HeaderFound {
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
pub(in crate::store) enum TailState {
    /// Only zeros: nothing was ever written there.
    Blank,
    /// Something that is no valid batch.
    Invalid(InvalidTail),
}

/// Bytes after the last valid batch that are no valid batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct InvalidTail {
    /// The byte at which reading failed.
    pub(in crate::store) offset: u64,
    /// How it failed.
    pub(in crate::store) found: &'static str,
    /// The byte after the last that is not zero, rounded up to a page.
    pub(in crate::store) end: u64,
    /// True when each missing part can be a sector that was never written, as after an interrupted write.
    pub(in crate::store) interrupted: bool,
    /// True when it is certainly what a crash left of a tail while that was blanked: the mark of its cut comes last, and
    /// nothing is written after that mark before another one says that the tail is blank.
    pub(in crate::store) was_cut: bool,
}

/// Bytes between valid batches that are no valid batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Damaged {
    /// The byte at which reading failed.
    pub(in crate::store) offset: u64,
    /// How it failed.
    pub(in crate::store) found: &'static str,
    /// What valid batches lie after it.
    pub(in crate::store) following: FollowingBatches,
}

/// One segment file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct SegmentScan {
    pub(in crate::store) size: u64,
    pub(in crate::store) header: HeaderFound,
    /// Where the log began when the segment was begun, as a valid header says it.
    pub(in crate::store) base: Option<Base>,
    /// What its records say, up to the front.
    pub(in crate::store) noted: Noted,
    /// The last valid batch, and where it ends.
    pub(in crate::store) reached: Reached,
    pub(in crate::store) end: TailState,
    /// What was found between valid batches.
    pub(in crate::store) damages: Vec<Damaged>,
    /// What is known of the records in the rest, should it turn out that they were durable.
    pub(in crate::store) tail: Vec<Event>,
}

/// How far valid batches were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Reached {
    /// How many there were.
    pub(in crate::store) batches: u64,
    /// The last of them, or the one that the header names.
    pub(in crate::store) last: Link,
    /// The byte after the last of them.
    pub(in crate::store) front: u64,
    /// Where the tail ended that the last of them cut, while no mark after it says that the tail is blank.
    open_cut: Option<u64>,
}

impl Reached {
    /// Nothing yet.
    fn start() -> Self {
        Self {
            batches: 0,
            last: Link::default(),
            front: PAGE as u64,
            open_cut: None,
        }
    }

    /// The valid batch `batch` was at the front; it cut a tail that ended at `open_cut`.
    fn take(&mut self, batch: &BatchHeader, open_cut: Option<u64>) {
        self.batches += 1;
        self.open_cut = open_cut;
        self.last = batch.link;
        self.front += batch.span();
    }

    /// Reading goes on at byte `front`, with the batch that follows one with the crc `prev_crc`; the LSN `lsn` was
    /// seen before that, if one was.
    pub(in crate::store) fn skip(&mut self, front: u64, prev_crc: u32, lsn: Option<u64>) {
        self.last.lsn = lsn.unwrap_or(self.last.lsn);
        self.last.crc = prev_crc;
        self.front = front;
    }
}

impl SegmentScan {
    /// Reads the whole file of segment `number`.
    pub(in crate::store) fn of(number: u64, bytes: &[u8]) -> Self {
        let (header, base) = read_header(number, bytes);
        let mut scan = Self {
            size: bytes.len() as u64,
            header,
            base,
            noted: Noted::default(),
            reached: Reached::start(),
            end: TailState::Blank,
            damages: Vec::new(),
            tail: Vec::new(),
        };
        match header {
            HeaderFound::Both(header) | HeaderFound::One { header, .. } => scan.take_all(bytes, &header),
            HeaderFound::None { .. } => scan.note_unread(bytes),
        }
        scan
    }

    /// The header that is valid, if one is.
    pub(in crate::store) fn valid_header(&self) -> Option<&SegmentHeader> {
        match &self.header {
            HeaderFound::Both(header) | HeaderFound::One { header, .. } => Some(header),
            HeaderFound::None { .. } => None,
        }
    }

    /// True when its last batch is its SEAL.
    pub(in crate::store) fn is_sealed(&self) -> bool {
        self.noted.is_sealed()
    }

    /// True when the last batch is the mark of a cut, and it is not on record that its tail is blank.
    pub(in crate::store) fn is_cut_open(&self) -> bool {
        self.reached.open_cut.is_some() && !self.is_sealed()
    }

    /// Where writing goes on in this segment, and after which batch; `None` without a header.
    pub(in crate::store) fn into_end(self) -> Option<(LogEnd, Link)> {
        let end = LogEnd {
            header: *self.valid_header()?,
            front: self.reached.front,
            sealed: self.is_sealed(),
            index: self.noted.into_index(),
        };
        Some((end, self.reached.last))
    }

    fn note_unread(&mut self, bytes: &[u8]) {
        let end = bytes.len().saturating_sub(PAGE).max(PAGE);
        if let Some(offset) = bytes.get(PAGE..end).and_then(first_nonzero_page) {
            self.end = TailState::Invalid(InvalidTail {
                offset: (PAGE + offset) as u64,
                found: "bytes in a segment without a valid header",
                end: end as u64,
                interrupted: false,
                was_cut: false,
            });
        }
    }

    fn take_all(&mut self, bytes: &[u8], header: &SegmentHeader) {
        let bytes = &*as_resized(bytes, header);
        self.reached.last = header.link;
        let (mut heads, mut fault) = (None, (0, "bytes that no batch explains"));
        let mut end = self.reached.front;
        let (mut is_displaced, mut covers) = (false, false);
        while !self.is_sealed() {
            let Err(found) = self.take_batch(bytes, header.salt) else {
                end = end.max(self.reached.front);
                covers = std::mem::take(&mut is_displaced);
                continue;
            };
            // Up to here every batch was taken, and has an LSN that no later one has.
            let heads =
                heads.get_or_insert_with(|| batch_heads(bytes, self.reached.front as usize, header.salt));
            fault = found;
            let own = self.own_head(bytes, header.salt);
            if own.is_some() {
                // It is not visited again: two damaged copies of one batch would name each other forever.
                heads.retain(|(at, _)| *at as u64 != self.reached.front);
            }
            let reached = (self.reached.front, self.reached.last);
            let Some(next) = next_batch(bytes, heads, header.salt, reached, own.as_ref()) else {
                break;
            };
            // Its own place is the front: it lies where others were, and what comes after it shows which.
            is_displaced = next.1.prev_crc == self.reached.last.crc && next.0 as u64 > self.reached.front;
            let following = following_batches(bytes, heads, next, header.salt);
            self.damages.push(Damaged {
                offset: (found.0 as u64).max(self.reached.front),
                found: found.1,
                following,
            });
            self.salvage_until(bytes, header.salt, own, next);
        }
        // A batch in the wrong place may have been the last; or it covers what was.
        if (end > self.reached.front || covers) && !self.is_sealed() {
            self.noted.lose(self.reached.front as usize, end as usize);
        }
        self.reached.front = end.max(self.reached.front);
        self.judge_rest(bytes, header.salt, fault, is_displaced);
        self.noted.finish();
    }

    /// The header of the batch at the front, if it is the one that comes next.
    fn own_head(&self, bytes: &[u8], salt: u64) -> Option<BatchHeader> {
        check_batch(bytes.get(self.reached.front as usize..)?, salt, self.reached.last).ok()
    }

    /// Takes the batch at the front, or nothing of it.
    fn take_batch(&mut self, bytes: &[u8], salt: u64) -> Result<(), (usize, &'static str)> {
        let start = self.reached.front as usize;
        let area = bytes.get(start..).unwrap_or_default();
        let batch = check_batch(area, salt, self.reached.last).map_err(|found| (start, found))?;
        let mark = self.noted.mark();
        let area = &area[..BATCH_HEADER_BYTES + batch.length];
        if let Err((at, found)) = self.take_records(area, salt, &batch) {
            self.noted.rewind(&mark);
            return Err((start + at, found));
        }
        self.reached.take(&batch, open_cut(area, salt, &batch));
        Ok(())
    }

    fn take_records(
        &mut self,
        area: &[u8],
        salt: u64,
        batch: &BatchHeader,
    ) -> Result<(), (usize, &'static str)> {
        let seed = record_seed(salt, batch.link.lsn);
        let place = self.place(batch.link.lsn);
        let mut at = BATCH_HEADER_BYTES;
        for _ in 0..batch.records {
            let (head, payload) = check_record(&area[at..], seed).map_err(|found| (at, found))?;
            self.noted
                .note(&head, payload, at, &place)
                .map_err(|found| (at, found))?;
            at += head.span();
        }
        if at != area.len() {
            return Err((at, "a batch is longer than its records"));
        }
        Ok(())
    }

    /// Where the records of the batch `lsn` at the front are noted.
    pub(in crate::store) fn place(&self, lsn: u64) -> Place {
        self.noted.place(self.reached.front, lsn)
    }

    /// True when `region`, which is not blank up to `end`, is left of a tail that the last batch cut. Anything in it that
    /// was written later, by its LSN, proves that the tail was blank by then: so it is damage.
    fn was_cut(&self, region: &[u8], salt: u64, end: u64) -> bool {
        let is_known = |event: &Event| !matches!(event, Event::Lost { .. });
        self.reached.open_cut.is_some_and(|until| end <= until)
            && check_batch(region, salt, self.reached.last).is_err()
            && !self.tail.iter().any(is_known)
    }

    fn judge_rest(&mut self, bytes: &[u8], salt: u64, fault: (usize, &'static str), is_displaced: bool) {
        let region = bytes.get(self.reached.front as usize..).unwrap_or_default();
        let Some(first) = first_nonzero_page(region) else {
            return;
        };
        let (offset, found) = fault;
        let end = self.reached.front + used_bytes(region) as u64;
        if !self.is_sealed() {
            self.salvage_tail(bytes, salt, end as usize);
        }
        self.end = TailState::Invalid(InvalidTail {
            offset: (offset as u64).max(self.reached.front + if offset == 0 { first as u64 } else { 0 }),
            found,
            end,
            interrupted: !self.is_sealed()
                && !is_displaced
                && looks_interrupted(region, salt, self.reached.last),
            was_cut: self.was_cut(region, salt, end),
        });
    }
}

/// Where the tail ended that `batch` cut, if a mark is all it holds that says so, and that another one will follow. Earlier
/// versions wrote on at once, so behind their marks nothing can be known to be the rest of a tail.
fn open_cut(area: &[u8], salt: u64, batch: &BatchHeader) -> Option<u64> {
    if batch.records != 1 || batch.length != RECORD_HEADER_BYTES {
        return None;
    }
    let seed = record_seed(salt, batch.link.lsn);
    let head = RecordHeader::decode(area.get(BATCH_HEADER_BYTES..)?, seed).ok()?;
    let is_cut = head.kind == Kind::Mark && Mark::from_byte(head.flags).is_some_and(Mark::is_cut);
    (is_cut && head.term & CUT_IS_CLOSED_LATER != 0).then_some(head.term & !CUT_IS_CLOSED_LATER)
}

/// Reads both header pages of segment `number`, and where they say that the log began.
fn read_header(number: u64, bytes: &[u8]) -> (HeaderFound, Option<Base>) {
    // A file that was cut before its second page has no other page that could be the copy.
    let copy_at = bytes.len().saturating_sub(PAGE).max(PAGE);
    let pages = [
        bytes.get(..PAGE).unwrap_or(bytes),
        bytes.get(copy_at..).unwrap_or_default(),
    ];
    let found = compare_headers(number, pages.map(SegmentHeader::decode));
    let [base, copy] = pages.map(SegmentHeader::decode_base);
    match found {
        HeaderFound::Both(header) => {
            let broken_at = match (&base, &copy) {
                (None, Some(_)) => 0,
                (Some(_), None) => header.batches_end(),
                (Some(_), Some(_)) | (None, None) => return (found, base),
            };
            let broken = HeaderFault::Damaged;
            let found = HeaderFound::One {
                header,
                broken,
                broken_at,
            };
            (found, base.or(copy))
        }
        HeaderFound::One { broken_at, .. } => (found, if broken_at == 0 { copy } else { base }),
        HeaderFound::None { .. } => (found, None),
    }
}

fn compare_headers(number: u64, [first, second]: [Result<SegmentHeader, HeaderFault>; 2]) -> HeaderFound {
    match (first, second) {
        (Ok(header), Ok(copy)) if header == copy => HeaderFound::Both(header),
        // The page of another segment, written to the wrong place.
        (Ok(header), Ok(copy)) if header.number != number && copy.number == number => HeaderFound::One {
            header: copy,
            broken: HeaderFault::Damaged,
            broken_at: 0,
        },
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

//! What is still known of records in a batch that is not valid.
//!
//! A record's header has its own crc, so that term, index and payload crc of an entry outlive its payload; the
//! SEAL of a segment has a second copy of all three. What neither has is lost, and reported as lost.
//!
//! Invariant: whatever is reported here was covered by a crc. An entry that a reader could not reach from the front
//! of its batch is reported as a hole even when its bytes are intact.

use crate::record::{Hole, decode_config};
use crate::store::format::batch::{BatchHeader, Kind, RecordHeader, record_seed};
use crate::store::format::check::check_batch;
use crate::store::format::codec::crc;
use crate::store::format::layout::{BATCH_HEADER_BYTES, PAGE, RECORD_HEADER_BYTES};
use crate::store::recovery::noted::{Event, Place};
use crate::store::recovery::scan::SegmentScan;

/// A stretch of bytes to salvage records from.
struct Stretch<'a> {
    bytes: &'a [u8],
    from: usize,
    to: usize,
    /// One for each batch that the records may be of.
    seeds: &'a [u32],
    /// The LSN of the batch, where that is known.
    lsn: u64,
    /// True when readers find the records from the front of their batch.
    reachable: bool,
}

impl SegmentScan {
    /// Salvages what it can between the front and the batch `next`, and goes on there. `own` is the header of
    /// the batch at the front, where it is intact.
    pub(in crate::store) fn salvage_until(
        &mut self,
        bytes: &[u8],
        salt: u64,
        own: Option<BatchHeader>,
        next: (usize, BatchHeader),
    ) {
        let (to, next) = next;
        // A batch that follows the last valid one directly proves that what is between them never counted.
        if next.prev_crc != self.reached.last.crc {
            let closed = own.is_some_and(|own| own.link.crc == next.prev_crc);
            // A batch in the wrong place may lie before the front: then what is lost is the one at the front, as far as it goes.
            let front = self.reached.front as usize;
            let own_end = front + own.map_or(0, |own| own.span() as usize);
            let end = if to > front { to } else { own_end.min(bytes.len()) };
            self.salvage(bytes, salt, own, end, next.link.lsn, closed);
        }
        let lsn = own.map(|own| own.link.lsn).filter(|lsn| *lsn < next.link.lsn);
        self.reached.skip(to as u64, next.prev_crc, lsn);
    }

    /// Salvages what it can of the bytes up to `end`, after which nothing valid comes.
    pub(in crate::store) fn salvage_tail(&mut self, bytes: &[u8], salt: u64, end: usize) {
        let mark = self.noted.mark();
        let own = check_batch(&bytes[self.reached.front as usize..], salt, self.reached.last).ok();
        self.salvage(bytes, salt, own, end, self.reached.last.lsn + LSNS_MAX, false);
        self.tail = self.noted.split_off(&mark);
    }

    fn salvage(
        &mut self,
        bytes: &[u8],
        salt: u64,
        own: Option<BatchHeader>,
        to: usize,
        lsn_end: u64,
        closed: bool,
    ) {
        let mut from = self.reached.front as usize;
        if let Some(own) = own {
            let end = (from + BATCH_HEADER_BYTES + own.length).min(to);
            self.salvage_stretch(&Stretch {
                bytes,
                from: from + BATCH_HEADER_BYTES,
                to: end,
                seeds: &[record_seed(salt, own.link.lsn)],
                lsn: own.link.lsn,
                reachable: true,
            });
            from = end.next_multiple_of(PAGE).min(to);
        }
        if closed {
            return;
        }
        let lsn_first = own.map_or(self.reached.last.lsn, |own| own.link.lsn) + 1;
        let lsns = lsn_first..lsn_end.min(lsn_first.saturating_add(LSNS_MAX));
        let seeds: Vec<u32> = lsns.map(|lsn| record_seed(salt, lsn)).collect();
        let searched = to.min(from + SEARCH_BYTES_MAX);
        self.salvage_stretch(&Stretch {
            bytes,
            from,
            to: searched,
            seeds: &seeds,
            lsn: lsn_first,
            reachable: false,
        });
        self.noted.lose(searched, to);
    }

    /// Notes all records with an intact header, and what is lost between them.
    fn salvage_stretch(&mut self, stretch: &Stretch<'_>) {
        let (mut at, mut known_to, mut reachable) = (stretch.from, stretch.from, stretch.reachable);
        let place = self.place(stretch.lsn);
        let mut last = None;
        while at < stretch.to {
            let area = &stretch.bytes[at..stretch.to];
            let found = stretch.seeds.iter().find_map(|seed| head_at(area, *seed));
            // The entries of one batch rise. One that does not is in a page of it that was written to the place of another.
            let is_copy = |head: &RecordHeader| {
                let rises = last.is_none_or(|last| head.index > last);
                stretch.reachable && head.kind.entry().is_some() && !rises
            };
            let Some(head) = found.filter(|head| !is_copy(head)) else {
                reachable = false;
                at += 8;
                continue;
            };
            if known_to < at {
                self.noted.lose(known_to, at);
            }
            let payload = area.get(RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + head.length);
            let payload = payload.filter(|payload| crc(0, payload) == head.payload_crc);
            self.note_salvaged(&head, payload, at, reachable, &place);
            last = head.kind.entry().map(|_| head.index).or(last);
            at += head.span();
            known_to = at;
        }
        if known_to < stretch.to || !stretch.reachable {
            self.noted.lose(known_to.min(stretch.to), stretch.to);
        }
    }

    fn note_salvaged(
        &mut self,
        head: &RecordHeader,
        payload: Option<&[u8]>,
        at: usize,
        reachable: bool,
        place: &Place,
    ) {
        let offset = at - place.front as usize;
        if let Some(kind) = head.kind.entry() {
            self.noted.note_entry(head, offset, place);
            if payload.is_none() || !reachable {
                self.noted.push(Event::Hole(Hole {
                    position: head.position(),
                    kind: Some(kind),
                    payload_crc: Some(head.payload_crc),
                }));
            }
            if head.kind == Kind::Config
                && let Some(config) = payload.and_then(decode_config)
            {
                let (index, config) = (head.index, Box::new(config));
                self.noted.push(Event::Config { index, config });
            }
            return;
        }
        // A patch that readers cannot reach leaves the hole that it was to fill.
        let noted = match payload {
            Some(_) if head.kind == Kind::Patch && !reachable => return,
            Some(payload) => self.noted.note(head, payload, offset, place),
            None if matches!(head.kind, Kind::Patch | Kind::Seal) => {
                if head.kind == Kind::Seal {
                    self.noted.note_sealed();
                }
                return;
            }
            None => Err("the payload is not what was written"),
        };
        if noted.is_err() {
            self.noted.lose(at, at + head.span());
        }
    }
}

/// The record header at the front of `area`, if there is one. Where headers are searched for, one more check
/// makes a false find as good as impossible.
fn head_at(area: &[u8], seed: u32) -> Option<RecordHeader> {
    let head = RecordHeader::decode(area, seed).ok()?;
    (area[6] == 0 && area[7] == 0).then_some(head)
}

/// LSNs that a batch without a header is tried with: they have gaps, but small ones.
const LSNS_MAX: u64 = 8;
/// Bytes that are searched for records of batches whose header is gone; beyond, they are lost.
const SEARCH_BYTES_MAX: usize = 1 << 20;

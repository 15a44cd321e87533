//! The batches and records of a segment, as an inspection shows them.
//!
//! Invariant: every batch whose header is intact is shown, also behind damage, and every record up to the first whose header
//! is not.

use super::{BatchView, Detail, RecordView};
use crate::store::format::batch::{BatchHeader, RecordHeader, record_seed};
use crate::store::format::check::check_record;
use crate::store::format::layout::{BATCH_HEADER_BYTES, PAGE};
use crate::store::format::segment::SegmentHeader;

/// Every batch whose header is intact, behind damage too.
pub(super) fn view(bytes: &[u8], header: &SegmentHeader, detail: Detail) -> Vec<BatchView> {
    let end = usize::try_from(header.batches_end())
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    let (mut batches, mut at) = (Vec::new(), PAGE);
    while let Some(area) = bytes.get(at..end).filter(|area| !area.is_empty()) {
        let Ok(batch) = BatchHeader::decode(area, header.salt) else {
            at += PAGE;
            continue;
        };
        let view = view_batch(area, at, header.salt, &batch, detail);
        // The length of a damaged batch is known all the same: its header is intact.
        at = at.saturating_add(batch.span() as usize);
        batches.push(view);
    }
    batches
}

fn view_batch(area: &[u8], start: usize, salt: u64, batch: &BatchHeader, detail: Detail) -> BatchView {
    let mut view = BatchView {
        offset: start as u64,
        length: batch.length as u64,
        lsn: batch.link.lsn,
        record_count: batch.records,
        records: Vec::new(),
        fault: None,
    };
    let seed = record_seed(salt, batch.link.lsn);
    let mut at = BATCH_HEADER_BYTES;
    for _ in 0..batch.records {
        let rest = area.get(at..).unwrap_or_default();
        let checked = check_record(rest, seed);
        let offset = (start + at) as u64;
        if let Err(found) = checked {
            view.fault = view.fault.or(Some((offset, found)));
        }
        let Ok(head) = RecordHeader::decode(rest, seed) else {
            break;
        };
        if detail >= Detail::Records {
            view.records.push(view_record(&head, offset, checked.is_ok()));
        }
        at += head.span();
    }
    view
}

fn view_record(head: &RecordHeader, offset: u64, intact: bool) -> RecordView {
    let RecordHeader {
        length,
        kind,
        flags,
        term,
        index,
        ..
    } = *head;
    RecordView {
        offset,
        kind,
        flags,
        term,
        index,
        length: length as u64,
        intact,
    }
}

//! Whether a batch or a record is what was written.

use crate::store::format::batch::{BatchHeader, RecordHeader};
use crate::store::format::codec::crc;
use crate::store::format::layout::RECORD_HEADER_BYTES;
use crate::store::format::segment::Link;

/// The batch header at the front of `area`, if it comes after `last` and fits.
pub(in crate::store) fn check_batch(area: &[u8], salt: u64, last: Link) -> Result<BatchHeader, &'static str> {
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
pub(in crate::store) fn check_record(area: &[u8], seed: u32) -> Result<(RecordHeader, &[u8]), &'static str> {
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

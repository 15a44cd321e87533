//! Messages by which damaged entries are repaired; the formats are tabled in `mod.rs`.
//!
//! Invariant: positions and records rise by index, each once, and terms do not fall: what a log could hold.

use bytes::{BufMut, Bytes, BytesMut};
use noraft::{LogIndex, LogPosition, Term};

use super::position_codec::{read_position, write_position};
use super::record_codec::{CUT, RECORD_HEADER_BYTES, read_record, write_record};
use super::{PeerMessage, REPAIR_POSITIONS_MAX};
use crate::protocol::read::Reader;
use crate::record::Record;

/// Appends the positions.
///
/// # Panics
///
/// When there are more than the limit: the code that builds the message ensures it.
pub(super) fn write_positions(positions: &[LogPosition], out: &mut BytesMut) {
    put_count(positions.len(), out);
    for position in positions {
        write_position(*position, out);
    }
}

/// Appends the records, each with its index.
///
/// # Panics
///
/// When there are more than the limit.
pub(super) fn write_repair(base: LogIndex, records: &[Record], out: &mut BytesMut) {
    out.put_u64_le(base.get());
    put_count(records.len(), out);
    for record in records {
        out.put_u64_le(record.position.index.get());
        write_record(record, out);
    }
}

fn put_count(count: usize, out: &mut BytesMut) {
    assert!(
        count <= REPAIR_POSITIONS_MAX,
        "{count} entries are within the limit"
    );
    out.put_u32_le(u32::try_from(count).expect("the limit is below 2^32"));
}

fn read_count(reader: &mut Reader<'_>) -> Result<usize, &'static str> {
    let count = reader.u32().ok_or(CUT)? as usize;
    if count > REPAIR_POSITIONS_MAX {
        return Err("too many entries to repair");
    }
    Ok(count)
}

pub(super) fn read_repair_request(reader: &mut Reader<'_>) -> Result<PeerMessage, &'static str> {
    let count = read_count(reader)?;
    let mut positions = Vec::with_capacity(count);
    for _ in 0..count {
        let position = read_position(reader).ok_or(CUT)?;
        check_rises(positions.last().copied(), position)?;
        positions.push(position);
    }
    Ok(PeerMessage::RepairRequest { positions })
}

pub(super) fn read_repair(reader: &mut Reader<'_>, body: &Bytes) -> Result<PeerMessage, &'static str> {
    let base = LogIndex::new(reader.u64().ok_or(CUT)?);
    let count = read_count(reader)?;
    let mut records: Vec<Record> = Vec::with_capacity(count.min(reader.rest().len() / RECORD_HEADER_BYTES));
    for _ in 0..count {
        let index = reader.u64().ok_or(CUT)?;
        let before = index.checked_sub(1).ok_or("there is no entry 0")?;
        let before = LogPosition {
            term: Term::ZERO,
            index: LogIndex::new(before),
        };
        let record = read_record(reader, body, before)?;
        check_rises(records.last().map(|last| last.position), record.position)?;
        records.push(record);
    }
    Ok(PeerMessage::Repair { base, records })
}

fn check_rises(last: Option<LogPosition>, next: LogPosition) -> Result<(), &'static str> {
    let rises = last.is_none_or(|last| last.index < next.index && last.term <= next.term);
    if rises && next.index.get() > 0 {
        Ok(())
    } else {
        Err("entries to repair are out of order")
    }
}

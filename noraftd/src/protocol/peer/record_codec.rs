//! Records inside AppendEntries.
//!
//! A count (u32), then for each record, all numbers little-endian: term u64, kind u8 (1 term, 2
//! configuration, 3 command), stamp u64 (milliseconds), crc of the payload u32, length of the payload u32,
//! payload. Indexes are not written: they follow `prev` one by one, so a gap cannot be expressed.
//!
//! Invariant: a decoded run is one that a correct leader could send: terms do not decrease and do not
//! exceed the message's, each payload has the crc it came with and parses as its kind says.

use bytes::{BufMut, Bytes, BytesMut};
use noraft::{LogPosition, Term};

use super::RECORDS_MAX;
use crate::protocol::read::Reader;
use crate::record::{PAYLOAD_BYTES_MAX, Record, RecordKind, next_index};
use crate::time::Stamp;

/// Appends the records.
///
/// # Panics
///
/// When they are not consecutive after `prev`.
pub(super) fn write_records(prev: LogPosition, records: &[Record], out: &mut BytesMut) {
    assert!(
        records.len() <= RECORDS_MAX,
        "{} records are within the limit",
        records.len()
    );
    let bytes: usize = records
        .iter()
        .map(|record| RECORD_HEADER_BYTES + record.payload.len())
        .sum();
    out.reserve(bytes + COUNT_BYTES);
    put_u32(records.len(), out);
    let mut before = prev.index;
    for record in records {
        assert_eq!(
            Some(record.position.index),
            next_index(before),
            "records are consecutive"
        );
        before = record.position.index;
        write_record(record, out);
    }
}

/// Appends a record without its index.
pub(super) fn write_record(record: &Record, out: &mut BytesMut) {
    out.put_u64_le(record.position.term.get());
    out.put_u8(match record.kind {
        RecordKind::Term => 1,
        RecordKind::Config => 2,
        RecordKind::Command => 3,
    });
    out.put_u64_le(record.stamp.as_millis());
    out.put_u32_le(record.payload_crc);
    put_u32(record.payload.len(), out);
    out.extend_from_slice(&record.payload);
}

fn put_u32(n: usize, out: &mut BytesMut) {
    out.put_u32_le(u32::try_from(n).expect("limits are below 2^32"));
}

/// Reads records after `prev` for a message of `term`; `body` is the memory that `reader` reads.
///
/// # Errors
///
/// With what is wrong with them.
pub(super) fn read_records(
    reader: &mut Reader<'_>,
    body: &Bytes,
    prev: LogPosition,
    term: Term,
) -> Result<Vec<Record>, &'static str> {
    let count = reader.u32().ok_or(CUT)? as usize;
    if count > RECORDS_MAX {
        return Err("too many records");
    }
    let mut records = Vec::with_capacity(count.min(reader.rest().len() / RECORD_HEADER_BYTES));
    let mut before = prev;
    for _ in 0..count {
        let record = read_record(reader, body, before)?;
        before = record.position;
        records.push(record);
    }
    if before.term > term {
        return Err("an entry's term exceeds the message's");
    }
    Ok(records)
}

/// Reads the record that comes after `before`.
///
/// # Errors
///
/// With what is wrong with it.
pub(super) fn read_record(
    reader: &mut Reader<'_>,
    body: &Bytes,
    before: LogPosition,
) -> Result<Record, &'static str> {
    let term = reader.u64().map(Term::new).ok_or(CUT)?;
    let kind = match reader.u8().ok_or(CUT)? {
        1 => RecordKind::Term,
        2 => RecordKind::Config,
        3 => RecordKind::Command,
        _ => return Err("a record's kind is unknown"),
    };
    let stamp = reader.u64().map(Stamp::from_millis).ok_or(CUT)?;
    let payload_crc = reader.u32().ok_or(CUT)?;
    let payload = body.slice_ref(reader.bytes().ok_or(CUT)?);
    let index = next_index(before.index).ok_or("the index space ends")?;
    let record = Record {
        position: LogPosition { term, index },
        kind,
        stamp,
        payload,
        payload_crc,
    };
    check(&record, before)?;
    Ok(record)
}

fn check(record: &Record, before: LogPosition) -> Result<(), &'static str> {
    if record.position.term < before.term {
        return Err("terms decrease from entry to entry");
    }
    if record.payload.len() > PAYLOAD_BYTES_MAX {
        return Err("a payload is too large");
    }
    if !record.is_intact() {
        return Err("a payload does not have its crc");
    }
    if record.kind == RecordKind::Term && !record.payload.is_empty() {
        return Err("the first entry of a term has a payload");
    }
    if record.to_entry().is_none() {
        return Err("a configuration does not parse");
    }
    Ok(())
}

/// The message ends in the middle of something.
pub(super) const CUT: &str = "it ends too early";

const COUNT_BYTES: usize = 4;

/// Bytes of a record without its payload.
pub(super) const RECORD_HEADER_BYTES: usize = 25;

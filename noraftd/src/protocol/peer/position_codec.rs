//! A position in the log: its term, then its index, each a u64, little-endian.

use bytes::{BufMut, BytesMut};
use noraft::{LogIndex, LogPosition, Term};

use crate::protocol::read::Reader;

pub(super) fn write_position(position: LogPosition, out: &mut BytesMut) {
    out.put_u64_le(position.term.get());
    out.put_u64_le(position.index.get());
}

pub(super) fn read_position(reader: &mut Reader<'_>) -> Option<LogPosition> {
    Some(LogPosition {
        term: Term::new(reader.u64()?),
        index: LogIndex::new(reader.u64()?),
    })
}

//! Messages that carry a snapshot; the formats are tabled in `mod.rs`.

use bytes::{BufMut, Bytes, BytesMut};
use noraft::Term;

use super::PeerMessage;
use super::position_codec::{read_position, write_position};
use super::record_codec::CUT;
use crate::protocol::read::Reader;
use crate::record::SnapshotId;

pub(super) fn write_id(id: &SnapshotId, out: &mut BytesMut) {
    write_position(id.position, out);
    out.put_u64_le(id.bytes);
    out.put_u128_le(id.hash);
}

fn read_id(reader: &mut Reader<'_>) -> Option<SnapshotId> {
    let (position, bytes) = (read_position(reader)?, reader.u64()?);
    let (low, high) = (reader.u64()?, reader.u64()?);
    Some(SnapshotId {
        position,
        bytes,
        hash: u128::from(high) << 64 | u128::from(low),
    })
}

pub(super) fn read_chunk(
    reader: &mut Reader<'_>,
    body: &Bytes,
    chain: Option<u64>,
) -> Result<PeerMessage, &'static str> {
    let term = Term::new(reader.u64().ok_or(CUT)?);
    let snapshot = read_id(reader).ok_or(CUT)?;
    let offset = reader.u64().ok_or(CUT)?;
    let bytes = reader.take(reader.rest().len()).ok_or(CUT)?;
    let end = offset.checked_add(bytes.len() as u64);
    if bytes.is_empty() || end.is_none_or(|end| end > snapshot.bytes) {
        return Err("a chunk lies outside of its snapshot");
    }
    Ok(PeerMessage::SnapshotChunk {
        term,
        snapshot,
        chain,
        offset,
        bytes: body.slice_ref(bytes),
    })
}

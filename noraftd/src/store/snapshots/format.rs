//! The bytes of a snapshot file, as `layout` lists them.
//!
//! Invariant: total: any bytes are read to a state that is whole, or to an error; never a panic.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use noraft::{LogIndex, LogPosition, Term};
use xxhash_rust::xxh3::Xxh3;

use crate::record::{Base, SnapshotHead, SnapshotId, decode_config, encode_config};
use crate::store::format::codec::{INDEX_MAX, crc};
use crate::store::snapshots::error::{SnapshotError, damaged};
use crate::store::snapshots::layout::{
    CHUNK_HEAD_BYTES, FORMAT_VERSION, HASH_BYTES, HEAD_BYTES, MAGIC, parse_name,
};
use crate::time::Stamp;

/// Where a log may begin: at the snapshot in file `name`, if these bytes are all of it.
pub(in crate::store) fn whole_base(name: &str, cluster_id: Option<u64>, bytes: &[u8]) -> Option<Base> {
    let (head, _) = parse(name, cluster_id, bytes, &mut |_| true).ok()?;
    (parse_name(name) == Some(head.base.position)).then_some(head.base)
}

pub(super) fn encode_head(cluster_id: u64, head: &SnapshotHead) -> Bytes {
    let config = encode_config(&head.base.config);
    let mut out = BytesMut::new();
    out.put_slice(&MAGIC);
    out.put_u32_le(FORMAT_VERSION);
    out.put_u64_le(cluster_id);
    out.put_u64_le(head.base.position.index.get());
    out.put_u64_le(head.base.position.term.get());
    out.put_u64_le(head.stamp.as_millis());
    out.put_u32_le(
        u32::try_from(config.len()).expect("a configuration has at most ENCODED_MEMBERS_MAX members"),
    );
    out.put_slice(&config);
    let sum = crc(0, &out);
    out.put_u32_le(sum);
    out.freeze()
}

pub(super) fn chunk_head(chunk: &[u8]) -> [u8; CHUNK_HEAD_BYTES] {
    let length = u32::try_from(chunk.len()).expect("a chunk is far below 4 GiB");
    let mut head = [0; CHUNK_HEAD_BYTES];
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..].copy_from_slice(&chunk_crc(length, chunk).to_le_bytes());
    head
}

fn chunk_crc(length: u32, chunk: &[u8]) -> u32 {
    crc(crc(0, &length.to_le_bytes()), chunk)
}

/// Reads a whole file.
pub(super) fn parse(
    name: &str,
    cluster_id: Option<u64>,
    bytes: &[u8],
    take: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<(SnapshotHead, SnapshotId), SnapshotError> {
    let bad = |rest: &[u8], found| damaged(name, (bytes.len() - rest.len()) as u64, found);
    let mut rest = bytes;
    let head = parse_head(name, cluster_id, &mut rest)?;
    loop {
        let here = rest;
        let (Ok(length), Ok(sum)) = (rest.try_get_u32_le(), rest.try_get_u32_le()) else {
            return Err(bad(here, "it is cut short"));
        };
        let chunk = rest.get(..length as usize);
        let Some(chunk) = chunk.filter(|chunk| chunk_crc(length, chunk) == sum) else {
            return Err(bad(here, "a chunk is not what was written"));
        };
        rest = &rest[chunk.len()..];
        if chunk.is_empty() {
            break;
        }
        if !take(chunk) {
            return Err(bad(here, "a chunk is intact, but no part of a state"));
        }
    }
    let here = rest;
    let (hash, end) = rest
        .split_at_checked(HASH_BYTES)
        .ok_or_else(|| bad(here, "it is cut short"))?;
    let mut hasher = Xxh3::new();
    hasher.update(&bytes[..bytes.len() - here.len()]);
    if hasher.digest128().to_le_bytes() != hash || !end.is_empty() {
        return Err(bad(here, "the hash of the file is not what was written"));
    }
    let id = SnapshotId {
        position: head.base.position,
        bytes: bytes.len() as u64,
        hash: hasher.digest128(),
    };
    Ok((head, id))
}

fn parse_head(name: &str, cluster_id: Option<u64>, rest: &mut &[u8]) -> Result<SnapshotHead, SnapshotError> {
    let all = *rest;
    let config_bytes = all
        .get(HEAD_BYTES - 4..HEAD_BYTES)
        .and_then(|bytes| Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize));
    let end = config_bytes.and_then(|length| HEAD_BYTES.checked_add(length));
    let (Some(head), Some(sum)) = (
        end.and_then(|end| all.get(..end)),
        end.and_then(|end| all.get(end..end.checked_add(4)?)),
    ) else {
        return Err(damaged(name, 0, "its head is cut short or damaged"));
    };
    if crc(0, head).to_le_bytes() != sum || head[..8] != MAGIC {
        return Err(damaged(name, 0, "its head is not what was written"));
    }
    let mut fields = &head[8..];
    let version = fields.get_u32_le();
    if version != FORMAT_VERSION {
        return Err(SnapshotError::Version {
            file: name.to_owned(),
            version,
        });
    }
    let found = fields.get_u64_le();
    if cluster_id.is_some_and(|expected| expected != found) {
        return Err(damaged(name, 12, "it belongs to another cluster"));
    }
    let (index, term) = (fields.get_u64_le(), fields.get_u64_le());
    if index > INDEX_MAX {
        return Err(damaged(name, 20, "it is of an index that no log has"));
    }
    let stamp = Stamp::from_millis(fields.get_u64_le());
    fields.advance(4);
    let config =
        decode_config(fields).ok_or_else(|| damaged(name, 48, "its configuration does not parse"))?;
    *rest = &all[head.len() + 4..];
    let position = LogPosition {
        term: Term::new(term),
        index: LogIndex::new(index),
    };
    Ok(SnapshotHead {
        base: Base {
            position,
            config,
            chain: None,
        },
        stamp,
    })
}

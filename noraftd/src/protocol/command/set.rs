//! `SET` in its encoding.
//!
//! Invariant: one that never goes has the first of both opcodes.

use bytes::BytesMut;

use super::Expiry;
use super::args::put_bytes;
use crate::protocol::read::Reader;

/// When `SET` sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetCondition<'a> {
    /// Always.
    Always,
    /// Only a key that does not exist (`NX`).
    Missing,
    /// Only a key that exists (`XX`).
    Exists,
    /// Only a key that holds exactly this value (`IFEQ`).
    Equals(&'a [u8]),
}

/// Key and value, the condition, `GET`, and when the key goes.
pub(super) type Fields<'a> = (&'a [u8], &'a [u8], (SetCondition<'a>, bool, Expiry));

/// The fields; those of the second opcode if it `expires`.
pub(super) fn decode<'a>(reader: &mut Reader<'a>, expires: bool) -> Option<Fields<'a>> {
    let flags = reader.u8()?;
    let expiry = match expires {
        // One that never goes is set by the first of both commands.
        true => Some(Expiry::read(reader)?).filter(|expiry| *expiry != Expiry::Never)?,
        false => Expiry::Never,
    };
    let (key, value) = (reader.bytes()?, reader.bytes()?);
    let condition = match flags >> 1 {
        0 => SetCondition::Always,
        1 => SetCondition::Missing,
        2 => SetCondition::Exists,
        3 => SetCondition::Equals(reader.bytes()?),
        _ => return None,
    };
    Some((key, value, (condition, flags & 1 == 1, expiry)))
}

/// Opcode and fields.
pub(super) fn encode((key, value, (condition, get, expiry)): Fields<'_>, out: &mut BytesMut) {
    let (code, expected) = match condition {
        SetCondition::Always => (0, None),
        SetCondition::Missing => (1, None),
        SetCondition::Exists => (2, None),
        SetCondition::Equals(expected) => (3, Some(expected)),
    };
    let flags = code << 1 | u8::from(get);
    match expiry {
        Expiry::Never => out.extend_from_slice(&[PLAIN, flags]),
        Expiry::Keep | Expiry::After(_) | Expiry::At(_) => {
            out.extend_from_slice(&[TIMED, flags]);
            expiry.write(out);
        }
    }
    put_bytes(key, out);
    put_bytes(value, out);
    expected.into_iter().for_each(|expected| put_bytes(expected, out));
}

/// The opcode of a `SET` of a key that never goes.
pub(super) const PLAIN: u8 = 1;
/// The opcode of one with an expiry.
pub(super) const TIMED: u8 = 10;

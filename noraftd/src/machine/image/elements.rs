//! The values that are made of elements, in an image.
//!
//! Invariant: a value that decodes is one that commands could have made, but for one without elements.

use bytes::{BufMut, Bytes, BytesMut};

use super::put_bytes;
use crate::machine::hash::Hash;
use crate::machine::list::List;
use crate::machine::set::Set;
use crate::machine::sorted::Sorted;
use crate::machine::value::{Container, Value};
use crate::protocol::command::Side;
use crate::protocol::read::Reader;
use crate::protocol::resp::Double;

/// A part of a value.
pub(super) enum Element<'a> {
    /// Of a hash: a field and its value.
    Field(Bytes, &'a Bytes),
    /// Of a set.
    Member(Bytes),
    /// Of a sorted set.
    Scored(&'a Bytes, Double),
    /// Of a list.
    Listed(&'a Bytes),
}

impl Element<'_> {
    pub(super) fn write(&self, out: &mut BytesMut) {
        match self {
            Self::Field(field, value) => {
                put_bytes(field, out);
                put_bytes(value, out);
            }
            Self::Member(member) => put_bytes(member, out),
            Self::Listed(element) => put_bytes(element, out),
            Self::Scored(member, score) => {
                out.put_f64_le(score.get());
                put_bytes(member, out);
            }
        }
    }
}

/// The kind of a value, and its elements; those of strings and streams are written otherwise.
pub(super) fn parts<'a>(value: &'a Value) -> (u8, Box<dyn Iterator<Item = Element<'a>> + 'a>) {
    match value {
        Value::Hash(hash) => {
            let fields = hash.iter().map(|(field, value)| Element::Field(field, value));
            (HASH, Box::new(fields))
        }
        Value::Set(set) => (SET, Box::new(set.iter().map(Element::Member))),
        Value::List(list) => (LIST, Box::new(list.iter().map(Element::Listed))),
        Value::Sorted(sorted) => {
            let members = sorted
                .iter()
                .map(|(member, score)| Element::Scored(member, score));
            (SORTED, Box::new(members))
        }
        Value::String(_) | Value::Stream(_) => unreachable!("it has no elements of this kind"),
    }
}

/// A value of this kind without elements.
pub(super) fn begin(kind: u8) -> Option<Value> {
    match kind {
        HASH => Some(Hash::default().into_value()),
        SET => Some(Set::default().into_value()),
        SORTED => Some(Sorted::default().into_value()),
        LIST => Some(List::default().into_value()),
        _ => None,
    }
}

/// Takes the next element of the value, if it is one that follows.
pub(super) fn take(value: &mut Value, reader: &mut Reader<'_>) -> Option<()> {
    let follows = match value {
        Value::Hash(hash) => hash.restore(reader.bytes()?, reader.bytes()?),
        Value::Set(set) => set.restore(reader.bytes()?),
        Value::Sorted(sorted) => {
            let score = Double::new(f64::from_bits(reader.u64()?))?;
            sorted.restore(reader.bytes()?, score)
        }
        Value::List(list) => {
            list.push(Side::Right, Bytes::copy_from_slice(reader.bytes()?));
            true
        }
        Value::String(_) | Value::Stream(_) => false,
    };
    follows.then_some(())
}

/// True when there is an element.
pub(super) fn is_any(value: &Value) -> bool {
    match value {
        Value::Hash(hash) => hash.len() > 0,
        Value::Set(set) => set.len() > 0,
        Value::Sorted(sorted) => sorted.len() > 0,
        Value::List(list) => list.len() > 0,
        Value::String(_) | Value::Stream(_) => true,
    }
}

const HASH: u8 = 1;
const SET: u8 = 2;
const SORTED: u8 = 3;
const LIST: u8 = 4;

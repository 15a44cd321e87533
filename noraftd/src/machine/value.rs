//! What a key holds.

use super::digest::Digest;
use super::hash::Hash;
use super::list::List;
use super::set::Set;
use super::sorted::Sorted;
use super::stream::Stream;
use super::text::Text;

/// The value of a key.
#[derive(Debug, Clone)]
pub(super) enum Value {
    String(Text),
    Stream(Box<Stream>),
    Hash(Box<Hash>),
    Set(Box<Set>),
    Sorted(Box<Sorted>),
    List(Box<List>),
}

/// A value that is made of elements, and that a key holds only as long as there is one.
pub(super) trait Container: Default {
    /// The value, if it is of this type.
    fn of(value: &Value) -> Option<&Self>;
    /// The same, to be changed.
    fn of_mut(value: &mut Value) -> Option<&mut Self>;
    /// As a value.
    fn into_value(self) -> Value;
    /// True when there is no element.
    fn is_empty(&self) -> bool;
}

macro_rules! container {
    ($type:ident) => {
        impl Container for $type {
            fn of(value: &Value) -> Option<&Self> {
                match value {
                    Value::$type(held) => Some(held),
                    _ => None,
                }
            }

            fn of_mut(value: &mut Value) -> Option<&mut Self> {
                match value {
                    Value::$type(held) => Some(held),
                    _ => None,
                }
            }

            fn into_value(self) -> Value {
                Value::$type(Box::new(self))
            }

            fn is_empty(&self) -> bool {
                self.len() == 0
            }
        }
    };
}

container!(Hash);
container!(Set);
container!(Sorted);
container!(List);

impl Value {
    /// The name of its type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::String(_) => "string",
            Self::Stream(_) => "stream",
            Self::Hash(_) => "hash",
            Self::Set(_) => "set",
            Self::Sorted(_) => "zset",
            Self::List(_) => "list",
        }
    }

    /// How many elements it has, or bytes.
    pub(super) fn size(&self) -> u64 {
        let size = match self {
            Self::String(text) => text.bytes().len(),
            Self::Stream(stream) => stream.len(),
            Self::Hash(hash) => hash.len(),
            Self::Set(set) => set.len(),
            Self::Sorted(sorted) => sorted.len(),
            Self::List(list) => list.len(),
        };
        size as u64
    }

    /// What a key with this name and this value contribute to the digest of the state; costs the same, whatever the value.
    pub(super) fn contribution(&self, name: u64) -> u64 {
        match self {
            Self::String(text) => sized_sum(name, TAG_STRING, text.bytes().len(), text.sum()),
            Self::Stream(stream) => stream_sum(name, stream, stream.sum()),
            Self::Hash(hash) => sized_sum(name, TAG_HASH, hash.len(), hash.sum()),
            Self::Set(set) => sized_sum(name, TAG_SET, set.len(), set.sum()),
            Self::Sorted(sorted) => sized_sum(name, TAG_SORTED, sorted.len(), sorted.sum()),
            Self::List(list) => sized_sum(name, TAG_LIST, list.len(), list.sum()),
        }
    }

    /// The same, from the whole value as it is now.
    pub(super) fn read_contribution(&self, name: u64) -> u64 {
        match self {
            Self::String(text) => sized_sum(name, TAG_STRING, text.bytes().len(), text.read_sum()),
            Self::Stream(stream) => stream_sum(name, stream, stream.read_sum()),
            Self::Hash(hash) => sized_sum(name, TAG_HASH, hash.len(), hash.read_sum()),
            Self::Set(set) => sized_sum(name, TAG_SET, set.len(), set.read_sum()),
            Self::Sorted(sorted) => sized_sum(name, TAG_SORTED, sorted.len(), sorted.read_sum()),
            Self::List(list) => sized_sum(name, TAG_LIST, list.len(), list.read_sum()),
        }
    }
}

fn stream_sum(name: u64, stream: &Stream, sum: u64) -> u64 {
    let mut digest = Digest::new();
    digest.number(name);
    digest.number(TAG_STREAM);
    stream.digest_shape(&mut digest);
    digest.number(sum);
    digest.finish()
}

/// Of a value that is as long as `length` says, and whose parts contribute `sum`.
fn sized_sum(name: u64, tag: u64, length: usize, sum: u64) -> u64 {
    let mut digest = Digest::new();
    [name, tag, length as u64, sum]
        .into_iter()
        .for_each(|part| digest.number(part));
    digest.finish()
}

const TAG_STRING: u64 = 1;
const TAG_STREAM: u64 = 2;
// 3 is that of a deadline.
const TAG_HASH: u64 = 4;
const TAG_SET: u64 = 5;
const TAG_SORTED: u64 = 6;
const TAG_LIST: u64 = 7;

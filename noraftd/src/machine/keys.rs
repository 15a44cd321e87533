//! The key space: every key with its value, and the commands that do not care about its type.
//!
//! Invariant: a key that exists has a value; a stream without entries exists, as in Redis. A clone costs the
//! same whatever is in there: it shares everything, and what is changed later is copied a few keys at a time.
//! `digest` is the sum of what each key and its value contribute, so a change costs what it changes.

use bytes::Bytes;
use imbl::OrdMap;

use super::digest::Digest;
use super::reply::wrong_type;
use super::stream::Stream;
use super::text::Text;
use crate::protocol::command::Args;
use crate::protocol::resp::Reply;

/// The value of a key.
#[derive(Debug, Clone)]
pub(super) enum Value {
    String(Text),
    Stream(Box<Stream>),
}

/// Every key with its value.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    map: OrdMap<Bytes, Value>,
    digest: u64,
}

impl Keys {
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Value> {
        self.map.get(key)
    }

    /// Lets `change` have the value of `key`, if there is a key.
    pub(super) fn update<T>(&mut self, key: &[u8], change: impl FnOnce(&mut Value) -> T) -> Option<T> {
        let held = self.map.get_mut(key)?;
        let name = name_sum(key);
        let before = contribution(name, held);
        let changed = change(held);
        let after = contribution(name, held);
        self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
        Some(changed)
    }

    /// The string at `key`, if there is a key.
    ///
    /// # Errors
    ///
    /// With the reply to give when the key holds something else.
    pub(super) fn string(&self, key: &[u8]) -> Result<Option<&Bytes>, Reply> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.bytes())),
            Some(Value::Stream(_)) => Err(wrong_type()),
        }
    }

    /// The stream at `key`, if there is a key.
    ///
    /// # Errors
    ///
    /// With the reply to give when the key holds something else.
    pub(super) fn stream(&self, key: &[u8]) -> Result<Option<&Stream>, Reply> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Stream(stream)) => Ok(Some(stream)),
            Some(Value::String(_)) => Err(wrong_type()),
        }
    }

    /// Sets the value, whatever the key held before.
    pub(super) fn insert(&mut self, key: &[u8], value: Value) {
        let name = name_sum(key);
        let after = contribution(name, &value);
        let before = match self.map.get_mut(key) {
            Some(held) => contribution(name, &std::mem::replace(held, value)),
            None => {
                self.map.insert(Bytes::copy_from_slice(key), value);
                0
            }
        };
        self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
    }

    /// Removes the key; true when there was one.
    fn remove(&mut self, key: &[u8]) -> bool {
        let Some(held) = self.map.remove(key) else {
            return false;
        };
        let before = contribution(name_sum(key), &held);
        self.digest = self.digest.wrapping_sub(before);
        true
    }

    /// Every key with its value, in the order of the keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Bytes, &Value)> {
        self.map.iter()
    }

    /// The sum of what each key and its value contribute, as every change has kept it.
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// The same, from the keys and values as they are now.
    pub(super) fn read_digest(&self) -> u64 {
        let sums = self.map.iter().map(|(key, value)| match value {
            Value::String(text) => string_sum(name_sum(key), text.bytes().len(), text.read_sum()),
            Value::Stream(stream) => stream_sum(name_sum(key), stream, stream.read_sum()),
        });
        sums.fold(0, u64::wrapping_add)
    }
}

/// What a key contributes beside its value.
fn name_sum(key: &[u8]) -> u64 {
    let mut digest = Digest::new();
    digest.bytes(key);
    digest.finish()
}

/// What a key and its value contribute to the digest of the state; costs the same, whatever the value.
fn contribution(name: u64, value: &Value) -> u64 {
    match value {
        Value::String(text) => string_sum(name, text.bytes().len(), text.sum()),
        Value::Stream(stream) => stream_sum(name, stream, stream.sum()),
    }
}

fn string_sum(name: u64, length: usize, sum: u64) -> u64 {
    let mut digest = Digest::new();
    [name, TAG_STRING, length as u64, sum]
        .into_iter()
        .for_each(|part| digest.number(part));
    digest.finish()
}

fn stream_sum(name: u64, stream: &Stream, sum: u64) -> u64 {
    let mut digest = Digest::new();
    digest.number(name);
    digest.number(TAG_STREAM);
    stream.digest_shape(&mut digest);
    digest.number(sum);
    digest.finish()
}

pub(super) fn del(keys: &mut Keys, names: Args<'_>) -> Reply {
    count_where(names, |name| keys.remove(name))
}

pub(super) fn exists(keys: &Keys, names: Args<'_>) -> Reply {
    count_where(names, |name| keys.get(name).is_some())
}

fn count_where(names: Args<'_>, mut wanted: impl FnMut(&[u8]) -> bool) -> Reply {
    Reply::Integer(names.iter().map(|name| i64::from(wanted(name))).sum())
}

pub(super) fn type_of(keys: &Keys, key: &[u8]) -> Reply {
    Reply::Status(match keys.get(key) {
        None => "none",
        Some(Value::String(_)) => "string",
        Some(Value::Stream(_)) => "stream",
    })
}

const TAG_STRING: u64 = 1;
const TAG_STREAM: u64 = 2;

//! The key space: every key with its value, and the commands that do not care about its type.
//!
//! Invariant: a key that exists has a value; a stream without entries exists, as in Redis. A clone costs the
//! same whatever is in there: it shares everything, and what is changed later is copied a few keys at a time.

use bytes::Bytes;
use imbl::OrdMap;

use super::digest::Digest;
use super::reply::wrong_type;
use super::streams::Stream;
use crate::protocol::command::Args;
use crate::protocol::resp::Reply;

/// The value of a key.
#[derive(Debug, Clone)]
pub(super) enum Value {
    String(Bytes),
    Stream(Box<Stream>),
}

/// Every key with its value.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    map: OrdMap<Bytes, Value>,
}

impl Keys {
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Value> {
        self.map.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &[u8]) -> Option<&mut Value> {
        self.map.get_mut(key)
    }

    /// The string at `key`, if there is a key.
    ///
    /// # Errors
    ///
    /// With the reply to give when the key holds something else.
    pub(super) fn string(&self, key: &[u8]) -> Result<Option<&Bytes>, Reply> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(value)) => Ok(Some(value)),
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
        match self.map.get_mut(key) {
            Some(held) => *held = value,
            None => {
                self.map.insert(Bytes::copy_from_slice(key), value);
            }
        }
    }

    /// Removes the key; true when there was one.
    fn remove(&mut self, key: &[u8]) -> bool {
        self.map.remove(key).is_some()
    }

    /// Every key with its value, in the order of the keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Bytes, &Value)> {
        self.map.iter()
    }

    /// The sum of what each key and its value contribute.
    pub(super) fn digest(&self) -> u64 {
        let digests = self.map.iter().map(|(key, value)| {
            let mut digest = Digest::new();
            digest.bytes(key);
            match value {
                Value::String(value) => {
                    digest.number(TAG_STRING);
                    digest.bytes(value);
                }
                Value::Stream(stream) => {
                    digest.number(TAG_STREAM);
                    stream.digest(&mut digest);
                }
            }
            digest.finish()
        });
        digests.fold(0, u64::wrapping_add)
    }
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

//! Commands on keys, whatever they hold, and on parts of strings.

use bytes::{Bytes, BytesMut};

use super::common;
use super::keys::Keys;
use super::reply::length;
use super::strings::VALUE_BYTES_MAX;
use super::text::Text;
use super::value::Value;
use crate::protocol::command::{Args, KeyCommand, ObjectQuery};
use crate::protocol::resp::number::parse_i64;
use crate::protocol::resp::{Decimal, Reply};

/// Carries out a command on a key.
pub(super) fn execute(keys: &mut Keys, key: &[u8], command: KeyCommand<'_>) -> Reply {
    let changed = match command {
        KeyCommand::Rename { to } => rename(keys, key, to).map(|_| Reply::Status("OK")),
        KeyCommand::RenameMissing { to } if keys.get(to).is_some() => {
            exists(keys, key).map(|()| Reply::Integer(0))
        }
        KeyCommand::RenameMissing { to } => rename(keys, key, to).map(Reply::Integer),
        KeyCommand::Copy { to, replace } => {
            let is_copied = (replace || keys.get(to).is_none()) && copy(keys, key, to);
            Ok(Reply::Integer(i64::from(is_copied)))
        }
        KeyCommand::SetRange { offset, value } => set_range(keys, key, offset, value),
        KeyCommand::AddDecimal { delta } => add_decimal(keys, key, delta),
        KeyCommand::GetRange { .. } | KeyCommand::Object(_) | KeyCommand::Common { .. } => {
            Ok(read(keys, key, command))
        }
    };
    changed.unwrap_or_else(|reply| reply)
}

fn exists(keys: &Keys, key: &[u8]) -> Result<(), Reply> {
    let exists = keys.get(key).map(|_| ());
    exists.ok_or_else(|| Reply::Error("ERR no such key".to_owned()))
}

fn rename(keys: &mut Keys, from: &[u8], to: &[u8]) -> Result<i64, Reply> {
    exists(keys, from)?;
    if from != to {
        copy(keys, from, to);
        keys.remove(from);
    }
    Ok(1)
}

/// The value and when it goes; true when there was a key.
fn copy(keys: &mut Keys, from: &[u8], to: &[u8]) -> bool {
    let Some(value) = keys.get(from).cloned() else {
        return false;
    };
    let deadline = keys.deadline(from);
    keys.set(to, value);
    if deadline.is_some() {
        keys.set_deadline(to, deadline);
    }
    true
}

fn set_range(keys: &mut Keys, key: &[u8], offset: usize, value: &[u8]) -> Result<Reply, Reply> {
    let held = keys.string(key)?.map_or(&[][..], |held| held);
    if value.is_empty() {
        return Ok(length(held.len()));
    }
    let end = offset.saturating_add(value.len());
    if end > VALUE_BYTES_MAX {
        return Err(Reply::Error(format!(
            "ERR string exceeds maximum allowed size ({VALUE_BYTES_MAX} bytes)"
        )));
    }
    let mut bytes = BytesMut::zeroed(end.max(held.len()));
    bytes[..held.len()].copy_from_slice(held);
    bytes[offset..end].copy_from_slice(value);
    let all = bytes.len();
    keys.insert(key, Value::String(Text::new(bytes.freeze())));
    Ok(length(all))
}

fn add_decimal(keys: &mut Keys, key: &[u8], delta: Decimal) -> Result<Reply, Reply> {
    let held = keys.string(key)?;
    let held = held.map_or(Some(Decimal::ZERO), |held| Decimal::parse(held));
    let held = held.ok_or_else(|| Reply::Error("ERR value is not a valid float".to_owned()))?;
    let sum = held.plus(delta);
    let sum = sum.ok_or_else(|| Reply::Error("ERR increment would produce NaN or Infinity".to_owned()))?;
    let sum = sum.to_bytes();
    keys.insert(key, Value::String(Text::new(sum.clone())));
    Ok(Reply::Bulk(sum))
}

/// `MSETNX`: all or none.
pub(super) fn set_missing(keys: &mut Keys, pairs: Args<'_>) -> Reply {
    if pairs.pairs().any(|(key, _)| keys.get(key).is_some()) {
        return Reply::Integer(0);
    }
    for (key, value) in pairs.pairs() {
        keys.set(key, Value::String(Text::new(Bytes::copy_from_slice(value))));
    }
    Reply::Integer(1)
}

/// Answers a command that reads.
///
/// # Panics
///
/// For one that writes.
pub(super) fn read(keys: &Keys, key: &[u8], command: KeyCommand<'_>) -> Reply {
    match command {
        KeyCommand::GetRange { first, last } => match keys.string(key) {
            Ok(held) => Reply::Bulk(held.map_or_else(Bytes::new, |held| part(held, first, last))),
            Err(reply) => reply,
        },
        KeyCommand::Object(query) => keys.get(key).map_or(Reply::Null, |value| object(value, query)),
        KeyCommand::Common { with, form } => common::of_keys(keys, [key, with], form),
        KeyCommand::Rename { .. }
        | KeyCommand::RenameMissing { .. }
        | KeyCommand::Copy { .. }
        | KeyCommand::SetRange { .. }
        | KeyCommand::AddDecimal { .. } => unreachable!("it writes"),
    }
}

/// A frequency and an access time would have to be kept by reads, which change nothing here.
fn object(value: &Value, query: ObjectQuery) -> Reply {
    match query {
        ObjectQuery::Encoding => Reply::Bulk(Bytes::from_static(encoding(value).as_bytes())),
        ObjectQuery::References => Reply::Integer(1),
        ObjectQuery::Frequency => Reply::Error(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
             between policies at runtime LRU and LFU data will take some time to adjust."
                .to_owned(),
        ),
        ObjectQuery::IdleTime => Reply::Error("ERR times of access are not kept".to_owned()),
    }
}

/// Redis' name for what a value of this kind is held in; of a string, for what `SET` would make of it.
fn encoding(value: &Value) -> &'static str {
    match value {
        Value::String(text) => match &text.bytes()[..] {
            number if number.len() <= 20 && parse_i64(number).is_some() => "int",
            short if short.len() <= EMBEDDED_BYTES_MAX => "embstr",
            _ => "raw",
        },
        Value::Stream(_) => "stream",
        Value::Hash(_) | Value::Set(_) => "hashtable",
        Value::Sorted(_) => "skiplist",
        Value::List(_) => "quicklist",
    }
}

/// The longest string that Redis holds beside its header.
const EMBEDDED_BYTES_MAX: usize = 44;

/// As Redis cuts: a place before the first one is the first one, at both ends.
fn part(held: &Bytes, first: i64, last: i64) -> Bytes {
    let count = i64::try_from(held.len()).unwrap_or(i64::MAX);
    if first < 0 && last < 0 && first > last {
        return Bytes::new();
    }
    let place = |at: i64| {
        if at < 0 {
            at.saturating_add(count).max(0)
        } else {
            at
        }
    };
    let (first, last) = (place(first), place(last).min(count - 1));
    if first > last {
        return Bytes::new();
    }
    let place = |at: i64| usize::try_from(at).unwrap_or(0);
    held.slice(place(first)..place(last) + 1)
}

#[cfg(test)]
mod tests {
    use crate::machine::asked::Asked;

    #[test]
    fn what_is_renamed_or_copied_goes_when_it_would_have_gone() {
        let mut asked = Asked::new();
        asked.check(&[
            ("HSET h a 1", ":1"),
            ("EXPIREAT h 100", ":1"),
            ("RENAME h g", "+OK"),
            ("EXISTS h", ":0"),
            ("EXPIRETIME g", ":100"),
            ("COPY g f", ":1"),
            ("COPY g f", ":0"),
            ("HSET g a 2", ":0"),
            ("HGET f a", "$1,1"),
            ("PERSIST f", ":1"),
            ("COPY f g REPLACE", ":1"),
            ("EXPIRETIME g", ":-1"),
            ("DBSIZE", ":2"),
            ("RENAME none f", "-ERR no such key"),
            ("RENAMENX none f", "-ERR no such key"),
            ("RENAME f f", "+OK"),
            ("RENAMENX f g", ":0"),
            ("SET k v PX 15", "+OK"),
            ("SET j v", "+OK"),
            ("SET j v", "+OK"),
            ("DBSIZE", ":3"),
            ("MSETNX k 1 f 2", ":0"),
            ("MSETNX k 1 i 2", ":1"),
        ]);
    }

    #[test]
    fn a_part_of_a_value_is_set_as_far_as_a_value_may_be() {
        let mut asked = Asked::new();
        asked.check(&[
            ("SETRANGE k 3 ab", ":5"),
            ("GETRANGE k 3 -1", "$2,ab"),
            ("GETRANGE k 4 3", "$0"),
            ("SETRANGE k 16777215 x", ":16777216"),
            (
                "SETRANGE k 16777216 x",
                "-ERR string exceeds maximum allowed size (16777216 bytes)",
            ),
            ("STRLEN k", ":16777216"),
            ("SET n 10.50", "+OK"),
            ("INCRBYFLOAT n 0.1", "$4,10.6"),
            (
                "INCRBYFLOAT n inf",
                "-ERR increment would produce NaN or Infinity",
            ),
        ]);
    }
}

//! Commands on strings, with the semantics and error texts of Redis.
//!
//! Invariant: an integer is stored in decimal, so that a counter is an ordinary string. No value exceeds
//! [`VALUE_BYTES_MAX`]; stored values own their memory and pin no buffer of an entry.

use bytes::Bytes;

use super::keys::Keys;
use super::reply::{Budget, TooLarge, length, within_budget, wrong_type};
use super::text::Text;
use super::value::Value;
use crate::protocol::command::{Args, Expiry, SetCondition};
use crate::protocol::resp::Reply;
use crate::protocol::resp::number::{decimal_bytes, parse_i64};
use crate::record::PAYLOAD_BYTES_MAX;

/// Most bytes of a value: what one command can set, `APPEND` cannot exceed, so a reply can always hold it.
pub const VALUE_BYTES_MAX: usize = PAYLOAD_BYTES_MAX;

/// How a key is set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting<'a> {
    pub(super) condition: SetCondition<'a>,
    /// The reply is what was there.
    pub(super) get: bool,
    pub(super) expiry: Expiry,
}

pub(super) fn set(keys: &mut Keys, key: &[u8], value: &[u8], setting: Setting<'_>) -> Reply {
    let Setting {
        condition,
        get,
        expiry,
    } = setting;
    let needs_string = get || matches!(condition, SetCondition::Equals(_));
    // A plain SET asks nothing of what was there: one look-up less.
    let held = match needs_string.then(|| keys.string(key)) {
        Some(Err(reply)) => return reply,
        Some(Ok(held)) => held,
        None => None,
    };
    let sets = match condition {
        SetCondition::Always => true,
        SetCondition::Missing => keys.get(key).is_none(),
        SetCondition::Exists => keys.get(key).is_some(),
        SetCondition::Equals(expected) => held.is_some_and(|held| held == expected),
    };
    let reply = match (get, sets) {
        (true, true | false) => held.cloned().map_or(Reply::Null, Reply::Bulk),
        (false, true) => Reply::Status("OK"),
        (false, false) => Reply::Null,
    };
    if sets {
        match expiry {
            Expiry::Keep => keys.insert(key, string(value)),
            Expiry::Never | Expiry::After(_) | Expiry::At(_) => keys.set(key, string(value)),
        }
        if let Some(deadline) = expiry.deadline(keys.clock()) {
            keys.set_deadline(key, Some(deadline));
        }
    }
    reply
}

/// `SETNX`: whether it was set.
pub(super) fn set_missing(keys: &mut Keys, key: &[u8], value: &[u8]) -> Reply {
    let is_missing = keys.get(key).is_none();
    if is_missing {
        keys.set(key, string(value));
    }
    Reply::Integer(i64::from(is_missing))
}

/// `GETEX`: the value; and when it goes changes, if there is one.
pub(super) fn get_and_expire(keys: &mut Keys, key: &[u8], expiry: Expiry) -> Reply {
    let reply = get(keys, key);
    if matches!(reply, Reply::Bulk(_)) && expiry != Expiry::Keep {
        keys.set_deadline(key, expiry.deadline(keys.clock()));
    }
    reply
}

/// `GETDEL`
pub(super) fn get_and_delete(keys: &mut Keys, key: &[u8]) -> Reply {
    let reply = get(keys, key);
    if matches!(reply, Reply::Bulk(_)) {
        keys.remove(key);
    }
    reply
}

pub(super) fn mset(keys: &mut Keys, pairs: Args<'_>) -> Reply {
    for (key, value) in pairs.pairs() {
        keys.set(key, string(value));
    }
    Reply::Status("OK")
}

pub(super) fn get(keys: &Keys, key: &[u8]) -> Reply {
    match keys.string(key) {
        Ok(held) => held.cloned().map_or(Reply::Null, Reply::Bulk),
        Err(reply) => reply,
    }
}

pub(super) fn mget(keys: &Keys, names: Args<'_>) -> Reply {
    let mut budget = Budget::new();
    let values = names.iter().map(|name| match keys.string(name) {
        Ok(Some(value)) => budget.bulk(value.clone()),
        Ok(None) | Err(_) => budget.element(0).map(|()| Reply::Null),
    });
    let values: Result<Vec<Reply>, TooLarge> = values.collect();
    within_budget(values.map(Reply::Array))
}

pub(super) fn strlen(keys: &Keys, key: &[u8]) -> Reply {
    match keys.string(key) {
        Ok(held) => length(held.map_or(0, Bytes::len)),
        Err(reply) => reply,
    }
}

pub(super) fn incr_by(keys: &mut Keys, key: &[u8], delta: i64) -> Reply {
    let held = match keys.string(key) {
        Ok(None) => Some(0),
        Ok(Some(held)) => parse_i64(held),
        Err(reply) => return reply,
    };
    let Some(held) = held else {
        return Reply::Error("ERR value is not an integer or out of range".to_owned());
    };
    let Some(sum) = held.checked_add(delta) else {
        return Reply::Error("ERR increment or decrement would overflow".to_owned());
    };
    keys.insert(key, Value::String(Text::new(decimal_bytes(sum))));
    Reply::Integer(sum)
}

pub(super) fn append(keys: &mut Keys, key: &[u8], suffix: &[u8]) -> Reply {
    let appended = keys.update(key, |held| match held {
        Value::Stream(_) | Value::Hash(_) | Value::Set(_) | Value::Sorted(_) | Value::List(_) => wrong_type(),
        Value::String(text) => append_to(text, suffix),
    });
    appended.unwrap_or_else(|| {
        keys.insert(key, string(suffix));
        length(suffix.len())
    })
}

fn append_to(text: &mut Text, suffix: &[u8]) -> Reply {
    let bytes = text.bytes().len().saturating_add(suffix.len());
    if bytes > VALUE_BYTES_MAX {
        let text = format!("ERR string exceeds maximum allowed size ({VALUE_BYTES_MAX} bytes)");
        return Reply::Error(text);
    }
    text.append(suffix);
    length(bytes)
}

fn string(value: &[u8]) -> Value {
    Value::String(Text::new(Bytes::copy_from_slice(value)))
}

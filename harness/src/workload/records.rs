//! Records of a log, as requests ask for them, and as replies and histories have them.
//!
//! Invariant: a record is `[id, n]`; a reply that has anything else in it is none. A record that is made longer has a second field,
//! which follows from its number, byte by byte: one that came back otherwise is none either.

use serde_json::{Value, json};

use super::padding::padding;
use super::{Completion, Operation, number_or_text};
use crate::client::Reply;

/// Appends `number`, with a padding of up to `padding_max` bytes.
pub(super) fn append(key: &str, number: i64, padding_max: u64) -> Operation {
    let (digits, padding) = (number.to_string(), padding(number, padding_max));
    let mut words = vec!["XADD", key, "*", FIELD, &digits];
    if !padding.is_empty() {
        words.extend([PADDING, &padding]);
    }
    Operation::new(APPEND, key, Some(json!(number)), &words)
}

/// Up to `count` records from `from` on.
pub(super) fn read(key: &str, from: &str, count: u64) -> Operation {
    let value = if from == START {
        json!({ "count": count })
    } else {
        json!({ "from": from, "count": count })
    };
    let words = ["XRANGE", key, from, "+", "COUNT", &count.to_string()];
    Operation::new(READ, key, Some(value), &words)
}

/// The last record.
pub(super) fn tail(key: &str) -> Operation {
    Operation::new(TAIL, key, None, &["XREVRANGE", key, "+", "-", "COUNT", "1"])
}

/// How many records a read asked for.
pub(super) fn count_of(operation: &Operation) -> u64 {
    operation
        .value
        .as_ref()
        .and_then(|value| value.get("count"))
        .and_then(Value::as_u64)
        .unwrap_or(0)
}

/// The id that an append was given.
pub(super) fn appended(reply: &Reply) -> Option<Completion> {
    let Reply::Bulk(_) = reply else { return None };
    Some(Completion::at(json!(reply.text()?)))
}

/// The records of a range of which `count` were asked for; fewer are its end.
pub(super) fn records(reply: &Reply, count: u64, padding_max: u64) -> Option<Completion> {
    let Reply::Array(items) = reply else { return None };
    let records: Option<Vec<Value>> = items.iter().map(|item| record(item, padding_max)).collect();
    let end = (items.len() as u64) < count;
    let read = Completion::value(Value::Array(records?));
    Some(Completion { end, ..read })
}

/// The last record, or null.
pub(super) fn tail_record(reply: &Reply, padding_max: u64) -> Option<Completion> {
    let Reply::Array(items) = reply else { return None };
    let value = match items.as_slice() {
        [] => Value::Null,
        [last] => record(last, padding_max)?,
        _ => return None,
    };
    Some(Completion::value(value))
}

/// `[id, ["v", n]]`, or `[id, ["v", n, "p", padding]]`
fn record(item: &Reply, padding_max: u64) -> Option<Value> {
    let Reply::Array(parts) = item else { return None };
    let [id, Reply::Array(fields)] = parts.as_slice() else {
        return None;
    };
    let (name, number, padded) = match fields.as_slice() {
        [Reply::Bulk(name), Reply::Bulk(number)] => (name, number, None),
        [
            Reply::Bulk(name),
            Reply::Bulk(number),
            Reply::Bulk(second),
            Reply::Bulk(padded),
        ] if second == PADDING => (name, number, Some(padded)),
        _ => return None,
    };
    let shown = number_or_text(number);
    let wanted = padding(shown.as_i64().unwrap_or(0), padding_max);
    let is_whole = match padded {
        Some(padded) => *padded == wanted,
        None => wanted.is_empty(),
    };
    (name == FIELD && is_whole).then_some(json!([id.text()?, shown]))
}

/// The last id that a completion shows.
pub(super) fn newest_id(completion: &Completion) -> Option<&str> {
    let id = match (&completion.at, &completion.value) {
        (Some(at), _) => Some(at),
        (None, Some(Value::Array(parts))) => match parts.last() {
            Some(Value::Array(record)) => record.first(),
            Some(_) => parts.first(),
            None => None,
        },
        (None, _) => None,
    };
    id.and_then(Value::as_str)
}

pub(super) const APPEND: &str = "append";
const READ: &str = "read";
pub(super) const TAIL: &str = "tail";
/// The field of a record that has its number.
const FIELD: &str = "v";
/// The one that makes it longer.
const PADDING: &str = "p";
/// Before every id.
pub(super) const START: &str = "-";

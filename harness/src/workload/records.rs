//! Records of a log, as requests ask for them, and as replies and histories have them.
//!
//! Invariant: a record is `[id, n]`; a reply that has anything else in it is none.

use serde_json::{Value, json};

use super::{Completion, Operation, number_or_text};
use crate::client::Reply;

/// Appends `number`.
pub(super) fn append(key: &str, number: i64) -> Operation {
    let words = ["XADD", key, "*", FIELD, &number.to_string()];
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
pub(super) fn records(reply: &Reply, count: u64) -> Option<Completion> {
    let Reply::Array(items) = reply else { return None };
    let records: Option<Vec<Value>> = items.iter().map(record).collect();
    let end = (items.len() as u64) < count;
    let read = Completion::value(Value::Array(records?));
    Some(Completion { end, ..read })
}

/// The last record, or null.
pub(super) fn tail_record(reply: &Reply) -> Option<Completion> {
    let Reply::Array(items) = reply else { return None };
    let value = match items.as_slice() {
        [] => Value::Null,
        [last] => record(last)?,
        _ => return None,
    };
    Some(Completion::value(value))
}

/// `[id, ["v", n]]`
fn record(item: &Reply) -> Option<Value> {
    let Reply::Array(parts) = item else { return None };
    let [id, Reply::Array(fields)] = parts.as_slice() else {
        return None;
    };
    let [Reply::Bulk(name), Reply::Bulk(number)] = fields.as_slice() else {
        return None;
    };
    (name == FIELD).then_some(json!([id.text()?, number_or_text(number)]))
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
/// The one field of a record.
const FIELD: &str = "v";
/// Before every id.
pub(super) const START: &str = "-";

//! Records of a log, as replies have them and as histories do.
//!
//! Invariant: a record is `[id, n]`; a reply that has anything else in it is none.

use serde_json::{Value, json};

use super::{Completion, number_or_text};
use crate::client::Reply;

/// The one field of a record.
pub(super) const FIELD: &str = "v";

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

//! Lists: append an element, read one list or all of them at once.
//!
//! | f | command | `v` of the invocation | completion |
//! |-|-|-|-|
//! | txn | `APPEND k n,` | \[\["append", k, n\]\] | |
//! | txn | `MGET k ...` | \[\["r", k, null\], ...\] | `v`: \[\["r", k, \[n, ...\]\], ...\] |
//!
//! A list is a string in which a comma ends each element. The history is one of transactions: reads of several lists
//! have to agree with one order of all appends.
//!
//! Invariant: no two appends of a run append the same number.

use serde_json::{Value, json};

use super::keys::Turn;
use super::object::Object;
use super::{Completion, Operation, number_or_text};
use crate::client::Reply;

/// A list.
#[derive(Debug)]
pub(super) struct List;

impl Object for List {
    const NAME: &'static str = "list-append";
    const LAST: () = ();
    type Change = ();
    type Known = ();

    fn read(&self, on: &Turn<'_, ()>) -> Operation {
        let all = on.in_use.iter().map(|slot| slot.key());
        let keys: Vec<&str> = match on.nth % 2 {
            0 if all.clone().any(|key| key == on.key) => all.collect(),
            _ => vec![on.key],
        };
        let micros: Vec<Value> = keys.iter().map(|key| json!(["r", key, null])).collect();
        let words: Vec<&str> = std::iter::once("MGET").chain(keys).collect();
        Operation::new(TRANSACTION, on.key, Some(Value::Array(micros)), &words)
    }

    fn change(&self, (): (), on: &Turn<'_, ()>, number: i64) -> Operation {
        let micros = json!([["append", on.key, number]]);
        let words = ["APPEND", on.key, &format!("{number},")];
        Operation::new(TRANSACTION, on.key, Some(micros), &words)
    }

    fn completion(&self, operation: &Operation, reply: &Reply) -> Option<Completion> {
        let (command, keys) = operation.request.split_first()?;
        match (command.as_str(), reply) {
            ("APPEND", Reply::Integer(_)) => Some(Completion::default()),
            ("MGET", Reply::Array(lists)) if lists.len() == keys.len() => {
                let reads = keys.iter().zip(lists);
                let reads: Option<Vec<Value>> = reads
                    .map(|(key, list)| Some(json!(["r", key, elements(list)?])))
                    .collect();
                Some(Completion::value(Value::Array(reads?)))
            }
            _ => None,
        }
    }
}

/// The elements of a list. What no comma ends is no element, and is kept as a text that no append has.
fn elements(list: &Reply) -> Option<Vec<Value>> {
    let text = match list {
        Reply::Null => "".into(),
        Reply::Bulk(bytes) => String::from_utf8_lossy(bytes),
        Reply::Status(_) | Reply::Error(_) | Reply::Integer(_) | Reply::Array(_) => return None,
    };
    let elements = text
        .split_inclusive(',')
        .map(|piece| match piece.strip_suffix(',') {
            Some(element) => number_or_text(element.as_bytes()),
            None => Value::from(format!("{piece} without its comma")),
        });
    Some(elements.collect())
}

const TRANSACTION: &str = "txn";

//! Counters: add one, read.
//!
//! | f | command | `v` of the invocation | completion |
//! |-|-|-|-|
//! | add | `INCR k` | 1 | `at`: what the counter was then |
//! | read | `GET k` | | `v`: the number, 0 when absent |
//!
//! Invariant: every add adds one, so that the checker is exact and fast.

use serde_json::{Value, json};

use super::keys::Turn;
use super::object::Object;
use super::{Completion, Operation, text_or_null};
use crate::client::Reply;

/// A counter.
#[derive(Debug)]
pub(super) struct Counter;

impl Object for Counter {
    const NAME: &'static str = "counter";
    const LAST: () = ();
    type Change = ();
    type Known = ();

    fn read(&self, on: &Turn<'_, ()>) -> Operation {
        Operation::new(READ, on.key, None, &["GET", on.key])
    }

    fn change(&self, (): (), on: &Turn<'_, ()>, _: i64) -> Operation {
        Operation::new(ADD, on.key, Some(json!(1)), &["INCR", on.key])
    }

    fn completion(&self, operation: &Operation, reply: &Reply) -> Option<Completion> {
        match (operation.function, reply) {
            (ADD, Reply::Integer(sum)) => Some(Completion::at(json!(sum))),
            (READ, Reply::Bulk(_) | Reply::Null) => {
                let number = text_or_null(reply).filter(|number| !number.is_null());
                Some(Completion::value(number.unwrap_or(Value::from(0))))
            }
            _ => None,
        }
    }
}

const ADD: &str = "add";
const READ: &str = "read";

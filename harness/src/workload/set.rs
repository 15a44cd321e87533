//! Sets that only grow: add an element, read them all.
//!
//! | f | command | `v` of the invocation | completion |
//! |-|-|-|-|
//! | add | `SET k/n n` | n | |
//! | read | `MGET k/0 k/1 ...` | | `v`: the elements that are there |
//!
//! Invariant: no two adds to a set add the same element. A read asks for every element that the set can ever have:
//! with fewer, it could miss one and still see another one that was added later.

use serde_json::{Value, json};

use super::keys::Turn;
use super::object::Object;
use super::{Completion, Operation, text_or_null};
use crate::client::Reply;

/// A set of at most so many elements.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) elements_max: u64,
}

impl Object for Set {
    const NAME: &'static str = "set";
    const LAST: () = ();
    type Change = ();
    type Known = ();

    fn read(&self, on: &Turn<'_, ()>) -> Operation {
        let keys: Vec<String> = (0..self.elements_max)
            .map(|element| place(on.key, element))
            .collect();
        let words: Vec<&str> = std::iter::once("MGET")
            .chain(keys.iter().map(String::as_str))
            .collect();
        Operation::new(READ, on.key, None, &words)
    }

    fn change(&self, (): (), on: &Turn<'_, ()>, _: i64) -> Operation {
        let place = place(on.key, on.nth);
        Operation::new(
            ADD,
            on.key,
            Some(json!(on.nth)),
            &["SET", &place, &on.nth.to_string()],
        )
    }

    fn completion(&self, operation: &Operation, reply: &Reply) -> Option<Completion> {
        if operation.function == ADD {
            return Completion::done(reply);
        }
        let Reply::Array(places) = reply else { return None };
        if places.len() as u64 != self.elements_max {
            return None;
        }
        let mut elements = places.iter().map(text_or_null).collect::<Option<Vec<Value>>>()?;
        elements.retain(|element| !element.is_null());
        Some(Completion::value(Value::Array(elements)))
    }
}

fn place(key: &str, element: u64) -> String {
    format!("{key}/{element}")
}

const ADD: &str = "add";
const READ: &str = "read";

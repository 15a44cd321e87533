//! Registers: read, write, compare-and-set.
//!
//! | f | command | `v` of the invocation | completion |
//! |-|-|-|-|
//! | read | `GET k` | | `v`: the value, null when absent |
//! | write | `SET k n` | n | |
//! | cas | `SET k new IFEQ old GET` | \[old, new\] | `saw`: what was there; swapped iff it is old |
//!
//! Where the plan makes values longer, a value is the number and its padding, and one that comes back with another padding is none.
//!
//! Invariant: no two writes or compare-and-sets of a run write the same number.

use serde_json::{Value, json};

use super::keys::{Keys, Turn};
use super::object::Object;
use super::objects::Objects;
use super::padding::padding;
use super::{Completion, Operation, text_or_null};
use crate::client::Reply;
use crate::plan::RegisterPlan;

/// A register.
#[derive(Debug)]
pub(super) struct Register {
    padding_bytes_max: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    Write,
    Cas,
}

impl Register {
    /// The workload that `plan` describes.
    pub(super) fn workload(plan: &RegisterPlan) -> Objects<Self> {
        let shares = [
            (plan.read, None),
            (plan.write, Some(Change::Write)),
            (plan.cas, Some(Change::Cas)),
        ];
        let keys = Keys::new(Self::NAME, plan.keys, plan.operations_per_key);
        let padding_bytes_max = plan.padding_bytes_max;
        Objects::new(Self { padding_bytes_max }, keys, shares)
    }

    fn text(&self, number: i64) -> String {
        format!("{number}{}", padding(number, self.padding_bytes_max))
    }

    /// What a value shows: its number, or its whole text where that is no value of ours.
    fn shown(&self, reply: &Reply) -> Option<Value> {
        let shown = text_or_null(reply)?;
        let Reply::Bulk(bytes) = reply else {
            return Some(shown);
        };
        let text = String::from_utf8_lossy(bytes);
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
        let number = digits.parse().ok().filter(|number| self.text(*number) == text);
        Some(number.map_or_else(|| json!(text), |number: i64| json!(number)))
    }
}

impl Object for Register {
    const NAME: &'static str = "register";
    const LAST: Change = Change::Write;
    // Recorded seeds depend on it.
    const WEARS_AT_LAST: bool = false;
    type Change = Change;
    /// What a reply last showed: a compare-and-set that expects it may well succeed.
    type Known = Option<i64>;

    fn read(&self, on: &Turn<'_, Option<i64>>) -> Operation {
        Operation::new(READ, on.key, None, &["GET", on.key])
    }

    fn change(&self, change: Change, on: &Turn<'_, Option<i64>>, number: i64) -> Operation {
        let new = self.text(number);
        match (change, on.known) {
            (Change::Cas, Some(old)) => {
                let words = ["SET", on.key, &new, "IFEQ", &self.text(*old), "GET"];
                Operation::new(CAS, on.key, Some(json!([old, number])), &words)
            }
            // Nothing is known that could be expected: write something.
            (Change::Write, _) | (Change::Cas, None) => {
                Operation::new(WRITE, on.key, Some(json!(number)), &["SET", on.key, &new])
            }
        }
    }

    fn completion(&self, operation: &Operation, reply: &Reply) -> Option<Completion> {
        match operation.function {
            READ => Some(Completion::value(self.shown(reply)?)),
            CAS => Some(Completion::saw(self.shown(reply)?)),
            _ => Completion::done(reply),
        }
    }

    fn learn(&self, known: &mut Option<i64>, operation: &Operation, completion: &Completion) {
        let input = operation.value.as_ref();
        let shown = match operation.function {
            READ => completion.value.as_ref(),
            CAS => {
                let swapped = completion.saw.as_ref() == input.and_then(|pair| pair.get(0));
                if swapped {
                    input.and_then(|pair| pair.get(1))
                } else {
                    completion.saw.as_ref()
                }
            }
            _ => input,
        };
        *known = shown.and_then(Value::as_i64);
    }
}

const READ: &str = "read";
const WRITE: &str = "write";
const CAS: &str = "cas";

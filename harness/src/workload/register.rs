//! Registers: read, write, compare-and-set.
//!
//! | f | command | `v` of the invocation | completion |
//! |-|-|-|-|
//! | read | `GET k` | | `v`: the value, null when absent |
//! | write | `SET k n` | n | |
//! | cas | `SET k new IFEQ old GET` | \[old, new\] | `saw`: what was there; swapped iff it is old |
//!
//! Invariant: no two writes or compare-and-sets of a run write the same number.

use serde_json::{Value, json};

use super::keys::{Keys, Turn};
use super::object::Object;
use super::objects::Objects;
use super::{Completion, Operation, text_or_null};
use crate::client::Reply;
use crate::plan::RegisterPlan;

/// A register.
#[derive(Debug)]
pub(super) struct Register;

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
        Objects::new(Self, keys, shares)
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
        let new = number.to_string();
        match (change, on.known) {
            (Change::Cas, Some(old)) => {
                let words = ["SET", on.key, &new, "IFEQ", &old.to_string(), "GET"];
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
            READ => Some(Completion::value(text_or_null(reply)?)),
            CAS => Some(Completion::saw(text_or_null(reply)?)),
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

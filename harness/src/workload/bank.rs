//! Accounts of a bank: transfers by compare-and-set, reads of all balances.
//!
//! | f | command | `v` of the invocation | completion |
//! |-|-|-|-|
//! | read | `GET k` | | `v`: \[n, \[balance, ...\]\] |
//! | transfer | `SET k new IFEQ old GET`, the first one with `NX` | \[old, new\], each \[n, \[balance, ...\]\] | `saw`: what was there; made iff it is old |
//!
//! All accounts of a bank are in one key, behind the number n of the transfer that made them. A transfer that another
//! one overtook is not made, and the next one begins with what it saw. So the balances of every read have one total,
//! and the transfers are one chain, each on top of the one before.
//!
//! Invariant: no two transfers of a run have the same number, so a state is made at most once.

use serde_json::{Value, json};

use super::keys::Turn;
use super::object::Object;
use super::{Completion, Operation};
use crate::client::Reply;

/// A bank.
#[derive(Debug)]
pub(super) struct Bank;

/// What a bank holds, and which transfer made it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    number: i64,
    balances: [i64; ACCOUNTS],
}

impl Object for Bank {
    const NAME: &'static str = "bank";
    const LAST: () = ();
    type Change = ();
    type Known = Option<State>;

    fn read(&self, on: &Turn<'_, Option<State>>) -> Operation {
        Operation::new(READ, on.key, None, &["GET", on.key])
    }

    fn change(&self, (): (), on: &Turn<'_, Option<State>>, number: i64) -> Operation {
        let old = on.known.clone().unwrap_or_else(State::first);
        let new = old.after(number);
        let (new_text, old_text) = (new.text(), old.text());
        let value = json!([old.value(), new.value()]);
        if old.number == 0 {
            Operation::new(
                TRANSFER,
                on.key,
                Some(value),
                &["SET", on.key, &new_text, "NX", "GET"],
            )
        } else {
            let words = ["SET", on.key, &new_text, "IFEQ", &old_text, "GET"];
            Operation::new(TRANSFER, on.key, Some(value), &words)
        }
    }

    fn completion(&self, operation: &Operation, reply: &Reply) -> Option<Completion> {
        let shown = match reply {
            Reply::Null => State::first().value(),
            Reply::Bulk(bytes) => {
                let text = String::from_utf8_lossy(bytes);
                State::parse(&text).map_or_else(|| Value::from(text), |state| state.value())
            }
            Reply::Status(_) | Reply::Error(_) | Reply::Integer(_) | Reply::Array(_) => return None,
        };
        Some(match operation.function {
            READ => Completion::value(shown),
            _ => Completion::saw(shown),
        })
    }

    fn learn(&self, known: &mut Option<State>, operation: &Operation, completion: &Completion) {
        let saw = completion.saw.as_ref().or(completion.value.as_ref());
        let input = operation.value.as_ref();
        let is_made = completion.saw.is_some() && saw == input.and_then(|pair| pair.get(0));
        let shown = if is_made {
            input.and_then(|pair| pair.get(1))
        } else {
            saw
        };
        *known = shown.and_then(State::of);
    }

    fn initial(&self) -> Option<Value> {
        Some(State::first().value())
    }
}

impl State {
    /// Before the first transfer; the key is absent.
    fn first() -> Self {
        Self {
            number: 0,
            balances: [BALANCE; ACCOUNTS],
        }
    }

    /// After the transfer with this number, which also says what is moved, and from where to where.
    fn after(&self, number: i64) -> Self {
        let mut balances = self.balances;
        let roll = number.unsigned_abs() as usize;
        let from = roll % ACCOUNTS;
        let to = (from + 1 + roll / ACCOUNTS % (ACCOUNTS - 1)) % ACCOUNTS;
        let amount = balances[from].min(1 + number % AMOUNT_MAX);
        balances[from] -= amount;
        balances[to] += amount;
        Self { number, balances }
    }

    /// As the daemon keeps it: `n balance balance ...`.
    fn text(&self) -> String {
        let numbers = std::iter::once(&self.number).chain(&self.balances);
        numbers.map(i64::to_string).collect::<Vec<_>>().join(" ")
    }

    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(' ').map(|number| number.parse().ok());
        let number = numbers.next()??;
        let balances = numbers.collect::<Option<Vec<i64>>>()?.try_into().ok()?;
        Some(Self { number, balances }).filter(|state| state.text() == text)
    }

    /// As the history keeps it.
    fn value(&self) -> Value {
        json!([self.number, self.balances])
    }

    fn of(value: &Value) -> Option<Self> {
        let (number, balances) = serde_json::from_value(value.clone()).ok()?;
        Some(Self { number, balances })
    }
}

const READ: &str = "read";
const TRANSFER: &str = "transfer";
const ACCOUNTS: usize = 5;
/// Of each account at the beginning: little, so that accounts are empty now and then.
const BALANCE: i64 = 10;
/// One transfer moves at most this much.
const AMOUNT_MAX: i64 = 7;

//! Registers: read, write, compare-and-set.
//!
//! | f | command | `v` of the invocation | completion |
//! |-|-|-|-|
//! | read | `GET k` | | `v`: the value, null when absent |
//! | write | `SET k n` | n | |
//! | cas | `SET k new IFEQ old GET` | \[old, new\] | `saw`: what was there; swapped iff it is old |
//!
//! Invariant: no two writes or compare-and-sets of a run write the same number.

use std::sync::{Mutex, MutexGuard, PoisonError};

use noraftd::prng::Prng;
use serde_json::{Value, json};

use super::{Completion, Operation, Part, UnexpectedReply, Workload, number_or_text};
use crate::client::Reply;
use crate::generator::Mix;
use crate::plan::RegisterPlan;

/// The register workload.
#[derive(Debug)]
pub struct RegisterWorkload {
    mix: Mix<Function>,
    operations_per_key: u64,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Read,
    Write,
    Cas,
}

#[derive(Debug)]
struct State {
    /// The last number written.
    written: i64,
    slots: Vec<Slot>,
    /// Keys that are no longer in use, oldest first.
    retired: Vec<String>,
}

/// A key in use.
#[derive(Debug)]
struct Slot {
    key: String,
    generation: u64,
    operations: u64,
    /// What a reply last showed: a compare-and-set that expects it may well succeed.
    seen: Option<i64>,
}

impl RegisterWorkload {
    /// The workload that `plan` describes.
    ///
    /// # Panics
    ///
    /// When no operation has a share, which a valid plan excludes.
    pub fn new(plan: &RegisterPlan) -> Self {
        let mix = [
            (plan.read, Function::Read),
            (plan.write, Function::Write),
            (plan.cas, Function::Cas),
        ];
        let slots = (0..plan.keys).map(|at| Slot::new(at, 0)).collect();
        Self {
            mix: Mix::new(mix).expect("a valid plan has an operation with a share"),
            operations_per_key: plan.operations_per_key,
            state: Mutex::new(State {
                written: 0,
                slots,
                retired: Vec::new(),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Workload for RegisterWorkload {
    fn name(&self) -> &'static str {
        "register"
    }

    fn next(&self, part: Part, prng: &mut Prng) -> Operation {
        let function = match part {
            Part::All => *self.mix.choose(prng),
            Part::Reader => Function::Read,
        };
        let mut state = self.lock();
        let at = prng.below(state.slots.len() as u64) as usize;
        let (key, seen) = state.touch(at, self.operations_per_key);
        match (function, seen) {
            (Function::Read, _) => read(key),
            (Function::Cas, Some(old)) => cas(key, old, state.fresh()),
            // Nothing is known that could be expected: write something.
            (Function::Write, _) | (Function::Cas, None) => write(key, state.fresh()),
        }
    }

    fn complete(&self, operation: &Operation, reply: &Reply) -> Result<Completion, UnexpectedReply> {
        let found = || match reply {
            Reply::Bulk(bytes) => Ok(number_or_text(bytes)),
            Reply::Null => Ok(Value::Null),
            Reply::Status(_) | Reply::Error(_) | Reply::Integer(_) | Reply::Array(_) => {
                Err(UnexpectedReply::new(operation, reply))
            }
        };
        let completion = match operation.function {
            READ => Completion {
                value: Some(found()?),
                ..Completion::default()
            },
            CAS => Completion {
                saw: Some(found()?),
                ..Completion::default()
            },
            _ if *reply == Reply::Status("OK".to_owned()) => Completion::default(),
            _ => return Err(UnexpectedReply::new(operation, reply)),
        };
        self.lock().learn(operation, &completion);
        Ok(completion)
    }

    fn finale(&self, done: &[Completion]) -> Option<Operation> {
        let mut state = self.lock();
        let slots = state.slots.len();
        if done.len() < slots {
            let key = state.slots.get(done.len())?.key.clone();
            return Some(write(key, state.fresh()));
        }
        let in_use = state.slots.iter().map(|slot| &slot.key);
        let retired = state.retired.iter().rev().take(RETIRED_READ_MAX);
        in_use.chain(retired).nth(done.len() - slots).cloned().map(read)
    }
}

impl State {
    fn fresh(&mut self) -> i64 {
        self.written += 1;
        self.written
    }

    /// Counts an operation on slot `at`; a worn key is replaced by a fresh one.
    fn touch(&mut self, at: usize, operations_per_key: u64) -> (String, Option<i64>) {
        let slot = self.slots.get_mut(at).expect("drawn below the number of slots");
        if operations_per_key > 0 && slot.operations >= operations_per_key {
            let worn = std::mem::replace(slot, Slot::new(at, slot.generation + 1));
            self.retired.push(worn.key);
        }
        slot.operations += 1;
        (slot.key.clone(), slot.seen)
    }

    fn learn(&mut self, operation: &Operation, completion: &Completion) {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.key == operation.key) else {
            return;
        };
        let input = operation.value.as_ref();
        slot.seen = match operation.function {
            READ => completion.value.as_ref().and_then(Value::as_i64),
            CAS => {
                let (old, new) = (input.and_then(|v| v.get(0)), input.and_then(|v| v.get(1)));
                let swapped = completion.saw.as_ref() == old;
                if swapped {
                    new.and_then(Value::as_i64)
                } else {
                    completion.saw.as_ref().and_then(Value::as_i64)
                }
            }
            _ => input.and_then(Value::as_i64),
        };
    }
}

impl Slot {
    fn new(at: usize, generation: u64) -> Self {
        Self {
            key: format!("{KEY_PREFIX}{at}.{generation}"),
            generation,
            operations: 0,
            seen: None,
        }
    }
}

fn read(key: String) -> Operation {
    let request = vec!["GET".to_owned(), key.clone()];
    Operation {
        function: READ,
        key,
        value: None,
        request,
    }
}

fn write(key: String, value: i64) -> Operation {
    let request = vec!["SET".to_owned(), key.clone(), value.to_string()];
    Operation {
        function: WRITE,
        key,
        value: Some(json!(value)),
        request,
    }
}

fn cas(key: String, old: i64, new: i64) -> Operation {
    let words = ["SET", &key, &new.to_string(), "IFEQ", &old.to_string(), "GET"];
    let request = words.map(str::to_owned).to_vec();
    Operation {
        function: CAS,
        key,
        value: Some(json!([old, new])),
        request,
    }
}

const READ: &str = "read";
const WRITE: &str = "write";
const CAS: &str = "cas";
const KEY_PREFIX: &str = "register:";
/// Retired keys change no more: the newest ones were written under the same faults as the rest.
const RETIRED_READ_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn workload() -> RegisterWorkload {
        RegisterWorkload::new(&RegisterPlan {
            keys: 2,
            operations_per_key: 50,
            ..RegisterPlan::default()
        })
    }

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(bytes::Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn a_compare_and_set_expects_what_was_last_seen() {
        let workload = workload();
        let mut prng = Prng::new(1);
        let mut expected = 0;
        for _ in 0..500 {
            let operation = workload.next(Part::All, &mut prng);
            match operation.function {
                "write" => {
                    let number = operation.value.as_ref().unwrap().as_i64().unwrap();
                    assert_eq!(operation.request[2], number.to_string());
                    workload
                        .complete(&operation, &Reply::Status("OK".into()))
                        .unwrap();
                }
                "cas" => {
                    let old = operation.value.as_ref().unwrap()[0].to_string();
                    assert_eq!(operation.request[3..], ["IFEQ", &old, "GET"]);
                    let completion = workload.complete(&operation, &bulk(&old)).unwrap();
                    assert_eq!(completion.saw.unwrap().to_string(), old);
                    expected += 1;
                }
                other => assert_eq!(other, "read"),
            }
        }
        assert!(expected > 50, "{expected} compare-and-sets");
    }

    #[test]
    fn no_number_is_written_twice_and_worn_keys_are_replaced() {
        let workload = workload();
        let mut prng = Prng::new(2);
        let mut numbers = BTreeSet::new();
        let mut keys = BTreeSet::new();
        for _ in 0..1000 {
            let operation = workload.next(Part::All, &mut prng);
            keys.insert(operation.key.clone());
            if operation.function == "write" {
                assert!(numbers.insert(operation.value.unwrap().as_i64().unwrap()));
            }
        }
        assert!((20..=22).contains(&keys.len()), "{keys:?}");
    }

    #[test]
    fn a_reader_only_reads() {
        let workload = workload();
        let mut prng = Prng::new(4);
        assert!((0..100).all(|_| workload.next(Part::Reader, &mut prng).function == "read"));
    }

    #[test]
    fn the_finale_writes_and_reads_every_key() {
        let workload = workload();
        let mut prng = Prng::new(3);
        (0..300).for_each(|_| drop(workload.next(Part::All, &mut prng)));
        let mut done = Vec::new();
        let mut shown = Vec::new();
        while let Some(operation) = workload.finale(&done) {
            shown.push(operation.function);
            done.push(Completion::default());
        }
        assert_eq!(shown[..2], ["write", "write"]);
        assert!(
            shown[2..].iter().all(|function| *function == "read") && shown.len() >= 6,
            "{shown:?}"
        );
    }

    #[test]
    fn replies_are_read_or_refused() {
        let workload = workload();
        let read = read("register:0.0".into());
        assert_eq!(
            workload.complete(&read, &Reply::Null).unwrap().value,
            Some(Value::Null)
        );
        assert_eq!(
            workload.complete(&read, &bulk("7")).unwrap().value,
            Some(json!(7))
        );
        assert_eq!(
            workload.complete(&read, &bulk("07")).unwrap().value,
            Some(json!("07"))
        );
        assert!(workload.complete(&read, &Reply::Integer(7)).is_err());
        let write = write("register:0.0".into(), 9);
        assert!(workload.complete(&write, &Reply::Null).is_err());
    }
}

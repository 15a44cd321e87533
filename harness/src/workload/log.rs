//! Append-only logs: append, read a range, ask for the tail.
//!
//! | f | command | `v` of the invocation | completion |
//! |-|-|-|-|
//! | append | `XADD k * v n`, or `XADD k * v n p padding` | n | `at`: the record's id |
//! | read | `XRANGE k from + COUNT c` | {from, count}; from the start without `from` | `v`: \[\[id, n\], ...\]; `end`: fewer than c came |
//! | tail | `XREVRANGE k + - COUNT 1` | | `v`: \[id, n\], null when empty |
//!
//! Invariant: no two appends of a run append the same number.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use noraftd::prng::Prng;

use super::ids::Ids;
use super::records::{
    APPEND, START, TAIL, append, appended, count_of, newest_id, read, records, tail, tail_record,
};
use super::{Completion, Operation, Part, UnexpectedReply, Workload};
use crate::client::Reply;
use crate::generator::Mix;
use crate::plan::LogPlan;

/// The log workload.
#[derive(Debug)]
pub(super) struct LogWorkload {
    mix: Mix<Function>,
    keys: usize,
    read_count_max: u64,
    padding_bytes_max: u64,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Append,
    Read,
    Tail,
}

#[derive(Debug, Default)]
struct State {
    /// The last number appended.
    appended: i64,
    /// What replies have shown of each log.
    known: BTreeMap<String, Ids>,
}

impl LogWorkload {
    /// The workload that `plan` describes.
    pub(super) fn new(plan: &LogPlan) -> Self {
        let mix = [
            (plan.append, Function::Append),
            (plan.read, Function::Read),
            (plan.tail, Function::Tail),
        ];
        Self {
            mix: Mix::new(mix).expect("a valid plan has an operation with a share"),
            keys: plan.keys,
            read_count_max: plan.read_count_max,
            padding_bytes_max: plan.padding_bytes_max,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, key: &str) -> Operation {
        let mut state = self.lock();
        state.appended += 1;
        append(key, state.appended, self.padding_bytes_max)
    }
}

impl Workload for LogWorkload {
    fn name(&self) -> &'static str {
        "log"
    }

    fn next(&self, part: Part, prng: &mut Prng) -> Operation {
        let key = format!("{KEY_PREFIX}{}", prng.below(self.keys as u64));
        let function = match part {
            Part::All => *self.mix.choose(prng),
            Part::Reader if prng.chance(1, 2) => Function::Tail,
            Part::Reader => Function::Read,
        };
        match function {
            Function::Append => self.append(&key),
            Function::Tail => tail(&key),
            Function::Read => {
                let count = prng.between(1, self.read_count_max);
                let from = self.lock().known.get(&key).and_then(|known| known.choose(prng));
                read(&key, from.as_deref().unwrap_or(START), count)
            }
        }
    }

    fn complete(&self, operation: &Operation, reply: &Reply) -> Result<Completion, UnexpectedReply> {
        let completion = match operation.function {
            APPEND => appended(reply),
            TAIL => tail_record(reply, self.padding_bytes_max),
            _ => records(reply, count_of(operation), self.padding_bytes_max),
        };
        let completion = completion.ok_or_else(|| UnexpectedReply::new(operation, reply))?;
        if let Some(id) = newest_id(&completion) {
            self.lock()
                .known
                .entry(operation.key.clone())
                .or_default()
                .learn(id);
        }
        Ok(completion)
    }

    fn finale(&self, done: &[Completion]) -> Option<Operation> {
        let finished = done.iter().filter(|completion| completion.end).count();
        if finished >= self.keys {
            return None;
        }
        let key = format!("{KEY_PREFIX}{finished}");
        match done.last() {
            None => Some(self.append(&key)),
            Some(last) if last.end => Some(self.append(&key)),
            // Pages overlap in one record: what lies between two pages is then known to be nothing.
            Some(last) => {
                let from = if last.at.is_some() { None } else { newest_id(last) };
                Some(read(&key, from.unwrap_or(START), PAGE_RECORDS))
            }
        }
    }
}

const KEY_PREFIX: &str = "log:";
/// One page of the final scan.
const PAGE_RECORDS: u64 = 1000;

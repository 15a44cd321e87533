//! Append-only logs: append, read a range, ask for the tail.
//!
//! | f | command | `v` of the invocation | completion |
//! |-|-|-|-|
//! | append | `XADD k * v n` | n | `at`: the record's id |
//! | read | `XRANGE k from + COUNT c` | {from, count}; from the start without `from` | `v`: \[\[id, n\], ...\]; `end`: fewer than c came |
//! | tail | `XREVRANGE k + - COUNT 1` | | `v`: \[id, n\], null when empty |
//!
//! Invariant: no two appends of a run append the same number.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use noraftd::prng::Prng;
use serde_json::{Value, json};

use super::{Completion, Operation, Part, UnexpectedReply, Workload, number_or_text};
use crate::client::Reply;
use crate::generator::Mix;
use crate::plan::LogPlan;

/// The log workload.
#[derive(Debug)]
pub struct LogWorkload {
    mix: Mix<Function>,
    keys: usize,
    read_count_max: u64,
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
    known: BTreeMap<String, Known>,
}

/// Ids of a log that replies have shown: where reads begin.
#[derive(Debug, Default)]
struct Known {
    /// Spread over the whole log.
    anywhere: Vec<String>,
    /// The newest ones, in a ring.
    recent: Vec<String>,
    seen: u64,
}

impl LogWorkload {
    /// The workload that `plan` describes.
    ///
    /// # Panics
    ///
    /// When no operation has a share, which a valid plan excludes.
    pub fn new(plan: &LogPlan) -> Self {
        let mix = [
            (plan.append, Function::Append),
            (plan.read, Function::Read),
            (plan.tail, Function::Tail),
        ];
        Self {
            mix: Mix::new(mix).expect("a valid plan has an operation with a share"),
            keys: plan.keys,
            read_count_max: plan.read_count_max,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, key: String) -> Operation {
        let mut state = self.lock();
        state.appended += 1;
        let number = state.appended;
        let words = ["XADD", &key, "*", FIELD, &number.to_string()];
        let request = words.map(str::to_owned).to_vec();
        Operation {
            function: APPEND,
            key,
            value: Some(json!(number)),
            request,
        }
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
            Function::Append => self.append(key),
            Function::Tail => tail(key),
            Function::Read => {
                let count = prng.between(1, self.read_count_max);
                let from = self.lock().known.get(&key).and_then(|known| known.choose(prng));
                read(key, from.unwrap_or_else(|| START.to_owned()), count)
            }
        }
    }

    fn complete(&self, operation: &Operation, reply: &Reply) -> Result<Completion, UnexpectedReply> {
        let completion = match operation.function {
            APPEND => appended(reply),
            TAIL => tail_record(reply),
            _ => records(reply, count_of(operation)),
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
            None => Some(self.append(key)),
            Some(last) if last.end => Some(self.append(key)),
            // Pages overlap in one record: what lies between two pages is then known to be nothing.
            Some(last) => {
                let from = if last.at.is_some() { None } else { newest_id(last) };
                Some(read(key, from.unwrap_or(START).to_owned(), PAGE_RECORDS))
            }
        }
    }
}

impl Known {
    fn learn(&mut self, id: &str) {
        let at = self.seen as usize;
        self.seen += 1;
        replace(&mut self.recent, at % RECENT, id);
        if self.anywhere.len() < ANYWHERE_MAX {
            self.anywhere.push(id.to_owned());
        } else if at.is_multiple_of(ANYWHERE_STRIDE) {
            replace(&mut self.anywhere, (at / ANYWHERE_STRIDE) % ANYWHERE_MAX, id);
        }
    }

    fn choose(&self, prng: &mut Prng) -> Option<String> {
        let from = if prng.chance(1, 2) {
            &self.recent
        } else {
            &self.anywhere
        };
        prng.choose(from).cloned()
    }
}

/// Puts `id` at `at`, or at the end of a list that is still shorter.
fn replace(list: &mut Vec<String>, at: usize, id: &str) {
    match list.get_mut(at) {
        Some(place) => id.clone_into(place),
        None => list.push(id.to_owned()),
    }
}

fn read(key: String, from: String, count: u64) -> Operation {
    let words = ["XRANGE", &key, &from, "+", "COUNT", &count.to_string()];
    let request = words.map(str::to_owned).to_vec();
    let value = if from == START {
        json!({ "count": count })
    } else {
        json!({ "from": from, "count": count })
    };
    Operation {
        function: READ,
        key,
        value: Some(value),
        request,
    }
}

fn tail(key: String) -> Operation {
    let request = ["XREVRANGE", &key, "+", "-", "COUNT", "1"]
        .map(str::to_owned)
        .to_vec();
    Operation {
        function: TAIL,
        key,
        value: None,
        request,
    }
}

fn count_of(operation: &Operation) -> u64 {
    operation
        .value
        .as_ref()
        .and_then(|value| value.get("count"))
        .and_then(Value::as_u64)
        .unwrap_or(0)
}

fn appended(reply: &Reply) -> Option<Completion> {
    let Reply::Bulk(_) = reply else { return None };
    Some(Completion {
        at: Some(json!(reply.text()?)),
        ..Completion::default()
    })
}

fn records(reply: &Reply, count: u64) -> Option<Completion> {
    let Reply::Array(items) = reply else { return None };
    let records: Option<Vec<Value>> = items.iter().map(record).collect();
    let end = (items.len() as u64) < count;
    Some(Completion {
        value: Some(Value::Array(records?)),
        end,
        ..Completion::default()
    })
}

fn tail_record(reply: &Reply) -> Option<Completion> {
    let Reply::Array(items) = reply else { return None };
    let value = match items.as_slice() {
        [] => Value::Null,
        [last] => record(last)?,
        _ => return None,
    };
    Some(Completion {
        value: Some(value),
        ..Completion::default()
    })
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
fn newest_id(completion: &Completion) -> Option<&str> {
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

const APPEND: &str = "append";
const READ: &str = "read";
const TAIL: &str = "tail";
const KEY_PREFIX: &str = "log:";
const FIELD: &str = "v";
/// Before every id.
const START: &str = "-";
/// One page of the final scan.
const PAGE_RECORDS: u64 = 1000;
/// Reads that begin near the end are the ones that can be stale.
const RECENT: usize = 16;
/// Bounds memory; old ids are replaced slowly.
const ANYWHERE_MAX: usize = 4096;
const ANYWHERE_STRIDE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(bytes::Bytes::copy_from_slice(text.as_bytes()))
    }

    fn entry(id: &str, number: &str) -> Reply {
        Reply::Array(vec![bulk(id), Reply::Array(vec![bulk("v"), bulk(number)])])
    }

    fn workload(plan: &LogPlan) -> LogWorkload {
        LogWorkload::new(plan)
    }

    #[test]
    fn reads_begin_at_ids_that_were_seen() {
        let workload = workload(&LogPlan {
            append: 0,
            tail: 0,
            ..LogPlan::default()
        });
        let mut prng = Prng::new(1);
        assert_eq!(workload.next(Part::All, &mut prng).request[2], "-");
        let append = workload.append("log:0".into());
        let completion = workload.complete(&append, &bulk("5-0")).unwrap();
        assert_eq!(completion.at, Some(json!("5-0")));
        assert_eq!(
            workload.next(Part::All, &mut prng).request[..4],
            ["XRANGE", "log:0", "5-0", "+"]
        );
    }

    #[test]
    fn a_read_tells_whether_it_reached_the_end() {
        let workload = workload(&LogPlan::default());
        let operation = read("log:0".into(), "-".into(), 2);
        let short = workload
            .complete(&operation, &Reply::Array(vec![entry("1-0", "1")]))
            .unwrap();
        assert_eq!((short.value, short.end), (Some(json!([["1-0", 1]])), true));
        let full = Reply::Array(vec![entry("1-0", "1"), entry("2-0", "2")]);
        assert!(!workload.complete(&operation, &full).unwrap().end);
        assert!(workload.complete(&operation, &Reply::Null).is_err());
        assert!(
            workload
                .complete(&operation, &Reply::Array(vec![bulk("1-0")]))
                .is_err()
        );
    }

    #[test]
    fn the_tail_is_one_record_or_none() {
        let workload = workload(&LogPlan::default());
        let operation = tail("log:0".into());
        let said = |reply| {
            workload
                .complete(&operation, &reply)
                .map(|completion| completion.value)
        };
        assert_eq!(said(Reply::Array(vec![])), Ok(Some(Value::Null)));
        assert_eq!(
            said(Reply::Array(vec![entry("9-1", "4")])),
            Ok(Some(json!(["9-1", 4])))
        );
        assert!(said(Reply::Array(vec![entry("1-0", "1"), entry("2-0", "2")])).is_err());
    }

    #[test]
    fn the_finale_appends_to_and_pages_through_every_log() {
        let workload = workload(&LogPlan {
            keys: 2,
            ..LogPlan::default()
        });
        let page = |end| Completion {
            value: Some(json!([["7-0", 1], ["8-0", 2]])),
            end,
            ..Completion::default()
        };
        let append = Completion {
            at: Some(json!("8-0")),
            ..Completion::default()
        };
        let mut done = Vec::new();
        let mut shown = Vec::new();
        for completion in [append.clone(), page(false), page(true), append, page(true)] {
            let operation = workload.finale(&done).unwrap();
            shown.push(operation.request[..3].join(" "));
            done.push(completion);
        }
        assert_eq!(workload.finale(&done), None);
        let wanted = [
            "XADD log:0 *",
            "XRANGE log:0 -",
            "XRANGE log:0 8-0",
            "XADD log:1 *",
            "XRANGE log:1 -",
        ];
        assert_eq!(shown, wanted);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_keeps_the_newest() {
        let mut known = Known::default();
        (0..100_000).for_each(|id| known.learn(&id.to_string()));
        assert_eq!((known.anywhere.len(), known.recent.len()), (ANYWHERE_MAX, RECENT));
        assert!(known.recent.contains(&"99999".to_owned()));
    }
}

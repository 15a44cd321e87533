//! Logs that are linearizable by construction. Labels grow but are not dense, like stream ids.

use serde_json::{Value, json};

use super::spec::Spec;
use super::system::System;
use crate::generator::random::Random;
use crate::op::{EventKind, HistoryEvent};

/// One log a key.
pub(super) struct Logs {
    logs: Vec<Vec<i64>>,
    next: i64,
}

/// Records a read asks for.
const READ_COUNT: usize = 8;

impl Logs {
    pub(super) fn new(spec: &Spec) -> Self {
        Self {
            logs: vec![Vec::new(); spec.keys],
            next: 0,
        }
    }
}

/// The label of the entry at `position`.
pub(super) fn label(position: usize) -> String {
    format!("{}-{}", FIRST + position * STEP, position % 3)
}

/// The position with this label.
fn position(label: &str) -> Option<usize> {
    let (number, _) = label.split_once('-')?;
    Some(number.parse::<usize>().ok()?.checked_sub(FIRST)? / STEP)
}

const FIRST: usize = 1000;
const STEP: usize = 5;

fn entry(position: usize, record: i64) -> Value {
    json!([label(position), record])
}

impl System for Logs {
    fn request(&mut self, random: &mut Random, key: usize) -> (&'static str, Value) {
        match random.below(10) {
            0..5 => ("append", self.fresh().into()),
            5..8 => {
                let length = self.logs[key].len();
                let back = random.below(2 * READ_COUNT);
                let from = length.checked_sub(back).map(label);
                ("read", json!({"from": from, "count": READ_COUNT}))
            }
            _ => ("tail", Value::Null),
        }
    }

    fn apply(&mut self, invocation: &HistoryEvent, key: usize) -> HistoryEvent {
        let mut done = HistoryEvent::complete(invocation, EventKind::Ok);
        let log = &mut self.logs[key];
        match (&*invocation.function, &invocation.value) {
            ("append", Some(record)) => {
                done.at = Some(label(log.len()).into());
                log.push(record.as_i64().expect("records are integers"));
                done
            }
            ("read", Some(range)) => {
                let from = range["from"]
                    .as_str()
                    .and_then(position)
                    .unwrap_or(0)
                    .min(log.len());
                let end = log.len().min(from + READ_COUNT);
                done.end = end == log.len();
                let entries: Vec<Value> = (from..end).map(|at| entry(at, log[at])).collect();
                done.value(entries)
            }
            _ => match log.last() {
                Some(record) => done.value(entry(log.len() - 1, *record)),
                None => done.value(Value::Null),
            },
        }
    }

    fn fresh(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    fn free_position(&self, key: usize) -> Value {
        let behind_last = FIRST + self.logs[key].len() * STEP - STEP / 2;
        format!("{behind_last}-0").into()
    }
}

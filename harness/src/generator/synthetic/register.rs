//! Registers that are linearizable by construction.

use serde_json::{Value, json};

use super::spec::{Spec, Values};
use super::system::System;
use crate::generator::random::Random;
use crate::op::{EventKind, HistoryEvent};

/// One register a key.
pub(super) struct Registers {
    values: Values,
    cas: f64,
    current: Vec<Value>,
    next: i64,
}

impl Registers {
    pub(super) fn new(spec: &Spec) -> Self {
        Self {
            values: spec.values,
            cas: spec.cas,
            current: vec![Value::Null; spec.keys],
            next: 0,
        }
    }

    fn value(&mut self, random: &mut Random) -> i64 {
        match self.values {
            Values::Unique => {
                self.next += 1;
                self.next
            }
            Values::Repeated(count) => random.below(count as usize) as i64,
        }
    }
}

impl System for Registers {
    fn request(&mut self, random: &mut Random, key: usize) -> (&'static str, Value) {
        let is_set = self.current[key].is_number();
        if is_set && random.chance(self.cas) {
            let expected = match self.values {
                Values::Unique => self.current[key].clone(),
                Values::Repeated(_) => self.value(random).into(),
            };
            return ("cas", json!([expected, self.value(random)]));
        }
        if random.chance(0.5) {
            ("read", Value::Null)
        } else {
            ("write", self.value(random).into())
        }
    }

    fn apply(&mut self, invocation: &HistoryEvent, key: usize) -> HistoryEvent {
        let done = HistoryEvent::complete(invocation, EventKind::Ok);
        let before = self.current[key].clone();
        match (&*invocation.function, &invocation.value) {
            ("write", Some(value)) => {
                self.current[key] = value.clone();
                done
            }
            ("cas", Some(pair)) => {
                if pair[0] == before {
                    self.current[key] = pair[1].clone();
                }
                done.saw(before)
            }
            _ => done.value(before),
        }
    }

    fn fresh(&mut self) -> i64 {
        self.next += 1;
        match self.values {
            Values::Unique => self.next,
            Values::Repeated(count) => count as i64 + self.next,
        }
    }

    fn free_position(&self, _key: usize) -> Value {
        Value::Null
    }
}

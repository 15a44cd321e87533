//! What all workloads on objects share: choosing an object and what is done to it, unique numbers, what replies have
//! shown, and the final phase. An [`Object`] says the rest: which commands these are, and what their replies mean.
//!
//! Invariant: no two changes of a run have the same number. What a workload knows comes from replies alone, so a
//! command of unknown outcome is known when a later reply shows it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use noraftd::prng::Prng;
use serde_json::Value;

use super::keys::{Keys, Turn};
use super::object::Object;
use super::{Completion, Operation, Part, UnexpectedReply, Workload};
use crate::client::Reply;
use crate::generator::Mix;
use crate::plan::ObjectPlan;

/// The workload on objects of one kind.
#[derive(Debug)]
pub(super) struct Objects<O: Object> {
    object: O,
    /// Nothing is a read.
    mix: Mix<Option<O::Change>>,
    state: Mutex<State<O::Known>>,
}

#[derive(Debug)]
struct State<K> {
    /// The number of the last change.
    number: i64,
    keys: Keys<K>,
}

impl<O: Object> Objects<O> {
    /// Reads, and changes of the one kind there is.
    pub(super) fn of(object: O, plan: &ObjectPlan) -> Self {
        let shares = [(plan.read, None), (plan.write, Some(O::LAST))];
        Self::new(
            object,
            Keys::new(O::NAME, plan.keys, plan.operations_per_key),
            shares,
        )
    }

    /// Reads and changes by their shares. One of them is above zero, as in every valid plan.
    pub(super) fn new<const N: usize>(
        object: O,
        keys: Keys<O::Known>,
        shares: [(u32, Option<O::Change>); N],
    ) -> Self {
        Self {
            object,
            mix: Mix::new(shares).expect("a valid plan has an operation with a share"),
            state: Mutex::new(State { number: 0, keys }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<O::Known>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A read, or a change, of the object in slot `at`, which had `nth` operations before.
    fn operation(
        &self,
        state: &mut State<O::Known>,
        change: Option<O::Change>,
        at: usize,
        nth: u64,
    ) -> Operation {
        let State { number, keys } = state;
        let on = keys.turn(at, nth);
        match change {
            None => self.object.read(&on),
            Some(change) => {
                *number += 1;
                self.object.change(change, &on, *number)
            }
        }
    }
}

impl<O: Object> Workload for Objects<O> {
    fn name(&self) -> &'static str {
        O::NAME
    }

    fn initial(&self) -> Option<Value> {
        self.object.initial()
    }

    fn next(&self, part: Part, prng: &mut Prng) -> Operation {
        let change = match part {
            Part::All => *self.mix.choose(prng),
            Part::Reader => None,
        };
        let mut state = self.lock();
        let at = state.keys.draw(prng);
        let nth = state.keys.wear(at);
        self.operation(&mut state, change, at, nth)
    }

    fn complete(&self, operation: &Operation, reply: &Reply) -> Result<Completion, UnexpectedReply> {
        let completion = self.object.completion(operation, reply);
        let completion = completion.ok_or_else(|| UnexpectedReply::new(operation, reply))?;
        if let Some(known) = self.lock().keys.known(&operation.key) {
            self.object.learn(known, operation, &completion);
        }
        Ok(completion)
    }

    fn finale(&self, done: &[Completion]) -> Option<Operation> {
        let mut state = self.lock();
        let slots = state.keys.in_use().len();
        if let Some(read) = done.len().checked_sub(slots) {
            let keys = &state.keys;
            if read < slots {
                return Some(self.object.read(&keys.turn(read, 0)));
            }
            let known = O::Known::default();
            return keys.newest_retired(read - slots).map(|key| {
                let in_use = keys.in_use();
                self.object.read(&Turn {
                    key,
                    nth: 0,
                    known: &known,
                    in_use,
                })
            });
        }
        let at = done.len();
        let nth = if O::WEARS_AT_LAST { state.keys.wear(at) } else { 0 };
        Some(self.operation(&mut state, Some(O::LAST), at, nth))
    }
}

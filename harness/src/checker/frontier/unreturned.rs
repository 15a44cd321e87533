//! Writes and compare-and-sets that never return: each may be placed at any time after its call, or never.
//!
//! Invariant: operations of one kind are interchangeable, so they are numbered by kind and used in order of invocation.

use super::kind::{Choice, Kind};
use super::spent::{Spent, SpentId};
use crate::checker::register::RegisterOp;
use crate::model::Call;
use crate::recording::hash::FastMap;

/// Operations that never return.
pub(super) struct Unreturned<'a> {
    history: &'a [Call<RegisterOp>],
    /// By number of their kind, in order of invocation.
    calls: Vec<Vec<u32>>,
    numbers: FastMap<Kind, u32>,
    /// What a compare-and-set writes, and the number of its kind, by the value that it expects.
    swaps: FastMap<u32, Vec<(u32, u32)>>,
    /// Numbers of their kinds in order of invocation.
    opened: Vec<u32>,
    /// Values that are expected, and those that are written, in order of first appearance.
    sources: Vec<u32>,
    written: Vec<u32>,
}

impl<'a> Unreturned<'a> {
    pub(super) fn new(history: &'a [Call<RegisterOp>]) -> Self {
        Self {
            history,
            calls: Vec::new(),
            numbers: FastMap::default(),
            swaps: FastMap::default(),
            opened: Vec::new(),
            sources: Vec::new(),
            written: Vec::new(),
        }
    }

    /// Adds an operation, unless it can change nothing.
    pub(super) fn open(&mut self, call: u32, kind: Kind) {
        match kind {
            Kind::Read(_) | Kind::Differs(_) => return,
            Kind::Cas(from, to) if from == to => return,
            Kind::Write(_) | Kind::Cas(..) => {}
        }
        let next = self.calls.len() as u32;
        let number = *self.numbers.entry(kind).or_insert(next);
        if number == next {
            self.add_kind(kind, number);
        }
        self.calls[number as usize].push(call);
        self.opened.push(number);
    }

    fn add_kind(&mut self, kind: Kind, number: u32) {
        self.calls.push(Vec::new());
        match kind {
            Kind::Cas(from, to) => {
                let known = self.swaps.entry(from).or_default();
                if known.is_empty() {
                    self.sources.push(from);
                }
                known.push((to, number));
            }
            Kind::Write(value) => self.written.push(value),
            Kind::Read(_) | Kind::Differs(_) => {}
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.opened.len()
    }

    /// Goes back to when there were `len`. A kind that was not known then stays known, with no operation of it.
    pub(super) fn truncate(&mut self, len: usize) {
        for number in self.opened.drain(len..) {
            self.calls[number as usize].pop();
        }
    }

    /// True when a kind is known.
    pub(super) fn has_kinds(&self) -> bool {
        !self.calls.is_empty()
    }

    /// The next write of `value`, if it was called before `time`.
    pub(super) fn write(&self, value: u32, time: u32, spent: (&Spent, SpentId)) -> Option<Choice> {
        let kind = Kind::Write(value);
        self.next_of(*self.numbers.get(&kind)?, kind, time, spent)
    }

    fn next_of(&self, number: u32, kind: Kind, time: u32, spent: (&Spent, SpentId)) -> Option<Choice> {
        let used = spent.0.count(spent.1, number);
        let call = *self.calls[number as usize].get(used as usize)?;
        (self.history[call as usize].call < time).then_some(Choice {
            call,
            slot: None,
            kind,
        })
    }

    /// Adds to `out` the compare-and-sets that can replace `value`, of kinds that it does not have.
    pub(super) fn swaps(&self, value: u32, time: u32, spent: (&Spent, SpentId), out: &mut Vec<Choice>) {
        for (to, number) in self.swaps.get(&value).into_iter().flatten() {
            let kind = Kind::Cas(value, *to);
            if out.iter().all(|other| other.kind != kind) {
                out.extend(self.next_of(*number, kind, time, spent));
            }
        }
    }

    /// When the first write of `value` was invoked.
    pub(super) fn first_write(&self, value: u32) -> Option<u32> {
        let number = self.numbers.get(&Kind::Write(value))?;
        let first = self.calls[*number as usize].first()?;
        Some(self.history[*first as usize].call)
    }

    /// The number under which a kind is counted.
    pub(super) fn number(&self, kind: Kind) -> u32 {
        self.numbers[&kind]
    }

    /// Values that compare-and-sets expect.
    pub(super) fn sources(&self) -> &[u32] {
        &self.sources
    }

    /// Values that are written.
    pub(super) fn written(&self) -> &[u32] {
        &self.written
    }

    pub(super) fn bytes(&self) -> usize {
        let calls: usize = self.calls.iter().map(|calls| 32 + calls.capacity() * 4).sum();
        calls + self.numbers.capacity() * 40 + self.opened.capacity() * 4
    }
}

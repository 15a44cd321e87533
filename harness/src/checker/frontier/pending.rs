//! What is open: operations in slots, and writes and compare-and-sets that never return.
//!
//! Invariant: an operation that returns has a slot from its invocation on; one that never returns has
//! none and is only listed under its kind, in order of invocation.

use super::spent::{Spent, SpentId};
use crate::checker::bits::Bits;
use crate::checker::register::RegisterOp;
use crate::model::Call;
use crate::recording::datum::Datum;
use crate::recording::hash::FastMap;

/// An operation on the register, its values numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Saw this value.
    Read(u32),
    /// Saw another value than this.
    Differs(u32),
    /// Wrote this value.
    Write(u32),
    /// Replaced the first value by the second.
    Cas(u32, u32),
}

/// Numbers of the values; 0 is the initial one.
pub(super) struct Values {
    numbers: FastMap<Datum, u32>,
}

impl Values {
    /// Without `initial`, number 0 is a value that no operation knows.
    pub(super) fn new(initial: Option<Datum>, calls: &[Call<RegisterOp>]) -> Self {
        let mut values = Self {
            numbers: FastMap::default(),
        };
        values.number(initial.unwrap_or(Datum::UNUSED));
        for call in calls {
            match call.op {
                RegisterOp::Read(value) | RegisterOp::Write(value) | RegisterOp::Differs(value) => {
                    values.number(value);
                }
                RegisterOp::Cas(from, to) => {
                    values.number(from);
                    values.number(to);
                }
            }
        }
        values
    }

    fn number(&mut self, value: Datum) {
        let next = self.numbers.len() as u32;
        self.numbers.entry(value).or_insert(next);
    }

    pub(super) fn kind(&self, op: RegisterOp) -> Kind {
        match op {
            RegisterOp::Read(value) => Kind::Read(self.numbers[&value]),
            RegisterOp::Differs(value) => Kind::Differs(self.numbers[&value]),
            RegisterOp::Write(value) => Kind::Write(self.numbers[&value]),
            RegisterOp::Cas(from, to) => Kind::Cas(self.numbers[&from], self.numbers[&to]),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.numbers.capacity() * 24
    }
}

/// An open operation that can be placed; without a slot it never returns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) call: u32,
    pub(super) slot: Option<usize>,
    pub(super) kind: Kind,
}

impl Choice {
    /// The value after it.
    pub(super) fn value(&self) -> u32 {
        match self.kind {
            Kind::Read(value) | Kind::Differs(value) | Kind::Write(value) | Kind::Cas(_, value) => value,
        }
    }
}

/// Operations of one kind that never return.
#[derive(Default)]
struct Unknown {
    calls: Vec<u32>,
}

/// What was open at some time.
pub(super) struct Saved {
    open: Vec<(usize, u32, Kind)>,
    free: Vec<usize>,
    slots: usize,
    unknown: usize,
}

impl Saved {
    pub(super) fn bytes(&self) -> usize {
        self.open.capacity() * size_of::<(usize, u32, Kind)>() + self.free.capacity() * size_of::<usize>()
    }
}

/// Open operations.
pub(super) struct Pending<'a, const W: usize> {
    history: &'a [Call<RegisterOp>],
    calls: Vec<u32>,
    kinds: Vec<Kind>,
    free: Vec<usize>,
    /// Slots by operation; stale for those that are not open.
    slots: Vec<u16>,
    reads: Bits<W>,
    differs: Bits<W>,
    writes: Bits<W>,
    cas: Bits<W>,
    reads_of: Vec<Bits<W>>,
    differs_of: Vec<Bits<W>>,
    writes_of: Vec<Bits<W>>,
    /// Those that never return, by number of their kind.
    unknown: Vec<Unknown>,
    numbers: FastMap<Kind, u32>,
    /// Numbers of the kinds of compare-and-sets among them, by the value they expect.
    unknown_from: FastMap<u32, Vec<(u32, u32)>>,
    /// Numbers of their kinds in order of invocation.
    unknown_opened: Vec<u32>,
    /// The values they expect, and those that are written, in order of first appearance.
    unknown_sources: Vec<u32>,
    unknown_values: Vec<u32>,
    /// Whether those that never return are offered as choices.
    pub(super) offers_unknown: bool,
}

impl<'a, const W: usize> Pending<'a, W> {
    pub(super) fn new(history: &'a [Call<RegisterOp>], values: usize, has_differs: bool) -> Self {
        Self {
            history,
            calls: Vec::new(),
            kinds: Vec::new(),
            free: Vec::new(),
            slots: vec![0; history.len()],
            reads: Bits::EMPTY,
            differs: Bits::EMPTY,
            writes: Bits::EMPTY,
            cas: Bits::EMPTY,
            reads_of: vec![Bits::EMPTY; values],
            differs_of: vec![Bits::EMPTY; if has_differs { values } else { 0 }],
            writes_of: vec![Bits::EMPTY; values],
            unknown: Vec::new(),
            numbers: FastMap::default(),
            unknown_from: FastMap::default(),
            unknown_opened: Vec::new(),
            unknown_sources: Vec::new(),
            unknown_values: Vec::new(),
            offers_unknown: true,
        }
    }

    /// Adds an operation; its slot, if it returns.
    pub(super) fn open(&mut self, i: u32, kind: Kind) -> Option<usize> {
        if self.history[i as usize].is_open() {
            self.open_unknown(i, kind);
            return None;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.calls.push(0);
            self.kinds.push(kind);
            self.calls.len() - 1
        });
        self.enter(slot, i, kind);
        Some(slot)
    }

    fn enter(&mut self, slot: usize, i: u32, kind: Kind) {
        self.calls[slot] = i;
        self.kinds[slot] = kind;
        self.slots[i as usize] = slot as u16;
        match kind {
            Kind::Read(value) => {
                self.reads.set(slot);
                self.reads_of[value as usize].set(slot);
            }
            Kind::Differs(value) => {
                self.reads.set(slot);
                self.differs.set(slot);
                self.differs_of[value as usize].set(slot);
            }
            Kind::Write(value) => {
                self.writes.set(slot);
                self.writes_of[value as usize].set(slot);
            }
            Kind::Cas(..) => self.cas.set(slot),
        }
    }

    fn open_unknown(&mut self, i: u32, kind: Kind) {
        let next = self.unknown.len() as u32;
        match kind {
            Kind::Read(_) | Kind::Differs(_) => return,
            // It would change nothing.
            Kind::Cas(from, to) if from == to => return,
            Kind::Write(_) | Kind::Cas(..) => {}
        }
        let number = *self.numbers.entry(kind).or_insert(next);
        if number == next {
            self.unknown.push(Unknown::default());
            match kind {
                Kind::Cas(from, to) => {
                    let known = self.unknown_from.entry(from).or_default();
                    if known.is_empty() {
                        self.unknown_sources.push(from);
                    }
                    known.push((to, number));
                }
                Kind::Write(value) => self.unknown_values.push(value),
                Kind::Read(_) | Kind::Differs(_) => {}
            }
        }
        self.unknown[number as usize].calls.push(i);
        self.unknown_opened.push(number);
    }

    /// Who is in which slot, to go back to.
    pub(super) fn save(&self) -> Saved {
        let mut open = self.reads;
        open.add(&self.writes);
        open.add(&self.cas);
        Saved {
            open: open
                .iter()
                .map(|slot| (slot, self.calls[slot], self.kinds[slot]))
                .collect(),
            free: self.free.clone(),
            slots: self.calls.len(),
            unknown: self.unknown_opened.len(),
        }
    }

    /// Goes back. A kind that was not known then stays known, with no operation of it.
    pub(super) fn restore(&mut self, saved: &Saved) {
        let mut open = self.reads;
        open.add(&self.writes);
        open.add(&self.cas);
        for slot in open.iter() {
            self.close(slot);
        }
        self.free.clone_from(&saved.free);
        self.free.extend(saved.slots..self.calls.len());
        for (slot, call, kind) in &saved.open {
            self.enter(*slot, *call, *kind);
        }
        for number in self.unknown_opened.drain(saved.unknown..) {
            self.unknown[number as usize].calls.pop();
        }
    }

    pub(super) fn close(&mut self, slot: usize) {
        self.reads.clear(slot);
        self.differs.clear(slot);
        self.writes.clear(slot);
        self.cas.clear(slot);
        match self.kinds[slot] {
            Kind::Read(value) => self.reads_of[value as usize].clear(slot),
            Kind::Differs(value) => self.differs_of[value as usize].clear(slot),
            Kind::Write(value) => self.writes_of[value as usize].clear(slot),
            Kind::Cas(..) => {}
        }
        self.free.push(slot);
    }

    pub(super) fn slot_of(&self, call: u32) -> usize {
        usize::from(self.slots[call as usize])
    }

    pub(super) fn call_in(&self, slot: usize) -> &'a Call<RegisterOp> {
        &self.history[self.calls[slot] as usize]
    }

    /// The operation in a slot, as a choice.
    pub(super) fn in_slot(&self, slot: usize) -> Choice {
        Choice {
            call: self.calls[slot],
            slot: Some(slot),
            kind: self.kinds[slot],
        }
    }

    /// Reads of any kind.
    pub(super) fn reads(&self) -> &Bits<W> {
        &self.reads
    }

    pub(super) fn cas(&self) -> &Bits<W> {
        &self.cas
    }

    /// The reads that fit while the value is `value`.
    pub(super) fn reads_at(&self, value: u32) -> Bits<W> {
        let mut fitting = self.reads_of[value as usize];
        if let Some(not) = self.differs_of.get(value as usize) {
            fitting.add(&self.differs.without(not));
        }
        fitting
    }

    /// Of the open writes of `value` called before `time` and not `placed`, the one that returns first.
    pub(super) fn write(
        &self,
        value: u32,
        time: u32,
        placed: &Bits<W>,
        spent: (&Spent, SpentId),
    ) -> Option<Choice> {
        let open = self.writes_of[value as usize].without(placed);
        let returning = open
            .iter()
            .map(|slot| (slot, self.call_in(slot)))
            .filter(|(_, call)| call.call < time)
            .min_by_key(|(_, call)| call.ret);
        match returning {
            Some((slot, _)) => Some(self.in_slot(slot)),
            None if !self.offers_unknown => None,
            None => {
                let number = *self.numbers.get(&Kind::Write(value))?;
                self.unknown_of(number, Kind::Write(value), time, spent)
            }
        }
    }

    fn unknown_of(&self, number: u32, kind: Kind, time: u32, spent: (&Spent, SpentId)) -> Option<Choice> {
        let used = spent.0.count(spent.1, number);
        let calls = &self.unknown[number as usize].calls;
        let call = *calls.get(used as usize)?;
        (self.history[call as usize].call < time).then_some(Choice {
            call,
            slot: None,
            kind,
        })
    }

    /// When the first write of `value` that never returns was invoked.
    pub(super) fn first_unknown_write(&self, value: u32) -> Option<u32> {
        let number = self.numbers.get(&Kind::Write(value))?;
        let first = self.unknown[*number as usize].calls.first()?;
        Some(self.history[*first as usize].call)
    }

    /// The number under which a kind that never returns is counted.
    pub(super) fn number(&self, kind: Kind) -> u32 {
        self.numbers[&kind]
    }

    /// The compare-and-sets that can replace `value`: of equal ones the one that returns first.
    pub(super) fn swaps(
        &self,
        value: u32,
        time: u32,
        placed: &Bits<W>,
        spent: (&Spent, SpentId),
        out: &mut Vec<Choice>,
    ) {
        out.clear();
        for slot in self.cas.without(placed).iter() {
            let Kind::Cas(from, _) = self.kinds[slot] else {
                continue;
            };
            if from != value || self.call_in(slot).call >= time {
                continue;
            }
            match out.iter_mut().find(|other| other.kind == self.kinds[slot]) {
                None => out.push(self.in_slot(slot)),
                Some(other) => {
                    let rival = &self.history[other.call as usize];
                    if self.call_in(slot).ret < rival.ret {
                        *other = self.in_slot(slot);
                    }
                }
            }
        }
        if !self.offers_unknown {
            return;
        }
        for (to, number) in self.unknown_from.get(&value).into_iter().flatten() {
            let kind = Kind::Cas(value, *to);
            if out.iter().all(|other| other.kind != kind) {
                out.extend(self.unknown_of(*number, kind, time, spent));
            }
        }
    }

    /// True when an operation was invoked that never returns.
    pub(super) fn has_unknown(&self) -> bool {
        !self.unknown.is_empty()
    }

    /// Values from which a walk over compare-and-sets can begin.
    pub(super) fn sources(&self, placed: &Bits<W>, out: &mut Vec<u32>) {
        for slot in self.cas.without(placed).iter() {
            if let Kind::Cas(from, _) = self.kinds[slot] {
                out.push(from);
            }
        }
        if self.offers_unknown {
            out.extend(&self.unknown_sources);
        }
    }

    /// Values of open writes.
    pub(super) fn written(&self, placed: &Bits<W>, out: &mut Vec<u32>) {
        for slot in self.writes.without(placed).iter() {
            if let Kind::Write(value) = self.kinds[slot] {
                out.push(value);
            }
        }
        if self.offers_unknown {
            out.extend(&self.unknown_values);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let unknown: usize = self
            .unknown
            .iter()
            .map(|kind| 32 + kind.calls.capacity() * 4)
            .sum();
        (self.reads_of.capacity() + self.writes_of.capacity() + self.differs_of.capacity())
            * size_of::<Bits<W>>()
            + unknown
            + self.numbers.capacity() * 40
            + self.unknown_opened.capacity() * 4
            + self.slots.capacity() * size_of::<u16>()
    }
}

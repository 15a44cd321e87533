//! What is open: operations in slots, and those that never return.
//!
//! Invariant: an operation that returns has a slot from its invocation on; one that never returns has
//! none and is only in [`Unreturned`].

use super::kind::{Choice, Kind};
use super::spent::{Spent, SpentId};
use super::unreturned::Unreturned;
use crate::checker::bits::Bits;
use crate::checker::register::RegisterOp;
use crate::model::Call;

/// What was open at some time.
pub(super) struct Saved {
    open: Vec<(usize, u32, Kind)>,
    free: Vec<usize>,
    slots: usize,
    unreturned: usize,
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
    unreturned: Unreturned<'a>,
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
            unreturned: Unreturned::new(history),
            offers_unknown: true,
        }
    }

    /// Adds an operation; its slot, if it returns.
    pub(super) fn open(&mut self, i: u32, kind: Kind) -> Option<usize> {
        if self.history[i as usize].is_open() {
            self.unreturned.open(i, kind);
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

    /// Which operation is in which slot, to go back to.
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
            unreturned: self.unreturned.len(),
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
        self.unreturned.truncate(saved.unreturned);
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
            None => self.unreturned.write(value, time, spent),
        }
    }

    /// Operations that never return.
    pub(super) fn unreturned(&self) -> &Unreturned<'a> {
        &self.unreturned
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
        self.unreturned.swaps(value, time, spent, out);
    }

    /// Values from which a walk over compare-and-sets can begin.
    pub(super) fn sources(&self, placed: &Bits<W>, out: &mut Vec<u32>) {
        for slot in self.cas.without(placed).iter() {
            if let Kind::Cas(from, _) = self.kinds[slot] {
                out.push(from);
            }
        }
        if self.offers_unknown {
            out.extend(self.unreturned.sources());
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
            out.extend(self.unreturned.written());
        }
    }

    pub(super) fn bytes(&self) -> usize {
        (self.reads_of.capacity() + self.writes_of.capacity() + self.differs_of.capacity())
            * size_of::<Bits<W>>()
            + self.unreturned.bytes()
            + self.slots.capacity() * size_of::<u16>()
    }
}

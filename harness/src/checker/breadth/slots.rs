//! Slots: small numbers for the operations that are open, so that a set of them is a few words.
//!
//! Invariant: a slot is taken from an operation's invocation to its return; operations that never
//! return keep theirs until they are placed for good.

use crate::checker::bits::Bits;
use crate::model::Call;
use crate::recording::hash::FastMap;

/// Who is in which slot.
pub(super) struct Slots<const W: usize> {
    calls: Vec<u32>,
    free: Vec<usize>,
    of_call: FastMap<u32, usize>,
    /// Equal operations that return earlier, by slot.
    before: Vec<Bits<W>>,
    open: Bits<W>,
    reads: Bits<W>,
    never: Bits<W>,
}

impl<const W: usize> Default for Slots<W> {
    fn default() -> Self {
        Self {
            calls: Vec::new(),
            free: Vec::new(),
            of_call: FastMap::default(),
            before: Vec::new(),
            open: Bits::EMPTY,
            reads: Bits::EMPTY,
            never: Bits::EMPTY,
        }
    }
}

impl<const W: usize> Slots<W> {
    pub(super) fn open<O: Eq>(&mut self, i: u32, calls: &[Call<O>], is_read: bool) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.calls.push(0);
            self.before.push(Bits::EMPTY);
            self.calls.len() - 1
        });
        let call = &calls[i as usize];
        self.before[slot] = Bits::EMPTY;
        for other in self.open.iter() {
            let rival = &calls[self.calls[other] as usize];
            if rival.op != call.op {
                continue;
            }
            // Ties between operations that never return are broken by their invocation.
            if (rival.ret, rival.call) < (call.ret, call.call) {
                self.before[slot].set(other);
            } else {
                self.before[other].set(slot);
            }
        }
        self.calls[slot] = i;
        self.of_call.insert(i, slot);
        self.open.set(slot);
        if is_read {
            self.reads.set(slot);
        }
        if call.is_open() {
            self.never.set(slot);
        }
        slot
    }

    pub(super) fn close(&mut self, slot: usize) {
        self.of_call.remove(&self.calls[slot]);
        for before in &mut self.before {
            before.clear(slot);
        }
        self.open.clear(slot);
        self.reads.clear(slot);
        self.never.clear(slot);
        self.free.push(slot);
    }

    pub(super) fn slot_of(&self, call: u32) -> usize {
        self.of_call[&call]
    }

    pub(super) fn call_in(&self, slot: usize) -> u32 {
        self.calls[slot]
    }

    /// Open operations that may change the state and are not placed yet.
    pub(super) fn candidates(&self, placed: &Bits<W>) -> Bits<W> {
        self.open.without(&self.reads).without(placed)
    }

    pub(super) fn open_reads(&self, placed: &Bits<W>) -> Bits<W> {
        self.reads.without(placed)
    }

    pub(super) fn never_returning(&self) -> &Bits<W> {
        &self.never
    }

    pub(super) fn is_first_of_equals(&self, slot: usize, placed: &Bits<W>) -> bool {
        self.before[slot].is_subset(placed)
    }
}

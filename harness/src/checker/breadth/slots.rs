//! Slots: small numbers for the operations that are open, so that a set of them is a few words.
//!
//! Invariant: a slot is taken from an operation's invocation to its return; operations that never
//! return keep theirs.

use crate::checker::hash::FastMap;
use crate::model::Call;

/// A set of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Bits<const W: usize>([u64; W]);

impl<const W: usize> Bits<W> {
    pub(super) const EMPTY: Self = Self([0; W]);

    #[inline]
    pub(super) fn has(&self, slot: usize) -> bool {
        self.0[slot / 64] >> (slot % 64) & 1 == 1
    }

    #[inline]
    pub(super) fn set(&mut self, slot: usize) {
        self.0[slot / 64] |= 1 << (slot % 64);
    }

    #[inline]
    pub(super) fn clear(&mut self, slot: usize) {
        self.0[slot / 64] &= !(1 << (slot % 64));
    }

    #[inline]
    pub(super) fn add(&mut self, other: &Self) {
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    #[inline]
    pub(super) fn and(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & other.0[i]))
    }

    #[inline]
    pub(super) fn without(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & !other.0[i]))
    }

    #[inline]
    pub(super) fn is_subset(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(&other.0)
            .all(|(word, wider)| word & !wider == 0)
    }

    pub(super) fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(at, mut word)| {
            std::iter::from_fn(move || {
                let bit = word.trailing_zeros() as usize;
                word &= word.wrapping_sub(1);
                (bit < 64).then_some(at * 64 + bit)
            })
        })
    }
}

/// How many of `calls`, in order of invocation, are open at once, at most.
pub(super) fn open_max<O>(calls: &[Call<O>]) -> usize {
    let mut returns: Vec<u32> = calls.iter().map(|call| call.ret).collect();
    returns.sort_unstable();
    let mut returned = 0;
    let mut max = 0;
    for (called, call) in calls.iter().enumerate() {
        while returns[returned] < call.call {
            returned += 1;
        }
        max = max.max(called + 1 - returned);
    }
    max
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_lists_what_was_put_into_it() {
        let mut bits = Bits::<2>::EMPTY;
        for slot in [0, 63, 64, 127] {
            bits.set(slot);
        }
        assert_eq!(bits.iter().collect::<Vec<_>>(), [0, 63, 64, 127]);
        bits.clear(63);
        assert_eq!(bits.count(), 3);
        assert!(bits.has(64) && !bits.has(63));
    }

    #[test]
    fn the_widest_moment_is_found() {
        let call = |call, ret| Call {
            id: 0,
            call,
            ret,
            op: (),
        };
        assert_eq!(open_max::<()>(&[]), 0);
        assert_eq!(open_max(&[call(0, 1), call(2, 3)]), 1);
        assert_eq!(
            open_max(&[call(0, 5), call(1, 2), call(3, u32::MAX), call(4, 6)]),
            3
        );
    }
}

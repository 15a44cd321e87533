//! Sets of slots, a few words each, and how many slots a history needs.

use crate::model::Call;

/// A set of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Bits<const W: usize>([u64; W]);

impl<const W: usize> Bits<W> {
    pub(crate) const EMPTY: Self = Self([0; W]);

    #[inline]
    pub(crate) fn has(&self, slot: usize) -> bool {
        self.0[slot / 64] >> (slot % 64) & 1 == 1
    }

    #[inline]
    pub(crate) fn set(&mut self, slot: usize) {
        self.0[slot / 64] |= 1 << (slot % 64);
    }

    #[inline]
    pub(crate) fn clear(&mut self, slot: usize) {
        self.0[slot / 64] &= !(1 << (slot % 64));
    }

    #[inline]
    pub(crate) fn add(&mut self, other: &Self) {
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    #[inline]
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & other.0[i]))
    }

    #[inline]
    pub(crate) fn without(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & !other.0[i]))
    }

    #[inline]
    pub(crate) fn is_subset(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(&other.0)
            .all(|(word, wider)| word & !wider == 0)
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
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
pub(crate) fn open_max<O>(calls: &[Call<O>]) -> usize {
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

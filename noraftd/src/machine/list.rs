//! A list.
//!
//! Invariant: a list that a key holds has elements. `sum` is a polynomial over what the elements are, modulo 2^64: the n-th one, counted from
//! 0, has the factor [`BASE`]^n. So an end comes and goes at the cost of its own element, wherever the others are then.

use std::ops::Range;

use bytes::Bytes;
use imbl::Vector;

use super::table::name_digest;
use crate::protocol::command::Side;

/// Elements in an order.
#[derive(Debug, Clone, Default)]
pub(super) struct List {
    pub(super) elements: Vector<Bytes>,
    sum: u64,
}

impl List {
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Bytes> {
        self.elements.iter()
    }

    pub(super) fn push(&mut self, side: Side, element: Bytes) {
        let digest = name_digest(&element);
        match side {
            Side::Left => {
                self.sum = self.sum.wrapping_mul(BASE).wrapping_add(digest);
                self.elements.push_front(element);
            }
            Side::Right => {
                self.sum = self.sum.wrapping_add(placed(digest, self.elements.len()));
                self.elements.push_back(element);
            }
        }
    }

    pub(super) fn pop(&mut self, side: Side) -> Option<Bytes> {
        match side {
            Side::Left => {
                let element = self.elements.pop_front()?;
                self.sum = self.sum.wrapping_sub(name_digest(&element)).wrapping_mul(INVERSE);
                Some(element)
            }
            Side::Right => {
                let element = self.elements.pop_back()?;
                let digest = placed(name_digest(&element), self.elements.len());
                self.sum = self.sum.wrapping_sub(digest);
                Some(element)
            }
        }
    }

    pub(super) fn set(&mut self, at: usize, element: Bytes) {
        let after = placed(name_digest(&element), at);
        let before = placed(name_digest(&self.elements.set(at, element)), at);
        self.sum = self.sum.wrapping_sub(before).wrapping_add(after);
    }

    /// Takes these elements in place of those before.
    pub(super) fn replace(&mut self, elements: Vector<Bytes>) {
        self.elements = elements;
        self.sum = self.read_sum();
    }

    /// The place that an index names, which is counted from the end if it is negative.
    pub(super) fn place(&self, index: i64) -> Option<usize> {
        let range = within(index, index, self.elements.len());
        (!range.is_empty()).then_some(range.start)
    }

    pub(super) fn len(&self) -> usize {
        self.elements.len()
    }

    pub(super) fn sum(&self) -> u64 {
        self.sum
    }

    /// The sum, from the elements as they are now.
    pub(super) fn read_sum(&self) -> u64 {
        let from_the_end = self.elements.iter().rev();
        from_the_end.fold(0_u64, |sum, element| {
            sum.wrapping_mul(BASE).wrapping_add(name_digest(element))
        })
    }
}

fn placed(digest: u64, at: usize) -> u64 {
    let (mut factor, mut power, mut left) = (1_u64, BASE, at);
    while left > 0 {
        if left % 2 == 1 {
            factor = factor.wrapping_mul(power);
        }
        (power, left) = (power.wrapping_mul(power), left / 2);
    }
    digest.wrapping_mul(factor)
}

/// An odd number without a pattern, so that no place looks like another.
const BASE: u64 = 0xd6e8_feb8_6659_fd93;
/// Its inverse modulo 2^64.
const INVERSE: u64 = inverse(BASE);

const fn inverse(odd: u64) -> u64 {
    // Newton: each step doubles the number of bits that are right, 3 at first.
    let (mut inverse, mut step) = (odd, 0);
    while step < 5 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}

/// From one place to another, both included, of so many; a negative place counts from the end.
pub(super) fn within(first: i64, last: i64, length: usize) -> Range<usize> {
    let count = i64::try_from(length).unwrap_or(i64::MAX);
    let place = |at: i64| if at < 0 { at.saturating_add(count) } else { at };
    let (first, last) = (place(first).max(0), place(last).min(count - 1));
    if first > last {
        return 0..0;
    }
    let place = |at: i64| usize::try_from(at).unwrap_or(0);
    place(first)..place(last) + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prng::Prng;

    impl List {
        /// An element changes its side.
        fn rotate(&mut self, from: Side) {
            let to = match from {
                Side::Left => Side::Right,
                Side::Right => Side::Left,
            };
            if let Some(element) = self.pop(from) {
                self.push(to, element);
            }
        }
    }

    #[test]
    fn the_sum_of_a_list_is_that_of_its_elements_in_their_order() {
        assert_eq!(BASE.wrapping_mul(INVERSE), 1);
        let (mut list, mut prng) = (List::default(), Prng::new(3));
        for n in 0..2000 {
            let element = Bytes::from(prng.below(50).to_string());
            let side = if prng.chance(1, 2) {
                Side::Left
            } else {
                Side::Right
            };
            match prng.below(8) {
                0..=3 => list.push(side, element),
                4 | 5 => drop(list.pop(side)),
                6 if list.len() > 0 => list.set(prng.below(list.len() as u64) as usize, element),
                _ => list.rotate(side),
            }
            assert_eq!(list.sum(), list.read_sum(), "step {n}");
        }
        assert!(list.len() > 10);
        let before = list.sum();
        list.rotate(Side::Left);
        assert_ne!(list.sum(), before, "the order counts");
    }
}

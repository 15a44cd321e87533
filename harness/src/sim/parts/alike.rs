//! Random numbers that are nearly those of before: what distinguishes two processes, or two directories, is one bit.
//!
//! Numbers that are drawn at random never meet by chance, so who compares less of them than all is never caught by chance.
//! Request numbers and rounds begin again with each process as it is.
//!
//! Invariant: two numbers differ in a bit beyond those that are counted up from the first (`canvass`): within the design they
//! are as good as any.

use std::collections::BTreeSet;

use noraftd::prng::Prng;

/// What the processes and directories of one node have drawn.
#[derive(Debug, Default)]
pub(crate) struct Drawn {
    /// The number that the last process names itself by.
    boot: Option<u64>,
    incarnation: Option<u64>,
    /// All that were drawn: the same bit twice would be the number of the process before the last.
    used: BTreeSet<u64>,
}

impl Drawn {
    /// The seed of a process, `drawn` for it, or one by which it has nearly the number of the process before.
    pub(crate) fn seed(&mut self, drawn: u64, alike: Option<&mut Prng>) -> u64 {
        let seed = match (self.boot, alike) {
            (Some(before), Some(prng)) => seed_of(self.neighbour(before, prng)),
            (Some(_) | None, _) => drawn,
        };
        let boot = Prng::new(seed).next_u64();
        self.used.insert(boot);
        self.boot = Some(boot);
        seed
    }

    /// The incarnation of a new directory, likewise.
    pub(crate) fn incarnation(&mut self, drawn: u64, alike: Option<&mut Prng>) -> u64 {
        let incarnation = match (self.incarnation, alike) {
            (Some(before), Some(prng)) => self.neighbour(before, prng),
            (Some(_) | None, _) => drawn,
        };
        self.used.insert(incarnation);
        self.incarnation = Some(incarnation);
        incarnation
    }

    /// Differs from `number` in one bit, and from every other that was drawn. (All bits of one number are never used: no node
    /// starts so often from it.)
    fn neighbour(&self, number: u64, prng: &mut Prng) -> u64 {
        let first = prng.between(COUNTED_BITS, 63);
        let bits = (first..64).chain(COUNTED_BITS..first);
        let mut numbers = bits.map(|bit| number ^ 1 << bit);
        numbers
            .find(|number| !self.used.contains(number))
            .unwrap_or(number ^ 1 << first)
    }
}

/// The seed of the generator whose first number is `first`: each step of xoshiro256** and SplitMix64 backwards.
fn seed_of(first: u64) -> u64 {
    let second_word = first
        .wrapping_mul(inverse(9))
        .rotate_right(7)
        .wrapping_mul(inverse(5));
    unmix(second_word).wrapping_sub(GAMMA.wrapping_mul(2))
}

fn unmix(mixed: u64) -> u64 {
    let mut z = unshift(mixed, 31);
    z = unshift(z.wrapping_mul(inverse(0x94d0_49bb_1331_11eb)), 27);
    unshift(z.wrapping_mul(inverse(0xbf58_476d_1ce4_e5b9)), 30)
}

/// `x` of `x ^ (x >> by)`.
fn unshift(shifted: u64, by: u32) -> u64 {
    let mut x = shifted;
    for _ in 0..u64::BITS / by {
        x = shifted ^ (x >> by);
    }
    x
}

/// The inverse of an odd number modulo 2^64: each step doubles the bits that are right, three at first.
fn inverse(odd: u64) -> u64 {
    (0..5).fold(odd, |inverse, _| {
        inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)))
    })
}

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
/// Bits below this are counted up by a process: no run asks so often.
const COUNTED_BITS: u64 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_found_for_every_first_number() {
        let mut prng = Prng::new(1);
        for _ in 0..1000 {
            let wanted = prng.next_u64();
            assert_eq!(Prng::new(seed_of(wanted)).next_u64(), wanted);
        }
    }

    #[test]
    fn a_process_has_nearly_the_number_of_the_one_before_where_that_is_asked_for() {
        let (mut prng, mut drawn) = (Prng::new(1), Drawn::default());
        assert_eq!(drawn.seed(7, Some(&mut prng)), 7, "there is none before it");
        assert_eq!(drawn.incarnation(7, Some(&mut prng)), 7);
        let mut all = BTreeSet::new();
        for _ in 0..300 {
            let (boot, incarnation) = (drawn.boot.unwrap(), drawn.incarnation.unwrap());
            let next = Prng::new(drawn.seed(8, Some(&mut prng))).next_u64();
            let other = drawn.incarnation(8, Some(&mut prng));
            assert!(all.insert(next) && all.insert(other), "a number comes again");
            for (before, after) in [(boot, next), (incarnation, other)] {
                assert_eq!((before ^ after).count_ones(), 1);
                assert!((before ^ after).trailing_zeros() >= 20);
            }
        }
        assert_eq!((drawn.seed(9, None), drawn.incarnation(9, None)), (9, 9));
    }
}

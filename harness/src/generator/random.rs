//! Probabilities and positions on top of the project's stream of random numbers.

use noraftd::prng::Prng;

/// A stream of random numbers that depends on a seed alone.
#[derive(Clone, Debug)]
pub struct Random(Prng);

impl Random {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Prng::new(seed))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A position below `end`.
    ///
    /// # Panics
    /// When `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        assert!(end > 0, "nothing is below 0");
        self.0.below(end as u64) as usize
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        const DENOMINATOR: u64 = 1 << 53;
        self.0
            .chance((p.clamp(0.0, 1.0) * DENOMINATOR as f64) as u64, DENOMINATOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_stream_and_bounds_hold() {
        let (mut one, mut two) = (Random::new(7), Random::new(7));
        for end in 1..1000 {
            let number = one.below(end);
            assert!(number < end);
            assert_eq!(number, two.below(end));
        }
        assert!(!one.chance(0.0));
        assert!(one.chance(1.0));
    }
}

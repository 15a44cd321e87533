//! Choosing what to do next, and when: weighted choice, pace, and rest.
//!
//! Invariant: a choice draws exactly once from the generator it is given, whatever the weights are, so
//! that the draws of a seed stay where they are when a plan's weights change.

mod pace;
pub mod random;
mod silence;
pub mod synthetic;

use noraftd::prng::Prng;

pub use pace::Pace;
pub use silence::{Quiet, Silence};

/// A weighted choice among values.
#[derive(Debug, Clone)]
pub struct Mix<T> {
    choices: Vec<(u64, T)>,
    total: u64,
}

impl<T> Mix<T> {
    /// A choice among `weighted`, by weight; `None` when no weight is above zero.
    pub fn new(weighted: impl IntoIterator<Item = (u32, T)>) -> Option<Self> {
        let choices: Vec<(u64, T)> = weighted
            .into_iter()
            .filter(|(weight, _)| *weight > 0)
            .map(|(weight, value)| (u64::from(weight), value))
            .collect();
        let total = choices.iter().map(|(weight, _)| weight).sum();
        (total > 0).then_some(Self { choices, total })
    }

    /// Chooses one.
    pub fn choose(&self, prng: &mut Prng) -> &T {
        let mut rest = prng.below(self.total);
        for (weight, value) in &self.choices {
            match rest.checked_sub(*weight) {
                Some(less) => rest = less,
                None => return value,
            }
        }
        unreachable!("the draw is below the sum of the weights")
    }

    /// Every value that can be chosen.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.choices.iter().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_follow_their_weights() {
        let mix = Mix::new([(1, 'a'), (0, 'b'), (3, 'c')]).unwrap();
        let mut prng = Prng::new(5);
        let drawn: String = (0..4000).map(|_| *mix.choose(&mut prng)).collect();
        let share = |c| drawn.matches(c).count();
        assert_eq!(share('b'), 0);
        assert!((900..1100).contains(&share('a')), "{} of 4000", share('a'));
        assert_eq!(mix.values().count(), 2);
    }

    #[test]
    fn nothing_to_choose_is_no_mix() {
        assert!(Mix::new([(0, 'a')]).is_none());
        assert!(Mix::<char>::new([]).is_none());
    }
}

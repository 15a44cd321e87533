//! Where a walk through compare-and-sets begins, what it may use, and where it ends.

use super::checkpoint::Configuration;
use super::kind::Choice;
use crate::checker::trail::Step;

/// Where a walk may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// As soon as the operation in this slot is placed.
    Until(usize),
    /// There, or anywhere behind.
    Through(usize),
    /// Anywhere before it is placed.
    Without(usize),
}

/// A place in a walk.
#[derive(Clone, Copy)]
pub(super) struct Place<const W: usize> {
    pub(super) configuration: Configuration<W>,
    /// The value here. Differs from the configuration's in a walk before the last blind write.
    pub(super) value: u32,
    /// Something that returns was placed by the last step.
    pub(super) gained: bool,
}

impl<const W: usize> Place<W> {
    pub(super) fn start(configuration: Configuration<W>, value: u32) -> Self {
        Self {
            configuration,
            value,
            gained: false,
        }
    }
}

/// Lists to use again.
#[derive(Default)]
pub(super) struct Spare<const W: usize> {
    pub(super) places: Vec<Vec<Place<W>>>,
    pub(super) swaps: Vec<Choice>,
    pub(super) writes: Vec<Choice>,
    pub(super) values: Vec<u32>,
}

impl<const W: usize> Spare<W> {
    /// An empty list.
    pub(super) fn places(&mut self) -> Vec<Place<W>> {
        self.places.pop().unwrap_or_default()
    }

    /// Keeps a list that is not needed any more.
    pub(super) fn keep(&mut self, mut places: Vec<Place<W>>) {
        places.clear();
        self.places.push(places);
    }
}

/// Which operations a walk may use, and what it is in a witness.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub(super) goal: Goal,
    /// Operations called before this.
    pub(super) time: u32,
    /// How its steps are noted.
    pub(super) step: Step,
}

impl Rules {
    /// On from the last explicit write, until the operation in `slot` is placed.
    pub(super) fn until(slot: usize, now: u32) -> Self {
        Self {
            goal: Goal::Until(slot),
            time: now,
            step: Step::Swap,
        }
    }
}

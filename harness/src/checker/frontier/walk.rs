//! Walks over open compare-and-sets: from one value to the next, as far as the operation that returns
//! needs it.
//!
//! A walk never visits the same value with the same operations placed and not fewer of unknown outcome
//! spent: what was gained on the way round would be nothing. A narrow effort takes the first way to a
//! value with the same operations placed, whatever it spent.

use super::pending::{Choice, Kind};
use super::{Configuration, Frontier};
use crate::checker::budget::Limit;
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
    places: Vec<Vec<Place<W>>>,
    swaps: Vec<Choice>,
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

impl<const W: usize> Frontier<'_, W> {
    /// Walks from `start`; the places where the goal lets a walk end go to `out`.
    pub(super) fn walk(
        &mut self,
        start: Place<W>,
        rules: Rules,
        out: &mut Vec<Place<W>>,
    ) -> Result<(), Limit> {
        let mut visited = self.spare.places();
        let mut swaps = std::mem::take(&mut self.spare.swaps);
        visited.push(start);
        let mut at = 0;
        while at < visited.len() {
            let place = visited[at];
            at += 1;
            if self.arrive(place, at == 1, rules.goal, out) {
                if self.is_lean() {
                    self.truncated = true;
                    break;
                }
                continue;
            }
            let spent = (&self.spent, place.configuration.spent);
            let placed = &place.configuration.placed;
            self.pending
                .swaps(place.value, rules.time, placed, spent, &mut swaps);
            for choice in &swaps {
                if self.meter.step()? {
                    self.account()?;
                }
                let next = self.swap(place, *choice, rules);
                if !self.is_known(&visited, &next) {
                    visited.push(next);
                }
            }
        }
        self.spare.swaps = swaps;
        self.spare.keep(visited);
        Ok(())
    }

    /// Notes a place where a walk may end; true when it may not go on.
    fn arrive(&self, place: Place<W>, is_first: bool, goal: Goal, out: &mut Vec<Place<W>>) -> bool {
        let has = |slot| place.configuration.placed.has(slot);
        match goal {
            Goal::Until(slot) if has(slot) => {
                out.push(place);
                true
            }
            Goal::Until(_) => false,
            Goal::Through(slot) => {
                if has(slot) && (is_first || place.gained) {
                    out.push(place);
                }
                false
            }
            Goal::Without(slot) if has(slot) => true,
            Goal::Without(_) => {
                if is_first || place.gained {
                    out.push(place);
                }
                false
            }
        }
    }

    fn swap(&mut self, mut place: Place<W>, choice: Choice, rules: Rules) -> Place<W> {
        let configuration = &mut place.configuration;
        self.use_up(configuration, choice);
        configuration.trail = self.trail.push(configuration.trail, choice.call, rules.step);
        let before = configuration.placed;
        let reads = match rules.step {
            Step::Before => Step::Before,
            Step::Read | Step::Change | Step::Swap => Step::Read,
        };
        self.take_reads(configuration, choice.value(), rules.time, reads);
        place.value = choice.value();
        place.gained = choice.slot.is_some() || before != configuration.placed;
        place
    }

    /// True when a place as good as `next` was visited.
    fn is_known(&mut self, visited: &[Place<W>], next: &Place<W>) -> bool {
        let mut same = visited.iter().filter(|other| {
            other.value == next.value && other.configuration.placed == next.configuration.placed
        });
        if same.clone().next().is_none() {
            return false;
        }
        let spent = next.configuration.spent;
        let covered = same.any(|other| self.spent.is_at_most(other.configuration.spent, spent));
        if !covered && self.effort.is_bounded() {
            self.truncated = true;
            return true;
        }
        covered
    }

    /// Places a choice.
    pub(super) fn use_up(&mut self, configuration: &mut Configuration<W>, choice: Choice) {
        match choice.slot {
            Some(slot) => configuration.placed.set(slot),
            None if self.effort.unlimited => {}
            None => {
                let number = self.pending.number(choice.kind);
                configuration.spent = self.spent.spend(configuration.spent, number);
            }
        }
    }

    /// Places the open reads that fit `value` and were called before `time`.
    pub(super) fn take_reads(
        &mut self,
        configuration: &mut Configuration<W>,
        value: u32,
        time: u32,
        step: Step,
    ) {
        let fitting = self.pending.reads_at(value).without(&configuration.placed);
        for slot in fitting.iter() {
            if self.pending.call_in(slot).call < time {
                configuration.placed.set(slot);
                let call = self.pending.in_slot(slot).call;
                configuration.trail = self.trail.push(configuration.trail, call, step);
            }
        }
    }

    /// Values whose writes may lead to the operation that returns.
    pub(super) fn sources(&self, configuration: &Configuration<W>, kind: Kind, values: &mut Vec<u32>) {
        values.clear();
        match kind {
            Kind::Read(value) | Kind::Cas(value, _) => values.push(value),
            Kind::Differs(_) => self.pending.written(&configuration.placed, values),
            Kind::Write(_) => return,
        }
        self.pending.sources(&configuration.placed, values);
        values.sort_unstable();
        values.dedup();
    }
}

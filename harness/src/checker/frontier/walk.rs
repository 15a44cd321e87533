//! Walks over open compare-and-sets: from one value to the next, as far as the operation that returns
//! needs it.
//!
//! A walk never visits the same value with the same operations placed and not fewer of unknown outcome
//! spent: what was gained on the way round would be nothing. A narrow effort takes the first way to a
//! value with the same operations placed, whatever it spent.

use super::checkpoint::Configuration;
use super::engine::Frontier;
use super::kind::{Choice, Kind};
use super::place::{Goal, Place, Rules};
use crate::checker::trail::Step;
use crate::recording::budget::Limit;

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
                let number = self.pending.unreturned().number(choice.kind);
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

//! Which configurations another one makes superfluous, and which are given up when there are too many.

use super::checkpoint::Configuration;
use super::engine::Frontier;
use super::kind::{Choice, Kind};
use crate::recording::budget::Limit;

impl<const W: usize> Frontier<'_, W> {
    /// Drops configurations another one makes superfluous.
    pub(super) fn reduce(&mut self) -> Result<(), Limit> {
        self.frontier
            .sort_unstable_by_key(|one| (one.value, std::cmp::Reverse(one.explicit), one.placed, one.spent));
        let mut kept: Vec<Configuration<W>> = std::mem::take(&mut self.next);
        let mut group = 0;
        for at in 0..self.frontier.len() {
            let one = self.frontier[at];
            if kept.last().is_none_or(|last| last.value != one.value) {
                group = kept.len();
            }
            let rivals = &kept[group..];
            let rivals = &rivals[rivals.len().saturating_sub(RIVALS_MAX)..];
            if self.meter.step()? {
                self.account()?;
            }
            if !rivals.iter().any(|rival| self.covers(rival, &one)) {
                kept.push(one);
            }
        }
        std::mem::swap(&mut self.frontier, &mut kept);
        kept.clear();
        self.next = kept;
        if self.frontier.len() > self.effort.width {
            self.truncate();
        }
        Ok(())
    }

    /// True when `wide`, of the same value and not less hiding time, can do all that `narrow` can: it
    /// has placed nothing more, except reads, and what it has not placed costs it nothing.
    fn covers(&self, wide: &Configuration<W>, narrow: &Configuration<W>) -> bool {
        let reads = self.pending.reads();
        if !wide.placed.without(reads).is_subset(&narrow.placed) {
            return false;
        }
        let thrifty = if self.effort.is_bounded() {
            self.spent.total(wide.spent) <= self.spent.total(narrow.spent)
        } else {
            self.spent.is_at_most(wide.spent, narrow.spent)
        };
        let missing = narrow.placed.without(&wide.placed);
        thrifty && missing.iter().all(|slot| self.is_free(slot, wide.explicit))
    }

    /// True when hiding an operation loses nothing: where its value is wanted, an unlimited write can be
    /// used instead.
    pub(super) fn is_for_nothing(&self, returning: Choice, slot: usize, time: u32) -> bool {
        let is_replaceable = match returning.kind {
            Kind::Read(_) => true,
            Kind::Write(value) | Kind::Cas(_, value) => self.is_unlimited(value, time),
            Kind::Differs(_) => false,
        };
        is_replaceable && self.effort.unlimited && self.is_free(slot, time)
    }

    /// True when an operation can be hidden before `time` without using up anything.
    fn is_free(&self, slot: usize, time: u32) -> bool {
        if self.pending.call_in(slot).call >= time {
            return false;
        }
        match self.pending.in_slot(slot).kind {
            Kind::Write(_) => true,
            // A write of unknown outcome brings the value, as often as wanted.
            Kind::Read(value) | Kind::Cas(value, _) => self.is_unlimited(value, time),
            Kind::Differs(_) => false,
        }
    }

    /// True when writes of `value` can be hidden before `time` without end.
    fn is_unlimited(&self, value: u32, time: u32) -> bool {
        let first = || self.pending.unreturned().first_write(value);
        self.effort.unlimited && first().is_some_and(|call| call < time)
    }

    /// Keeps the most promising configurations of each value: those that have used the fewest operations
    /// of unknown outcome, then those with the fewest obligations.
    fn truncate(&mut self) {
        let values = self
            .frontier
            .chunk_by(|one, other| one.value == other.value)
            .count();
        let each = (self.effort.width / values).max(1);
        let mut frontier = std::mem::take(&mut self.frontier);
        if each == 1 {
            self.keep_best(&mut frontier);
        } else {
            frontier.sort_by_cached_key(|one| (one.value, self.promise(one)));
            let mut kept = 0;
            let mut value = u32::MAX;
            frontier.retain(|one| {
                kept = if one.value == value { kept + 1 } else { 1 };
                value = one.value;
                kept <= each
            });
        }
        self.frontier = frontier;
        self.truncated = true;
    }

    /// Keeps one of each value.
    fn keep_best(&self, frontier: &mut Vec<Configuration<W>>) {
        frontier.dedup_by(|one, kept| {
            let is_same = one.value == kept.value;
            if is_same && self.promise(one) < self.promise(kept) {
                *kept = *one;
            }
            is_same
        });
    }

    /// The less, the better.
    fn promise(&self, one: &Configuration<W>) -> (u32, u32) {
        (self.spent.total(one.spent), self.obligations(one))
    }

    /// Open reads and compare-and-sets that it has yet to place.
    fn obligations(&self, one: &Configuration<W>) -> u32 {
        let mut open = *self.pending.reads();
        open.add(self.pending.cas());
        open.without(&one.placed).count()
    }
}

/// With how many configurations each one is compared, so that reducing stays linear.
const RIVALS_MAX: usize = 64;

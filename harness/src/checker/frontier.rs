//! Registers, values repeated: the lazy frontier. Exact.
//!
//! A configuration is the current value, which open operations have been placed, and the time T of the
//! last *explicit* write. Nothing is placed before it must be: only when an operation returns unplaced
//! is it placed, with what it needs, in one of two ways.
//! - *Now*: an open write becomes the explicit one, or none does, and open compare-and-sets lead from
//!   its value to the operation. Before that write, compare-and-sets may have used the value that it
//!   overwrites: those are chosen here, because later that value is gone.
//! - *Hidden*, just before the last explicit write, which overwrites it at once: a write called before
//!   T, compare-and-sets that lead on from its value, and all reads that fit on the way. Such a group
//!   depends on nothing before it, so it can wait until one of its operations returns.
//!
//! A read is placed as soon as its value is current. An explicit write is placed at the latest possible
//! time, since a larger T hides more. Of equal operations the one that returns first is used first; those
//! that never return are only counted, so they cost nothing once no configuration needs them. Of two
//! configurations one is dropped when the other can do all that it can. Where no operation is open,
//! what remains is the set of values that are possible: the history is divided there by itself.
//! Cost: per event, the number of configurations, which grows with the compare-and-sets that succeed
//! at the same time but not with the writes and reads; memory does not depend on the length.

use super::bits::{Bits, open_max};
use super::budget::{Budget, Limit, Meter};
use super::datum::Datum;
use super::register::RegisterOp;
use super::trail::{Step, Trail};
use super::verdict::{Exhausted, STUCK_STATES_MAX, Stuck, Verdict};
use crate::model::Call;

mod effort;
mod pending;
mod spent;
mod walk;

use effort::{Effort, Outcome};
use pending::{Choice, Kind, Pending, Values};
use spent::{Spent, SpentId};
use walk::{Goal, Place, Rules};

/// Decides `calls`, in order of invocation, all of one register.
pub fn check(initial: Datum, calls: &[Call<RegisterOp>], budget: &Budget) -> Verdict {
    let mut meter = budget.meter();
    // The list of intervals, and while it is sorted the list of returns.
    if let Err(limit) = meter.hold(calls.len() * 20) {
        return unknown(limit, 0, calls);
    }
    let returning: Vec<Call<()>> = calls
        .iter()
        .filter(|call| !call.is_open())
        .map(|call| Call {
            id: 0,
            call: call.call,
            ret: call.ret,
            op: (),
        })
        .collect();
    let open = open_max(&returning);
    drop(returning);
    drop(meter);
    match open {
        0..=64 => effort::raise::<1>(initial, calls, budget),
        65..=128 => effort::raise::<2>(initial, calls, budget),
        129..=512 => effort::raise::<8>(initial, calls, budget),
        513..=4096 => effort::raise::<64>(initial, calls, budget),
        _ => unknown(Limit::Memory, 0, calls),
    }
}

fn unknown(limit: Limit, decided: u32, calls: &[Call<RegisterOp>]) -> Verdict {
    let total = calls.iter().filter(|call| !call.is_open()).count() as u32;
    Verdict::Unknown(Exhausted {
        limit,
        decided,
        total,
    })
}

/// One way the operations so far can have gone.
#[derive(Clone, Copy)]
struct Configuration<const W: usize> {
    value: u32,
    /// Time of the last explicit write, plus one; 0 before any.
    explicit: u32,
    /// How many operations of unknown outcome it has used, by kind.
    spent: SpentId,
    trail: u32,
    /// Open operations that have been placed.
    placed: Bits<W>,
}

struct Frontier<'a, const W: usize> {
    calls: &'a [Call<RegisterOp>],
    meter: Meter,
    values: Values,
    pending: Pending<'a, W>,
    spent: Spent,
    trail: Trail,
    frontier: Vec<Configuration<W>>,
    next: Vec<Configuration<W>>,
    decided: u32,
    effort: Effort,
    /// Configurations were given up.
    truncated: bool,
}

impl<'a, const W: usize> Frontier<'a, W> {
    fn new(initial: Datum, calls: &'a [Call<RegisterOp>], budget: &'a Budget, effort: Effort) -> Self {
        let values = Values::new(initial, calls);
        let has_differs = calls.iter().any(|call| matches!(call.op, RegisterOp::Differs(_)));
        let start = Configuration {
            value: 0,
            explicit: 0,
            spent: Spent::NOTHING,
            trail: Trail::EMPTY,
            placed: Bits::EMPTY,
        };
        Self {
            calls,
            meter: budget.meter(),
            pending: Pending::new(calls, values.len(), has_differs),
            values,
            spent: Spent::default(),
            trail: Trail::default(),
            frontier: vec![start],
            next: Vec::new(),
            decided: 0,
            effort,
            truncated: false,
        }
    }

    fn run(mut self) -> Outcome {
        match self.events() {
            Ok(None) => Outcome::Order(self.witness()),
            Ok(Some(_)) if self.truncated => Outcome::GaveUp,
            Ok(Some(stuck)) => Outcome::Stuck(stuck),
            Err(limit) => Outcome::Limit(limit, self.decided),
        }
    }

    fn events(&mut self) -> Result<Option<Stuck>, Limit> {
        self.account()?;
        let mut returns: Vec<(u32, u32)> = (0..)
            .zip(self.calls)
            .filter(|(_, call)| !call.is_open())
            .map(|(i, call)| (call.ret, i))
            .collect();
        returns.sort_unstable();
        let mut next_call = 0;
        for (ret, i) in returns {
            while self.calls.get(next_call).is_some_and(|call| call.call < ret) {
                self.invoke(next_call as u32);
                next_call += 1;
            }
            if let Some(stuck) = self.complete(i)? {
                return Ok(Some(stuck));
            }
            self.decided += 1;
        }
        Ok(None)
    }

    fn invoke(&mut self, i: u32) {
        let kind = self.values.kind(self.calls[i as usize].op);
        let Some(slot) = self.pending.open(i, kind) else {
            return;
        };
        let fits = |value: u32| match kind {
            Kind::Read(seen) => seen == value,
            Kind::Differs(not) => not != value,
            Kind::Write(_) | Kind::Cas(..) => false,
        };
        for configuration in self.frontier.iter_mut().filter(|one| fits(one.value)) {
            configuration.placed.set(slot);
            configuration.trail = self.trail.push(configuration.trail, i, Step::Read);
        }
    }

    fn complete(&mut self, i: u32) -> Result<Option<Stuck>, Limit> {
        let slot = self.pending.slot_of(i);
        let returning = self.pending.in_slot(slot);
        let frontier = std::mem::take(&mut self.frontier);
        let before = frontier.len();
        // A bounded effort uses operations of unknown outcome only when nothing else helps.
        self.pending.offers_unknown = !self.effort.is_bounded();
        let mut branched = self.place(&frontier, returning, slot)?;
        if self.next.is_empty() && self.effort.is_bounded() {
            self.pending.offers_unknown = true;
            branched = self.place(&frontier, returning, slot)?;
        }
        // Other ways, and those that spent other operations but not fewer, are given up.
        self.truncated |= branched && self.effort.is_bounded() && self.pending.has_unknown();
        if self.next.is_empty() {
            return Ok(Some(self.stuck(i, &frontier)));
        }
        self.pending.close(i, slot);
        for configuration in &mut self.next {
            configuration.placed.clear(slot);
        }
        self.frontier = frontier;
        std::mem::swap(&mut self.frontier, &mut self.next);
        self.next.clear();
        if branched || before > 1 {
            self.reduce()?;
        }
        self.trail
            .collect(self.frontier.iter_mut().map(|one| &mut one.trail));
        self.spent
            .collect(self.frontier.iter_mut().map(|one| &mut one.spent));
        Ok(None)
    }

    /// What each configuration becomes when the operation in `slot` returns; true when one had to place it.
    fn place(
        &mut self,
        frontier: &[Configuration<W>],
        returning: Choice,
        slot: usize,
    ) -> Result<bool, Limit> {
        let mut branched = false;
        for configuration in frontier {
            if self.meter.step()? {
                self.account()?;
            }
            if configuration.placed.has(slot) {
                self.next.push(*configuration);
            } else if self.is_for_nothing(returning, slot, configuration.explicit) {
                let mut configuration = *configuration;
                configuration.placed.set(slot);
                self.next.push(configuration);
            } else {
                branched = true;
                self.place_hidden(configuration, returning, slot)?;
                self.place_now(configuration, returning, slot)?;
            }
        }
        Ok(branched)
    }

    /// The operation in `slot` goes, with what it needs, just before the last explicit write.
    fn place_hidden(
        &mut self,
        configuration: &Configuration<W>,
        returning: Choice,
        slot: usize,
    ) -> Result<(), Limit> {
        let time = configuration.explicit;
        if self.pending.call_in(slot).call >= time {
            return Ok(());
        }
        let rules = Rules {
            goal: Goal::Through(slot),
            time,
            step: Step::Before,
        };
        for write in self.writes(configuration, returning, time) {
            let mut configuration = *configuration;
            self.use_up(&mut configuration, write);
            configuration.trail = self.trail.push(configuration.trail, write.call, Step::Before);
            self.take_reads(&mut configuration, write.value(), time, Step::Before);
            self.walk_on(configuration, write.value(), rules, |_, _| {})?;
        }
        Ok(())
    }

    /// The operation in `slot` becomes the last one.
    fn place_now(
        &mut self,
        configuration: &Configuration<W>,
        returning: Choice,
        slot: usize,
    ) -> Result<(), Limit> {
        let now = self.pending.call_in(slot).ret;
        let until = Rules {
            goal: Goal::Until(slot),
            time: now,
            step: Step::Swap,
        };
        let set = |one: &mut Configuration<W>, value| one.value = value;
        if !matches!(returning.kind, Kind::Write(_)) {
            self.walk_on(*configuration, configuration.value, until, set)?;
        }
        let writes = self.writes(configuration, returning, now);
        if writes.is_empty() {
            return Ok(());
        }
        let mut farewells = Vec::new();
        let without = Rules {
            goal: Goal::Without(slot),
            ..until
        };
        self.walk(
            Place::start(*configuration, configuration.value),
            without,
            &mut farewells,
        )?;
        for Place { configuration, .. } in farewells {
            for write in &writes {
                let mut configuration = configuration;
                self.use_up(&mut configuration, *write);
                configuration.value = write.value();
                configuration.explicit = now.saturating_add(1);
                configuration.trail = self.trail.push(configuration.trail, write.call, Step::Change);
                self.take_reads(&mut configuration, write.value(), now, Step::Read);
                self.walk_on(configuration, write.value(), until, set)?;
            }
        }
        Ok(())
    }

    /// The writes called before `time` from which a walk to `returning` may begin: itself, if it is one.
    fn writes(&self, configuration: &Configuration<W>, returning: Choice, time: u32) -> Vec<Choice> {
        if matches!(returning.kind, Kind::Write(_)) {
            return vec![returning];
        }
        let spent = (&self.spent, configuration.spent);
        self.sources(configuration, returning.kind)
            .into_iter()
            .filter_map(|value| self.pending.write(value, time, &configuration.placed, spent))
            .collect()
    }

    /// Walks from `value` and keeps where it ends, after `finish` was told the value there.
    fn walk_on(
        &mut self,
        configuration: Configuration<W>,
        value: u32,
        rules: Rules,
        finish: impl Fn(&mut Configuration<W>, u32),
    ) -> Result<(), Limit> {
        let mut ends = Vec::new();
        self.walk(Place::start(configuration, value), rules, &mut ends)?;
        for Place {
            mut configuration,
            value,
            ..
        } in ends
        {
            finish(&mut configuration, value);
            self.next.push(configuration);
        }
        Ok(())
    }

    /// Drops configurations another one makes superfluous.
    fn reduce(&mut self) -> Result<(), Limit> {
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
    fn is_for_nothing(&self, returning: Choice, slot: usize, time: u32) -> bool {
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
        let first = || self.pending.first_unknown_write(value);
        self.effort.unlimited && first().is_some_and(|call| call < time)
    }

    /// Keeps the most promising configurations of each value: those that have used the fewest operations
    /// of unknown outcome, then those with the fewest obligations.
    fn truncate(&mut self) {
        let mut values: Vec<u32> = self.frontier.iter().map(|one| one.value).collect();
        values.dedup();
        let each = (self.effort.width / values.len()).max(1);
        let mut frontier = std::mem::take(&mut self.frontier);
        frontier.sort_by_cached_key(|one| (one.value, self.spent.total(one.spent), self.obligations(one)));
        let mut kept = 0;
        let mut value = u32::MAX;
        frontier.retain(|one| {
            kept = if one.value == value { kept + 1 } else { 1 };
            value = one.value;
            kept <= each
        });
        self.frontier = frontier;
        self.truncated = true;
    }

    /// Open reads and compare-and-sets that it has yet to place.
    fn obligations(&self, one: &Configuration<W>) -> u32 {
        let mut open = *self.pending.reads();
        open.add(self.pending.cas());
        open.without(&one.placed).count()
    }

    fn account(&mut self) -> Result<(), Limit> {
        let configurations =
            (self.frontier.capacity() + self.next.capacity()) * size_of::<Configuration<W>>();
        let fixed = self.calls.len() * 8 + self.values.bytes() + self.pending.bytes();
        self.meter
            .hold(fixed + 2 * configurations + self.trail.bytes() + self.spent.bytes())
    }

    fn stuck(&self, i: u32, frontier: &[Configuration<W>]) -> Stuck {
        let id = |call: u32| self.calls[call as usize].id;
        let mut values: Vec<(u32, u32)> = frontier.iter().map(|one| (one.value, one.trail)).collect();
        values.sort_unstable();
        values.dedup_by_key(|(value, _)| *value);
        let mut after: Vec<Option<u32>> = values
            .iter()
            .map(|(_, trail)| self.trail.last_change(*trail).map(id))
            .collect();
        after.sort_unstable();
        after.reverse();
        after.truncate(STUCK_STATES_MAX);
        Stuck {
            op: id(i),
            after,
            states: values.len() as u32,
        }
    }

    fn witness(&self) -> Vec<u32> {
        let last = self
            .frontier
            .first()
            .expect("a frontier that is not stuck has a configuration")
            .trail;
        let mut order = Vec::new();
        let (mut before, mut since) = (Vec::new(), Vec::new());
        for (call, step) in self.trail.back(last) {
            let id = self.calls[call as usize].id;
            match step {
                Step::Before => before.push(id),
                Step::Read | Step::Swap => since.push(id),
                Step::Change => {
                    order.append(&mut before);
                    order.append(&mut since);
                    since.push(id);
                }
            }
        }
        order.append(&mut before);
        order.append(&mut since);
        order
    }
}

/// With how many configurations each one is compared, so that reducing stays linear.
const RIVALS_MAX: usize = 64;

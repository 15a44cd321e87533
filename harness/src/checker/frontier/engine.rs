//! The frontier itself: every way the operations so far can have gone, moved on event by event.
//!
//! Invariant: a configuration is dropped only when another one can do all that it can, or `truncated` says so.

use super::checkpoint::{Checkpoint, Configuration};
use super::effort::{Effort, StageEnd, WIDTH};
use super::kind::{Choice, Kind, Values};
use super::pending::Pending;
use super::place::{Goal, Place, Rules, Spare};
use super::spent::Spent;
use super::task::Task;
use crate::checker::bits::Bits;
use crate::checker::register::RegisterOp;
use crate::checker::trail::{Step, Trail};
use crate::checker::violation::Stuck;
use crate::recording::budget::{Budget, Limit, Meter};

/// How many returns and calls have been dealt with.
#[derive(Clone, Copy, Default)]
pub(super) struct Dealt {
    pub(super) returned: usize,
    pub(super) called: usize,
}

pub(super) struct Frontier<'a, const W: usize> {
    pub(super) task: &'a Task<'a>,
    pub(super) meter: Meter,
    values: Values,
    pub(super) pending: Pending<'a, W>,
    pub(super) spent: Spent,
    pub(super) trail: Trail,
    pub(super) frontier: Vec<Configuration<W>>,
    pub(super) next: Vec<Configuration<W>>,
    pub(super) at: Dealt,
    pub(super) effort: Effort,
    /// Configurations were given up.
    pub(super) truncated: bool,
    /// Places to go back to, oldest first.
    pub(super) checkpoints: Vec<Checkpoint<W>>,
    pub(super) spare: Spare<W>,
}

impl<'a, const W: usize> Frontier<'a, W> {
    pub(super) fn new(task: &'a Task<'a>, budget: &Budget, effort: Effort) -> Self {
        let values = Values::new(task.initial, task.calls);
        let has_differs = task
            .calls
            .iter()
            .any(|call| matches!(call.op, RegisterOp::Differs(_)));
        let starts = match task.initial {
            Some(_) => 0..1,
            None => 0..values.len() as u32,
        };
        let start = |value| Configuration {
            value,
            explicit: 0,
            spent: Spent::NOTHING,
            trail: Trail::EMPTY,
            placed: Bits::EMPTY,
        };
        Self {
            task,
            meter: budget.meter(),
            pending: Pending::new(task.calls, values.len(), has_differs),
            values,
            spent: Spent::default(),
            trail: Trail::default(),
            frontier: starts.map(start).collect(),
            next: Vec::new(),
            at: Dealt::default(),
            effort,
            truncated: false,
            checkpoints: Vec::new(),
            spare: Spare::default(),
        }
    }

    pub(super) fn run(mut self) -> StageEnd {
        match self.events() {
            Ok(None) => StageEnd::Order(self.witness()),
            Ok(Some(_)) if self.truncated => StageEnd::GaveUp,
            Ok(Some(stuck)) => StageEnd::Stuck(stuck),
            Err(limit) => StageEnd::Limit(limit, self.at.returned as u32),
        }
    }

    pub(super) fn events(&mut self) -> Result<Option<Stuck>, Limit> {
        self.account()?;
        while self.at.returned < self.task.returns.len() {
            if let Some(stuck) = self.advance()? {
                return Ok(Some(stuck));
            }
        }
        Ok(None)
    }

    /// Goes on to the next return and past it.
    pub(super) fn advance(&mut self) -> Result<Option<Stuck>, Limit> {
        let (ret, i) = self.task.returns[self.at.returned];
        while let Some(call) = self.task.calls.get(self.at.called).filter(|call| call.call < ret) {
            self.invoke(self.at.called as u32, call.op);
            self.at.called += 1;
        }
        let stuck = self.complete(i)?;
        self.at.returned += usize::from(stuck.is_none());
        Ok(stuck)
    }

    pub(super) fn invoke(&mut self, i: u32, op: RegisterOp) {
        let kind = self.values.kind(op);
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

    pub(super) fn complete(&mut self, i: u32) -> Result<Option<Stuck>, Limit> {
        let slot = self.pending.slot_of(i);
        let returning = self.pending.in_slot(slot);
        let frontier = std::mem::take(&mut self.frontier);
        // A bounded effort uses operations of unknown outcome only when nothing else helps.
        self.pending.offers_unknown = !self.effort.is_bounded();
        let mut branched = self.place(&frontier, returning, slot)?;
        if self.next.is_empty() && self.effort.is_bounded() {
            self.pending.offers_unknown = true;
            branched = self.place(&frontier, returning, slot)?;
        }
        // Other ways, and those that spent other operations but not fewer, are given up.
        self.truncated |= branched && self.effort.is_bounded() && self.pending.unreturned().has_kinds();
        if self.next.is_empty() {
            let stuck = self.stuck(i, &frontier);
            self.frontier = frontier;
            return Ok(Some(stuck));
        }
        self.pending.close(slot);
        for configuration in &mut self.next {
            configuration.placed.clear(slot);
        }
        self.frontier = frontier;
        std::mem::swap(&mut self.frontier, &mut self.next);
        self.next.clear();
        if branched || self.frontier.len() > self.effort.width {
            self.reduce()?;
        }
        self.collect();
        Ok(None)
    }

    /// Forgets what no configuration leads to, nor one of a checkpoint.
    pub(super) fn collect(&mut self) {
        if !self.trail.wants_collection() && !self.spent.wants_collection() {
            return;
        }
        let kept = self.checkpoints.iter_mut().flat_map(|one| &mut one.frontier);
        let (trails, spent): (Vec<_>, Vec<_>) = kept
            .chain(&mut self.frontier)
            .map(|one| (&mut one.trail, &mut one.spent))
            .unzip();
        self.trail.collect(trails.into_iter());
        self.spent.collect(spent.into_iter());
    }

    /// True while the first way that is found is taken.
    pub(super) fn is_lean(&self) -> bool {
        self.effort.width == WIDTH
    }

    /// What each configuration becomes when the operation in `slot` returns; true when one had to place it.
    pub(super) fn place(
        &mut self,
        frontier: &[Configuration<W>],
        returning: Choice,
        slot: usize,
    ) -> Result<bool, Limit> {
        let mut branched = false;
        let lean = self.is_lean() && frontier.iter().any(|one| one.placed.has(slot));
        for configuration in frontier {
            if lean && !configuration.placed.has(slot) {
                self.truncated = true;
                continue;
            }
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
    pub(super) fn place_hidden(
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
        let mut writes = std::mem::take(&mut self.spare.writes);
        self.writes(configuration, returning, time, &mut writes);
        for write in &writes {
            let mut configuration = *configuration;
            self.use_up(&mut configuration, *write);
            configuration.trail = self.trail.push(configuration.trail, write.call, Step::Before);
            self.take_reads(&mut configuration, write.value(), time, Step::Before);
            self.walk_on(configuration, write.value(), rules, |_, _| {})?;
        }
        self.spare.writes = writes;
        Ok(())
    }

    /// The operation in `slot` becomes the last one.
    pub(super) fn place_now(
        &mut self,
        configuration: &Configuration<W>,
        returning: Choice,
        slot: usize,
    ) -> Result<(), Limit> {
        let now = self.pending.call_in(slot).ret;
        let until = Rules::until(slot, now);
        if !matches!(returning.kind, Kind::Write(_)) {
            self.walk_on(*configuration, configuration.value, until, set_value)?;
        }
        let mut writes = std::mem::take(&mut self.spare.writes);
        self.writes(configuration, returning, now, &mut writes);
        if !writes.is_empty() {
            self.overwrite(configuration, &writes, slot)?;
        }
        self.spare.writes = writes;
        Ok(())
    }

    /// One of `writes` becomes the explicit one, once what the value before it allows was taken.
    pub(super) fn overwrite(
        &mut self,
        configuration: &Configuration<W>,
        writes: &[Choice],
        slot: usize,
    ) -> Result<(), Limit> {
        let now = self.pending.call_in(slot).ret;
        let until = Rules::until(slot, now);
        let mut farewells = self.spare.places();
        let without = Rules {
            goal: Goal::Without(slot),
            ..until
        };
        self.walk(
            Place::start(*configuration, configuration.value),
            without,
            &mut farewells,
        )?;
        for Place { configuration, .. } in farewells.drain(..) {
            for write in writes {
                let mut configuration = configuration;
                self.use_up(&mut configuration, *write);
                configuration.value = write.value();
                configuration.explicit = now.saturating_add(1);
                configuration.trail = self.trail.push(configuration.trail, write.call, Step::Change);
                self.take_reads(&mut configuration, write.value(), now, Step::Read);
                self.walk_on(configuration, write.value(), until, set_value)?;
            }
        }
        self.spare.keep(farewells);
        Ok(())
    }

    /// The writes called before `time` from which a walk to `returning` may begin: itself, if it is one.
    pub(super) fn writes(
        &mut self,
        configuration: &Configuration<W>,
        returning: Choice,
        time: u32,
        out: &mut Vec<Choice>,
    ) {
        out.clear();
        if matches!(returning.kind, Kind::Write(_)) {
            out.push(returning);
            return;
        }
        let mut sources = std::mem::take(&mut self.spare.values);
        self.sources(configuration, returning.kind, &mut sources);
        let spent = (&self.spent, configuration.spent);
        let write = |value: &u32| self.pending.write(*value, time, &configuration.placed, spent);
        out.extend(sources.iter().filter_map(write));
        self.spare.values = sources;
    }

    /// Walks from `value` and keeps where it ends, after `finish` got the value there.
    pub(super) fn walk_on(
        &mut self,
        configuration: Configuration<W>,
        value: u32,
        rules: Rules,
        finish: impl Fn(&mut Configuration<W>, u32),
    ) -> Result<(), Limit> {
        let mut ends = self.spare.places();
        self.walk(Place::start(configuration, value), rules, &mut ends)?;
        for Place {
            mut configuration,
            value,
            ..
        } in ends.drain(..)
        {
            finish(&mut configuration, value);
            self.next.push(configuration);
        }
        self.spare.keep(ends);
        Ok(())
    }

    pub(super) fn account(&mut self) -> Result<(), Limit> {
        let configurations =
            (self.frontier.capacity() + self.next.capacity()) * size_of::<Configuration<W>>();
        let checkpoints: usize = self.checkpoints.iter().map(Checkpoint::bytes).sum();
        let fixed = self.values.bytes() + self.pending.bytes() + checkpoints;
        self.meter
            .hold(fixed + 2 * configurations + self.trail.bytes() + self.spent.bytes())
    }
}

fn set_value<const W: usize>(one: &mut Configuration<W>, value: u32) {
    one.value = value;
}

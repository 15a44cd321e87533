//! Registers with reads and blind writes, values repeated: the lazy frontier. Exact.
//!
//! A configuration is the current value, which open operations have been placed, and the time T of the
//! last *explicit* write. Nothing is placed before it must be:
//! - A write that returns and was called before T may be *hidden*: placed just before the explicit
//!   write, which overwrites it at once. Open reads of its value that were called before T may be
//!   placed between the two.
//! - It may also become the explicit write now. So may an open write whose value a returning read needs;
//!   or that write and that read go just before the explicit one, if both were called before T.
//! - A read is placed as soon as its value is current.
//!
//! An explicit write is placed at the latest possible time, since a larger T hides more. Of equal
//! writes the one that returns first is used first; those that never return are only counted. Of two
//! configurations one is dropped when the other can do all that it can.
//! Cost: per event, the number of configurations; memory does not depend on the length of the history.

use super::bits::{Bits, open_max};
use super::budget::{Budget, Limit, Meter};
use super::datum::Datum;
use super::hash::FastMap;
use super::register::RegisterOp;
use super::trail::{Step, Trail};
use super::verdict::{Exhausted, STUCK_STATES_MAX, Stuck, Verdict, Violation};
use crate::model::Call;

mod pending;

use pending::{Pending, Spent, SpentId};

/// Decides `calls`, in order of invocation, all of one register; `None` when there are other operations
/// than reads and writes.
pub fn check(initial: Datum, calls: &[Call<RegisterOp>], budget: &Budget) -> Option<Verdict> {
    let fits = |call: &Call<RegisterOp>| match call.op {
        RegisterOp::Read(_) | RegisterOp::Write(_) => true,
        RegisterOp::Differs(_) | RegisterOp::Cas(..) => false,
    };
    if !calls.iter().all(fits) {
        return None;
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
    Some(match open {
        0..=64 => Frontier::<1>::new(initial, calls, budget).run(),
        65..=128 => Frontier::<2>::new(initial, calls, budget).run(),
        129..=512 => Frontier::<8>::new(initial, calls, budget).run(),
        513..=4096 => Frontier::<64>::new(initial, calls, budget).run(),
        _ => Verdict::Unknown(Exhausted {
            limit: Limit::Memory,
            decided: 0,
            total: calls.len() as u32,
        }),
    })
}

/// One way the operations so far can have gone.
#[derive(Clone, Copy)]
struct Configuration<const W: usize> {
    value: u32,
    /// Time of the last explicit write, plus one; 0 before any.
    explicit: u32,
    /// How many writes of unknown outcome it has used, by value.
    spent: SpentId,
    trail: u32,
    /// Open operations that have been placed.
    placed: Bits<W>,
}

struct Frontier<'a, const W: usize> {
    calls: &'a [Call<RegisterOp>],
    meter: Meter,
    /// Numbers of the values.
    values: FastMap<Datum, u32>,
    pending: Pending<W>,
    spent: Spent,
    trail: Trail,
    frontier: Vec<Configuration<W>>,
    next: Vec<Configuration<W>>,
    decided: u32,
}

impl<'a, const W: usize> Frontier<'a, W> {
    fn new(initial: Datum, calls: &'a [Call<RegisterOp>], budget: &'a Budget) -> Self {
        let mut values = FastMap::default();
        values.insert(initial, 0);
        for call in calls {
            let next = values.len() as u32;
            values.entry(subject(call)).or_insert(next);
        }
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
            pending: Pending::new(values.len()),
            values,
            spent: Spent::default(),
            trail: Trail::default(),
            frontier: vec![start],
            next: Vec::new(),
            decided: 0,
        }
    }

    fn run(mut self) -> Verdict {
        match self.events() {
            Ok(None) => Verdict::Valid(self.witness()),
            Ok(Some(stuck)) => Verdict::Invalid(Violation::Stuck(stuck)),
            Err(limit) => {
                let total = self.calls.iter().filter(|call| !call.is_open()).count() as u32;
                Verdict::Unknown(Exhausted {
                    limit,
                    decided: self.decided,
                    total,
                })
            }
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
        let call = &self.calls[i as usize];
        let value = self.values[&subject(call)];
        match call.op {
            RegisterOp::Read(_) if !call.is_open() => {
                let slot = self.pending.open_read(i, value);
                for configuration in self.frontier.iter_mut().filter(|one| one.value == value) {
                    configuration.placed.set(slot);
                    configuration.trail = self.trail.push(configuration.trail, i, Step::Read);
                }
            }
            RegisterOp::Write(_) => self.pending.open_write(i, value, call),
            RegisterOp::Read(_) | RegisterOp::Differs(_) | RegisterOp::Cas(..) => {}
        }
    }

    fn complete(&mut self, i: u32) -> Result<Option<Stuck>, Limit> {
        let slot = self.pending.slot_of(i);
        let is_read = matches!(self.calls[i as usize].op, RegisterOp::Read(_));
        let frontier = std::mem::take(&mut self.frontier);
        let before = frontier.len();
        let mut branched = false;
        for configuration in &frontier {
            if self.meter.step()? {
                self.account()?;
            }
            if configuration.placed.has(slot) {
                self.next.push(*configuration);
            } else {
                branched = true;
                if is_read {
                    self.complete_read(configuration, i, slot);
                } else {
                    self.complete_write(configuration, i, slot);
                }
            }
        }
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
        Ok(None)
    }

    fn complete_read(&mut self, configuration: &Configuration<W>, i: u32, slot: usize) {
        let call = &self.calls[i as usize];
        let value = self.pending.value_in(slot);
        if let Some(write) = self.choose(configuration, value, call.ret) {
            self.make_explicit(*configuration, write, call.ret);
        }
        if call.call < configuration.explicit
            && let Some(write) = self.choose(configuration, value, configuration.explicit)
        {
            self.hide(*configuration, write);
        }
    }

    fn complete_write(&mut self, configuration: &Configuration<W>, i: u32, slot: usize) {
        let call = &self.calls[i as usize];
        let write = Write {
            call: i,
            slot: Some(slot),
            value: self.pending.value_in(slot),
        };
        if call.call < configuration.explicit {
            self.hide(*configuration, write);
        }
        // An equal value that is current already gains nothing but a later time, which is free to have.
        self.make_explicit(*configuration, write, call.ret);
    }

    /// Of the open writes of `value` called before `time`, the one that returns first.
    fn choose(&self, configuration: &Configuration<W>, value: u32, time: u32) -> Option<Write> {
        let open = self.pending.writes_of(value).without(&configuration.placed);
        let returning = open
            .iter()
            .map(|slot| (self.pending.call_in(slot), slot))
            .filter(|(call, _)| self.calls[*call as usize].call < time)
            .min_by_key(|(call, _)| self.calls[*call as usize].ret);
        match returning {
            Some((call, slot)) => Some(Write {
                call,
                slot: Some(slot),
                value,
            }),
            None => {
                let used = self.spent.count(configuration.spent, value);
                let call = self.pending.unknown(value, used)?;
                (self.calls[call as usize].call < time).then_some(Write {
                    call,
                    slot: None,
                    value,
                })
            }
        }
    }

    /// Places `write` now: its value is current from here on.
    fn make_explicit(&mut self, mut configuration: Configuration<W>, write: Write, now: u32) {
        self.use_up(&mut configuration, write);
        configuration.value = write.value;
        configuration.explicit = now.saturating_add(1);
        configuration.trail = self.trail.push(configuration.trail, write.call, Step::Change);
        self.take_reads(&mut configuration, write.value, u32::MAX, Step::Read);
        self.next.push(configuration);
    }

    /// Places `write` just before the last explicit one.
    fn hide(&mut self, mut configuration: Configuration<W>, write: Write) {
        self.use_up(&mut configuration, write);
        let before = configuration.explicit;
        configuration.trail = self.trail.push(configuration.trail, write.call, Step::Before);
        self.take_reads(&mut configuration, write.value, before, Step::Before);
        self.next.push(configuration);
    }

    fn use_up(&mut self, configuration: &mut Configuration<W>, write: Write) {
        match write.slot {
            Some(slot) => configuration.placed.set(slot),
            None => configuration.spent = self.spent.spend(configuration.spent, write.value),
        }
    }

    /// Places the open reads of `value` that were called before `time`.
    fn take_reads(&mut self, configuration: &mut Configuration<W>, value: u32, time: u32, step: Step) {
        for slot in self.pending.reads_of(value).without(&configuration.placed).iter() {
            let call = self.pending.call_in(slot);
            if self.calls[call as usize].call < time {
                configuration.placed.set(slot);
                configuration.trail = self.trail.push(configuration.trail, call, step);
            }
        }
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
        Ok(())
    }

    /// True when `wide`, of the same value and not less hiding time, can do all that `narrow` can: reads
    /// it has not placed are not placed there either, and writes it has not placed cost it nothing.
    fn covers(&self, wide: &Configuration<W>, narrow: &Configuration<W>) -> bool {
        let reads = self.pending.reads();
        if !narrow.placed.and(reads).is_subset(&wide.placed) {
            return false;
        }
        if !wide.placed.without(reads).is_subset(&narrow.placed) {
            return false;
        }
        let hidden = narrow.placed.without(reads).without(&wide.placed);
        let free = |slot| self.calls[self.pending.call_in(slot) as usize].call < wide.explicit;
        hidden.iter().all(free) && self.spent.is_at_most(wide.spent, narrow.spent)
    }

    fn account(&mut self) -> Result<(), Limit> {
        let configurations =
            (self.frontier.capacity() + self.next.capacity()) * size_of::<Configuration<W>>();
        let fixed = self.calls.len() * 8 + self.values.capacity() * 24 + self.pending.bytes();
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
                Step::Read => since.push(id),
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

/// A write to place; without a slot it never returns.
#[derive(Clone, Copy)]
struct Write {
    call: u32,
    slot: Option<usize>,
    value: u32,
}

/// With how many configurations each one is compared, so that reducing stays linear.
const RIVALS_MAX: usize = 64;

fn subject(call: &Call<RegisterOp>) -> Datum {
    match call.op {
        RegisterOp::Read(value)
        | RegisterOp::Write(value)
        | RegisterOp::Differs(value)
        | RegisterOp::Cas(_, value) => value,
    }
}

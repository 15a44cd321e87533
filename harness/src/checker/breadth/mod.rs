//! Any model, by breadth: the set of all states the system can be in, carried from return to return.
//!
//! At each return the operation must have been placed; only then, and only as far as needed, are
//! other open operations placed before it (just-in-time linearization: Lowe, Testing for
//! linearizability, 2017). Exact. Memory depends on how many operations are open at once, not on the
//! length of the history; time is linear in the length and exponential in the openness, at worst.
//!
//! What keeps the set small: a read that fits is placed at once; of equal open operations the one
//! that returns first is placed first; of two configurations that differ only in operations of
//! unknown outcome, the one that used fewer suffices; one of unknown outcome that all of them have placed is
//! forgotten.

use super::verdict::{Exhausted, Verdict};
use super::violation::{STUCK_STATES_MAX, Stuck, Violation};
use crate::model::{Call, Model};
use crate::recording::budget::{Budget, Limit, Meter};
use crate::recording::hash::{FastMap, FastSet};

mod slots;

use super::bits::{Bits, open_max};
use super::trail::{Step, Trail};
use slots::Slots;

/// Decides `calls`, which must be in order of invocation.
pub fn check<M: Model>(model: &M, calls: &[Call<M::Op>], budget: &Budget) -> Verdict {
    match open_max(calls) {
        0..=64 => Search::<M, 1>::new(model, calls, budget).run(),
        65..=128 => Search::<M, 2>::new(model, calls, budget).run(),
        129..=512 => Search::<M, 8>::new(model, calls, budget).run(),
        513..=4096 => Search::<M, 64>::new(model, calls, budget).run(),
        _ => Verdict::Unknown(Exhausted {
            limit: Limit::Memory,
            decided: 0,
            total: calls.len() as u32,
        }),
    }
}

/// A state, and which of the open operations have been placed in reaching it.
#[derive(Clone, Copy)]
struct Configuration<const W: usize> {
    state: u32,
    trail: u32,
    placed: Bits<W>,
}

struct Search<'a, M: Model, const W: usize> {
    model: &'a M,
    calls: &'a [Call<M::Op>],
    meter: Meter,
    states: Vec<M::State>,
    state_ids: FastMap<M::State, u32>,
    slots: Slots<W>,
    trail: Trail,
    frontier: Vec<Configuration<W>>,
    decided: u32,
}

/// Why the search stops before the end.
enum Stop {
    Limit(Limit),
    Stuck(Stuck),
}

impl From<Limit> for Stop {
    fn from(limit: Limit) -> Self {
        Self::Limit(limit)
    }
}

impl<'a, M: Model, const W: usize> Search<'a, M, W> {
    fn new(model: &'a M, calls: &'a [Call<M::Op>], budget: &'a Budget) -> Self {
        let initial = model.init();
        let mut state_ids = FastMap::default();
        state_ids.insert(initial.clone(), 0);
        let start = Configuration {
            state: 0,
            trail: Trail::EMPTY,
            placed: Bits::EMPTY,
        };
        Self {
            model,
            calls,
            meter: budget.meter(),
            states: vec![initial],
            state_ids,
            slots: Slots::default(),
            trail: Trail::default(),
            frontier: vec![start],
            decided: 0,
        }
    }

    fn run(mut self) -> Verdict {
        let outcome = self.events().and_then(|()| Ok(self.meter.step()?));
        match outcome {
            Ok(_) => Verdict::Valid(self.witness()),
            Err(Stop::Stuck(stuck)) => Verdict::Invalid(Violation::Stuck(stuck)),
            Err(Stop::Limit(limit)) => {
                let total = self.calls.iter().filter(|call| !call.is_open()).count() as u32;
                Verdict::Unknown(Exhausted {
                    limit,
                    decided: self.decided,
                    total,
                })
            }
        }
    }

    fn witness(&self) -> Vec<u32> {
        let last = self
            .frontier
            .first()
            .expect("a search that ends has a configuration")
            .trail;
        self.trail
            .back(last)
            .into_iter()
            .map(|(call, _)| self.calls[call as usize].id)
            .collect()
    }

    fn events(&mut self) -> Result<(), Stop> {
        let mut returns: Vec<(u32, u32)> = (0..)
            .zip(self.calls)
            .filter(|(_, call)| !call.is_open())
            .map(|(i, call)| (call.ret, i))
            .collect();
        returns.sort_unstable();
        let mut next_call = 0;
        for (ret, i) in returns {
            while self.calls.get(next_call).is_some_and(|call| call.call < ret) {
                self.invoke(next_call as u32)?;
                next_call += 1;
            }
            self.complete(i)?;
            self.decided += 1;
        }
        Ok(())
    }

    fn invoke(&mut self, i: u32) -> Result<(), Stop> {
        let op = &self.calls[i as usize].op;
        let is_read = self.model.is_read(op);
        let slot = self.slots.open(i, self.calls, is_read);
        if is_read {
            for at in 0..self.frontier.len() {
                self.meter.step()?;
                let mut configuration = self.frontier[at];
                if self
                    .model
                    .step(&self.states[configuration.state as usize], op)
                    .is_some()
                {
                    configuration.placed.set(slot);
                    configuration.trail = self.trail.push(configuration.trail, i, Step::Read);
                    self.frontier[at] = configuration;
                }
            }
        }
        Ok(())
    }

    fn complete(&mut self, i: u32) -> Result<(), Stop> {
        let slot = self.slots.slot_of(i);
        let (done, todo): (Vec<_>, Vec<_>) = std::mem::take(&mut self.frontier)
            .into_iter()
            .partition(|one| one.placed.has(slot));
        let mut expansion = Expansion {
            slot,
            done,
            todo,
            seen: FastSet::default(),
            missed: Vec::new(),
        };
        self.expand(&mut expansion)?;
        if expansion.done.is_empty() {
            return Err(Stop::Stuck(self.stuck(i, &expansion)));
        }
        self.slots.close(slot);
        let mut frontier = expansion.done;
        for configuration in &mut frontier {
            configuration.placed.clear(slot);
        }
        self.reduce(&mut frontier);
        self.retire(&mut frontier);
        self.frontier = frontier;
        if self.trail.wants_collection() {
            self.trail
                .collect(self.frontier.iter_mut().map(|one| &mut one.trail));
        }
        Ok(())
    }

    /// Places open operations until the one in `slot` is among them.
    fn expand(&mut self, expansion: &mut Expansion<W>) -> Result<(), Stop> {
        while let Some(configuration) = expansion.todo.pop() {
            if expansion.missed.len() < MISSED_MAX {
                expansion.missed.push(configuration);
            }
            let candidates = self.slots.candidates(&configuration.placed);
            for slot in candidates.iter() {
                if !self.slots.is_first_of_equals(slot, &configuration.placed) {
                    continue;
                }
                if self.meter.step()? {
                    self.account(expansion)?;
                }
                self.place(configuration, slot, expansion);
            }
        }
        Ok(self.account(expansion)?)
    }

    fn place(&mut self, mut configuration: Configuration<W>, slot: usize, expansion: &mut Expansion<W>) {
        let i = self.slots.call_in(slot);
        let op = &self.calls[i as usize].op;
        let Some(state) = self.model.step(&self.states[configuration.state as usize], op) else {
            return;
        };
        let state = self.intern(state);
        configuration.placed.set(slot);
        let changed = state != configuration.state;
        configuration.state = state;
        // Reads are part of the identity, so they are placed before looking whether it is new.
        let mut reads = Bits::EMPTY;
        if changed {
            reads = self.fitting_reads(&configuration);
            configuration.placed.add(&reads);
        }
        if !expansion.seen.insert((state, configuration.placed)) {
            return;
        }
        let step = if changed { Step::Change } else { Step::Read };
        configuration.trail = self.trail.push(configuration.trail, i, step);
        for read in reads.iter() {
            let read = self.slots.call_in(read);
            configuration.trail = self.trail.push(configuration.trail, read, Step::Read);
        }
        if configuration.placed.has(expansion.slot) {
            expansion.done.push(configuration);
        } else {
            expansion.todo.push(configuration);
        }
    }

    fn fitting_reads(&self, configuration: &Configuration<W>) -> Bits<W> {
        let state = &self.states[configuration.state as usize];
        let mut fitting = Bits::EMPTY;
        for slot in self.slots.open_reads(&configuration.placed).iter() {
            let op = &self.calls[self.slots.call_in(slot) as usize].op;
            if self.model.step(state, op).is_some() {
                fitting.set(slot);
            }
        }
        fitting
    }

    fn intern(&mut self, state: M::State) -> u32 {
        if let Some(id) = self.state_ids.get(&state) {
            return *id;
        }
        let id = self.states.len() as u32;
        self.states.push(state.clone());
        self.state_ids.insert(state, id);
        id
    }

    /// Drops configurations that another one makes superfluous.
    fn reduce(&self, frontier: &mut Vec<Configuration<W>>) {
        let unknown = self.slots.never_returning();
        frontier.sort_unstable_by_key(|one| {
            let must = one.placed.without(unknown);
            (one.state, must, one.placed.and(unknown).count(), one.placed)
        });
        let mut kept: Vec<Configuration<W>> = Vec::with_capacity(frontier.len());
        let mut group = 0;
        for one in frontier.iter() {
            let must = one.placed.without(unknown);
            let same = kept
                .last()
                .is_some_and(|last| last.state == one.state && last.placed.without(unknown) == must);
            if !same {
                group = kept.len();
            }
            let rivals = &kept[group..];
            let rivals = &rivals[..rivals.len().min(RIVALS_MAX)];
            if !rivals.iter().any(|rival| rival.placed.is_subset(&one.placed)) {
                kept.push(*one);
            }
        }
        *frontier = kept;
    }

    /// Gives up the slots of operations that never return and that every configuration has placed.
    fn retire(&mut self, frontier: &mut [Configuration<W>]) {
        let never = *self.slots.never_returning();
        let everywhere = frontier.iter().fold(never, |all, one| all.and(&one.placed));
        if everywhere.count() == 0 {
            return;
        }
        for slot in everywhere.iter() {
            self.slots.close(slot);
        }
        for one in frontier {
            one.placed = one.placed.without(&everywhere);
        }
    }

    fn account(&mut self, expansion: &Expansion<W>) -> Result<(), Limit> {
        let configuration = size_of::<Configuration<W>>();
        let lists = expansion.done.capacity() + expansion.todo.capacity() + self.frontier.capacity();
        // A table that grows holds its old and its new half: three times its size at worst.
        let seen = expansion.seen.capacity() * 3 * (size_of::<(u32, Bits<W>)>() + 1);
        let states = self.states.capacity() * 4 * (size_of::<M::State>() + 8);
        self.meter
            .hold(lists * 2 * configuration + seen + states + self.trail.bytes())
    }

    fn stuck(&self, i: u32, expansion: &Expansion<W>) -> Stuck {
        let mut states = FastSet::default();
        let mut after: Vec<Option<u32>> = Vec::new();
        for configuration in &expansion.missed {
            if states.insert(configuration.state) {
                let changer = self.trail.last_change(configuration.trail);
                after.push(changer.map(|call| self.calls[call as usize].id));
            }
        }
        after.sort_unstable();
        after.dedup();
        after.reverse();
        after.truncate(STUCK_STATES_MAX);
        Stuck {
            op: self.calls[i as usize].id,
            after,
            states: states.len() as u32,
            core: None,
        }
    }
}

/// Configurations remembered for the explanation.
const MISSED_MAX: usize = 10_000;
/// With how many configurations each one is compared, so that reducing stays linear.
const RIVALS_MAX: usize = 64;

/// The work of one return.
struct Expansion<const W: usize> {
    /// Slot of the operation that returns.
    slot: usize,
    /// Configurations that have placed it.
    done: Vec<Configuration<W>>,
    /// Configurations that have not.
    todo: Vec<Configuration<W>>,
    seen: FastSet<(u32, Bits<W>)>,
    missed: Vec<Configuration<W>>,
}

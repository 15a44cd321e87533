//! Any model, by depth: one order at a time, with a memory of what was tried.
//!
//! Operations are placed one after the other, each before any remaining one returns; when the next
//! return is reached unplaced, the last choice is undone (Wing & Gong 1993). A set of placed operations
//! with a state that was reached before is not tried again (Lowe 2017). A read that fits is placed and
//! never reconsidered. Of equal operations of unknown outcome the first is used first.
//! Exact. Fast when most orders work; memory grows with what was tried, under the budget.

use super::verdict::{Exhausted, Verdict};
use super::violation::{STUCK_STATES_MAX, Stuck, Violation};
use crate::model::{Call, Model};
use crate::recording::budget::{Budget, Limit, Meter};
use crate::recording::hash::{FastMap, FastSet};

mod remaining;

use remaining::{Event, Remaining};

/// Decides `calls`, in order of invocation.
pub fn check<M: Model>(model: &M, calls: &[Call<M::Op>], budget: &Budget) -> Verdict {
    let mut search = match Search::new(model, calls, budget) {
        Ok(search) => search,
        Err(limit) => return unknown(limit, 0, calls),
    };
    match search.run() {
        Ok(true) => Verdict::Valid(search.witness()),
        Ok(false) => Verdict::Invalid(Violation::Stuck(search.stuck())),
        Err(limit) => unknown(limit, search.furthest.placed, calls),
    }
}

fn unknown<O>(limit: Limit, decided: u32, calls: &[Call<O>]) -> Verdict {
    let total = calls.iter().filter(|call| !call.is_open()).count() as u32;
    Verdict::Unknown(Exhausted {
        limit,
        decided: decided.min(total),
        total,
    })
}

struct Search<'a, M: Model> {
    model: &'a M,
    calls: &'a [Call<M::Op>],
    meter: Meter,
    states: Vec<M::State>,
    state_ids: FastMap<M::State, u32>,
    state: u32,
    remaining: Remaining,
    frames: Vec<Frame>,
    tried: FastSet<Box<[u64]>>,
    tried_words: usize,
    furthest: Furthest,
}

/// A choice: what was placed, from which state, and where to go on when it is undone.
#[derive(Clone, Copy)]
struct Frame {
    call: u32,
    state: u32,
    is_read: bool,
}

/// The latest return that could not be passed, and the ways in which it was reached.
#[derive(Default)]
struct Furthest {
    ret: u32,
    call: u32,
    placed: u32,
    /// States, and the last call that changed each.
    before: Vec<(u32, Option<u32>)>,
}

/// Ways that are remembered for an explanation.
const WAYS_MAX: usize = 1000;

/// Where the search goes on.
enum Turn {
    /// Try this event, and those behind it.
    At(Event),
    /// Everything was tried here.
    Back,
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M, calls: &'a [Call<M::Op>], budget: &'a Budget) -> Result<Self, Limit> {
        let mut meter = budget.meter();
        meter.hold(Remaining::bytes_needed(calls.len()) + calls.len() * size_of::<Frame>())?;
        let initial = model.init();
        let mut state_ids = FastMap::default();
        state_ids.insert(initial.clone(), 0);
        Ok(Self {
            model,
            calls,
            meter,
            states: vec![initial],
            state_ids,
            state: 0,
            remaining: Remaining::new(calls),
            frames: Vec::with_capacity(calls.len()),
            tried: FastSet::default(),
            tried_words: 0,
            furthest: Furthest::default(),
        })
    }

    fn run(&mut self) -> Result<bool, Limit> {
        let mut turn = Turn::At(self.remaining.first());
        loop {
            if self.remaining.is_empty() {
                return Ok(true);
            }
            turn = match turn {
                Turn::At(event) => self.attempt(event)?,
                Turn::Back => match self.undo() {
                    Some(turn) => turn,
                    None => return Ok(false),
                },
            };
        }
    }

    fn attempt(&mut self, event: Event) -> Result<Turn, Limit> {
        if self.meter.step()? {
            self.account()?;
        }
        let call = match event {
            Event::Call(call) | Event::Unknown(call) => call,
            Event::Return(call) => {
                self.blocked(call);
                return Ok(match self.remaining.first_unknown() {
                    Some(event) => Turn::At(event),
                    None => Turn::Back,
                });
            }
        };
        let op = &self.calls[call as usize].op;
        let Some(next) = self.model.step(&self.states[self.state as usize], op) else {
            return Ok(self.after(event));
        };
        let is_read = self.model.is_read(op);
        let next = self.intern(next);
        self.remaining.take(event);
        if !is_read && !self.is_new(next) {
            self.remaining.put_back(event);
            return Ok(self.after(event));
        }
        self.frames.push(Frame {
            call,
            state: self.state,
            is_read,
        });
        self.state = next;
        Ok(Turn::At(self.remaining.first()))
    }

    fn after(&self, event: Event) -> Turn {
        self.remaining.after(event).map_or(Turn::Back, Turn::At)
    }

    fn undo(&mut self) -> Option<Turn> {
        loop {
            let frame = self.frames.pop()?;
            let event = self.remaining.event_of(frame.call);
            self.remaining.put_back(event);
            self.state = frame.state;
            if !frame.is_read {
                return Some(self.after(event));
            }
        }
    }

    fn is_new(&mut self, state: u32) -> bool {
        let key = self.remaining.key(state);
        self.tried_words += key.len();
        self.tried.insert(key)
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

    fn account(&mut self) -> Result<(), Limit> {
        let fixed = Remaining::bytes_needed(self.calls.len()) + self.frames.capacity() * size_of::<Frame>();
        // A table that grows holds its old and its new half; each key is an allocation of its own.
        let tried = self.tried.capacity() * 3 * 17 + self.tried.len() * 16 + self.tried_words * 8;
        let states = self.states.capacity() * 4 * (size_of::<M::State>() + 8);
        self.meter.hold(fixed + tried + states)
    }

    fn blocked(&mut self, call: u32) {
        let ret = self.calls[call as usize].ret;
        if ret < self.furthest.ret {
            return;
        }
        if ret > self.furthest.ret {
            let placed = self.frames.len() as u32;
            self.furthest = Furthest {
                ret,
                call,
                placed,
                before: Vec::new(),
            };
        }
        let before = &mut self.furthest.before;
        if before.len() < WAYS_MAX && before.iter().all(|(state, _)| *state != self.state) {
            let changer = self
                .frames
                .iter()
                .rev()
                .find(|frame| !frame.is_read)
                .map(|frame| frame.call);
            before.push((self.state, changer));
        }
    }

    fn stuck(&self) -> Stuck {
        let id = |call: u32| self.calls[call as usize].id;
        let mut after: Vec<Option<u32>> = self
            .furthest
            .before
            .iter()
            .map(|(_, changer)| changer.map(id))
            .collect();
        after.sort_unstable();
        after.dedup();
        after.reverse();
        after.truncate(STUCK_STATES_MAX);
        Stuck {
            op: id(self.furthest.call),
            after,
            states: self.furthest.before.len() as u32,
            core: None,
        }
    }

    fn witness(&self) -> Vec<u32> {
        self.frames
            .iter()
            .map(|frame| self.calls[frame.call as usize].id)
            .collect()
    }
}

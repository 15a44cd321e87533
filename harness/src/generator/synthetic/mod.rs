//! Synthetic histories whose verdict is known, because a simulated system made them.
//!
//! The system is linearizable by construction: each operation takes effect at one step between its
//! invocation and its completion (or, when its outcome is unknown, at any later step, or never). A
//! violation is planted as a few operations with values of their own, so that it stays one whatever
//! else happens around it.

use std::io;

use serde_json::{Value, json};

use super::random::Random;
use crate::op::{EventKind, HistoryEvent};

mod log;
mod plant;
mod register;
mod spec;
mod system;

pub use plant::Planted;
use plant::{Claim, Step};
pub use spec::{Spec, Values};
use system::System;
pub use system::Workload;

/// Generates the events of `spec` in order, each handed to `record`.
///
/// # Errors
/// What `record` says.
pub fn generate(spec: &Spec, record: &mut dyn FnMut(HistoryEvent) -> io::Result<()>) -> io::Result<()> {
    let system: Box<dyn System> = match spec.workload {
        Workload::Register => Box::new(register::Registers::new(spec)),
        Workload::Log => Box::new(log::Logs::new(spec)),
    };
    Simulation {
        spec,
        random: Random::new(spec.seed),
        system,
        clients: (0..spec.clients as u64)
            .map(|process| Client {
                process,
                state: State::Idle,
            })
            .collect(),
        lingering: Vec::new(),
        next_process: spec.clients as u64,
        next_op: 0,
        time_ns: 0,
        record,
    }
    .run()
}

struct Client {
    process: u64,
    state: State,
}

enum State {
    Idle,
    Invoked { invocation: HistoryEvent, key: usize },
    Applied { completion: HistoryEvent },
}

struct Simulation<'a> {
    spec: &'a Spec,
    random: Random,
    system: Box<dyn System>,
    clients: Vec<Client>,
    /// Invocations of unknown outcome that may still take effect.
    lingering: Vec<(HistoryEvent, usize)>,
    next_process: u64,
    next_op: u64,
    time_ns: u64,
    record: &'a mut dyn FnMut(HistoryEvent) -> io::Result<()>,
}

/// Invocations that wait to take effect late; older ones never do.
const LINGERING_MAX: usize = 16;

impl Simulation<'_> {
    fn run(mut self) -> io::Result<()> {
        let mut plant = self.spec.violation;
        while self.next_op < self.spec.operations {
            if let Some(planted) = plant.filter(|_| self.next_op >= self.spec.operations / 2) {
                self.plant(planted)?;
                plant = None;
            }
            self.step(true)?;
        }
        while self
            .clients
            .iter()
            .any(|client| !matches!(client.state, State::Idle))
        {
            self.step(false)?;
        }
        Ok(())
    }

    /// Moves one random client on by one step; idle ones only if `more` operations are wanted.
    fn step(&mut self, more: bool) -> io::Result<()> {
        if !self.lingering.is_empty() && self.random.chance(0.01) {
            let at = self.random.below(self.lingering.len());
            let (invocation, key) = self.lingering.swap_remove(at);
            self.system.apply(&invocation, key);
        }
        let at = self.random.below(self.clients.len());
        match std::mem::replace(&mut self.clients[at].state, State::Idle) {
            State::Idle if more => self.invoke(at),
            State::Idle => Ok(()),
            State::Invoked { invocation, key } if self.random.chance(self.spec.info) => {
                self.lose(at, invocation, key)
            }
            State::Invoked { invocation, key } => {
                let completion = self.system.apply(&invocation, key);
                self.clients[at].state = State::Applied { completion };
                Ok(())
            }
            State::Applied { completion } => self.emit(completion),
        }
    }

    fn invoke(&mut self, at: usize) -> io::Result<()> {
        let key = self.random.below(self.spec.keys);
        let (function, value) = self.system.request(&mut self.random, key);
        let invocation = self.invocation(self.clients[at].process, function, value, key);
        self.emit(invocation.clone())?;
        self.clients[at].state = State::Invoked { invocation, key };
        Ok(())
    }

    fn invocation(&mut self, process: u64, function: &'static str, value: Value, key: usize) -> HistoryEvent {
        let op = self.next_op;
        self.next_op += 1;
        let mut event = HistoryEvent::invoke(process, op, function).key(key as u64);
        event.value = Some(value).filter(|value| !value.is_null());
        event
    }

    /// The client hears nothing: the operation takes effect now, later, or never.
    fn lose(&mut self, at: usize, invocation: HistoryEvent, key: usize) -> io::Result<()> {
        match self.random.below(3) {
            0 => drop(self.system.apply(&invocation, key)),
            1 if self.lingering.len() < LINGERING_MAX => self.lingering.push((invocation.clone(), key)),
            _ => {}
        }
        self.clients[at].process = self.next_process;
        self.next_process += 1;
        self.emit(HistoryEvent::complete(&invocation, EventKind::Info).error("timeout", false))
    }

    fn emit(&mut self, event: HistoryEvent) -> io::Result<()> {
        self.time_ns += 500 + self.random.below(1000) as u64;
        (self.record)(event.at_time(self.time_ns))
    }

    /// Emits planted operations, by processes of their own so that no client's operation is torn.
    fn plant(&mut self, planted: Planted) -> io::Result<()> {
        let key = self.random.below(self.spec.keys);
        let values = [self.system.fresh(), self.system.fresh(), self.system.fresh()];
        let free = self.system.free_position(key);
        let first_process = self.next_process;
        let mut planting: Vec<HistoryEvent> = Vec::new();
        for step in planted.script(self.spec.workload, values, free) {
            match step {
                Step::Invoke(function, value) => {
                    let process = first_process + planting.len() as u64;
                    let invocation = self.invocation(process, function, value, key);
                    planting.push(HistoryEvent::complete(&invocation, EventKind::Ok));
                    self.emit(invocation)?;
                }
                Step::Apply(number) => {
                    let mut invocation = planting[number].clone();
                    invocation.kind = EventKind::Invoke;
                    planting[number] = self.system.apply(&invocation, key);
                }
                Step::Return(number, claim) => {
                    let completion = claim.make(&planting, number);
                    planting[number] = completion.clone();
                    self.emit(completion)?;
                }
            }
        }
        self.next_process += planting.len() as u64;
        Ok(())
    }
}

impl Claim {
    fn make(self, planting: &[HistoryEvent], number: usize) -> HistoryEvent {
        let mut completion = planting[number].clone();
        match self {
            Self::Truth => {}
            Self::Value(value) => completion.value = Some(value),
            Self::At(position) => completion.at = Some(position),
            Self::Saw(value) => completion.saw = Some(value),
            Self::EntryOf(other) => {
                let append = &planting[other];
                completion.value = Some(json!([append.at, append.value]));
            }
        }
        completion
    }
}

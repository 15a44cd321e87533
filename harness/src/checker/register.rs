//! Registers: read, write, compare-and-set on one value a key. The sequential specification, and the
//! conversion of recorded operations into it.

use super::datum::{Datum, Pool};
use super::recording::{NEVER, Operation, Recording, ResultKind, Status};
use crate::model::{Call, Model};

/// An operation on a register, with its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegisterOp {
    /// The register held this value.
    Read(Datum),
    /// It held another value than this one.
    Differs(Datum),
    /// This value was written.
    Write(Datum),
    /// It held the first value, and then the second.
    Cas(Datum, Datum),
}

/// The specification.
#[derive(Clone, Copy, Debug)]
pub struct Register {
    /// Value before the first operation.
    pub initial: Datum,
}

impl Model for Register {
    type State = Datum;
    type Op = RegisterOp;

    fn init(&self) -> Datum {
        self.initial
    }

    fn step(&self, state: &Datum, op: &RegisterOp) -> Option<Datum> {
        match *op {
            RegisterOp::Read(value) => (*state == value).then_some(value),
            RegisterOp::Differs(value) => (*state != value).then_some(*state),
            RegisterOp::Write(value) => Some(value),
            RegisterOp::Cas(expected, new) => (*state == expected).then_some(new),
        }
    }

    fn is_read(&self, op: &RegisterOp) -> bool {
        match op {
            RegisterOp::Read(_) | RegisterOp::Differs(_) => true,
            RegisterOp::Write(_) | RegisterOp::Cas(..) => false,
        }
    }
}

/// Converts the operations of one key. Reads whose outcome is unknown say nothing and are dropped.
pub(crate) struct Converter {
    read: Option<u16>,
    write: Option<u16>,
    cas: Option<u16>,
    /// Nil read means "not read": histories of registers that are never nil say it that way.
    skip_nil_reads: bool,
    failed_cas_differs: bool,
}

impl Converter {
    pub(crate) fn new(recording: &Recording, initial: Datum) -> Self {
        Self {
            read: recording.function_id("read"),
            write: recording.function_id("write"),
            cas: recording.function_id("cas"),
            skip_nil_reads: !initial.is_nil() && recording.workload.is_none(),
            failed_cas_differs: recording.failed_cas_differs,
        }
    }

    /// The operation in terms of the model; `None` when it says nothing.
    pub(crate) fn convert(&self, pool: &Pool, operation: &Operation) -> Option<(RegisterOp, u32)> {
        let function = Some(operation.function);
        if function == self.read {
            let says_something = !(self.skip_nil_reads && operation.output.is_nil());
            (operation.status == Status::Ok && says_something)
                .then_some((RegisterOp::Read(operation.output), operation.ret))
        } else if function == self.write {
            let ret = if operation.status == Status::Ok {
                operation.ret
            } else {
                NEVER
            };
            (operation.status != Status::Fail).then_some((RegisterOp::Write(operation.input), ret))
        } else if function == self.cas {
            self.convert_cas(pool, operation)
        } else {
            None
        }
    }

    fn convert_cas(&self, pool: &Pool, operation: &Operation) -> Option<(RegisterOp, u32)> {
        let Some(&[expected, new]) = pool.as_list(operation.input) else {
            return None;
        };
        match operation.status {
            Status::Info => Some((RegisterOp::Cas(expected, new), NEVER)),
            Status::Ok if operation.result == ResultKind::Saw && operation.output != expected => {
                Some((RegisterOp::Read(operation.output), operation.ret))
            }
            Status::Ok => Some((RegisterOp::Cas(expected, new), operation.ret)),
            Status::Fail => {
                let explained = pool.as_text(operation.output).is_some();
                (self.failed_cas_differs && !explained)
                    .then_some((RegisterOp::Differs(expected), operation.ret))
            }
        }
    }
}

/// Makes values comparable: lists become scalars, and where every write is a pair `[key value]` (as
/// Jepsen's independent registers are written down) the key is taken out of it.
pub(crate) fn normalize(recording: &mut Recording) {
    if is_keyed_by_pairs(recording) {
        take_keys_out(recording);
    }
    let (read, write, cas) = (
        recording.function_id("read"),
        recording.function_id("write"),
        recording.function_id("cas"),
    );
    let pool = &mut recording.pool;
    for operation in &mut recording.operations {
        let function = Some(operation.function);
        if function == read || function == write {
            operation.input = pool.canonical(operation.input);
            operation.output = pool.canonical(operation.output);
        } else if function == cas {
            operation.output = pool.canonical_inside(operation.output);
            operation.input = pool.canonical_inside(operation.input);
        }
    }
}

fn is_keyed_by_pairs(recording: &Recording) -> bool {
    let write = recording.function_id("write");
    let mut writes = recording
        .operations
        .iter()
        .filter(|operation| Some(operation.function) == write);
    let is_pair = |operation: &Operation| {
        operation.key.is_nil()
            && recording
                .pool
                .as_list(operation.input)
                .is_some_and(|list| list.len() == 2)
    };
    recording.workload.is_none() && writes.clone().next().is_some() && writes.all(is_pair)
}

fn take_keys_out(recording: &mut Recording) {
    let pool = &mut recording.pool;
    for operation in &mut recording.operations {
        if let Some(&[key, value]) = pool.as_list(operation.input) {
            operation.input = value;
            operation.key = pool.canonical(key);
        }
        if let Some(&[_, value]) = pool.as_list(operation.output) {
            operation.output = value;
        }
    }
}

/// Drops operations of unknown outcome that no other operation can have noticed: a write or
/// compare-and-set whose value nobody saw. Kept when some operation only says which value it did
/// *not* see, because any value may then matter.
pub fn drop_unseen(calls: &mut Vec<Call<RegisterOp>>) {
    let mut seen = super::hash::FastSet::default();
    for call in calls.iter() {
        match call.op {
            RegisterOp::Differs(_) => return,
            RegisterOp::Read(value) | RegisterOp::Cas(value, _) => drop(seen.insert(value)),
            RegisterOp::Write(_) => {}
        }
    }
    calls.retain(|call| match call.op {
        RegisterOp::Write(value) | RegisterOp::Cas(_, value) => !call.is_open() || seen.contains(&value),
        RegisterOp::Read(_) | RegisterOp::Differs(_) => true,
    });
}

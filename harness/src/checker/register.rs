//! Registers: read, write, compare-and-set on one value a key. The sequential specification, and the
//! conversion of recorded operations into it.

use super::usage::{FAILED, Left, NO_FUNCTION, NilReads, Taken, VALUE_UNKNOWN, changed, seen};
use crate::model::{Call, Model};
use crate::recording::datum::{Datum, Pool};
use crate::recording::{Operation, Recording, ResultKind, Status};

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

/// Converts operations into those of the model.
pub(crate) struct Converter<'a> {
    pool: &'a Pool,
    read: Option<u16>,
    write: Option<u16>,
    cas: Option<u16>,
    nil_reads: NilReads,
    /// The history says exactly what was written, also where that is nil.
    is_exact: bool,
    failed_cas_differs: bool,
}

impl<'a> Converter<'a> {
    /// Without an answer given in `nil_reads`, a register that is never nil is not read as nil.
    pub(crate) fn new(recording: &'a Recording, initial: Datum, nil_reads: Option<NilReads>) -> Self {
        let mut converter = Self {
            pool: &recording.pool,
            read: recording.function_id("read"),
            write: recording.function_id("write"),
            cas: recording.function_id("cas"),
            nil_reads: NilReads::Value,
            is_exact: recording.workload.is_some(),
            failed_cas_differs: recording.failed_cas_differs,
        };
        let nil_is_known =
            || initial.is_nil() || recording.workload.is_some() || converter.writes_nil(recording);
        converter.nil_reads = nil_reads.unwrap_or_else(|| match nil_is_known() {
            true => NilReads::Value,
            false => NilReads::Unknown,
        });
        converter
    }

    /// For a bank whose transfers are compare-and-sets.
    pub(crate) fn of_bank(recording: &'a Recording, initial: Datum, nil_reads: Option<NilReads>) -> Self {
        Self {
            cas: recording.function_id("transfer"),
            ..Self::new(recording, initial, nil_reads)
        }
    }

    fn writes_nil(&self, recording: &Recording) -> bool {
        recording
            .effective()
            .any(|(_, operation)| match self.convert(operation) {
                Ok((RegisterOp::Write(value) | RegisterOp::Cas(_, value), _)) => value.is_nil(),
                Ok((RegisterOp::Read(_) | RegisterOp::Differs(_), _)) | Err(_) => false,
            })
    }

    /// The operation in terms of the model.
    pub(crate) fn convert(&self, operation: &Operation) -> Taken<RegisterOp> {
        let function = Some(operation.function);
        if function == self.read {
            let (value, ret) = seen(self.pool, operation, self.nil_reads)?;
            Ok((RegisterOp::Read(value), ret))
        } else if function == self.write {
            let (value, ret) = changed(self.pool, operation)?;
            if value.is_nil() && operation.status == Status::Info && !self.is_exact {
                return Err(Left::change(operation, VALUE_UNKNOWN));
            }
            Ok((RegisterOp::Write(value), ret))
        } else if function == self.cas {
            self.convert_cas(operation)
        } else {
            Err(Left::change(operation, NO_FUNCTION))
        }
    }

    fn convert_cas(&self, operation: &Operation) -> Taken<RegisterOp> {
        if operation.status == Status::Fail {
            let explained = self.pool.as_name(operation.output).is_some();
            let shown = self
                .pool
                .as_pair(operation.input)
                .filter(|_| !self.pool.is_odd(operation.input));
            return match shown {
                Some([expected, _]) if self.failed_cas_differs && !explained => {
                    Ok((RegisterOp::Differs(expected), operation.ret))
                }
                Some(_) | None => Err(FAILED),
            };
        }
        let (pair, ret) = changed(self.pool, operation)?;
        let Some([expected, new]) = self.pool.as_pair(pair) else {
            return Err(Left::change(operation, "no [expected new] pair"));
        };
        match operation.result {
            ResultKind::Saw if operation.status == Status::Ok && operation.output != expected => {
                let (found, ret) = seen(self.pool, operation, NilReads::Value)?;
                Ok((RegisterOp::Read(found), ret))
            }
            ResultKind::Plain
            | ResultKind::Saw
            | ResultKind::End
            | ResultKind::At
            | ResultKind::Offset
            | ResultKind::Contradicts
            | ResultKind::Keyless => Ok((RegisterOp::Cas(expected, new), ret)),
        }
    }
}

/// Drops operations of unknown outcome that no other operation can have noticed: a write or
/// compare-and-set whose value was never seen. Kept when some operation only says which value it did
/// *not* see, because any value may then matter.
pub fn drop_unseen(calls: &mut Vec<Call<RegisterOp>>) {
    let mut seen = crate::recording::hash::FastSet::default();
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

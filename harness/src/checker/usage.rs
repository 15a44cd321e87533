//! Which operations a checker could use, and what becomes of its verdict when it could not use all.
//!
//! Invariant: every operation of a recording is either used or left out for a reason, and each reason says which
//! verdicts it bars. Without an operation that may have changed something, nothing is *invalid*: it may be the one
//! that explains the rest. Without one that certainly happened, nothing is *valid* either. One that only looked
//! changes nothing, so without it the rest can still be invalid. A failed operation, and a look that was never seen
//! the result of, bar nothing.

use crate::model::NEVER;
use crate::recording::datum::{Datum, Pool};
use crate::recording::hash::FastMap;
use crate::recording::{Operation, Recording, ResultKind, Status};
use crate::results::{Ignored, Usage};

/// Why an operation is left out, and which verdicts that bars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) why: &'static str,
    bars_valid: bool,
    bars_invalid: bool,
}

/// It failed, so it did nothing.
pub(crate) const FAILED: Left = Left::harmless("failed");
/// What it saw is not known.
const UNSEEN: Left = Left::harmless("outcome unknown");
/// What it saw is nil, which means that it saw nothing.
pub(crate) const NIL_READ: Left = Left::harmless("nil, taken as not read: see --nil-reads");

/// The value cannot be compared.
pub(crate) const ODD: &str = "its value cannot be compared";
/// The key cannot be compared, so it may be any.
const ODD_KEY: &str = "its key cannot be compared";
/// There is no value.
pub(crate) const NO_VALUE: &str = "no value";
/// The model knows no such function.
pub(crate) const NO_FUNCTION: &str = "not an operation of this model";
/// It may have been any value.
pub(crate) const VALUE_UNKNOWN: &str = "neither its value nor its outcome is known";

impl Left {
    pub(crate) const fn harmless(why: &'static str) -> Self {
        Self {
            why,
            bars_valid: false,
            bars_invalid: false,
        }
    }

    /// For an operation that changes something, or may.
    pub(crate) fn change(operation: &Operation, why: &'static str) -> Self {
        match operation.status {
            Status::Fail => FAILED,
            Status::Info | Status::Ok => Self {
                why,
                bars_valid: operation.status == Status::Ok,
                bars_invalid: true,
            },
        }
    }

    /// For an operation that only looks.
    pub(crate) fn look(operation: &Operation, why: &'static str) -> Self {
        match operation.status {
            Status::Fail => FAILED,
            Status::Info => UNSEEN,
            Status::Ok => Self {
                why,
                bars_valid: true,
                bars_invalid: false,
            },
        }
    }
}

/// An operation in terms of a model with its return, or why it has none.
pub(crate) type Taken<O> = Result<(O, u32), Left>;

/// What the completion of an operation makes of it, whatever the model.
fn fits(operation: &Operation) -> Result<(), Left> {
    match (operation.status, operation.result) {
        (Status::Fail, _) => Ok(()),
        (_, ResultKind::Contradicts) => Err(Left::change(
            operation,
            "its completion contradicts its invocation",
        )),
        (_, ResultKind::Keyless) => Err(Left::change(operation, "no [key value] pair, as others have")),
        (_, ResultKind::Plain | ResultKind::Saw | ResultKind::End | ResultKind::At | ResultKind::Offset) => {
            Ok(())
        }
    }
}

/// The same for a change, whose key has to be known.
pub(crate) fn change_fits(pool: &Pool, operation: &Operation) -> Result<(), Left> {
    fits(operation)?;
    match pool.is_odd(operation.key) {
        true => Err(Left::change(operation, ODD_KEY)),
        false => Ok(()),
    }
}

/// The value with which a change took effect, or may: that of its completion, where it has one.
pub(crate) fn changed(pool: &Pool, operation: &Operation) -> Result<(Datum, u32), Left> {
    change_fits(pool, operation)?;
    let value = match operation.status {
        Status::Fail => return Err(FAILED),
        Status::Ok if operation.result == ResultKind::Plain && !operation.output.is_nil() => operation.output,
        Status::Ok | Status::Info => operation.input,
    };
    let ret = match operation.status {
        Status::Ok => operation.ret,
        Status::Info | Status::Fail => NEVER,
    };
    if value.is_absent() {
        Err(Left::change(operation, NO_VALUE))
    } else if pool.is_odd(value) {
        Err(Left::change(operation, ODD))
    } else {
        Ok((value, ret))
    }
}

/// What a look saw, and when it returned.
pub(crate) fn seen(pool: &Pool, operation: &Operation, nil_reads: NilReads) -> Result<(Datum, u32), Left> {
    fits(operation)?;
    match operation.status {
        Status::Fail => Err(FAILED),
        Status::Info => Err(UNSEEN),
        Status::Ok if operation.output.is_nil() && nil_reads == NilReads::Unknown => Err(NIL_READ),
        Status::Ok if operation.output.is_absent() => Err(Left::look(operation, NO_VALUE)),
        Status::Ok if pool.is_odd(operation.key) => Err(Left::look(operation, ODD_KEY)),
        Status::Ok if pool.is_odd(operation.output) => Err(Left::look(operation, ODD)),
        Status::Ok => Ok((operation.output, operation.ret)),
    }
}

/// What it means that a read returned nil.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NilReads {
    /// That nil was there.
    Value,
    /// That nothing was read.
    Unknown,
}

impl NilReads {
    /// As written on the command line.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "value" => Some(Self::Value),
            "unknown" => Some(Self::Unknown),
            _ => None,
        }
    }

    /// As [`NilReads::parse`] takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Unknown => "unknown",
        }
    }
}

/// Operations of one function that were left out for one reason.
#[derive(Debug)]
struct Group {
    function: u16,
    left: Left,
    count: u64,
}

/// Counts what is used and what is left out.
#[derive(Debug, Default)]
pub(crate) struct UsageCount {
    groups: Vec<Group>,
    used: u64,
    /// Some operation that is used certainly took effect or saw what it saw, or one certainly failed.
    is_settled: bool,
    /// By key, when the first operation was called that is left out and may have changed something.
    changes: FastMap<Datum, u32>,
    /// The first of them.
    first_change: Option<u32>,
}

impl UsageCount {
    /// Notes what became of an operation.
    pub(crate) fn note<O>(&mut self, operation: &Operation, taken: &Taken<O>) {
        self.is_settled |= operation.status == Status::Fail;
        let left = match taken {
            Ok((_, ret)) => {
                self.used += 1;
                self.is_settled |= *ret != NEVER;
                return;
            }
            Err(left) => *left,
        };
        if left.bars_invalid {
            let key = match left.why {
                ODD_KEY => Datum::NIL,
                _ => operation.key,
            };
            let first = self.changes.entry(key).or_insert(operation.call);
            *first = (*first).min(operation.call);
            let earliest = self.first_change.get_or_insert(operation.call);
            *earliest = (*earliest).min(operation.call);
        }
        let same = |group: &&mut Group| group.function == operation.function && group.left == left;
        match self.groups.iter_mut().find(same) {
            Some(group) => group.count += 1,
            None => self.groups.push(Group {
                function: operation.function,
                left,
                count: 1,
            }),
        }
    }

    /// When something was called that is left out and may have changed `key`; [`NEVER`] if nothing was.
    /// What has no key may have changed any.
    pub(crate) fn changed_from(&self, key: Datum) -> u32 {
        let of = |key| self.changes.get(&key).copied().unwrap_or(NEVER);
        of(key).min(of(Datum::NIL))
    }

    /// When something was called that is left out and may have changed any key; [`NEVER`] if nothing was.
    pub(crate) fn changed_first(&self) -> u32 {
        self.first_change.unwrap_or(NEVER)
    }

    /// Why the history is not valid although nothing contradicts that; `None` if it is.
    pub(crate) fn doubt(&self, recording: &Recording) -> Option<String> {
        let left = self.groups.iter().filter(|group| group.left.bars_valid);
        let shown: Vec<String> = left
            .take(SHOWN_MAX)
            .map(|group| group.describe(recording))
            .collect();
        if !shown.is_empty() {
            return Some(format!(
                "completed operations could not be used: {}",
                shown.join(", ")
            ));
        }
        (!self.is_settled).then(|| "no operation has a known outcome".to_owned())
    }

    /// For the report.
    pub(crate) fn usage(&self, recording: &Recording) -> Usage {
        let ignored = self.groups.iter().map(|group| Ignored {
            function: recording.function_name(group.function).to_owned(),
            why: group.left.why.to_owned(),
            count: group.count,
        });
        Usage {
            recorded: recording.operations.len() as u64,
            used: self.used,
            ignored: ignored.collect(),
        }
    }
}

/// Reasons that are named.
const SHOWN_MAX: usize = 4;

impl Group {
    fn describe(&self, recording: &Recording) -> String {
        let function = recording.function_name(self.function);
        format!("{} {function} ({})", self.count, self.left.why)
    }
}

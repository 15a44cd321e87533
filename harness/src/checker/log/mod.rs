//! A log: append (gets its position), read a range, ask for the tail, trim. Exact when records are
//! unique; O(n log n) without trims.
//!
//! | f | `v` of the invocation | completion |
//! |-|-|-|
//! | append | the record | `at`: its label; or `offset`: the number of records before it |
//! | read | {from} or {after}: a label; from the start without | `v`: \[\[label, record\], ...\]; `end`: nothing follows |
//! | tail | | `v`: \[label, record\], null when empty |
//! | trim | a label | |
//!
//! A trim removes the records that are there and have a lower label; what is appended later stays. (That is
//! `XTRIM k MINID label`.) `ok` says that it did so, `info` that it may have, or may yet.
//!
//! Positions are labels that grow along the log but need not be dense, so they are ranked first. Every
//! operation then bounds the length of the log at its instant: an append at rank p made it p+1, a
//! read or tail that reached the end saw it, any other read saw at least as much as it returned.
//! The length never shrinks, so operations sorted by it must not contradict real time.
//!
//! An append of unknown outcome whose record was never seen is dropped: with labels that are not dense it
//! leaves no trace. `from` is inclusive, `after` exclusive.
//!
//! With offsets it does leave one. An offset below the highest that is known, of which no operation says the record, is a
//! *hole*: an append that was never seen filled it, called before anything returned that knows of a higher one. That time
//! never falls with the offset, so the hole with the lowest offset takes the append that was called first, and so on:
//! if those do not fit, no others do. A history is of offsets when one of its appends reports one; every label in it is
//! one then, and every acknowledged append has to have one. (Together with trims, offsets are labels like others.)
//!
//! Not modelled, and why: a record appended twice under the same name is `unknown`: which of the two a read
//! saw cannot be determined, and the linear argument needs it.
//!
//! A log that is trimmed has a second number that only grows, and an order has to fit both; how that is
//! decided is in `log/trimmed.rs`.

use super::usage::{FAILED, Left, NO_FUNCTION, NO_VALUE, NilReads, ODD, Taken, change_fits, changed, seen};
use super::verdict::Verdict;
use super::violation::{LogViolation, Violation};
use crate::model::{Call, NEVER};
use crate::recording::budget::Budget;
use crate::recording::datum::{Datum, Pool};
use crate::recording::{Operation, Recording, ResultKind, Status};

mod bounds;
mod op;
mod positions;
mod trimmed;

use bounds::{Sized, exhausted, raise, real_time};
pub use op::{From, LogOp};
use positions::Positions;
pub use positions::{Label, Labels};

/// Converts recorded operations.
pub(crate) struct Converter<'a> {
    pool: &'a Pool,
    append: Option<u16>,
    read: Option<u16>,
    tail: Option<u16>,
    trim: Option<u16>,
}

impl<'a> Converter<'a> {
    pub(crate) fn new(recording: &'a Recording) -> Self {
        Self {
            pool: &recording.pool,
            append: recording.function_id("append"),
            read: recording.function_id("read"),
            tail: recording.function_id("tail"),
            trim: recording.function_id("trim"),
        }
    }

    pub(crate) fn convert(&self, operation: &Operation) -> Taken<LogOp> {
        let function = Some(operation.function);
        if function == self.append {
            self.convert_append(operation)
        } else if function == self.read {
            let (entries, ret) = seen(self.pool, operation, NilReads::Value)?;
            if self.pool.as_list(entries).is_none() || self.pool.is_odd(operation.input) {
                return Err(Left::look(operation, "no list of entries"));
            }
            let end = operation.result == ResultKind::End;
            let from = from(self.pool, operation.input);
            Ok((LogOp::Read { from, entries, end }, ret))
        } else if function == self.tail {
            let (last, ret) = seen(self.pool, operation, NilReads::Value)?;
            Ok((LogOp::Tail(last), ret))
        } else if function == self.trim {
            let (label, ret) = changed(self.pool, operation)?;
            Ok((LogOp::Trim(label), ret))
        } else {
            Err(Left::change(operation, NO_FUNCTION))
        }
    }

    /// Its completion may report a position; one that only repeats what was appended does not.
    fn convert_append(&self, operation: &Operation) -> Taken<LogOp> {
        change_fits(self.pool, operation)?;
        let (record, output) = (operation.input, operation.output.or_nil());
        let repeats = operation.result == ResultKind::Plain && output == record;
        let at = if repeats { Datum::NIL } else { output };
        let ret = match operation.status {
            Status::Fail => return Err(FAILED),
            Status::Info => NEVER,
            Status::Ok => operation.ret,
        };
        if record.is_nil() {
            Err(Left::change(operation, NO_VALUE))
        } else if [record, at].iter().any(|datum| self.pool.is_odd(*datum)) {
            Err(Left::change(operation, ODD))
        } else {
            Ok((LogOp::Append { record, at }, ret))
        }
    }
}

fn from(pool: &Pool, input: Datum) -> From {
    let field = |name| pool.field(input, name).filter(|label| !label.is_nil());
    match (field("from"), field("after")) {
        (Some(label), _) => From::At(label),
        (None, Some(label)) => From::After(label),
        (None, None) => From::Start,
    }
}

/// What the labels of a recorded log say.
pub(crate) fn labels_of(recording: &Recording) -> Labels {
    let tells_offset = |operation: &Operation| operation.result == ResultKind::Offset;
    if recording.operations.iter().any(tells_offset) {
        Labels::Offsets
    } else {
        Labels::Ordered
    }
}

/// Decides `calls`, all of one log, in order of call.
///
/// # Errors
/// When a value is not what the workload promises (a label without order, a read that is no list of
/// pairs, a trim of a log in which an acknowledged append does not report its position): the operation, and
/// what was expected.
pub fn check(
    pool: &Pool,
    calls: &[Call<LogOp>],
    labels: Labels,
    budget: &Budget,
) -> Result<Verdict, (u32, &'static str)> {
    let mut meter = budget.meter();
    let known = positions::bytes_needed(pool, calls);
    // Filling holes makes the positions again, beside those that were reported.
    let known = if labels == Labels::Offsets {
        2 * known
    } else {
        known
    };
    let bytes = known + calls.len() * (size_of::<Sized>() + 16);
    if let Err(limit) = meter.hold(bytes).and_then(|()| budget.check_cancelled()) {
        return Ok(exhausted(limit, calls));
    }
    let positions = Positions::collect(pool, calls)?;
    if calls.iter().any(|call| matches!(call.op, LogOp::Trim(_))) {
        return trimmed::check(pool, calls, positions, budget, &mut meter);
    }
    let positions = match (labels, positions) {
        (Labels::Offsets, Ok(positions)) => positions.with_holes_filled(calls)?,
        (Labels::Offsets | Labels::Ordered, known) => known,
    };
    Ok(match decide(pool, calls, positions) {
        Ok(witness) => Verdict::Valid(witness),
        Err(violation) => Verdict::Invalid(Violation::Log(violation)),
    })
}

fn decide(
    pool: &Pool,
    calls: &[Call<LogOp>],
    positions: Result<Positions, LogViolation>,
) -> Result<Vec<u32>, LogViolation> {
    let positions = positions?;
    let mut bounds = Vec::with_capacity(calls.len());
    for call in calls {
        bounds.push(positions.bounds(pool, calls, call)?);
    }
    let mut sized = raise(calls, &bounds)?;
    sized.sort_unstable();
    in_time_for_holes(calls, &sized, &positions)?;
    real_time(calls, &sized)?;
    Ok(sized
        .into_iter()
        .map(|one| calls[one.call_index as usize].id)
        .collect())
}

/// What filled a hole was called before anything returned that knows the log to be longer.
fn in_time_for_holes(
    calls: &[Call<LogOp>],
    sized: &[Sized],
    positions: &Positions,
) -> Result<(), LogViolation> {
    let mut first_back: Option<&Call<LogOp>> = None;
    // The hole with the lowest offset is reported.
    let mut broken = Ok(());
    for one in sized.iter().rev() {
        let call = &calls[one.call_index as usize];
        if let Some(later) = first_back.filter(|later| later.ret < call.call)
            && !one.is_read
            && positions.is_filled(one.length - 1)
        {
            broken = Err(LogViolation::Hole {
                offset: one.length - 1,
                later: later.id,
            });
        }
        if first_back.is_none_or(|first| call.ret < first.ret) {
            first_back = Some(call);
        }
    }
    broken
}

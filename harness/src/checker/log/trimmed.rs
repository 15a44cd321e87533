//! A log that is also trimmed: two numbers that only grow, its length and how much of it is gone.
//!
//! A read whose first record is not the first of its range says exactly how much was gone; one that
//! saw a record says how much at most; a trim that returned says at least as much as was in the log
//! below its label when it was called. Each number alone is compared with real time in O(n log n), which
//! finds the usual violations and names two operations: a loss no trim explains, a record that came back.
//!
//! What passes goes to the search over the pair of both numbers: an order may have to choose whether
//! a read comes before an append or before a trim, and an empty read says only that one of the two numbers
//! is large enough. So *valid* has a witness that was replayed, *invalid* is proved by either, and a
//! budget that runs out is *unknown*. The cost is that of the search, with one configuration for each
//! set of open operations and pair of numbers that can be reached: small unless many trims are open.
//!
//! Source: XTRIM MINID; the length alone as in the parent module, Wing and Gong's search for the rest.

use super::bounds::{Bounds, Sized, exhausted, raise, real_time};
use super::op::{From, LogOp};
use super::positions::Positions;
use crate::checker::verdict::Verdict;
use crate::checker::violation::LogViolation;
use crate::checker::violation::Violation;
use crate::checker::{search, witness};
use crate::model::{Call, Model};
use crate::recording::budget::{Budget, Meter};
use crate::recording::datum::Pool;

/// An operation, with ranks in place of labels and records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Ranked {
    /// The record of this rank was appended.
    Append { rank: u32 },
    /// The records below this rank were removed, as far as they were there.
    Trim { rank: u32 },
    /// From `start` on, the log had the records `first..next`; nothing followed if `end`.
    Read {
        start: u32,
        first: u32,
        next: u32,
        end: bool,
    },
    /// The last record was the one before this rank; 0: there was none.
    Tail { next: u32 },
}

impl Ranked {
    /// How much of the log must have been gone, if that is all that explains the result.
    fn exactly_gone(&self) -> Option<u32> {
        match *self {
            Self::Read {
                start, first, next, ..
            } if start < first && first < next => Some(first),
            Self::Append { .. } | Self::Trim { .. } | Self::Read { .. } | Self::Tail { .. } => None,
        }
    }

    /// Nothing was there: from this rank on, the log was short, or gone.
    fn empty_from(&self) -> Option<u32> {
        match *self {
            Self::Read {
                start,
                first,
                next,
                end,
            } => (end && first == next).then_some(start),
            Self::Tail { next } => (next == 0).then_some(0),
            Self::Append { .. } | Self::Trim { .. } => None,
        }
    }
}

/// The records `trimmed..length` are in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Extent {
    length: u32,
    trimmed: u32,
}

struct RankedLog;

impl Model for RankedLog {
    type State = Extent;
    type Op = Ranked;

    fn init(&self) -> Extent {
        Extent::default()
    }

    fn step(&self, state: &Extent, op: &Ranked) -> Option<Extent> {
        let Extent { length, trimmed } = *state;
        match *op {
            Ranked::Append { rank } => (rank == length).then_some(Extent {
                length: length + 1,
                trimmed,
            }),
            Ranked::Trim { rank } => Some(Extent {
                length,
                trimmed: trimmed.max(rank.min(length)),
            }),
            Ranked::Read {
                start,
                first,
                next,
                end,
            } => {
                let begin = trimmed.max(start);
                let fits = match first == next {
                    true => !end || length <= begin,
                    false => first == begin && next <= length && (!end || next == length),
                };
                fits.then_some(*state)
            }
            Ranked::Tail { next } => {
                let last = if trimmed < length { length } else { 0 };
                (next == last).then_some(*state)
            }
        }
    }

    fn is_read(&self, op: &Ranked) -> bool {
        match op {
            Ranked::Read { .. } | Ranked::Tail { .. } => true,
            Ranked::Append { .. } | Ranked::Trim { .. } => false,
        }
    }
}

/// Decides a history with trims.
///
/// # Errors
/// As [`super::check`].
pub(super) fn check(
    pool: &Pool,
    calls: &[Call<LogOp>],
    positions: Result<Positions, LogViolation>,
    budget: &Budget,
    meter: &mut Meter,
) -> Result<Verdict, (u32, &'static str)> {
    let invalid = |violation| Ok(Verdict::Invalid(Violation::Log(violation)));
    let positions = match positions {
        Ok(positions) => positions,
        Err(violation) => return invalid(violation),
    };
    demand_positions(calls, &positions)?;
    // Beside what the caller holds: the ranked operations twice, and two lists of bounds.
    let each = 2 * size_of::<Call<Ranked>>() + 2 * size_of::<Option<Bounds>>() + size_of::<Sized>();
    let mut beside = budget.meter();
    if let Err(limit) = beside.hold(calls.len() * each) {
        return Ok(exhausted(limit, calls));
    }
    let mut ranked = match rank(pool, calls, &positions) {
        Ok(ranked) => ranked,
        Err(violation) => return invalid(violation),
    };
    if let Err(violation) = each_alone(calls, &positions, &mut ranked) {
        return invalid(violation);
    }
    drop(positions);
    drop(beside);
    search(&ranked, budget, meter)
}

fn search(
    ranked: &[Call<Ranked>],
    budget: &Budget,
    meter: &mut Meter,
) -> Result<Verdict, (u32, &'static str)> {
    if let Err(limit) = meter.hold(size_of_val(ranked)) {
        let total = ranked.len() as u32;
        return Ok(Verdict::Unknown(crate::checker::verdict::Exhausted {
            limit,
            decided: 0,
            total,
        }));
    }
    let (_, verdict) = search::check(&RankedLog, ranked, budget);
    if let Verdict::Valid(order) = &verdict
        && witness::verify(&RankedLog, ranked, order).is_err()
    {
        return Err((ranked[0].id, "the order that was found is not valid"));
    }
    Ok(verdict)
}

/// A record that was trimmed before it was seen has to report its position itself.
fn demand_positions(calls: &[Call<LogOp>], positions: &Positions) -> Result<(), (u32, &'static str)> {
    for call in calls {
        match call.op {
            LogOp::Append { record, .. } if !call.is_open() && positions.rank_of(record).is_none() => {
                return Err((
                    call.id,
                    "expected appends that report their position, because the log is trimmed",
                ));
            }
            LogOp::Whole(_) => {
                return Err((
                    call.id,
                    "expected reads that report positions, because the log is trimmed",
                ));
            }
            LogOp::Append { .. } | LogOp::Read { .. } | LogOp::Tail(_) | LogOp::Trim(_) => {}
        }
    }
    Ok(())
}

fn rank(
    pool: &Pool,
    calls: &[Call<LogOp>],
    positions: &Positions,
) -> Result<Vec<Call<Ranked>>, LogViolation> {
    let mut ranked = Vec::with_capacity(calls.len());
    for call in calls {
        let op = match call.op {
            // It was never seen: whether it happened changes nothing.
            LogOp::Append { record, .. } => positions.rank_of(record).map(|rank| Ranked::Append { rank }),
            LogOp::Trim(below) => Some(Ranked::Trim {
                rank: positions.start(pool, From::At(below)),
            }),
            LogOp::Tail(last) if last.is_nil() => Some(Ranked::Tail { next: 0 }),
            LogOp::Tail(last) => Some(Ranked::Tail {
                next: positions.rank_of_entry(pool, last) + 1,
            }),
            LogOp::Read { from, entries, end } => {
                let entries = pool.as_list(entries).unwrap_or_default();
                let start = positions.start(pool, from);
                let first = entries
                    .first()
                    .map_or(start, |entry| positions.rank_of_entry(pool, *entry).max(start));
                let next = positions.contiguous(pool, calls, call.id, first, entries)?;
                Some(Ranked::Read {
                    start,
                    first,
                    next,
                    end,
                })
            }
            LogOp::Whole(_) => None,
        };
        ranked.extend(op.map(|op| Call {
            id: call.id,
            call: call.call,
            ret: call.ret,
            op,
        }));
    }
    Ok(ranked)
}

/// Compares each of the two numbers with real time, and drops open trims that cannot matter.
fn each_alone(
    calls: &[Call<LogOp>],
    positions: &Positions,
    ranked: &mut Vec<Call<Ranked>>,
) -> Result<(), LogViolation> {
    let lengths: Vec<_> = ranked.iter().map(|call| Some(length_bounds(call))).collect();
    let mut sized = raise(ranked, &lengths)?;
    // The length that the log certainly had when each operation was called.
    let certain: Vec<u32> = sized.iter().map(|one| one.length).collect();
    sized.sort_unstable();
    real_time(ranked, &sized)?;

    let gone: Vec<_> = ranked
        .iter()
        .zip(&certain)
        .map(|(call, length)| gone_bounds(call, *length))
        .collect();
    explained(calls, positions, ranked, &gone)?;
    raise(ranked, &gone).map_err(resurrected)?;
    drop_idle(ranked, &certain, positions.count());
    Ok(())
}

/// What the two named by the rule of growing numbers are when that number is what was trimmed.
fn resurrected(violation: LogViolation) -> LogViolation {
    match violation {
        LogViolation::RealTime { earlier, later } => LogViolation::Resurrected {
            read: earlier,
            other: later,
        },
        other @ (LogViolation::Garbage { .. }
        | LogViolation::Conflict { .. }
        | LogViolation::Disorder { .. }
        | LogViolation::Skipped { .. }
        | LogViolation::Missing { .. }
        | LogViolation::Hole { .. }
        | LogViolation::Resurrected { .. }) => other,
    }
}

fn length_bounds(call: &Call<Ranked>) -> Bounds {
    let (at_least, at_most) = match call.op {
        Ranked::Append { rank } => (rank + 1, rank + 1),
        Ranked::Tail { next } if next > 0 => (next, next),
        Ranked::Read { first, next, end, .. } if first < next => (next, if end { next } else { u32::MAX }),
        Ranked::Trim { .. } | Ranked::Tail { .. } | Ranked::Read { .. } => (0, u32::MAX),
    };
    Bounds {
        is_append: matches!(call.op, Ranked::Append { .. }),
        at_least,
        at_most,
    }
}

/// What an operation says about how much is gone just after it, when the log had `length` records or
/// more; `None` when it says nothing.
fn gone_bounds(call: &Call<Ranked>, length: u32) -> Option<Bounds> {
    let (at_least, at_most) = match call.op {
        Ranked::Trim { rank } if !call.is_open() => (rank.min(length), u32::MAX),
        Ranked::Read { first, next, .. } if first < next => (call.op.exactly_gone().unwrap_or(0), first),
        Ranked::Tail { next } if next > 0 => (0, next - 1),
        Ranked::Read { .. } | Ranked::Tail { .. } => match call.op.empty_from() {
            Some(start) if start < length => (length, u32::MAX),
            Some(_) | None => return None,
        },
        Ranked::Append { .. } | Ranked::Trim { .. } => return None,
    };
    Some(Bounds {
        is_append: false,
        at_least,
        at_most,
    })
}

/// What is gone when an operation returns, some trim called before then has a label for.
fn explained(
    calls: &[Call<LogOp>],
    positions: &Positions,
    ranked: &[Call<Ranked>],
    gone: &[Option<Bounds>],
) -> Result<(), LogViolation> {
    // Each trim with the highest rank of those called until then.
    let mut trims: Vec<(u32, u32)> = Vec::new();
    for call in ranked {
        if let Ranked::Trim { rank } = call.op {
            let highest = trims.last().map_or(0, |(_, rank)| *rank);
            trims.push((call.call, highest.max(rank)));
        }
    }
    for (call, bounds) in ranked.iter().zip(gone) {
        let Some(bounds) = bounds else { continue };
        let called = trims.partition_point(|(at, _)| *at < call.ret);
        let highest = trims[..called].last().map_or(0, |(_, rank)| *rank);
        if bounds.at_least > highest {
            let by = positions.known_by(bounds.at_least - 1);
            return Err(LogViolation::Missing {
                read: call.id,
                other: calls[by as usize].id,
            });
        }
    }
    Ok(())
}

/// Drops open trims that no order needs: all but the first called of those that remove the same, and
/// those after which the log was never seen to begin where they leave it.
fn drop_idle(ranked: &mut Vec<Call<Ranked>>, certain: &[u32], count: u32) {
    let mut wanted = vec![false; count as usize + 1];
    let is_append = |call: &&Call<Ranked>| matches!(call.op, Ranked::Append { .. });
    let appends: Vec<u32> = ranked.iter().filter(is_append).map(|call| call.call).collect();
    for (call, length) in ranked.iter().zip(certain) {
        if call.op.empty_from().is_some() {
            // All was gone: as much as the log can have had by then.
            let longest = appends.partition_point(|at| *at < call.ret);
            wanted[longest.min(*length as usize)..=longest].fill(true);
        }
    }
    for begin in ranked.iter().filter_map(|call| call.op.exactly_gone()) {
        wanted[begin as usize] = true;
    }
    let mut lengths = certain.iter();
    ranked.retain(|call| {
        let length = lengths.next().copied().unwrap_or(0);
        match call.op {
            // Of a shorter log it removes less, when it is called early.
            Ranked::Trim { rank } if call.is_open() && rank <= length => {
                std::mem::take(&mut wanted[rank as usize])
            }
            Ranked::Trim { .. } | Ranked::Append { .. } | Ranked::Read { .. } | Ranked::Tail { .. } => true,
        }
    });
}

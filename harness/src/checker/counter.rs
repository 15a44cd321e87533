//! Counters: add, read. Exact when every add adds one; otherwise bounds first (a read outside of them
//! is a violation), then the search. O(n log n) for the former.
//!
//! Reads of a counter that only grows are ordered by their value. An add of one fills a gap between
//! two reads: not before a read that returned before its call, not behind one that was called after
//! its return. The gap before a read has as many adds as the value grew, so this is a matching with
//! deadlines, and serving the earliest deadline first finds it if there is one. An add that says what it made the
//! counter has its place among the reads, before those that returned the same.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::usage::{FAILED, Left, NO_FUNCTION, NilReads, Taken, change_fits, changed, seen};
use super::verdict::{Exhausted, Verdict};
use super::violation::{Explained, Violation, mention};
use crate::model::{Call, Model, NEVER};
use crate::recording::budget::Budget;
use crate::recording::datum::Pool;
use crate::recording::{Operation, Recording, ResultKind, Status};

/// An operation on a counter, with its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CounterOp {
    /// This was added.
    Add(i128),
    /// The counter was this.
    Read(i128),
    /// One was added, which made the counter this.
    Reached(i128),
}

impl CounterOp {
    /// What it adds, if it does.
    fn added(self) -> Option<i128> {
        match self {
            Self::Add(number) => Some(number),
            Self::Reached(_) => Some(1),
            Self::Read(_) => None,
        }
    }

    /// What the counter was at its end, if it says so.
    fn shown(self) -> Option<i128> {
        match self {
            Self::Read(value) | Self::Reached(value) => Some(value),
            Self::Add(_) => None,
        }
    }
}

/// The specification; counters begin at `initial`.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    /// Value before the first operation.
    pub initial: i128,
}

impl Model for Counter {
    type State = i128;
    type Op = CounterOp;

    fn init(&self) -> i128 {
        self.initial
    }

    fn step(&self, state: &i128, op: &CounterOp) -> Option<i128> {
        match *op {
            CounterOp::Add(number) => state.checked_add(number),
            CounterOp::Read(value) => (*state == value).then_some(value),
            CounterOp::Reached(value) => (state.checked_add(1) == Some(value)).then_some(value),
        }
    }

    fn is_read(&self, op: &CounterOp) -> bool {
        matches!(op, CounterOp::Read(_))
    }
}

pub(crate) struct Converter<'a> {
    pool: &'a Pool,
    add: Option<u16>,
    increment: Option<u16>,
    decrement: Option<u16>,
    read: Option<u16>,
    nil_reads: NilReads,
}

/// Numbers are exact, up to [`EXACT_MAX`](super::datum::EXACT_MAX).
const NO_NUMBER: &str = "no integer of at most 95 bits";

impl<'a> Converter<'a> {
    pub(crate) fn new(recording: &'a Recording, nil_reads: Option<NilReads>) -> Self {
        Self {
            pool: &recording.pool,
            add: recording.function_id("add"),
            increment: recording.function_id("incr"),
            decrement: recording.function_id("decr"),
            read: recording.function_id("read"),
            nil_reads: nil_reads.unwrap_or(NilReads::Value),
        }
    }

    pub(crate) fn convert(&self, operation: &Operation) -> Taken<CounterOp> {
        let function = Some(operation.function);
        let (is_increment, is_decrement) = (function == self.increment, function == self.decrement);
        if function == self.read {
            let (value, ret) = seen(self.pool, operation, self.nil_reads)?;
            let value = self.pool.as_integer(value);
            let value = value.ok_or(Left::look(operation, NO_NUMBER))?;
            Ok((CounterOp::Read(value), ret))
        } else if (is_increment || is_decrement) && operation.input.is_nil() {
            // By one, as its name says.
            change_fits(self.pool, operation)?;
            let step = if is_decrement { -1 } else { 1 };
            match operation.status {
                Status::Fail => Err(FAILED),
                Status::Info => Ok((CounterOp::Add(step), NEVER)),
                Status::Ok => Ok((CounterOp::Add(step), operation.ret)),
            }
        } else if is_increment || is_decrement || function == self.add {
            let (number, ret) = changed(self.pool, operation)?;
            let number = self.pool.as_integer(number);
            let number = number.ok_or(Left::change(operation, NO_NUMBER))?;
            let reached = self.pool.as_integer(operation.output);
            let is_shown = operation.status == Status::Ok && operation.result == ResultKind::At;
            if let (true, 1, Some(sum), true) = (is_shown, number, reached, function == self.add) {
                return Ok((CounterOp::Reached(sum), ret));
            }
            Ok((CounterOp::Add(if is_decrement { -number } else { number }), ret))
        } else {
            Err(Left::change(operation, NO_FUNCTION))
        }
    }
}

/// Decides `calls`, in order of invocation, all of one counter.
pub fn check(initial: i128, calls: &[Call<CounterOp>], budget: &Budget) -> Verdict {
    let mut meter = budget.meter();
    if let Err(limit) = meter
        .hold(calls.len() * 64)
        .and_then(|()| budget.check_cancelled())
    {
        return Verdict::Unknown(Exhausted {
            limit,
            decided: 0,
            total: calls.len() as u32,
        });
    }
    if let Some(explained) = out_of_bounds(initial, calls) {
        return Verdict::Invalid(Violation::Explained(explained));
    }
    let by_ones = calls
        .iter()
        .all(|call| !matches!(call.op, CounterOp::Add(number) if number != 1));
    if !by_ones {
        return super::search::check(&Counter { initial }, calls, budget).1;
    }
    match Gaps::new(initial, calls).fill() {
        Ok(witness) => Verdict::Valid(witness),
        Err(explained) => Verdict::Invalid(Violation::Explained(explained)),
    }
}

/// A read below what had certainly been added, or above what can have been.
fn out_of_bounds(initial: i128, calls: &[Call<CounterOp>]) -> Option<Explained> {
    let mut events: Vec<(u32, bool, u32)> = Vec::with_capacity(2 * calls.len());
    for (i, call) in (0_u32..).zip(calls) {
        events.push((call.call, false, i));
        if !call.is_open() {
            events.push((call.ret, true, i));
        }
    }
    events.sort_unstable();
    // What was called and what returned so far, what adds apart from what takes away.
    let (mut called, mut returned) = ([0_i128; 2], [0_i128; 2]);
    let mut returned_at_call = vec![[0; 2]; calls.len()];
    for (_, is_return, i) in events {
        let (at, op) = (i as usize, calls[i as usize].op);
        if let Some(number) = op.added() {
            let sums = if is_return { &mut returned } else { &mut called };
            let sum = &mut sums[usize::from(number < 0)];
            *sum = sum.saturating_add(number);
        }
        let Some(value) = op.shown() else { continue };
        if is_return {
            let [sure_up, sure_down] = returned_at_call[at];
            let own = op.added().unwrap_or(0);
            let sure = initial.saturating_add(sure_up).saturating_add(own);
            let low = sure.saturating_add(called[1]);
            let high = initial.saturating_add(called[0]).saturating_add(sure_down);
            if value < low || value > high {
                return Some(bounds_explained(&calls[at], value, low, high));
            }
        } else {
            returned_at_call[at] = returned;
        }
    }
    None
}

fn bounds_explained(read: &Call<CounterOp>, value: i128, low: i128, high: i128) -> Explained {
    let why = if value < low {
        format!(
            "The adds that had returned before {} was called make at least {low}{}.",
            mention(read.id),
            if read.op.added().is_some() {
                ", with its own"
            } else {
                ""
            }
        )
    } else {
        format!(
            "The adds that had been called before {} returned make at most {high}.",
            mention(read.id)
        )
    };
    let title = if value < low {
        "lost adds"
    } else {
        "more than was added"
    };
    Explained {
        title: match read.op {
            CounterOp::Read(_) | CounterOp::Add(_) => format!("{title}: a read returned {value}"),
            CounterOp::Reached(_) => format!("{title}: an add made it {value}"),
        },
        operations: vec![read.id],
        why: vec![why],
    }
}

/// What shows the counter, by value, and the other adds of one with the gaps they fit into; gap k lies before read k.
struct Gaps<'a> {
    initial: i128,
    calls: &'a [Call<CounterOp>],
    /// Reads, and adds that say what they made the counter: value, whether it only reads, call, index.
    reads: Vec<(i128, bool, u32, u32)>,
    /// First gap, call, index.
    adds: Vec<(u32, u32, u32)>,
    /// Last gap, by index of the add.
    last_gap: Vec<u32>,
}

impl<'a> Gaps<'a> {
    fn new(initial: i128, calls: &'a [Call<CounterOp>]) -> Self {
        let mut reads: Vec<(i128, bool, u32, u32)> = (0..)
            .zip(calls)
            .filter(|(_, call)| !call.is_open())
            .filter_map(|(i, call)| Some((call.op.shown()?, call.op.added().is_none(), call.call, i)))
            .collect();
        reads.sort_unstable();
        // The last read that returned by then, and the first that was called from then on.
        let mut returned: Vec<(u32, u32)> = (0..)
            .zip(&reads)
            .map(|(k, (_, _, _, i))| (calls[*i as usize].ret, k))
            .collect();
        returned.sort_unstable();
        for at in 1..returned.len() {
            returned[at].1 = returned[at].1.max(returned[at - 1].1);
        }
        let mut called: Vec<(u32, u32)> = (0..).zip(&reads).map(|(k, (_, _, call, _))| (*call, k)).collect();
        called.sort_unstable();
        for at in (1..called.len()).rev() {
            called[at - 1].1 = called[at - 1].1.min(called[at].1);
        }
        let mut adds = Vec::new();
        let mut last_gap = vec![0; calls.len()];
        for (i, call) in (0_u32..).zip(calls) {
            if matches!(call.op, CounterOp::Add(_)) {
                let before = returned.partition_point(|(ret, _)| *ret < call.call);
                let first = before.checked_sub(1).map_or(0, |at| returned[at].1 + 1);
                let after = called.partition_point(|(at, _)| *at < call.ret);
                last_gap[i as usize] = called.get(after).map_or(reads.len() as u32, |(_, k)| *k);
                adds.push((first, call.call, i));
            }
        }
        adds.sort_unstable();
        Self {
            initial,
            calls,
            reads,
            adds,
            last_gap,
        }
    }

    fn fill(&self) -> Result<Vec<u32>, Explained> {
        self.real_time()?;
        let mut witness = Vec::with_capacity(self.calls.len());
        let mut waiting: BinaryHeap<Reverse<(u32, u32, u32)>> = BinaryHeap::new();
        let mut adds = self.adds.iter().peekable();
        let mut value = self.initial;
        for (k, (seen, only_reads, _, read)) in (0_u32..).zip(&self.reads) {
            let before = if *only_reads { *seen } else { *seen - 1 };
            while let Some((_, call, i)) = adds.next_if(|(first, _, _)| *first <= k) {
                waiting.push(Reverse((self.last_gap[*i as usize], *call, *i)));
            }
            while value < before {
                match waiting.pop() {
                    Some(Reverse((last, _, add))) if last >= k => witness.push(self.id(add)),
                    Some(Reverse((_, _, add))) => return Err(self.late(add, k)),
                    None => return Err(self.too_many(k)),
                }
                value += 1;
            }
            if let Some(Reverse((last, _, add))) = waiting.peek()
                && *last <= k
            {
                return Err(self.late(*add, k));
            }
            if value > before {
                return Err(self.same(k));
            }
            value = *seen;
            witness.push(self.id(*read));
        }
        let rest = adds.map(|(_, call, i)| (*call, *i));
        let mut rest: Vec<(u32, u32)> = rest
            .chain(waiting.into_iter().map(|Reverse((_, call, i))| (call, i)))
            .collect();
        rest.sort_unstable();
        let returned = rest
            .into_iter()
            .filter(|(_, i)| !self.calls[*i as usize].is_open());
        witness.extend(returned.map(|(_, i)| self.id(i)));
        Ok(witness)
    }

    fn real_time(&self) -> Result<(), Explained> {
        let mut latest: Option<u32> = None;
        for (_, _, call, i) in &self.reads {
            if let Some(before) = latest
                && self.calls[*i as usize].ret < self.calls[before as usize].call
            {
                return Err(self.stale(before, *i));
            }
            if latest.is_none_or(|latest| self.calls[latest as usize].call < *call) {
                latest = Some(*i);
            }
        }
        Ok(())
    }

    /// `large` has its place behind `small`, and was over before it was called.
    fn stale(&self, small: u32, large: u32) -> Explained {
        let shown = |i: u32| self.calls[i as usize].op.shown();
        let is_same = shown(small) == shown(large);
        let (small, large) = (self.id(small), self.id(large));
        let (title, why) = if is_same {
            let why = format!(
                "{} returned what {} says that it made the counter, and was over before {} was called.",
                mention(large),
                mention(small),
                mention(small)
            );
            ("an add counts for nothing: the counter was that before it", why)
        } else {
            let why = format!(
                "The counter only grows, but {} returned more than {} and was over before {} was called.",
                mention(large),
                mention(small),
                mention(small)
            );
            ("stale: a read returned less than an earlier one", why)
        };
        Explained {
            title: title.to_owned(),
            operations: vec![small, large],
            why: vec![why],
        }
    }

    /// Add `k` and the one before it made the counter the same.
    fn same(&self, k: u32) -> Explained {
        let id = |k: u32| self.id(self.reads[k as usize].3);
        let (one, other) = (id(k.saturating_sub(1)), id(k));
        Explained {
            title: "two adds made the counter the same".to_owned(),
            operations: vec![one, other],
            why: vec![format!(
                "{} and {} each say that they made the counter {}: one of the two counts for nothing.",
                mention(one),
                mention(other),
                self.reads[k as usize].0
            )],
        }
    }

    fn id(&self, i: u32) -> u32 {
        self.calls[i as usize].id
    }

    fn late(&self, add: u32, k: u32) -> Explained {
        let (add, read) = (self.id(add), self.id(self.reads[k as usize].3));
        Explained {
            title: "an acknowledged add is missing from a read".to_owned(),
            operations: vec![add, read],
            why: vec![format!(
                "The adds that must have happened by then, {} among them, are more than {} counts: it returned \
                 before the rest, or another read behind it was called after them.",
                mention(add),
                mention(read)
            )],
        }
    }

    fn too_many(&self, k: u32) -> Explained {
        let read = self.id(self.reads[k as usize].3);
        let before = k
            .checked_sub(1)
            .map(|before| self.id(self.reads[before as usize].3));
        let why = match before {
            Some(before) => format!(
                "Between {} and {} the counter grew by more than there are adds that fit between the two.",
                mention(before),
                mention(read)
            ),
            None => format!(
                "{} counts more adds than had been called before it returned.",
                mention(read)
            ),
        };
        Explained {
            title: "a read counts more than was added".to_owned(),
            operations: before.into_iter().chain([read]).collect(),
            why: vec![why],
        }
    }
}

//! Small register histories.

use harness::checker::NEVER;
use harness::checker::register::{Register, RegisterOp};
use harness::generator::random::Random;
use harness::model::{Call, Model};
use harness::recording::datum::Datum;

use super::{PROCESSES_MAX, Step, schedule_of};

/// Which operations occur.
#[derive(Clone, Copy, Debug)]
pub struct Kinds {
    /// Every value is written at most once.
    pub unique: bool,
    /// Compare-and-sets occur.
    pub cas: bool,
    /// Operations that only say what they did not see occur.
    pub differs: bool,
}

pub fn datum(value: i64) -> Datum {
    Datum::int(value).expect("small")
}

/// A history that has an order, or had one before something in it was changed.
pub fn history(random: &mut Random, kinds: Kinds, operations: usize) -> Vec<Call<RegisterOp>> {
    history_of(random, kinds, operations, PROCESSES_MAX)
}

/// The same with up to `processes` at once.
pub fn history_of(
    random: &mut Random,
    kinds: Kinds,
    operations: usize,
    processes: usize,
) -> Vec<Call<RegisterOp>> {
    let mut calls = legal(random, kinds, operations, processes);
    let changes = [0, 1, 1, 2][random.below(4)];
    for _ in 0..changes {
        change(random, kinds, &mut calls);
    }
    calls.retain(|call| !(call.is_open() && Register { initial: datum(0) }.is_read(&call.op)));
    calls
}

fn legal(random: &mut Random, kinds: Kinds, operations: usize, processes: usize) -> Vec<Call<RegisterOp>> {
    let mut calls: Vec<Call<RegisterOp>> = Vec::new();
    let mut state = datum(0);
    let mut next_value = 0;
    for (at, step) in (0_u32..).zip(schedule_of(random, operations, processes)) {
        match step {
            Step::Invoke(id) => {
                let op = request(random, kinds, state, &mut next_value);
                calls.push(Call {
                    id: id as u32,
                    call: at,
                    ret: NEVER,
                    op,
                });
            }
            Step::Apply(id) => calls[id].op = apply(calls[id].op, &mut state),
            Step::Return(id) => calls[id].ret = at,
        }
    }
    calls
}

fn request(random: &mut Random, kinds: Kinds, state: Datum, next_value: &mut i64) -> RegisterOp {
    let mut value = |random: &mut Random| {
        if kinds.unique {
            *next_value += 1;
            datum(*next_value)
        } else {
            datum(random.below(3) as i64)
        }
    };
    match random.below(10) {
        0..4 => RegisterOp::Read(datum(0)),
        4..6 if kinds.cas => RegisterOp::Cas(state, value(random)),
        6 if kinds.differs => RegisterOp::Differs(datum(random.below(3) as i64)),
        _ => RegisterOp::Write(value(random)),
    }
}

fn apply(op: RegisterOp, state: &mut Datum) -> RegisterOp {
    match op {
        RegisterOp::Read(_) => RegisterOp::Read(*state),
        RegisterOp::Differs(value) if value == *state => RegisterOp::Read(value),
        RegisterOp::Cas(expected, _) if expected != *state => RegisterOp::Read(*state),
        RegisterOp::Differs(_) => op,
        RegisterOp::Write(value) | RegisterOp::Cas(_, value) => {
            *state = value;
            op
        }
    }
}

/// Changes what an operation saw, or when it happened.
fn change(random: &mut Random, kinds: Kinds, calls: &mut [Call<RegisterOp>]) {
    let at = random.below(calls.len());
    let other = datum(random.below(calls.len() + 2) as i64);
    let unused = datum(100 + at as i64);
    calls[at].op = match calls[at].op {
        RegisterOp::Read(_) => RegisterOp::Read(other),
        RegisterOp::Cas(_, new) => RegisterOp::Cas(other, new),
        RegisterOp::Differs(_) => RegisterOp::Differs(other),
        RegisterOp::Write(_) if random.chance(0.3) => {
            RegisterOp::Write(if kinds.unique { unused } else { other })
        }
        RegisterOp::Write(value) => {
            calls[at].ret = if random.chance(0.5) { NEVER } else { calls[at].ret };
            RegisterOp::Write(value)
        }
    };
}

/// The operations named, and those that wrote what these saw, and so on: if these have no order, the
/// whole history has none, provided every value is written at most once.
pub fn with_writers(calls: &[Call<RegisterOp>], named: &[u32]) -> Vec<Call<RegisterOp>> {
    let mut wanted: Vec<u32> = named.to_vec();
    let mut at = 0;
    while let Some(id) = wanted.get(at).copied() {
        at += 1;
        let call = calls
            .iter()
            .find(|call| call.id == id)
            .expect("a named operation exists");
        let (RegisterOp::Read(seen) | RegisterOp::Cas(seen, _)) = call.op else {
            continue;
        };
        let writers = calls.iter().filter(|call| match call.op {
            RegisterOp::Write(value) | RegisterOp::Cas(_, value) => value == seen,
            RegisterOp::Read(_) | RegisterOp::Differs(_) => false,
        });
        for writer in writers {
            if !wanted.contains(&writer.id) {
                wanted.push(writer.id);
            }
        }
    }
    calls
        .iter()
        .filter(|call| wanted.contains(&call.id))
        .copied()
        .collect()
}

/// The history up to the return of `last`; what had not returned by then is of unknown outcome.
pub fn until_return<O: Clone>(calls: &[Call<O>], last: u32) -> Vec<Call<O>> {
    let end = calls
        .iter()
        .find(|call| call.id == last)
        .expect("a named operation exists")
        .ret;
    let mut calls: Vec<_> = calls.iter().filter(|call| call.call < end).cloned().collect();
    for call in &mut calls {
        if call.ret > end {
            call.ret = NEVER;
        }
    }
    calls
}

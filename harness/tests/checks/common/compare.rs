//! One comparison an engine: a seed in, whether the history was valid out, or the difference.

use harness::checker::log::Labels;
use harness::checker::register::{Register, RegisterOp, drop_unseen};
use harness::checker::violation::{CORE_MAX, Stuck};
use harness::checker::{self, Budget, NEVER, Verdict, Violation, witness};
use harness::generator::random::Random;
use harness::model::{Call, Model};
use harness::recording::datum::{Datum, Pool};

use super::registers::{self, Kinds, datum, until_return, with_writers};
use super::{linear, linearizable, logs};

/// Valid or not, or how the engine and the oracle differ.
pub type Outcome = Result<bool, String>;

const OPERATIONS_MAX: usize = 7;

fn random_and_size(seed: u64) -> (Random, usize) {
    let mut random = Random::new(seed);
    let operations = 1 + random.below(OPERATIONS_MAX);
    (random, operations)
}

fn register() -> Register {
    Register { initial: datum(0) }
}

/// Compares a verdict with the oracle and verifies its witness.
fn agree<M: Model>(model: &M, calls: &[Call<M::Op>], verdict: &Verdict) -> Outcome
where
    M::Op: std::fmt::Debug,
{
    let expected = linearizable(model, calls);
    let show = || format!("{verdict:?}, but linearizable is {expected}: {calls:?}");
    match verdict {
        Verdict::Valid(order) => {
            if !expected {
                return Err(show());
            }
            witness::verify(model, calls, order).map_err(|flaw| format!("{flaw:?} in {}", show()))?;
        }
        Verdict::Invalid(_) if expected => return Err(show()),
        Verdict::Invalid(_) => {}
        Verdict::Unknown(_) => return Err(show()),
    }
    Ok(expected)
}

/// What the counterexample names must have no order by itself.
fn refuted(
    calls: &[Call<RegisterOp>],
    part: &[Call<RegisterOp>],
    violation: &Violation,
) -> Result<(), String> {
    let named = violation.operations();
    if named.is_empty() || named.len() > CORE_MAX {
        return Err(format!(
            "{violation:?} names {} operations: {calls:?}",
            named.len()
        ));
    }
    if linearizable(&register(), part) {
        return Err(format!("{violation:?} proves nothing: {part:?} of {calls:?}"));
    }
    Ok(())
}

/// The operations of a core have no order by themselves, whatever the others do.
fn proves(calls: &[Call<RegisterOp>], stuck: &Stuck) -> Result<(), String> {
    let Some(core) = &stuck.core else {
        return Ok(());
    };
    let since = core.since.unwrap_or(0);
    let bound = |call: &Call<RegisterOp>| core.operations.contains(&call.id);
    let part: Vec<Call<RegisterOp>> = calls
        .iter()
        .filter(|call| call.ret > since && (bound(call) || !register().is_read(&call.op)))
        .map(|call| Call {
            ret: if bound(call) { call.ret } else { NEVER },
            ..*call
        })
        .collect();
    let initials = match core.since {
        Some(_) => -1..10,
        None => 0..1,
    };
    for initial in initials {
        let register = Register {
            initial: datum(initial),
        };
        if linearizable(&register, &part) {
            return Err(format!(
                "{core:?} proves nothing from {initial} on: {part:?} of {calls:?}"
            ));
        }
    }
    match core.operations.contains(&stuck.op) {
        true => Ok(()),
        false => Err(format!("{stuck:?} does not name what fits nowhere: {calls:?}")),
    }
}

pub fn unique(seed: u64) -> Outcome {
    let (mut random, operations) = random_and_size(seed);
    let kinds = Kinds {
        unique: true,
        cas: random.chance(0.7),
        differs: false,
    };
    let calls = registers::history(&mut random, kinds, operations);
    let verdict = checker::unique::check(datum(0), &calls, &Budget::default())
        .ok_or_else(|| format!("not taken for unique: {calls:?}"))?;
    if let Verdict::Invalid(violation) = &verdict {
        refuted(&calls, &with_writers(&calls, &violation.operations()), violation)?;
    }
    agree(&register(), &calls, &verdict)
}

pub fn breadth(seed: u64) -> Outcome {
    by_search(seed, |model, calls| {
        checker::breadth::check(model, calls, &Budget::default())
    })
}

pub fn depth(seed: u64) -> Outcome {
    by_search(seed, |model, calls| {
        checker::depth::check(model, calls, &Budget::default())
    })
}

fn by_search(seed: u64, check: impl Fn(&Register, &[Call<RegisterOp>]) -> Verdict) -> Outcome {
    let (mut random, operations) = random_and_size(seed);
    let kinds = Kinds {
        unique: random.chance(0.2),
        cas: random.chance(0.7),
        differs: random.chance(0.4),
    };
    let calls = registers::history(&mut random, kinds, operations);
    let mut seen = calls.clone();
    drop_unseen(&mut seen);
    let verdict = check(&register(), &seen);
    if let Verdict::Invalid(violation @ Violation::Stuck(stuck)) = &verdict {
        refuted(&calls, &until_return(&calls, stuck.op), violation)?;
    }
    agree(&register(), &calls, &verdict)
}

pub fn frontier(seed: u64) -> Outcome {
    let (mut random, operations) = random_and_size(seed);
    let kinds = Kinds {
        unique: random.chance(0.1),
        cas: random.chance(0.7),
        differs: random.chance(0.3),
    };
    let calls = registers::history(&mut random, kinds, operations);
    let mut seen = calls.clone();
    drop_unseen(&mut seen);
    let verdict = checker::frontier::check(datum(0), &seen, &Budget::default());
    if let Verdict::Invalid(violation @ Violation::Stuck(stuck)) = &verdict {
        refuted(&calls, &until_return(&calls, stuck.op), violation)?;
        proves(&calls, stuck)?;
    }
    agree(&register(), &calls, &verdict)
}

/// Larger histories, with more open at once than brute force can take: against the search by breadth.
pub fn frontier_wide(seed: u64) -> Outcome {
    let mut random = Random::new(seed);
    let operations = 8 + random.below(17);
    let differs = random.chance(0.2);
    by_breadth(many_registers(&mut random, differs, operations, 8))
}

/// Histories long enough that the frontier goes back, and looks at a part of them alone.
pub fn frontier_long(seed: u64) -> Outcome {
    let mut random = Random::new(seed);
    let operations = 100 + random.below(300);
    let differs = random.chance(0.2);
    let mut calls = many_registers(&mut random, differs, operations, 6);
    let mut unknown = 0;
    calls.retain(|call| {
        unknown += usize::from(call.is_open());
        !call.is_open() || unknown <= UNKNOWN_MAX
    });
    by_breadth(calls)
}

/// Operations of unknown outcome in a long history: the search by breadth takes long with more.
const UNKNOWN_MAX: usize = 5;

fn many_registers(
    random: &mut Random,
    differs: bool,
    operations: usize,
    processes: usize,
) -> Vec<Call<RegisterOp>> {
    let kinds = Kinds {
        unique: false,
        cas: true,
        differs,
    };
    registers::history_of(random, kinds, operations, processes)
}

fn by_breadth(mut calls: Vec<Call<RegisterOp>>) -> Outcome {
    drop_unseen(&mut calls);
    let verdict = checker::frontier::check(datum(0), &calls, &Budget::default());
    let other = checker::breadth::check(&register(), &calls, &Budget::default());
    match (&verdict, &other) {
        (Verdict::Valid(order), Verdict::Valid(_)) => witness::verify(&register(), &calls, order)
            .map(|()| true)
            .map_err(|flaw| format!("{flaw:?} in {verdict:?}: {calls:?}")),
        (Verdict::Invalid(Violation::Stuck(one)), Verdict::Invalid(Violation::Stuck(two)))
            if one.op == two.op =>
        {
            Ok(false)
        }
        _ => Err(format!("{verdict:?}, but by breadth {other:?}: {calls:?}")),
    }
}

pub fn log(seed: u64) -> Outcome {
    log_with(seed, logs::Kind::Ordered)
}

pub fn log_trimmed(seed: u64) -> Outcome {
    log_with(seed, logs::Kind::Trimmed)
}

pub fn log_offsets(seed: u64) -> Outcome {
    log_with(seed, logs::Kind::Offsets)
}

fn log_with(seed: u64, kind: logs::Kind) -> Outcome {
    let (mut random, operations) = random_and_size(seed);
    let mut pool = Pool::default();
    let calls = logs::history(&mut random, &mut pool, operations, kind);
    let (labels, offsets) = match kind {
        logs::Kind::Offsets => (Labels::Offsets, true),
        logs::Kind::Ordered | logs::Kind::Trimmed => (Labels::Ordered, false),
    };
    let verdict = checker::log::check(&pool, &calls, labels, &Budget::default())
        .map_err(|(op, problem)| format!("operation {op}: {problem}: {calls:?}"))?;
    let mut spec = logs::LogSpec::new(&pool, &calls);
    spec.offsets = offsets;
    agree(&spec, &calls, &verdict)
}

fn named(result: Result<Verdict, (u32, &'static str)>) -> Result<Verdict, String> {
    result.map_err(|(op, problem)| format!("operation {op}: {problem}"))
}

pub fn sets(seed: u64) -> Outcome {
    let (mut random, operations) = random_and_size(seed);
    let mut pool = Pool::default();
    let calls = linear::sets(&mut random, &mut pool, operations);
    let verdict = named(checker::sets::check(&pool, &[], &calls, &Budget::default()))?;
    agree(&linear::SetSpec(&pool), &calls, &verdict)
}

pub fn counter(seed: u64) -> Outcome {
    let (mut random, operations) = random_and_size(seed);
    let by_ones = random.chance(0.7);
    let calls = linear::counters(&mut random, operations, by_ones);
    let verdict = checker::counter::check(0, &calls, &Budget::default());
    agree(&checker::counter::Counter { initial: 0 }, &calls, &verdict)
}

pub fn lock(seed: u64) -> Outcome {
    let (mut random, operations) = random_and_size(seed);
    let calls = linear::locks(&mut random, operations);
    agree(&checker::lock::Lock, &calls, &checker::lock::check(None, &calls))
}

pub fn exactly_once(seed: u64) -> Outcome {
    let (mut random, operations) = random_and_size(seed);
    let mut pool = Pool::default();
    let calls = linear::requests(&mut random, &mut pool, operations);
    let verdict = named(checker::log::check(
        &pool,
        &calls,
        Labels::Ordered,
        &Budget::default(),
    ))?;
    agree(&linear::RequestSpec(&pool), &calls, &verdict)
}

pub fn list_append(seed: u64) -> Outcome {
    let (mut random, operations) = random_and_size(seed);
    let mut pool = Pool::default();
    let calls = linear::transactions(&mut random, &mut pool, operations);
    let aborted = Default::default();
    let verdict = named(checker::list_append::decide(
        &pool,
        &[],
        &calls,
        &aborted,
        &Budget::default(),
    ))?;
    let initial = Datum::NIL;
    agree(
        &checker::txn::Transactions { pool: &pool, initial },
        &calls,
        &verdict,
    )
}

pub fn rw_register(seed: u64) -> Outcome {
    let (mut random, operations) = random_and_size(seed);
    let pool = Pool::default();
    let calls = linear::register_transactions(&mut random, operations);
    let initial = datum(0);
    let aborted = Default::default();
    let (_, verdict) = checker::rw_register::decide(&pool, &calls, initial, &aborted, &Budget::default());
    agree(
        &checker::txn::Transactions { pool: &pool, initial },
        &calls,
        &verdict,
    )
}

pub fn kv(seed: u64) -> Outcome {
    let (mut random, operations) = random_and_size(seed);
    let mut pool = Pool::default();
    let calls = linear::texts(&mut random, &mut pool, operations);
    let model = checker::kv::Kv {
        pool: &pool,
        initial: None,
    };
    let (_, verdict) = checker::kv::check(&model, &calls, &Budget::default());
    agree(&model, &calls, &verdict)
}

/// A comparison.
pub type Compare = fn(u64) -> Outcome;

/// Every comparison.
pub const ALL: [(&str, Compare); 16] = [
    ("unique", unique),
    ("frontier", frontier),
    ("frontier_wide", frontier_wide),
    ("frontier_long", frontier_long),
    ("breadth", breadth),
    ("depth", depth),
    ("log", log),
    ("log_trimmed", log_trimmed),
    ("log_offsets", log_offsets),
    ("sets", sets),
    ("counter", counter),
    ("lock", lock),
    ("exactly_once", exactly_once),
    ("list_append", list_append),
    ("rw_register", rw_register),
    ("kv", kv),
];

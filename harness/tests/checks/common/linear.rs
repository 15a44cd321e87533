//! Small histories of sets, counters, locks and transactions.

use harness::checker::NEVER;
use harness::checker::counter::CounterOp;
use harness::checker::kv::KvOp;
use harness::checker::lock::LockOp;
use harness::checker::log::LogOp;
use harness::checker::sets::SetOp;
use harness::checker::txn::Micro;
use harness::generator::random::Random;
use harness::model::{Call, Model};
use harness::recording::datum::{Datum, Pool};

use super::registers::datum;
use super::{Step, schedule};

/// Runs a schedule: `request` makes an operation, `apply` lets it take effect and fills in its result,
/// `change` spoils one.
pub fn history<O: Clone, S>(
    random: &mut Random,
    operations: usize,
    state: &mut S,
    request: impl Fn(&mut Random, &S, usize) -> O,
    apply: impl Fn(&mut S, &O) -> Option<O>,
    change: impl Fn(&mut Random, &mut S, &mut O),
) -> Vec<Call<O>> {
    let mut calls: Vec<Call<O>> = Vec::new();
    let mut refused = Vec::new();
    for (at, step) in (0_u32..).zip(schedule(random, operations)) {
        match step {
            Step::Invoke(id) => {
                let op = request(random, state, id);
                calls.push(Call {
                    id: id as u32,
                    call: at,
                    ret: NEVER,
                    op,
                });
            }
            Step::Apply(id) => match apply(state, &calls[id].op) {
                Some(op) => calls[id].op = op,
                None => refused.push(id as u32),
            },
            Step::Return(id) => calls[id].ret = at,
        }
    }
    calls.retain(|call| !refused.contains(&call.id));
    for _ in 0..[0, 1, 1, 2][random.below(4)] {
        if !calls.is_empty() {
            let at = random.below(calls.len());
            change(random, state, &mut calls[at].op);
        }
    }
    calls
}

/// What never returned is only there when it may have changed something.
fn without_unanswered<O>(mut calls: Vec<Call<O>>, changes: impl Fn(&O) -> bool) -> Vec<Call<O>> {
    calls.retain(|call| !call.is_open() || changes(&call.op));
    calls
}

/// What a transaction read is not known when it never returned.
fn without_unanswered_reads(mut calls: Vec<Call<Vec<Micro>>>) -> Vec<Call<Vec<Micro>>> {
    for call in calls.iter_mut().filter(|call| call.is_open()) {
        call.op.retain(|micro| !matches!(micro, Micro::Read { .. }));
    }
    calls
}

/// One to three operations on the keys below `keys`; `micro` makes one of a key and a number of its own.
fn transaction(
    random: &mut Random,
    keys: usize,
    id: usize,
    micro: impl Fn(&mut Random, Datum, usize) -> Micro,
) -> Vec<Micro> {
    let numbers = (0..1 + at_most(id, 3)).map(|at| 10 * id + at);
    let mut make = |number| {
        let key = datum(random.below(keys) as i64);
        micro(random, key, number)
    };
    numbers.map(&mut make).collect()
}

pub fn sets(random: &mut Random, pool: &mut Pool, operations: usize) -> Vec<Call<SetOp>> {
    let mut state = (pool, Vec::new());
    let calls = history(
        random,
        operations,
        &mut state,
        |random, _, id| {
            if random.chance(0.5) {
                SetOp::Add(datum(id as i64))
            } else {
                SetOp::Read(Datum::NIL)
            }
        },
        |(pool, set), op| {
            Some(match op {
                SetOp::Add(element) => {
                    set.push(*element);
                    *op
                }
                SetOp::Read(_) => SetOp::Read(pool.list(set)),
            })
        },
        |random, (pool, _), op| {
            if let SetOp::Read(list) = op {
                *list = spoil(random, pool, *list, operations);
            }
        },
    );
    without_unanswered(calls, |op| matches!(op, SetOp::Add(_)))
}

fn spoil(random: &mut Random, pool: &mut Pool, list: Datum, end: usize) -> Datum {
    let mut elements = pool.as_list(list).unwrap_or_default().to_vec();
    if !elements.is_empty() && random.chance(0.5) {
        elements.remove(random.below(elements.len()));
    } else {
        let at = random.below(elements.len() + 1);
        elements.insert(at, datum(random.below(end + 1) as i64));
    }
    pool.list(&elements)
}

/// The specification of a set.
pub struct SetSpec<'a>(pub &'a Pool);

impl Model for SetSpec<'_> {
    type State = Vec<Datum>;
    type Op = SetOp;

    fn init(&self) -> Vec<Datum> {
        Vec::new()
    }

    fn step(&self, state: &Vec<Datum>, op: &SetOp) -> Option<Vec<Datum>> {
        let mut set = state.clone();
        match *op {
            SetOp::Add(element) => {
                set.push(element);
                set.sort_unstable();
                Some(set)
            }
            SetOp::Read(list) => {
                let mut seen = self.0.as_list(list)?.to_vec();
                seen.sort_unstable();
                (seen == set).then_some(set)
            }
        }
    }
}

pub fn counters(random: &mut Random, operations: usize, by_ones: bool) -> Vec<Call<CounterOp>> {
    let calls = history(
        random,
        operations,
        &mut 0_i128,
        |random, _, _| match random.below(2) {
            0 if by_ones && random.below(2) == 0 => CounterOp::Reached(0),
            0 if by_ones => CounterOp::Add(1),
            0 => CounterOp::Add(random.below(5) as i128 - 1),
            _ => CounterOp::Read(0),
        },
        |state, op| {
            Some(match *op {
                CounterOp::Add(number) => {
                    *state += number;
                    *op
                }
                CounterOp::Read(_) => CounterOp::Read(*state),
                CounterOp::Reached(_) => {
                    *state += 1;
                    CounterOp::Reached(*state)
                }
            })
        },
        |random, _, op| {
            if let CounterOp::Read(value) | CounterOp::Reached(value) = op {
                *value += [-1, 1, 2][random.below(3)];
            }
        },
    );
    let mut calls = without_unanswered(calls, |op| !matches!(op, CounterOp::Read(_)));
    // What an add made the counter is not known without its answer.
    for call in calls.iter_mut().filter(|call| call.is_open()) {
        if let CounterOp::Reached(_) = call.op {
            call.op = CounterOp::Add(1);
        }
    }
    calls
}

pub fn locks(random: &mut Random, operations: usize) -> Vec<Call<LockOp>> {
    let calls = history(
        random,
        operations,
        &mut (0, false),
        |random, state: &(i128, bool), _| match random.below(2) {
            0 => LockOp::Acquire(0),
            _ => LockOp::Release(state.0),
        },
        |(last, held), op| match *op {
            LockOp::Acquire(_) if *held => None,
            LockOp::Acquire(_) => {
                (*last, *held) = (*last + 1, true);
                Some(LockOp::Acquire(*last))
            }
            LockOp::Release(token) if *held && token == *last => {
                *held = false;
                Some(*op)
            }
            LockOp::Release(_) => None,
        },
        |random, _, op| {
            let (LockOp::Acquire(token) | LockOp::Release(token)) = op;
            *token += [-1, 1, 2][random.below(3)];
        },
    );
    without_unanswered(calls, |op| matches!(op, LockOp::Release(_)))
}

pub fn requests(random: &mut Random, pool: &mut Pool, operations: usize) -> Vec<Call<LogOp>> {
    let mut state = (pool, Vec::new());
    let calls = history(
        random,
        operations,
        &mut state,
        |random, _, id| match random.below(2) {
            0 => LogOp::Append {
                record: datum(id as i64),
                at: Datum::NIL,
            },
            _ => LogOp::Whole(Datum::NIL),
        },
        |(pool, list), op| {
            Some(match *op {
                LogOp::Append { record, .. } => {
                    list.push(record);
                    *op
                }
                LogOp::Whole(_) | LogOp::Read { .. } | LogOp::Tail(_) | LogOp::Trim(_) => {
                    LogOp::Whole(pool.list(list))
                }
            })
        },
        |random, (pool, _), op| {
            if let LogOp::Whole(list) = op {
                *list = spoil(random, pool, *list, operations);
            }
        },
    );
    without_unanswered(calls, |op| matches!(op, LogOp::Append { .. }))
}

/// The specification of a list of requests that took effect.
pub struct RequestSpec<'a>(pub &'a Pool);

impl Model for RequestSpec<'_> {
    type State = Vec<Datum>;
    type Op = LogOp;

    fn init(&self) -> Vec<Datum> {
        Vec::new()
    }

    fn step(&self, state: &Vec<Datum>, op: &LogOp) -> Option<Vec<Datum>> {
        match *op {
            LogOp::Append { record, .. } => Some([&state[..], &[record]].concat()),
            LogOp::Whole(list) => (self.0.as_list(list)? == &state[..]).then(|| state.clone()),
            LogOp::Read { .. } | LogOp::Tail(_) | LogOp::Trim(_) => None,
        }
    }
}

pub fn transactions(random: &mut Random, pool: &mut Pool, operations: usize) -> Vec<Call<Vec<Micro>>> {
    let keys = 1 + random.below(2);
    let mut state = (pool, vec![Vec::new(); keys]);
    let calls = history(
        random,
        operations,
        &mut state,
        |random, _, id| {
            transaction(random, keys, id, |random, key, number| {
                let value = datum(number as i64);
                match random.chance(0.5) {
                    true => Micro::Append { key, value },
                    false => Micro::Read { key, value },
                }
            })
        },
        |(pool, lists), op: &Vec<Micro>| {
            let run = |micro: &Micro| match *micro {
                Micro::Append { key, value } => {
                    lists[index(key)].push(value);
                    *micro
                }
                Micro::Read { key, .. } => Micro::Read {
                    key,
                    value: pool.list(&lists[index(key)]),
                },
                Micro::Write { .. } => *micro,
            };
            Some(op.iter().map(run).collect())
        },
        |random, (pool, _), op| {
            let at = random.below(op.len());
            if let Micro::Read { value, .. } = &mut op[at] {
                let mut list = pool.as_list(*value).unwrap_or_default().to_vec();
                if !list.is_empty() {
                    list.truncate(random.below(list.len()));
                }
                *value = pool.list(&list);
            }
        },
    );
    without_unanswered_reads(calls)
}

/// Transactions on one to three registers that hold 0 at first; every value is written once.
pub fn register_transactions(random: &mut Random, operations: usize) -> Vec<Call<Vec<Micro>>> {
    let keys = 1 + random.below(3);
    let mut state = vec![datum(0); keys];
    let calls = history(
        random,
        operations,
        &mut state,
        |random, _, id| {
            transaction(random, keys, id, |random, key, number| {
                let value = datum(number as i64 + 10);
                match random.chance(0.5) {
                    true => Micro::Write { key, value },
                    false => Micro::Read { key, value },
                }
            })
        },
        |registers, op: &Vec<Micro>| {
            let run = |micro: &Micro| match *micro {
                Micro::Write { key, value } => {
                    registers[index(key)] = value;
                    *micro
                }
                Micro::Read { key, .. } => Micro::Read {
                    key,
                    value: registers[index(key)],
                },
                Micro::Append { .. } => *micro,
            };
            Some(op.iter().map(run).collect())
        },
        |random, registers, op| {
            let at = random.below(op.len());
            let other = registers[random.below(registers.len())];
            if let Micro::Read { value, .. } = &mut op[at] {
                *value = if random.chance(0.5) { datum(0) } else { other };
            }
        },
    );
    without_unanswered_reads(calls)
}

/// Puts, appends and gets of a text; now and then two operations write the same.
pub fn texts(random: &mut Random, pool: &mut Pool, operations: usize) -> Vec<Call<KvOp>> {
    let repeats = random.chance(0.2);
    let tokens = |letter: char, pool: &mut Pool| -> Vec<Datum> {
        (0..operations.max(2))
            .map(|number| pool.text(&format!("{letter}{number};")))
            .collect()
    };
    let (puts, appends) = (tokens('p', pool), tokens('a', pool));
    let mut state = (pool, String::new());
    history(
        random,
        operations,
        &mut state,
        |random, _, id| {
            let number = if repeats { random.below(2) } else { id };
            match random.below(8) {
                0 => KvOp::Put(puts[number]),
                1..3 => KvOp::Append(appends[number]),
                _ => KvOp::Get(Datum::NIL),
            }
        },
        |(pool, text), op| {
            Some(match *op {
                KvOp::Put(new) => {
                    *text = pool.as_text(new).expect("puts write texts").to_owned();
                    *op
                }
                KvOp::Append(more) => {
                    text.push_str(pool.as_text(more).expect("appends add texts"));
                    *op
                }
                KvOp::Get(_) => KvOp::Get(pool.text(text)),
            })
        },
        |random, (pool, _), op| {
            if let KvOp::Get(seen) = op {
                let text = pool.as_text(*seen).unwrap_or_default().to_owned();
                let pieces: Vec<&str> = text.split_inclusive(';').collect();
                let kept = match pieces.is_empty() {
                    true => "a0;".to_owned(),
                    false => pieces.iter().filter(|_| random.chance(0.5)).copied().collect(),
                };
                *seen = pool.text(&kept);
            }
        },
    )
}

fn index(key: Datum) -> usize {
    key.as_int().expect("keys are small integers") as usize
}

/// Spreads sizes without another random number.
fn at_most(id: usize, end: usize) -> usize {
    (id * 7 + 3) % end
}

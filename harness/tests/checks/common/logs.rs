//! Small log histories, and the sequential specification of a log.

use harness::checker::NEVER;
use harness::checker::log::{From, LogOp};
use harness::generator::random::Random;
use harness::model::{Call, Model};
use harness::recording::datum::{Datum, Pool};

use super::registers::datum;
use super::{Step, schedule};

/// A log whose labels are integers.
pub struct LogSpec<'a> {
    pub pool: &'a Pool,
    /// Labels that some operation gave to a record whose append does not say.
    pub labels: Vec<(Datum, Datum)>,
    /// A label is the number of records before it.
    pub offsets: bool,
}

impl<'a> LogSpec<'a> {
    pub fn new(pool: &'a Pool, calls: &[Call<LogOp>]) -> Self {
        let mut labels = Vec::new();
        for call in calls {
            match call.op {
                LogOp::Append { .. } | LogOp::Whole(_) | LogOp::Trim(_) => {}
                LogOp::Tail(last) => labels.extend(pair(pool, last)),
                LogOp::Read { entries, .. } => {
                    let entries = pool.as_list(entries).unwrap_or_default();
                    labels.extend(entries.iter().filter_map(|entry| pair(pool, *entry)));
                }
            }
        }
        Self {
            pool,
            labels,
            offsets: false,
        }
    }

    /// The records that are there, from `from` on.
    fn rest<'b>(&self, log: &'b Trimmed, from: From) -> &'b [(Datum, Datum)] {
        let begin = match from {
            From::Start => 0,
            From::At(label) => log.below(label),
            From::After(label) => log
                .all
                .partition_point(|(known, _)| known.as_int() <= label.as_int()),
        };
        &log.all[begin.max(log.gone)..]
    }
}

/// All that was ever appended, and how many of the first are gone.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Trimmed {
    all: Vec<(Datum, Datum)>,
    gone: usize,
}

impl Trimmed {
    fn last(&self) -> Option<(Datum, Datum)> {
        self.all[self.gone..].last().copied()
    }

    fn below(&self, label: Datum) -> usize {
        self.all
            .partition_point(|(known, _)| known.as_int() < label.as_int())
    }

    fn trim(&mut self, below: Datum) {
        self.gone = self.gone.max(self.below(below));
    }
}

fn pair(pool: &Pool, entry: Datum) -> Option<(Datum, Datum)> {
    match pool.as_list(entry) {
        Some(&[label, record]) => Some((label, record)),
        _ => None,
    }
}

impl Model for LogSpec<'_> {
    type State = Trimmed;
    type Op = LogOp;

    fn init(&self) -> Self::State {
        Trimmed::default()
    }

    fn step(&self, state: &Self::State, op: &LogOp) -> Option<Self::State> {
        match *op {
            LogOp::Whole(_) => None,
            LogOp::Append { record, at } => {
                let reported = Some(at).filter(|at| !at.is_nil());
                let seen = || {
                    self.labels
                        .iter()
                        .find(|(_, known)| *known == record)
                        .map(|(label, _)| *label)
                };
                let length = datum(state.all.len() as i64);
                let label = reported.or_else(seen).or(self.offsets.then_some(length))?;
                if self.offsets && label != length {
                    return None;
                }
                let last = state.all.last();
                let grows = last.is_none_or(|(last, _)| last.as_int() < label.as_int());
                grows.then(|| Trimmed {
                    all: [&state.all[..], &[(label, record)]].concat(),
                    gone: state.gone,
                })
            }
            LogOp::Trim(below) => {
                let mut state = state.clone();
                state.trim(below);
                Some(state)
            }
            LogOp::Tail(last) => (state.last() == pair(self.pool, last)).then(|| state.clone()),
            LogOp::Read { from, entries, end } => {
                let rest = self.rest(state, from);
                let entries = self.pool.as_list(entries)?;
                let same = entries.len() <= rest.len()
                    && entries
                        .iter()
                        .zip(rest)
                        .all(|(entry, known)| pair(self.pool, *entry) == Some(*known));
                (same && (!end || entries.len() == rest.len())).then(|| state.clone())
            }
        }
    }
}

/// What a history is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Labels with gaps.
    Ordered,
    /// The same, with trims.
    Trimmed,
    /// Offsets.
    Offsets,
}

/// A history that has an order, or had one before something in it was changed.
pub fn history(random: &mut Random, pool: &mut Pool, operations: usize, kind: Kind) -> Vec<Call<LogOp>> {
    let trims = kind == Kind::Trimmed;
    let mut calls: Vec<Call<LogOp>> = Vec::new();
    let mut log = Trimmed::default();
    let mut label = 0;
    for (at, step) in (0_u32..).zip(schedule(random, operations)) {
        match step {
            Step::Invoke(id) => {
                let op = request(random, id as i64, label, trims);
                calls.push(Call {
                    id: id as u32,
                    call: at,
                    ret: NEVER,
                    op,
                });
            }
            Step::Apply(id) => {
                label = match kind {
                    Kind::Offsets => log.all.len() as i64,
                    Kind::Ordered | Kind::Trimmed => label + 1 + random.below(2) as i64,
                };
                calls[id].op = apply(random, pool, calls[id].op, &mut log, label);
            }
            Step::Return(id) => calls[id].ret = at,
        }
    }
    for _ in 0..[0, 1, 1, 2][random.below(4)] {
        change(random, pool, &mut calls, label);
    }
    for call in &mut calls {
        if let LogOp::Append { at, .. } = &mut call.op
            && call.ret == NEVER
        {
            *at = Datum::NIL;
        }
    }
    calls.retain(|call| !call.is_open() || matches!(call.op, LogOp::Append { .. } | LogOp::Trim(_)));
    calls
}

fn request(random: &mut Random, id: i64, label: i64, trims: bool) -> LogOp {
    let somewhere = datum(random.below(label as usize + 3) as i64);
    if trims && random.chance(0.25) {
        return LogOp::Trim(somewhere);
    }
    let from = [From::Start, From::At(somewhere), From::After(somewhere)][random.below(3)];
    match random.below(8) {
        0..4 => LogOp::Append {
            record: datum(1000 + id),
            at: Datum::NIL,
        },
        4..7 => LogOp::Read {
            from,
            entries: Datum::NIL,
            end: false,
        },
        _ => LogOp::Tail(Datum::NIL),
    }
}

fn apply(random: &mut Random, pool: &mut Pool, op: LogOp, log: &mut Trimmed, label: i64) -> LogOp {
    match op {
        LogOp::Whole(_) => op,
        LogOp::Trim(below) => {
            log.trim(below);
            op
        }
        LogOp::Append { record, .. } => {
            log.all.push((datum(label), record));
            LogOp::Append {
                record,
                at: datum(label),
            }
        }
        LogOp::Tail(_) => {
            let last = log.last();
            LogOp::Tail(last.map_or(Datum::NIL, |(label, record)| pool.list(&[label, record])))
        }
        LogOp::Read { from, .. } => {
            let spec = LogSpec {
                pool,
                labels: Vec::new(),
                offsets: false,
            };
            let rest = spec.rest(log, from);
            let count = random.below(4).min(rest.len());
            let end = count == rest.len();
            let entries: Vec<Datum> = rest[..count]
                .iter()
                .map(|(label, record)| pool.list(&[*label, *record]))
                .collect();
            LogOp::Read {
                from,
                entries: pool.list(&entries),
                end,
            }
        }
    }
}

fn change(random: &mut Random, pool: &mut Pool, calls: &mut [Call<LogOp>], label: i64) {
    let i = random.below(calls.len());
    let other = datum(random.below(label as usize + 2) as i64);
    let record = datum(1000 + random.below(calls.len() + 1) as i64);
    calls[i].op = match calls[i].op {
        LogOp::Whole(list) => LogOp::Whole(list),
        LogOp::Trim(_) => LogOp::Trim(other),
        LogOp::Append { record, .. } => LogOp::Append { record, at: other },
        LogOp::Tail(_) if random.chance(0.3) => LogOp::Tail(Datum::NIL),
        LogOp::Tail(_) => LogOp::Tail(pool.list(&[other, record])),
        LogOp::Read { from, entries, end } if entries.is_nil() => LogOp::Read { from, entries, end },
        LogOp::Read { from, entries, end } if random.chance(0.3) => LogOp::Read {
            from,
            entries,
            end: !end,
        },
        LogOp::Read { from, entries, end } => {
            let mut list = pool.as_list(entries).unwrap_or_default().to_vec();
            if list.is_empty() || random.chance(0.3) {
                list.push(pool.list(&[other, record]));
            } else if random.chance(0.5) {
                list.remove(random.below(list.len()));
            } else {
                let at = random.below(list.len());
                list[at] = pool.list(&[other, record]);
            }
            LogOp::Read {
                from,
                entries: pool.list(&list),
                end,
            }
        }
    };
}

//! Transactions of micro-operations, `[[:append k v] [:r k [..]] [:w k v] ...]`, and their sequential
//! specifications: registers, and lists that are appended to.

use super::usage::{Left, NilReads, Taken, UsageCount, changed};
use crate::model::{Call, Model};
use crate::recording::datum::{Datum, Pool};
use crate::recording::hash::FastMap;
use crate::recording::{Operation, Recording, Status};

/// One step of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Micro {
    /// `value` was added at the end of the list `key`.
    Append {
        /// Which list.
        key: Datum,
        /// What was added.
        value: Datum,
    },
    /// The register `key` became `value`.
    Write {
        /// Which register.
        key: Datum,
        /// What was written.
        value: Datum,
    },
    /// `key` was `value`: of a register its value, of a list all elements.
    Read {
        /// Which one.
        key: Datum,
        /// What was seen.
        value: Datum,
    },
}

/// What the micro-operations of a history are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cells {
    /// Lists that are appended to.
    Lists,
    /// Registers that are written.
    Registers,
}

/// The transactions of a history, and what became of each operation.
pub(crate) struct Transactional {
    pub(crate) calls: Vec<Call<Vec<Micro>>>,
    pub(crate) tally: UsageCount,
}

/// Reads the transactions of a history. Of those of unknown outcome only the writes are kept.
pub(crate) fn parse(recording: &Recording, cells: Cells, nil_reads: NilReads) -> Transactional {
    let parser = Parser {
        pool: &recording.pool,
        cells,
        nil_reads,
    };
    let (mut calls, mut tally) = (Vec::new(), UsageCount::default());
    for (id, operation) in (0_u32..).zip(&recording.operations) {
        let taken = parser.convert(operation);
        tally.note(operation, &taken);
        if let Ok((op, ret)) = taken {
            let call = operation.call;
            calls.push(Call { id, call, ret, op });
        }
    }
    Transactional { calls, tally }
}

/// What transactions that certainly had no effect would have appended or written, by key and value, with the transaction.
pub(crate) fn aborted(recording: &Recording) -> FastMap<(Datum, Datum), u32> {
    let mut aborted = FastMap::default();
    for (id, operation) in (0_u32..).zip(&recording.operations) {
        if operation.status != Status::Fail {
            continue;
        }
        // A failed transaction that is not understood aborted nothing that could be seen.
        for micro in parse_list(&recording.pool, operation.input).unwrap_or_default() {
            match micro {
                Micro::Append { key, value } | Micro::Write { key, value } => {
                    aborted.insert((key, value), id);
                }
                Micro::Read { .. } => {}
            }
        }
    }
    aborted
}

struct Parser<'a> {
    pool: &'a Pool,
    cells: Cells,
    nil_reads: NilReads,
}

impl Parser<'_> {
    fn convert(&self, operation: &Operation) -> Taken<Vec<Micro>> {
        let (list, ret) = changed(self.pool, operation)?;
        // The invocation of one that returned cannot know what was read.
        let is_told = operation.status == Status::Info || !operation.output.is_nil();
        let micros = parse_list(self.pool, list).filter(|_| is_told);
        let mut micros = micros.ok_or(Left::change(
            operation,
            "no list of [:append key value], [:w key value] and [:r key value]",
        ))?;
        if operation.status == Status::Info {
            micros.retain(|micro| !matches!(micro, Micro::Read { .. }));
        }
        if self.nil_reads == NilReads::Unknown {
            micros.retain(|micro| !matches!(micro, Micro::Read { value, .. } if value.is_nil()));
        }
        match micros.iter().all(|micro| self.is_about(micro)) {
            true => Ok((micros, ret)),
            false => Err(Left::change(
                operation,
                match self.cells {
                    Cells::Lists => "not only appends to lists and reads of lists",
                    Cells::Registers => "not only writes and reads of registers",
                },
            )),
        }
    }

    fn is_about(&self, micro: &Micro) -> bool {
        match (self.cells, *micro) {
            (Cells::Lists, Micro::Append { .. }) | (Cells::Registers, Micro::Write { .. }) => true,
            (Cells::Lists, Micro::Read { value, .. }) => value.is_nil() || self.pool.as_list(value).is_some(),
            (Cells::Registers, Micro::Read { .. }) => true,
            (Cells::Lists, Micro::Write { .. }) | (Cells::Registers, Micro::Append { .. }) => false,
        }
    }
}

/// Reads a list of micro-operations; `None` when it is none.
pub(crate) fn parse_list(pool: &Pool, list: Datum) -> Option<Vec<Micro>> {
    let micros = pool.as_list(list)?;
    micros.iter().map(|micro| parse_micro(pool, *micro)).collect()
}

fn parse_micro(pool: &Pool, micro: Datum) -> Option<Micro> {
    let &[function, key, value] = pool.as_list(micro)? else {
        return None;
    };
    match pool.as_name(function)? {
        "append" => Some(Micro::Append { key, value }),
        "w" | "write" => Some(Micro::Write { key, value }),
        "r" | "read" => Some(Micro::Read { key, value }),
        _ => None,
    }
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cell {
    /// A register's value.
    Value(Datum),
    /// A list's elements.
    List(Vec<Datum>),
}

/// The specification: a transaction happens at once. Keys that were never written read as `initial`; if that
/// is nil, an empty list is as good.
#[derive(Clone, Copy, Debug)]
pub struct Transactions<'a> {
    /// Where lists are.
    pub pool: &'a Pool,
    /// Value of every key before the first transaction.
    pub initial: Datum,
}

impl Model for Transactions<'_> {
    /// Cells by key, in order of key.
    type State = Vec<(Datum, Cell)>;
    type Op = Vec<Micro>;

    fn init(&self) -> Self::State {
        Vec::new()
    }

    fn step(&self, state: &Self::State, op: &Vec<Micro>) -> Option<Self::State> {
        let mut state = state.clone();
        for micro in op {
            match *micro {
                Micro::Write { key, value } => *cell(&mut state, key) = Cell::Value(value),
                Micro::Append { key, value } => match cell(&mut state, key) {
                    Cell::List(list) => list.push(value),
                    other @ Cell::Value(_) => *other = Cell::List(vec![value]),
                },
                Micro::Read { key, value } => {
                    let same = match state.binary_search_by_key(&key, |(key, _)| *key) {
                        Err(_) if self.initial.is_nil() => {
                            value.is_nil() || self.pool.as_list(value).is_some_and(<[_]>::is_empty)
                        }
                        Err(_) => value == self.initial,
                        Ok(at) => match &state[at].1 {
                            Cell::Value(known) => *known == value,
                            Cell::List(list) => self.pool.as_list(value) == Some(&list[..]),
                        },
                    };
                    if !same {
                        return None;
                    }
                }
            }
        }
        Some(state)
    }

    fn is_read(&self, op: &Vec<Micro>) -> bool {
        op.iter().all(|micro| matches!(micro, Micro::Read { .. }))
    }
}

fn cell(state: &mut Vec<(Datum, Cell)>, key: Datum) -> &mut Cell {
    let at = match state.binary_search_by_key(&key, |(key, _)| *key) {
        Ok(at) => at,
        Err(at) => {
            state.insert(at, (key, Cell::Value(Datum::NIL)));
            at
        }
    };
    &mut state[at].1
}

//! Transactions of micro-operations, `[[:append k v] [:r k [..]] [:w k v] ...]`, and their sequential
//! specifications: registers, and lists that are appended to.

use super::datum::{Datum, Pool};
use super::recording::{NEVER, Recording, Status};
use crate::model::{Call, Model};

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

/// Reads the transactions of a history. Of those of unknown outcome only the writes are kept.
///
/// # Errors
/// When an operation is no list of micro-operations: the operation, and what was expected.
pub(crate) fn parse(recording: &Recording) -> Result<Vec<Call<Vec<Micro>>>, (u32, &'static str)> {
    let mut calls = Vec::new();
    for (id, operation) in (0_u32..).zip(&recording.operations) {
        let (list, ret) = match operation.status {
            Status::Ok => (operation.output, operation.ret),
            Status::Info => (operation.input, NEVER),
            Status::Fail => continue,
        };
        let mut micros = parse_list(&recording.pool, list).map_err(|problem| (id, problem))?;
        if operation.status == Status::Info {
            micros.retain(|micro| !matches!(micro, Micro::Read { .. }));
        }
        calls.push(Call {
            id,
            call: operation.call,
            ret,
            op: micros,
        });
    }
    Ok(calls)
}

/// Reads a list of micro-operations.
pub(crate) fn parse_list(pool: &Pool, list: Datum) -> Result<Vec<Micro>, &'static str> {
    const SHAPE: &str =
        "expected a transaction: a list of [:append key value], [:w key value] or [:r key value]";
    let micros = pool.as_list(list).ok_or(SHAPE)?;
    micros
        .iter()
        .map(|micro| parse_micro(pool, *micro).ok_or(SHAPE))
        .collect()
}

fn parse_micro(pool: &Pool, micro: Datum) -> Option<Micro> {
    let &[function, key, value] = pool.as_list(micro)? else {
        return None;
    };
    let function = pool.as_text(function)?;
    match function.trim_start_matches(':') {
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

/// The specification: a transaction happens at once. Keys that were never written read as nil.
#[derive(Clone, Copy, Debug)]
pub struct Transactions<'a> {
    /// Where lists are.
    pub pool: &'a Pool,
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
                        Err(_) => value.is_nil() || self.pool.as_list(value).is_some_and(<[_]>::is_empty),
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

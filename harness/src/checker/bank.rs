//! Accounts: transfers keep the total, and no balance is negative. Linear.
//!
//! Decides exactly that, for each read of all accounts; it does not look for an order, so `valid` says
//! that no read contradicts the two invariants, not that the history is linearizable. Where each transfer says which
//! balances it replaces by which, as those of our own workload do, a bank is a register as well, and has to have an
//! order as such.
//! The total is the one that is given, or else the one most reads agree on: if two differ, one of them is wrong.

use std::collections::BTreeMap;

use super::usage::{FAILED, Left, NO_FUNCTION, NilReads, Taken, UsageCount, seen};
use super::verdict::Verdict;
use super::violation::{Explained, Violation, mention};
use crate::model::NEVER;
use crate::recording::datum::{Datum, Pool, View};
use crate::recording::{Operation, Recording, Status};

/// Decides the reads of a history, each with its balances; `total` is what all accounts have together, if that is
/// known. The witness lists the reads.
pub fn check(total: Option<i128>, reads: &[(u32, Balances)]) -> Verdict {
    let mut votes: BTreeMap<i128, usize> = BTreeMap::new();
    for (_, read) in reads {
        *votes.entry(read.total).or_default() += 1;
    }
    let voted = votes.into_iter().max_by_key(|(_, count)| *count);
    let expected = total.or(voted.map(|(total, _)| total)).unwrap_or(0);
    for (id, read) in reads {
        if read.total != expected {
            return wrong_total(reads, *id, read.total, expected, total.is_some());
        }
        if read.least < 0 {
            return Verdict::Invalid(Violation::Explained(Explained {
                title: format!("a balance of {}", read.least),
                operations: vec![*id],
                why: vec![format!(
                    "{} saw a negative balance; no transfer may make one.",
                    mention(*id)
                )],
            }));
        }
    }
    Verdict::Valid(reads.iter().map(|(id, _)| *id).collect())
}

/// Whether each transfer is a compare-and-set from balances to balances, of all accounts.
pub(crate) fn swaps(recording: &Recording) -> bool {
    let pool = &recording.pool;
    let transfer = recording.function_id("transfer");
    let mut transfers = recording
        .operations
        .iter()
        .filter(|operation| Some(operation.function) == transfer);
    let of_all = |operation: &Operation| {
        let swap = pool.as_pair(operation.input);
        swap.is_some_and(|swap| swap.iter().all(|state| Balances::of(pool, *state).is_some()))
    };
    transfer.is_some() && transfers.all(of_all)
}

/// Reads the balances of a history, and counts what became of each operation.
pub(crate) fn reads(
    recording: &Recording,
    nil_reads: Option<NilReads>,
) -> (Vec<(u32, Balances)>, UsageCount) {
    let pool = &recording.pool;
    let convert = |operation: &Operation| match recording.function(operation) {
        "read" => {
            let (read, ret) = seen(pool, operation, nil_reads.unwrap_or(NilReads::Value))?;
            let shown = Balances::of(pool, read);
            Ok((Some(shown.ok_or(Left::look(operation, NO_BALANCES))?), ret))
        }
        // What a transfer moves does not matter, only that it is one.
        "transfer" => match operation.status {
            Status::Fail => Err(FAILED),
            Status::Info => Ok((None, NEVER)),
            Status::Ok => Ok((None, operation.ret)),
        },
        _ => Err(Left::change(operation, NO_FUNCTION)),
    };
    let (mut reads, mut tally) = (Vec::new(), UsageCount::default());
    for (id, operation) in (0_u32..).zip(&recording.operations) {
        let taken: Taken<Option<Balances>> = convert(operation);
        tally.note(operation, &taken);
        if let Ok((Some(read), _)) = taken {
            reads.push((id, read));
        }
    }
    (reads, tally)
}

const NO_BALANCES: &str = "no map from account to balance, or a balance that is not an integer";

fn wrong_total(reads: &[(u32, Balances)], id: u32, total: i128, expected: i128, is_given: bool) -> Verdict {
    let usual = reads
        .iter()
        .find(|(_, read)| read.total == expected && !is_given)
        .map(|(usual, _)| *usual);
    let mut why = vec![format!("The balances {} saw add up to {total}.", mention(id))];
    why.extend(usual.map(|usual| {
        format!(
            "In {} and most other reads they add up to {expected}.",
            mention(usual)
        )
    }));
    if is_given {
        why.push(format!("At the beginning they added up to {expected}."));
    }
    why.push(
        "A transfer takes from one account what it gives to another, so the total never changes.".to_owned(),
    );
    Verdict::Invalid(Violation::Explained(Explained {
        title: format!("the total is {total} instead of {expected}"),
        operations: usual.into_iter().chain([id]).collect(),
        why,
    }))
}

/// What a read of all accounts says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balances {
    /// All of them together.
    pub total: i128,
    /// The lowest; 0 when there is no account.
    pub least: i128,
}

impl Balances {
    /// Reads a map from account to balance, a list of balances, or one of the two behind a number that says which
    /// transfer made them.
    pub fn of(pool: &Pool, read: Datum) -> Option<Self> {
        let read = match pool.as_pair(read) {
            Some([number, balances]) if pool.as_integer(number).is_some() => match pool.view(balances) {
                View::Map(_) | View::List(_) => balances,
                View::Nil
                | View::Bool(_)
                | View::Int(_)
                | View::Text(_)
                | View::Atom(..)
                | View::Set(_)
                | View::Tagged(..) => read,
            },
            Some(_) | None => read,
        };
        let amounts: Vec<Datum> = match pool.view(read) {
            View::Map(pairs) => pairs.chunks_exact(2).map(|pair| pair[1]).collect(),
            View::List(amounts) => amounts.to_vec(),
            View::Nil
            | View::Bool(_)
            | View::Int(_)
            | View::Text(_)
            | View::Atom(..)
            | View::Set(_)
            | View::Tagged(..) => return None,
        };
        let amounts: Option<Vec<i128>> = amounts
            .into_iter()
            .map(|amount| pool.as_integer(amount))
            .collect();
        let amounts = amounts?;
        Some(Self {
            total: amounts.iter().sum(),
            least: amounts.into_iter().min().unwrap_or(0),
        })
    }
}

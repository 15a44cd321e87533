//! Accounts: transfers keep the total, and no balance is negative. Linear.
//!
//! Decides exactly that, for each read of all accounts; it does not look for an order, so `valid` says
//! that no read contradicts the two invariants, not that the history is linearizable.
//! The total is the one most reads agree on.

use std::collections::BTreeMap;

use super::datum::{Datum, Pool, View};
use super::recording::{Recording, Status};
use super::verdict::{Told, Verdict, Violation, mention};

/// Decides a whole history; the witness lists the reads.
///
/// # Errors
/// When a read is no map from account to balance: the operation, and what was expected.
pub fn check(recording: &Recording) -> Result<Verdict, (u32, &'static str)> {
    let mut reads = Vec::new();
    for (id, operation) in recording.effective() {
        if operation.status == Status::Ok && recording.function(operation) == "read" {
            let told = balances(&recording.pool, operation.output);
            let (total, least) = told.ok_or((id, "expected a map from account to balance"))?;
            reads.push((id, total, least));
        }
    }
    let mut votes: BTreeMap<i64, usize> = BTreeMap::new();
    for (_, total, _) in &reads {
        *votes.entry(*total).or_default() += 1;
    }
    let expected = votes
        .into_iter()
        .max_by_key(|(_, count)| *count)
        .map_or(0, |(total, _)| total);
    for (id, total, least) in &reads {
        if *total != expected {
            return Ok(wrong_total(&reads, *id, *total, expected));
        }
        if *least < 0 {
            return Ok(Verdict::Invalid(Violation::Told(Told {
                title: format!("a balance of {least}"),
                operations: vec![*id],
                why: vec![format!(
                    "{} saw a negative balance; no transfer may make one.",
                    mention(*id)
                )],
            })));
        }
    }
    Ok(Verdict::Valid(reads.into_iter().map(|(id, _, _)| id).collect()))
}

fn wrong_total(reads: &[(u32, i64, i64)], id: u32, total: i64, expected: i64) -> Verdict {
    let usual = reads
        .iter()
        .find(|(_, total, _)| *total == expected)
        .map(|(usual, _, _)| *usual);
    let mut why = vec![format!("The balances {} saw add up to {total}.", mention(id))];
    why.extend(usual.map(|usual| {
        format!(
            "In {} and most other reads they add up to {expected}.",
            mention(usual)
        )
    }));
    why.push(
        "A transfer takes from one account what it gives to another, so the total never changes.".to_owned(),
    );
    Verdict::Invalid(Violation::Told(Told {
        title: format!("the total is {total} instead of {expected}"),
        operations: usual.into_iter().chain([id]).collect(),
        why,
    }))
}

/// Total and least balance.
fn balances(pool: &Pool, read: Datum) -> Option<(i64, i64)> {
    let amounts: Vec<Datum> = match pool.view(read) {
        View::Map(pairs) => pairs.chunks_exact(2).map(|pair| pair[1]).collect(),
        View::List(amounts) => amounts.to_vec(),
        View::Nil | View::Bool(_) | View::Int(_) | View::Text(_) => return None,
    };
    let mut total = 0_i64;
    let mut least = i64::MAX;
    for amount in amounts {
        // An account that does not exist yet has nothing.
        let amount = if amount.is_nil() { 0 } else { amount.as_int()? };
        total = total.checked_add(amount)?;
        least = least.min(amount);
    }
    Some((total, least.min(i64::MAX - 1)))
}

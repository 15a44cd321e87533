//! Transactions that read and write registers: strict serializability, by inference.
//!
//! Deciding it in general takes a search. Where every value is written once, each read says which transaction wrote
//! what it saw, and most of the order follows:
//! - a version precedes another one of its key when something that wrote or read it precedes something that wrote or
//!   read the other; the initial version precedes all;
//! - then everything that wrote or read it precedes the writer of the other;
//! - what reads a version and writes the same key comes directly behind that version.
//!
//! These rules are applied until nothing new follows (`saturate`). Each holds in every order, so a cycle is a
//! violation. Without one an order is tried (`order`), and verified before it counts. Where inference leaves it open,
//! the search decides. (After Papadimitriou, The Serializability of Concurrent Database Updates, 1979; Tan et al.,
//! Cobra, 2020; Kingsbury & Alvaro, Elle, 2020.)

use super::txn::{Micro, Transactions};
use super::verdict::Verdict;
use super::violation::Violation;
use super::{search, witness};
use crate::model::Call;
use crate::recording::budget::Budget;
use crate::recording::datum::{Datum, Pool};
use crate::recording::hash::FastMap;

mod link;
mod order;
mod saturate;
mod versions;
mod words;

use saturate::Saturated;
use versions::{Collected, Versions};

/// Decides `calls`; `aborted` are writes of transactions that certainly had no effect. Says which engine did.
pub fn decide(
    pool: &Pool,
    calls: &[Call<Vec<Micro>>],
    initial: Datum,
    aborted: &FastMap<(Datum, Datum), u32>,
    budget: &Budget,
) -> (&'static str, Verdict) {
    match infer(pool, calls, initial, aborted, budget) {
        Some(verdict) => ("inference", verdict),
        None => search::check(&Transactions { pool, initial }, calls, budget),
    }
}

/// The verdict, where inference gives one.
fn infer(
    pool: &Pool,
    calls: &[Call<Vec<Micro>>],
    initial: Datum,
    aborted: &FastMap<(Datum, Datum), u32>,
    budget: &Budget,
) -> Option<Verdict> {
    let invalid = |explained| Some(Verdict::Invalid(Violation::Explained(explained)));
    let versions = match Versions::collect(pool, calls, initial, aborted) {
        Collected::Versions(versions) => versions,
        Collected::Violation(explained) => return invalid(explained),
        Collected::Repeated => return None,
    };
    match saturate::run(&versions, budget) {
        Ok(Saturated::Cycle(explained)) => invalid(explained),
        Ok(Saturated::Graph(graph)) => {
            let order = order::find(&versions, &graph)?;
            let is_one = witness::verify(&Transactions { pool, initial }, calls, &order).is_ok();
            is_one.then_some(Verdict::Valid(order))
        }
        // Too large to infer anything: the search has the last word, and its budget.
        Err(_limit) => None,
    }
}

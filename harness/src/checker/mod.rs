//! Checkers: does a recorded history have an explanation, and if not, why not?
//!
//! An operation is an interval in the order of events. A history is *linearizable* when its
//! operations can be put into one order that respects real time (what returned before another was
//! called precedes it) and that the sequential [`Model`] allows. Operations of
//! unknown outcome may be used anywhere after their call, or not at all; failed ones are not used.
//!
//! Which engine decides is chosen by what the history is:
//!
//! | module | decides | cost |
//! |-|-|-|
//! | [`unique`] | registers in which every value is written once | n log n |
//! | [`frontier`] | registers with repeated values | n, times what the open compare-and-sets allow |
//! | [`log`] | logs of unique records | n log n; trimmed ones by search, where no shorter argument refutes them |
//! | [`sets`], [`counter`], [`lock`], [`exactly_once`] | what they are called | n log n |
//! | [`bank`] | the invariants of accounts | n |
//! | [`list_append`] | transactions on lists | V + E |
//! | [`rw_register`] | transactions on registers of unique values, nearly always | E * n / 64 |
//! | [`certificate`] | any model, given the order | n log n |
//! | [`search`] = [`breadth`] and [`depth`] | any model | n, times what the open operations allow |
//!
//! Every engine is exact, runs under one [`Budget`], and answers with a [`Verdict`]: an order (which
//! [`witness::verify`] checks on its own), the few operations that have none, or what ran out.
//!
//! # Examples
//!
//! A model of your own, a history of your own, and a verdict:
//!
//! ```
//! use harness::checker::{Budget, NEVER, Verdict, decide, witness};
//! use harness::model::{Call, Model};
//!
//! /// A queue of numbers.
//! struct Queue;
//!
//! #[derive(Clone, PartialEq, Eq, Hash)]
//! enum Op {
//!     Push(u32),
//!     Pop(Option<u32>),
//! }
//!
//! impl Model for Queue {
//!     type State = Vec<u32>;
//!     type Op = Op;
//!
//!     fn init(&self) -> Vec<u32> {
//!         Vec::new()
//!     }
//!
//!     fn step(&self, state: &Vec<u32>, op: &Op) -> Option<Vec<u32>> {
//!         match op {
//!             Op::Push(number) => Some([&state[..], &[*number]].concat()),
//!             Op::Pop(None) => state.is_empty().then(Vec::new),
//!             Op::Pop(Some(number)) => (state.first() == Some(number)).then(|| state[1..].to_vec()),
//!         }
//!     }
//! }
//!
//! // Two pushes at the same time; the outcome of the second is unknown, but its number was popped first.
//! let mut history = vec![
//!     Call { id: 0, call: 0, ret: 3, op: Op::Push(1) },
//!     Call { id: 1, call: 1, ret: NEVER, op: Op::Push(2) },
//!     Call { id: 2, call: 4, ret: 5, op: Op::Pop(Some(2)) },
//!     Call { id: 3, call: 6, ret: 7, op: Op::Pop(Some(1)) },
//! ];
//! let verdict = decide(&Queue, &history, &Budget::default())?;
//! let Verdict::Valid(order) = verdict else { panic!("{verdict:?}") };
//! assert_eq!(order, [1, 0, 2, 3]);
//! assert_eq!(witness::verify(&Queue, &history, &order), Ok(()));
//!
//! // Popping it again has no explanation.
//! history.push(Call { id: 4, call: 8, ret: 9, op: Op::Pop(Some(2)) });
//! let Verdict::Invalid(violation) = decide(&Queue, &history, &Budget::default())? else { panic!() };
//! assert!(violation.operations().contains(&4));
//! # Ok::<(), harness::checker::BadHistory>(())
//! ```
//!
//! # Trust
//!
//! A *valid* of the register engines and of the search is replayed by [`witness::verify`] before anyone is
//! shown, up to 100,000 operations a key; beyond that the replay would take as long as the check itself,
//! and the comparison of the engines with brute force has to do. An *invalid* is not verified in
//! production: refuting every order of a few operations is easy, but that no other operation can help
//! is what the engine proves.
//!
//! A recorded history goes through [`formats::read_path`](crate::formats::read_path), [`check`] and
//! [`report::explain`](crate::report::explain).

use crate::model::{Call, Model};

pub mod bank;
mod bits;
pub mod breadth;
pub mod certificate;
pub mod counter;
pub mod depth;
mod dispatch;
pub mod exactly_once;
mod finding;
pub mod frontier;
mod independent;
pub mod kv;
pub mod list_append;
pub mod lock;
pub mod log;
mod model_name;
mod precedence;
pub mod register;
pub mod rw_register;
pub mod search;
pub mod session;
pub mod sets;
mod split;
mod trail;
pub mod txn;
pub mod unique;
mod usage;
pub mod verdict;
pub mod violation;
pub mod witness;

pub use crate::model::NEVER;
pub use crate::recording::budget::{Budget, Limit};
pub use dispatch::{Options, check};
pub use finding::{Finding, Report};
pub use model_name::ModelName;
pub use usage::NilReads;
pub use verdict::Verdict;
pub use violation::Violation;

/// Why a history given to [`decide`] is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHistory {
    /// An operation returns before it is called.
    #[error("operation {0} returns before it is called")]
    Backwards(u32),
    /// Two invocations or returns happen at the same time, so it is not known which came first.
    #[error("operation {0} begins or ends at the same time as another one")]
    Tie(u32),
}

/// Decides `calls` of any model, in any order. For the models this module knows, the engines above are
/// faster.
///
/// # Errors
/// When the intervals are not those of a history.
pub fn decide<M: Model>(model: &M, calls: &[Call<M::Op>], budget: &Budget) -> Result<Verdict, BadHistory> {
    let mut calls = calls.to_vec();
    calls.sort_by_key(|call| call.call);
    let mut ends: Vec<(u32, u32)> = Vec::with_capacity(2 * calls.len());
    for call in &calls {
        if call.ret <= call.call {
            return Err(BadHistory::Backwards(call.id));
        }
        ends.push((call.call, call.id));
        if !call.is_open() {
            ends.push((call.ret, call.id));
        }
    }
    ends.sort_unstable();
    match ends.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(BadHistory::Tie(pair[1].1)),
        None => Ok(search::check(model, &calls, budget).1),
    }
}

//! Checkers: does a recorded history have an explanation, and if not, why not?
//!
//! An operation is an interval in the order of events. A history is *linearizable* when its
//! operations can be put into one order that respects real time (what returned before another was
//! called precedes it) and that the sequential [`Model`](crate::model::Model) allows. Operations of
//! unknown outcome may be used anywhere after their call, or not at all; failed ones are not used.
//!
//! Which engine decides is chosen by what the history is:
//!
//! | module | decides | cost |
//! |-|-|-|
//! | [`unique`] | registers in which every value is written once | n log n |
//! | [`frontier`] | registers with reads and blind writes | n, times a few |
//! | [`log`] | logs of unique records | n log n |
//! | [`sets`], [`counter`], [`lock`], [`exactly_once`] | what they are called | n log n |
//! | [`bank`] | the invariants of accounts | n |
//! | [`list_append`] | transactions on lists | V + E |
//! | [`certificate`] | any model, given the order | n log n |
//! | [`search`] = [`breadth`] and [`depth`] | any model | n, times what the open operations allow |
//!
//! Every engine is exact, runs under one [`Budget`], and answers with a [`Verdict`]: an order (which
//! [`witness::verify`] checks on its own), the few operations that have none, or what ran out.

use crate::results::Outcome;

pub mod bank;
mod bits;
pub mod breadth;
pub mod budget;
pub mod certificate;
pub mod counter;
pub mod datum;
pub mod depth;
mod dispatch;
pub mod exactly_once;
pub mod frontier;
pub mod hash;
pub mod kv;
pub mod list_append;
pub mod lock;
pub mod log;
pub mod recording;
pub mod register;
pub mod search;
pub mod sets;
mod split;
mod trail;
pub mod txn;
pub mod unique;
pub mod verdict;
pub mod witness;

pub use budget::{Budget, Limit};
pub use dispatch::{ModelName, Options, check};
pub use recording::NEVER;
pub use verdict::{Verdict, Violation};

use datum::Datum;

/// What checking a whole history came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Model it was checked against.
    pub model: ModelName,
    /// Engines that took part, in order of first use.
    pub engines: Vec<&'static str>,
    /// Keys, or other independent parts.
    pub parts: usize,
    /// Operations considered.
    pub operations: u64,
    /// The answer.
    pub finding: Finding,
    /// What the order the daemon itself claims came to, where its replies tell one.
    pub certificate: certificate::Certificate,
}

/// The answer about a whole history.
#[derive(Clone, Debug)]
pub enum Finding {
    /// Every part has an order.
    Valid,
    /// The part with this key has none.
    Invalid {
        /// Key; nil when there is only one.
        key: Datum,
        /// Why.
        violation: Violation,
    },
    /// Not decided.
    Unknown {
        /// What ran out and how far it got, or what the checker did not understand.
        reason: String,
    },
}

impl Report {
    /// Valid, invalid or unknown.
    pub fn outcome(&self) -> Outcome {
        match self.finding {
            Finding::Valid => Outcome::Valid,
            Finding::Invalid { .. } => Outcome::Invalid,
            Finding::Unknown { .. } => Outcome::Unknown,
        }
    }
}

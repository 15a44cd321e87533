//! What checking a whole history comes to.

use super::certificate::Certificate;
use super::model_name::ModelName;
use super::violation::Violation;
use crate::recording::datum::Datum;
use crate::results::{Outcome, Usage};

/// What checking a whole history came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Model it was checked against.
    pub model: ModelName,
    /// Engines that took part, in order of first use.
    pub engines: Vec<&'static str>,
    /// Keys, or other independent parts.
    pub parts: usize,
    /// Operations used.
    pub operations: u64,
    /// Which those are, and why the others are not among them.
    pub usage: Usage,
    /// The answer.
    pub finding: Finding,
    /// What the order the daemon itself claims came to, where its replies say one.
    pub certificate: Certificate,
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

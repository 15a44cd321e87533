//! What an engine says about one part of a history, and what the parts come to together.
//!
//! Invariant: an order that an engine found is verified before it counts.

use crate::checker::certificate::Certificate;
use crate::checker::finding::{Finding, Report};
use crate::checker::model_name::ModelName;
use crate::checker::usage::UsageCount;
use crate::checker::verdict::{Exhausted, Verdict};
use crate::checker::witness;
use crate::model::{Call, Model, NEVER};
use crate::recording::Recording;
use crate::recording::budget::Limit;
use crate::recording::datum::Datum;

/// What an engine said about a part; an error when it could not make sense of it.
pub(super) struct Answer {
    pub(super) engine: &'static str,
    pub(super) verdict: Result<Verdict, String>,
}

impl Answer {
    pub(super) fn of(engine: &'static str, verdict: Verdict) -> Self {
        Self {
            engine,
            verdict: Ok(verdict),
        }
    }

    /// The same, once its order, if it has one, was replayed through the model. That takes as long as
    /// finding it does, so it is left to the tests for orders longer than [`VERIFIED_MAX`].
    pub(super) fn verified<M: Model>(mut self, model: &M, calls: &[Call<M::Op>]) -> Self {
        if let Ok(Verdict::Valid(order)) = &self.verdict
            && calls.len() <= VERIFIED_MAX
            && let Err(flaw) = witness::verify(model, calls, order)
        {
            self.verdict = Err(format!(
                "the order that {} found is not valid: {flaw:?}",
                self.engine
            ));
        }
        self
    }

    pub(super) fn maybe(engine: &'static str, verdict: Result<Verdict, (u32, &'static str)>) -> Self {
        let verdict = verdict.map_err(|(op, problem)| format!("operation {op}: {problem}"));
        Self { engine, verdict }
    }

    /// True when the part has no order, whatever the operations did that could not be used: they may have changed
    /// it from `changed_from` on, and what was called after all operations of a violation had returned does not
    /// help any of them.
    pub(super) fn is_violation(&self, recording: &Recording, changed_from: u32) -> bool {
        let last = |id: &u32| recording.operations[*id as usize].ret;
        match &self.verdict {
            Ok(Verdict::Invalid(violation)) => {
                let last = violation.operations().iter().map(last).max();
                changed_from == NEVER || last.is_some_and(|last| last < changed_from)
            }
            Ok(Verdict::Valid(_) | Verdict::Unknown(_)) | Err(_) => false,
        }
    }

    pub(super) fn is_short_of_steps(&self) -> bool {
        matches!(&self.verdict, Ok(Verdict::Unknown(exhausted)) if exhausted.limit == Limit::Steps)
    }

    pub(super) fn finding(self, recording: &Recording, key: Datum, changed_from: u32) -> Finding {
        let stands = self.is_violation(recording, changed_from);
        match self.verdict {
            Ok(Verdict::Valid(_)) => Finding::Valid,
            Ok(Verdict::Invalid(violation)) if stands => Finding::Invalid { key, violation },
            Ok(Verdict::Invalid(_)) => Finding::Unknown {
                reason: "the operations that could be used have no order, but one that could not be used may have \
                         changed that"
                    .to_owned(),
            },
            Ok(Verdict::Unknown(exhausted)) => Finding::Unknown {
                reason: explain_exhausted(exhausted),
            },
            Err(reason) => Finding::Unknown { reason },
        }
    }
}

/// Joins the findings of the parts of a history.
pub(super) fn report(
    model: ModelName,
    recording: &Recording,
    tally: &UsageCount,
    parts: usize,
    findings: Vec<(&'static str, Finding)>,
) -> Report {
    let mut engines = Vec::new();
    let mut joined = Finding::Valid;
    for (engine, finding) in findings {
        if !engines.contains(&engine) {
            engines.push(engine);
        }
        match (&joined, finding) {
            (_, Finding::Valid) | (Finding::Invalid { .. }, _) => {}
            (Finding::Valid | Finding::Unknown { .. }, other) => joined = other,
        }
    }
    if let (Finding::Valid, Some(reason)) = (&joined, tally.doubt(recording)) {
        joined = Finding::Unknown { reason };
    }
    let usage = tally.usage(recording);
    Report {
        model,
        engines,
        parts,
        operations: usage.used,
        usage,
        finding: joined,
        certificate: Certificate::Absent,
    }
}

fn explain_exhausted(exhausted: Exhausted) -> String {
    let Exhausted {
        limit,
        decided,
        total,
    } = exhausted;
    format!("{} ran out after {decided} of {total} operations", limit.name())
}

/// Orders up to this length are verified before they count: milliseconds.
const VERIFIED_MAX: usize = 100_000;

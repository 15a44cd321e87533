//! Reports a person reads: why a history has no order, in words.

pub mod run;
pub mod svg;
pub mod words;

pub use words::explain;

use crate::checker::Report;
use crate::checker::recording::Recording;
use crate::results::CheckResult;

/// The entry of `results.json` for a check that took `seconds`.
pub fn check_result(recording: &Recording, report: &Report, seconds: f64) -> CheckResult {
    let summary = words::summary(recording, report);
    CheckResult {
        model: report.model.name().to_owned(),
        verdict: report.outcome(),
        operations: report.operations,
        seconds,
        explanation: summary.is_some().then(|| explain(recording, report)),
        summary,
    }
}

//! Reports: why a history has no order, in words and as a picture; what a run did and found, as text, as a
//! page and as JUnit XML.

pub mod junit;
mod markup;
pub mod page;
#[cfg(test)]
mod samples;
pub mod svg;
pub mod text;
mod timeline;
pub mod words;

pub(crate) use markup::escaped;
pub use words::explain;

use std::path::Path;

use crate::checker::Report;
use crate::plan::Plan;
use crate::recording::Recording;
use crate::results::{CheckResult, Results};
use crate::tally::Tally;

/// The reports of a run, by file name.
pub fn files(
    plan: &Plan,
    seed: u64,
    folder: &Path,
    results: &Results,
    tally: &Tally,
) -> [(&'static str, String); 4] {
    let json = serde_json::to_string_pretty(results).expect("results have a JSON form");
    [
        ("results.json", format!("{json}\n")),
        (
            "report.txt",
            text::text_report(plan, seed, folder, results, tally),
        ),
        ("report.html", page::page(plan, seed, folder, results, tally)),
        ("junit.xml", junit::junit(plan, seed, results)),
    ]
}

/// The entry of `results.json` for a check that took `seconds`.
pub fn check_result(recording: &Recording, report: &Report, seconds: f64) -> CheckResult {
    let summary = words::summary(recording, report);
    CheckResult {
        model: report.model.name().to_owned(),
        verdict: report.outcome(),
        operations: report.operations,
        usage: Some(report.usage.clone()),
        seconds,
        explanation: summary.is_some().then(|| explain(recording, report)),
        picture: svg::draw(recording, report),
        summary,
    }
}

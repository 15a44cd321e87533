//! Reports: why a history has no order, in words and as a picture; what a run did and found, as text, as a
//! page and as JUnit XML.

pub mod junit;
mod markup;
mod origin;
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
use crate::results::{Account, CheckResult, Results};
use crate::tally::Tally;

/// The reports of a run, by file name; `folder` has the histories already.
pub fn files(
    plan: &Plan,
    seed: u64,
    folder: &Path,
    results: &Results,
    tally: &Tally,
) -> Vec<(String, String)> {
    let json = serde_json::to_string_pretty(results).expect("results have a JSON form");
    let text = text::text_report(plan, seed, folder, results, tally);
    let named = |(name, content): (&str, String)| (name.to_owned(), content);
    let mut files: Vec<(String, String)> = [
        ("results.json", format!("{json}\n")),
        ("report.txt", text),
        ("report.html", page::page(plan, seed, folder, results, tally)),
        ("junit.xml", junit::junit(plan, seed, results)),
    ]
    .into_iter()
    .map(named)
    .collect();
    for (at, check) in results.checks.iter().enumerate() {
        if let Some(drawing) = check.account.as_ref().and_then(|account| account.drawing.clone()) {
            files.push((drawing_name(at, check), drawing));
        }
    }
    files
}

/// The file with the drawing of the violation that the check at this place found.
pub fn drawing_name(at: usize, check: &CheckResult) -> String {
    format!("violation-{}-{}.svg", at + 1, check.model)
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
        account: words::account(recording, report).map(|account| Account {
            drawing: svg::draw(recording, report),
            ..account
        }),
        summary,
    }
}

//! The text report of a run: what was done, what was found, and the verdict as its last line.
//!
//! Invariant: bounded. What grows with a run (faults, errors, explanations) is cut, and says so.

use std::fmt::Write;
use std::path::Path;

use crate::plan::{KindName, Plan};
use crate::results::{CheckResult, Counts, Lost, Outcome, Results};
use crate::tally::{FunctionTally, Tally};

/// Writes the report of a run.
pub fn text_report(plan: &Plan, seed: u64, folder: &Path, results: &Results, tally: &Tally) -> String {
    let mut text = String::new();
    let sections = [
        head(plan, seed, folder, results),
        operations(tally),
        phases(results),
        faults(results, tally.decisions_skipped),
        found(results),
        reasons(results),
        remarks(results),
    ];
    for section in sections.iter().filter(|section| !section.is_empty()) {
        text.push_str(section);
        text.push('\n');
    }
    put(&mut text, format_args!("verdict: {}", results.verdict));
    text
}

fn head(plan: &Plan, seed: u64, folder: &Path, results: &Results) -> String {
    let mut text = String::new();
    let workloads: Vec<&str> = plan.workloads.iter().map(|workload| workload.name()).collect();
    put(
        &mut text,
        format_args!("plan {}, seed {seed}: {}", plan.name, plan.about),
    );
    put(
        &mut text,
        format_args!(
            "{} nodes, {} clients, {} of {}; everything is in {}",
            plan.cluster.nodes,
            plan.clients.count,
            plan.time,
            workloads.join(" and "),
            folder.display()
        ),
    );
    if let Some(system) = &results.system {
        put(&mut text, format_args!("system: {system}"));
    }
    if let Some(network) = &results.network {
        put(&mut text, format_args!("between the nodes: {network}"));
    }
    text
}

fn operations(tally: &Tally) -> String {
    let mut text = String::from("What was done\n");
    put(
        &mut text,
        format_args!(
            "  {:<18} {:>9} {:>9} {:>7} {:>8} {:>9} {:>9} {:>9}",
            "operation", "invoked", "ok", "fail", "unknown", "p50 ms", "p99 ms", "max ms"
        ),
    );
    for (name, function) in &tally.functions {
        operations_line(&mut text, name, &function.operations, function);
    }
    operations_line(&mut text, "all", &tally.operations, &FunctionTally::default());
    let mut errors: Vec<_> = tally.errors.iter().collect();
    errors.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for ((code, definite), count) in errors.iter().take(ERRORS_SHOWN) {
        let meaning = if *definite {
            "nothing was done"
        } else {
            "outcome unknown"
        };
        put(&mut text, format_args!("  error {code}: {count} ({meaning})"));
    }
    more(&mut text, errors.len(), ERRORS_SHOWN, "errors");
    text
}

fn operations_line(text: &mut String, name: &str, counts: &Counts, function: &FunctionTally) {
    let millis = |percent| {
        function
            .percentile(percent)
            .map_or_else(String::new, |nanos| format!("{:.2}", nanos as f64 / 1e6))
    };
    let line = format!(
        "  {name:<18} {:>9} {:>9} {:>7} {:>8} {:>9} {:>9} {:>9}",
        counts.invoked,
        counts.ok,
        counts.fail,
        counts.info,
        millis(50),
        millis(99),
        millis(100),
    );
    put(text, format_args!("{}", line.trim_end()));
}

fn phases(results: &Results) -> String {
    let mut text = String::from("Phases\n");
    for phase in &results.phases {
        put(
            &mut text,
            format_args!(
                "  {:<9} {:>7.1} s to {:>7.1} s: {} ok, {} fail, {} unknown",
                phase.name,
                seconds(phase.from_ns),
                seconds(phase.to_ns),
                phase.operations.ok,
                phase.operations.fail,
                phase.operations.info
            ),
        );
    }
    text
}

/// How often the power failed, and what that took.
fn cuts(results: &Results) -> String {
    let lost: Vec<Lost> = results.faults.iter().filter_map(|fault| fault.lost).collect();
    if lost.is_empty() {
        return String::new();
    }
    let biting = lost.iter().filter(|lost| lost.is_some()).count();
    let mut sum = Lost::default();
    lost.iter().for_each(|lost| sum += *lost);
    let Lost { bytes, names } = sum;
    let cuts = lost.len();
    format!("  {cuts} power cuts, {biting} of which lost unsynced data: {bytes} bytes, {names} names\n")
}

/// What was done, in a sentence for each kind.
fn kinds(results: &Results) -> String {
    let mut kinds: Vec<KindName> = Vec::new();
    for fault in &results.faults {
        kinds.extend(KindName::named(&fault.kind).filter(|kind| !kinds.contains(kind)));
    }
    let mut text = String::new();
    for kind in kinds {
        put(&mut text, format_args!("  {}: {}", kind.name(), kind.meaning()));
    }
    text
}

fn faults(results: &Results, skipped: u64) -> String {
    let effective = results
        .faults
        .iter()
        .filter(|fault| fault.evidence.is_some())
        .count();
    let mut text = format!(
        "Faults: {} injected, {effective} had an observable effect",
        results.faults.len()
    );
    if skipped > 0 {
        text.push_str(&format!("; {skipped} skipped (no eligible target)"));
    }
    text.push('\n');
    text.push_str(&cuts(results));
    text.push_str(&kinds(results));
    for fault in results.faults.iter().take(FAULTS_SHOWN) {
        let to = fault
            .to_ns
            .map_or_else(|| "end".to_owned(), |to| format!("{:.1} s", seconds(to)));
        let evidence = fault.effect();
        put(
            &mut text,
            format_args!(
                "  {:>6.1} s to {to:>7}: {}: {evidence}",
                seconds(fault.from_ns),
                fault.fault
            ),
        );
    }
    more(&mut text, results.faults.len(), FAULTS_SHOWN, "faults");
    text
}

fn found(results: &Results) -> String {
    let mut text = String::from("What was found\n");
    for check in &results.checks {
        found_line(&mut text, check);
    }
    text
}

fn found_line(text: &mut String, check: &CheckResult) {
    let operations = match check.operations {
        0 => String::new(),
        count => format!(" {count} operations in {:.2} s;", check.seconds),
    };
    let summary = check.summary.as_deref().unwrap_or_default();
    let line = format!("  {:<10} {:<8}{operations} {summary}", check.model, check.verdict);
    put(text, format_args!("{}", line.trim_end().trim_end_matches(';')));
    if let Some(usage) = check.usage.as_ref().filter(|usage| !usage.ignored.is_empty()) {
        put(text, format_args!("      {usage}"));
    }
    if let Some(explanation) = &check.explanation {
        let lines: Vec<&str> = explanation.lines().collect();
        lines
            .iter()
            .take(EXPLANATION_LINES)
            .for_each(|line| put(text, format_args!("      {line}")));
        more(text, lines.len(), EXPLANATION_LINES, "lines");
    }
}

fn reasons(results: &Results) -> String {
    if results.reasons.is_empty() {
        return String::new();
    }
    let cannot = match results.verdict {
        Outcome::Valid | Outcome::Unknown => "Why this run proves nothing\n",
        Outcome::Invalid => "What else was wrong with this run\n",
    };
    let mut text = String::from(cannot);
    results
        .reasons
        .iter()
        .for_each(|reason| put(&mut text, format_args!("  {reason}")));
    text
}

fn remarks(results: &Results) -> String {
    if results.remarks.is_empty() {
        return String::new();
    }
    let mut text = String::from("Remarks\n");
    results
        .remarks
        .iter()
        .for_each(|remark| put(&mut text, format_args!("  {remark}")));
    text
}

fn more(text: &mut String, there: usize, shown: usize, what: &str) {
    if there > shown {
        put(
            text,
            format_args!(
                "  ... and {} more {what} (results.json has them all)",
                there - shown
            ),
        );
    }
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a string takes whatever is written to it");
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

const ERRORS_SHOWN: usize = 12;
/// A minute of the default plan has about fifty.
const FAULTS_SHOWN: usize = 100;
const EXPLANATION_LINES: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{plan, results, tally};

    #[test]
    fn a_report_reads_like_this() {
        let report = text_report(&plan(), 7, Path::new("/runs/p/1"), &results(), &tally());
        insta::assert_snapshot!(report);
    }

    #[test]
    fn a_report_is_bounded() {
        let mut results = results();
        let fault = results.faults[0].clone();
        results.faults = vec![fault; 10_000];
        results.checks[0].explanation = Some("line\n".repeat(10_000));
        let report = text_report(&plan(), 7, Path::new("/runs/p/1"), &results, &tally());
        assert!(report.lines().count() < 250, "{} lines", report.lines().count());
        assert!(report.contains("and 9900 more faults"));
        assert_eq!(report.lines().last(), Some("verdict: invalid"));
    }
}

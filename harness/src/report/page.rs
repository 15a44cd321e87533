//! The report of a run as one HTML page that needs nothing else: no network, no script.
//!
//! The timeline puts operations, phases and faults over the same time; below it stand the violations with
//! their pictures, and the figures of the text report.
//!
//! Invariant: bounded, like the text report; everything that comes from a run is escaped.

use std::fmt::Write;
use std::path::Path;

use super::markup::escaped;
use super::timeline;
use crate::plan::Plan;
use crate::results::{CheckResult, Counts, Outcome, Results};
use crate::tally::{FunctionTally, Tally};

/// Faults in the table.
const FAULTS_SHOWN: usize = 300;
/// Characters of an explanation.
const EXPLANATION_CHARS: usize = 50_000;

const STYLE: &str = "\
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem;color:#1b1f24}\
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse}\
td,th{padding:.15rem .8rem .15rem 0;text-align:left;vertical-align:top}td.n,th.n{text-align:right}\
pre{background:#f6f8fa;padding:.8rem;overflow-x:auto}svg{max-width:100%;height:auto}\
.valid{color:#1a7f37}.invalid{color:#cf222e}.unknown{color:#9a6700}.dim{color:#656d76}";

/// Writes the page.
pub fn page(plan: &Plan, seed: u64, folder: &Path, results: &Results, tally: &Tally) -> String {
    let (name, verdict) = (escaped(&plan.name), results.verdict);
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{name}, seed {seed}: {verdict}</title>\n\
         <style>{STYLE}</style></head><body>\n<h1>{name}, seed {seed}: <span class=\"{verdict}\">{verdict}</span></h1>\n"
    );
    put(
        &mut text,
        format_args!(
            "<p>{}<br><span class=\"dim\">{} nodes, {} clients, {}; everything is in {}</span></p>",
            escaped(&plan.about),
            plan.cluster.nodes,
            plan.clients.count,
            plan.time,
            escaped(&folder.display().to_string())
        ),
    );
    reasons(&mut text, results);
    found(&mut text, results);
    remarks(&mut text, results);
    text.push_str("<h2>What happened when</h2>\n");
    text.push_str(&timeline::draw(results, tally));
    operations(&mut text, tally);
    faults(&mut text, results, tally.decisions_skipped);
    text.push_str("</body></html>\n");
    text
}

fn reasons(text: &mut String, results: &Results) {
    if results.reasons.is_empty() {
        return;
    }
    let cannot = match results.verdict {
        Outcome::Valid | Outcome::Unknown => "Why this run proves nothing",
        Outcome::Invalid => "What else was wrong with this run",
    };
    list(text, cannot, &results.reasons);
}

fn remarks(text: &mut String, results: &Results) {
    if !results.remarks.is_empty() {
        list(text, "Remarks", &results.remarks);
    }
}

fn list(text: &mut String, title: &str, items: &[String]) {
    put(text, format_args!("<h2>{title}</h2>\n<ul>"));
    for item in items {
        put(text, format_args!("<li>{}</li>", escaped(item)));
    }
    text.push_str("</ul>\n");
}

fn found(text: &mut String, results: &Results) {
    text.push_str("<h2>What was found</h2>\n<table>\n");
    for check in &results.checks {
        let operations = match check.operations {
            0 => String::new(),
            count => format!("{count} operations in {:.2} s", check.seconds),
        };
        put(
            text,
            format_args!(
                "<tr><td>{}</td><td class=\"{verdict}\">{verdict}</td><td>{operations}</td><td>{}</td></tr>{}",
                escaped(&check.model),
                escaped(check.summary.as_deref().unwrap_or_default()),
                usage(check),
                verdict = check.verdict,
            ),
        );
    }
    text.push_str("</table>\n");
    results.checks.iter().for_each(|check| explanation(text, check));
}

fn usage(check: &CheckResult) -> String {
    match check.usage.as_ref().filter(|usage| !usage.ignored.is_empty()) {
        Some(usage) => format!(
            "\n<tr><td></td><td></td><td class=\"dim\" colspan=\"2\">{}</td></tr>",
            escaped(&usage.to_string())
        ),
        None => String::new(),
    }
}

fn explanation(text: &mut String, check: &CheckResult) {
    if check.explanation.is_none() && check.picture.is_none() {
        return;
    }
    put(text, format_args!("<h2>{}</h2>", escaped(&check.model)));
    if let Some(explanation) = &check.explanation {
        let shown: String = explanation.chars().take(EXPLANATION_CHARS).collect();
        let cut = if shown.len() < explanation.len() {
            "\n... (results.json has all of it)"
        } else {
            ""
        };
        put(text, format_args!("<pre>{}{cut}</pre>", escaped(&shown)));
    }
    // A document of ours, escaped where it was made.
    if let Some(picture) = &check.picture {
        put(text, format_args!("{picture}"));
    }
}

fn operations(text: &mut String, tally: &Tally) {
    text.push_str("<h2>What was done</h2>\n<table>\n<tr><th>operation</th>");
    for column in ["invoked", "ok", "fail", "unknown", "p50 ms", "p99 ms", "max ms"] {
        text.push_str(&format!("<th class=\"n\">{column}</th>"));
    }
    text.push_str("</tr>\n");
    for (name, function) in &tally.functions {
        operations_row(text, name, &function.operations, function);
    }
    operations_row(text, "all", &tally.operations, &FunctionTally::default());
    text.push_str("</table>\n");
    if tally.errors.is_empty() {
        return;
    }
    text.push_str("<table>\n<tr><th>error</th><th class=\"n\">times</th><th>means</th></tr>\n");
    for ((code, definite), count) in &tally.errors {
        let meaning = if *definite {
            "nothing was done"
        } else {
            "outcome unknown"
        };
        put(
            text,
            format_args!(
                "<tr><td>{}</td><td class=\"n\">{count}</td><td>{meaning}</td></tr>",
                escaped(code)
            ),
        );
    }
    text.push_str("</table>\n");
}

fn operations_row(text: &mut String, name: &str, counts: &Counts, function: &FunctionTally) {
    text.push_str(&format!("<tr><td>{}</td>", escaped(name)));
    for count in [counts.invoked, counts.ok, counts.fail, counts.info] {
        text.push_str(&format!("<td class=\"n\">{count}</td>"));
    }
    for percent in [50, 99, 100] {
        let millis = function
            .percentile(percent)
            .map_or_else(String::new, |nanos| format!("{:.2}", nanos as f64 / 1e6));
        text.push_str(&format!("<td class=\"n\">{millis}</td>"));
    }
    text.push_str("</tr>\n");
}

fn faults(text: &mut String, results: &Results, skipped: u64) {
    let effective = results.faults.iter().filter(|fault| fault.evidence.is_some());
    let more = match skipped {
        0 => String::new(),
        skipped => format!("; {skipped} skipped (no eligible target)"),
    };
    put(
        text,
        format_args!(
            "<h2>Faults: {} injected, {} had an observable effect{more}</h2>\n<table>",
            results.faults.len(),
            effective.count()
        ),
    );
    for fault in results.faults.iter().take(FAULTS_SHOWN) {
        let to = fault
            .to_ns
            .map_or_else(|| "end".to_owned(), |to| format!("{:.1} s", to as f64 / 1e9));
        let evidence = fault.evidence.as_deref().map_or_else(
            || format!("<td class=\"unknown\">{}</td>", escaped(&fault.effect())),
            |evidence| format!("<td>{}</td>", escaped(evidence)),
        );
        put(
            text,
            format_args!(
                "<tr><td class=\"n\">{:.1} s</td><td>to {to}</td><td>{}</td>{evidence}</tr>",
                fault.from_ns as f64 / 1e9,
                escaped(&fault.fault)
            ),
        );
    }
    text.push_str("</table>\n");
    if let Some(left) = results
        .faults
        .len()
        .checked_sub(FAULTS_SHOWN)
        .filter(|left| *left > 0)
    {
        put(
            text,
            format_args!("<p>... and {left} more faults (results.json has them all)</p>"),
        );
    }
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a string takes whatever is written to it");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    fn written(results: &Results) -> String {
        page(
            &samples::plan(),
            7,
            Path::new("/runs/p/1"),
            results,
            &samples::tally(),
        )
    }

    #[test]
    fn a_page_reads_like_this() {
        insta::assert_snapshot!(written(&samples::results()));
    }

    #[test]
    fn nothing_from_a_run_becomes_markup() {
        let mut results = samples::results();
        results.faults[0].evidence = Some("<script>".to_owned());
        results.checks[0].summary = Some("<script>".to_owned());
        results.checks[0].explanation = Some("</pre><script>".to_owned());
        results.reasons.push("<script>".to_owned());
        let text = written(&results);
        assert!(!text.contains("<script"), "{text}");
        assert_eq!(text.matches("&lt;script&gt;").count(), 5);
    }

    #[test]
    fn a_page_is_bounded() {
        let mut results = samples::results();
        results.faults = vec![results.faults[0].clone(); 10_000];
        results.checks[0].explanation = Some("line\n".repeat(100_000));
        let text = written(&results);
        assert!(text.len() < 300_000, "{} bytes", text.len());
        assert!(text.contains("and 9700 more faults"));
    }
}

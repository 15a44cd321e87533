//! The verdict as JUnit XML, which every CI system shows: a test case a check, and one for the run itself.
//!
//! Invariant: `invalid` is a failure (the system broke its promise), `unknown` an error (nothing was proved);
//! neither is ever a pass. Bounded: an explanation is cut after `EXPLANATION_CHARS` characters.

use std::fmt::Write;

use super::markup::escaped;
use crate::plan::Plan;
use crate::results::{CheckResult, Outcome, Results, Usage};

/// Characters of an explanation that are kept.
const EXPLANATION_CHARS: usize = 20_000;

/// Writes the document.
pub fn junit(plan: &Plan, seed: u64, results: &Results) -> String {
    let run = the_run(results);
    let cases: Vec<&CheckResult> = results.checks.iter().chain([&run]).collect();
    let count = |outcome| cases.iter().filter(|case| case.verdict == outcome).count();
    let seconds: f64 = cases.iter().map(|case| case.seconds).sum();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    put(
        &mut text,
        format_args!(
            "<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{seconds:.3}\">\n  \
             <properties><property name=\"seed\" value=\"{seed}\"/></properties>",
            escaped(&plan.name),
            cases.len(),
            count(Outcome::Invalid),
            count(Outcome::Unknown),
        ),
    );
    cases.iter().for_each(|case| write_case(&mut text, plan, case));
    text.push_str("</testsuite>\n");
    text
}

/// What the checks do not say: whether the run put anything to the test.
fn the_run(results: &Results) -> CheckResult {
    let verdict = if results.reasons.is_empty() {
        Outcome::Valid
    } else {
        Outcome::Unknown
    };
    CheckResult {
        model: "the run proves something".to_owned(),
        verdict,
        operations: results.operations.ok,
        usage: None,
        seconds: 0.0,
        summary: results.reasons.first().cloned(),
        explanation: Some(results.reasons.join("\n")),
        account: None,
    }
}

fn write_case(text: &mut String, plan: &Plan, case: &CheckResult) {
    let (name, class) = (escaped(&case.model), escaped(&plan.name));
    let open = format!(
        "  <testcase classname=\"{class}\" name=\"{name}\" time=\"{:.3}\"",
        case.seconds
    );
    let element = match case.verdict {
        Outcome::Valid => {
            return match &case.usage {
                Some(usage) => put(
                    text,
                    format_args!("{open}>\n    {}\n  </testcase>", system_out(usage)),
                ),
                None => put(text, format_args!("{open}/>")),
            };
        }
        Outcome::Invalid => "failure",
        Outcome::Unknown => "error",
    };
    let message = escaped(case.summary.as_deref().unwrap_or(case.verdict.name()));
    let explanation = case.explanation.as_deref().unwrap_or_default();
    let explanation: String = explanation.chars().take(EXPLANATION_CHARS).collect();
    let usage = case.usage.as_ref().map(system_out);
    let usage = usage.map_or_else(String::new, |usage| format!("\n    {usage}"));
    put(
        text,
        format_args!(
            "{open}>\n    <{element} type=\"{}\" message=\"{message}\">{}</{element}>{usage}\n  </testcase>",
            case.verdict,
            escaped(&explanation)
        ),
    );
}

/// Which operations of the history the verdict rests on.
fn system_out(usage: &Usage) -> String {
    format!("<system-out>{}</system-out>", escaped(&usage.to_string()))
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a string takes whatever is written to it");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn a_failure_an_error_and_a_pass_read_like_this() {
        insta::assert_snapshot!(junit(&samples::plan(), 7, &samples::results()));
    }

    #[test]
    fn a_valid_run_has_neither_failure_nor_error() {
        let mut results = samples::results();
        results.reasons.clear();
        for check in &mut results.checks {
            check.verdict = Outcome::Valid;
        }
        let text = junit(&samples::plan(), 7, &results);
        assert!(text.contains("failures=\"0\" errors=\"0\""), "{text}");
        assert!(!text.contains("<failure") && !text.contains("<error"), "{text}");
    }

    #[test]
    fn what_xml_cannot_hold_does_not_get_in() {
        let mut results = samples::results();
        results.checks[0].explanation = Some("a\u{0}b\u{1b}<c>&\"d\" \u{fffe}".to_owned());
        let text = junit(&samples::plan(), 7, &results);
        assert!(
            text.contains("a\u{fffd}b\u{fffd}&lt;c&gt;&amp;&quot;d&quot; \u{fffd}"),
            "{text}"
        );
    }
}

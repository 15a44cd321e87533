//! A campaign's summary for machines: JUnit XML, and annotations of GitHub Actions.
//!
//! Invariant: a finding is a failure, what proved nothing and a failing harness are errors; none is ever a pass.

use std::fmt::Write;

use super::record::Verdict;
use super::summary::Summary;
use crate::report::escaped;

/// JUnit XML: a case an entry, a case a finding, a case for the harness.
pub fn junit(summary: &Summary) -> String {
    let mut cases = String::new();
    let (mut tests, mut errors) = (0, 0);
    let name = escaped(&summary.name);
    let mut case = |title: &str, body: Option<(&str, &str, String)>| {
        tests += 1;
        let open = format!("  <testcase classname=\"{name}\" name=\"{}\"", escaped(title));
        let Some((element, message, text)) = body else {
            let _ = writeln!(cases, "{open}/>");
            return;
        };
        errors += u64::from(element == "error");
        let (message, text) = (escaped(message), escaped(&text));
        let _ = writeln!(
            cases,
            "{open}>\n    <{element} message=\"{message}\">{text}</{element}>\n  </testcase>"
        );
    };
    for (entry, totals) in &summary.entries {
        let doubt = totals.doubtful();
        case(entry, doubt.map(|why| ("error", "unknown", why)));
    }
    for finding in &summary.groups {
        let text = format!("{}\n{}", finding.group.best.detail, finding.repeat());
        case(&finding.name(), Some(("failure", "invalid", text)));
    }
    let reasons: Vec<String> = summary
        .failed
        .iter()
        .take(SHOWN_MAX)
        .map(|(unit, reason)| format!("{unit}: {reason}"))
        .collect();
    let failed = (!reasons.is_empty()).then(|| ("error", Verdict::Failed.name(), reasons.join("\n")));
    case("the harness", failed);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{}\" \
         errors=\"{errors}\">\n{cases}</testsuite>\n",
        summary.groups.len()
    )
}

/// A line for each thing that a person has to look at.
pub fn github(summary: &Summary) -> String {
    let mut text = String::new();
    let mut line = |level: &str, title: &str, said: &str| {
        let _ = writeln!(text, "::{level} title={}::{}", property(title), data(said));
    };
    for finding in summary.groups.iter().take(SHOWN_MAX) {
        let said = format!("{}\nrepeat: {}", finding.group.best.detail, finding.repeat());
        line("error", &finding.name(), &said);
    }
    for (unit, reason) in summary.failed.iter().take(SHOWN_MAX) {
        line("warning", &format!("the harness failed in {unit}"), reason);
    }
    for (entry, totals) in &summary.entries {
        if let Some(why) = totals.doubtful() {
            line("warning", &format!("unknown: {entry}"), &why);
        }
    }
    line(
        "notice",
        &format!("campaign {}", summary.name),
        summary.paragraph().trim_end(),
    );
    text
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// GitHub shows ten of a kind.
const SHOWN_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::shard::Shard;

    fn summary(records: &[super::super::record::Record]) -> Summary {
        Summary::new(std::path::Path::new("/nowhere"), "nightly", Shard::WHOLE, records)
    }

    #[test]
    fn findings_doubts_and_failures_of_the_harness_read_like_this() {
        let summary = summary(&samples::records());
        insta::assert_snapshot!("text", summary.text());
        insta::assert_snapshot!("paragraph", summary.paragraph());
        insta::assert_snapshot!("junit", junit(&summary));
        insta::assert_snapshot!("github", github(&summary));
    }

    #[test]
    fn the_exit_code_blames_the_system_only_for_its_own_faults() {
        use Verdict::{Failed, Invalid, Unknown, Valid};
        let code = |verdicts: &[Verdict]| {
            let records: Vec<_> = (0..)
                .zip(verdicts)
                .map(|(id, verdict)| {
                    let failures = samples::records()[3].failures.clone();
                    let failures = if *verdict == Invalid { failures } else { Vec::new() };
                    samples::record(id, *verdict, failures)
                })
                .collect();
            summary(&records).code()
        };
        assert_eq!(code(&[]), 2, "nothing was put to the test");
        assert_eq!((code(&[Valid]), code(&[Valid, Invalid, Failed])), (0, 1));
        assert_eq!((code(&[Valid, Failed, Unknown]), code(&[Failed])), (254, 254));
        let mut doubtful = samples::record(0, Unknown, Vec::new());
        assert_eq!(summary(&[doubtful.clone()]).code(), 0, "one seed of ten");
        doubtful.figures.unknown = 2;
        assert_eq!(summary(&[doubtful]).code(), 2, "two seeds of ten");
    }
}

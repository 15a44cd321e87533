//! `results.edn`: what a run came to, as Jepsen's checkers report it: a map with `:valid?`, and one for each check.

use serde_json::json;

use super::edn::{Names, name_of, text, write};
use crate::results::{Outcome, Results};

/// The content of `results.edn`.
pub fn results_edn(results: &Results) -> String {
    let mut out = format!("{{:valid? {}\n", valid(results.verdict));
    for check in &results.checks {
        out.push(' ');
        name_of(&check.model, &mut out);
        out.push_str(&format!(
            " {{:valid? {}, :op-count {}",
            valid(check.verdict),
            check.operations
        ));
        for (name, said) in [(":summary", &check.summary), (":explanation", &check.explanation)] {
            if let Some(said) = said {
                out.push_str(&format!(", {name} "));
                text(said, &mut out);
            }
        }
        out.push_str("}\n");
    }
    let counts = results.operations;
    out.push_str(&format!(
        " :stats {{:count {}, :ok-count {}, :fail-count {}, :info-count {}}}\n",
        counts.invoked, counts.ok, counts.fail, counts.info
    ));
    out.push_str(" :reasons ");
    write(&json!(results.reasons), Names::Keywords, &mut out);
    out.push_str("}\n");
    out
}

/// As in Jepsen, what is not known is a keyword.
fn valid(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Valid => "true",
        Outcome::Invalid => "false",
        Outcome::Unknown => ":unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{CheckResult, Counts};

    #[test]
    fn a_map_has_the_verdict_of_each_check() {
        let check = CheckResult {
            model: "list-append".to_owned(),
            verdict: Outcome::Invalid,
            operations: 9,
            usage: None,
            seconds: 0.5,
            summary: Some("a \"stale\" read".to_owned()),
            explanation: None,
            account: None,
        };
        let mut results = Results::from_checks(Counts::default(), vec![check]);
        results.doubt("few faults");
        assert_eq!(
            results_edn(&results),
            "{:valid? false\n :list-append {:valid? false, :op-count 9, :summary \"a \\\"stale\\\" read\"}\n \
             :stats {:count 0, :ok-count 0, :fail-count 0, :info-count 0}\n :reasons [\"few faults\"]}\n"
        );
    }
}

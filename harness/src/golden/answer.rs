//! The file of an answer: a head in TOML, a line `---`, and the explanation as it is printed.
//!
//! | key of the head | meaning |
//! |-|-|
//! | `golden` | version of this format |
//! | `history`, `sha256` | the file beside it, and the SHA-256 of what it holds, decompressed |
//! | `verdict`, `model`, `operations` | what came of it, and how many operations were used |
//! | `events` | the numbers of the events of the operations that have no order |
//! | `[how]` | how it is checked, where that is not guessed: as the options of `harness check` |

use serde::{Deserialize, Serialize};

use crate::checker::{Finding, ModelName, NilReads, Options, Report};
use crate::model::NEVER;
use crate::recording::Recording;
use crate::report;
use crate::results::Outcome;

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The verdict.
    pub verdict: Outcome,
    /// The model.
    pub model: String,
    /// Operations that were used.
    pub operations: u64,
    /// The events of the operations that have no order, in the order of the history; none unless the verdict is invalid.
    pub events: Vec<u32>,
    /// What `harness check` prints about it.
    pub explanation: String,
}

impl Answer {
    pub(super) fn of(recording: &Recording, report: &Report) -> Self {
        let ids = match &report.finding {
            Finding::Invalid { violation, .. } => violation.operations(),
            Finding::Valid | Finding::Unknown { .. } => Vec::new(),
        };
        let operations = ids.iter().map(|id| &recording.operations[*id as usize]);
        let events = operations.flat_map(|operation| [operation.call, operation.ret]);
        let mut events: Vec<u32> = events.filter(|event| *event != NEVER).collect();
        events.sort_unstable();
        Self {
            verdict: report.outcome(),
            model: report.model.name().to_owned(),
            operations: report.operations,
            events,
            explanation: report::explain(recording, report),
        }
    }
}

/// How a history is checked, as far as it does not say so itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct How {
    /// Model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The state before the first operation, in EDN or JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial: Option<String>,
    /// Values are `[key value]` pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub independent: Option<bool>,
    /// What a read of nil means: `value` or `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nil_reads: Option<String>,
    /// A failed compare-and-set found another value.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub failed_cas_differs: bool,
}

impl How {
    /// Nothing is said: all of it is guessed from the history.
    fn is_guessed(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn options(&self) -> Result<Options, String> {
        let model = self.model.as_ref().map(|name| {
            ModelName::parse(name).ok_or_else(|| format!("expected the name of a model, found {name:?}"))
        });
        let nil_reads = self.nil_reads.as_ref().map(|name| {
            NilReads::parse(name)
                .ok_or_else(|| format!("nil_reads: expected value or unknown, found {name:?}"))
        });
        Ok(Options {
            model: model.transpose()?,
            initial: self.initial.clone(),
            independent: self.independent,
            nil_reads: nil_reads.transpose()?,
            threads: 1,
        })
    }
}

/// What a file of an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) history: String,
    pub(super) sha256: String,
    pub(super) how: How,
    pub(super) answer: Answer,
}

/// The head as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    golden: u32,
    history: String,
    sha256: String,
    verdict: Outcome,
    model: String,
    operations: u64,
    events: Vec<u32>,
    #[serde(default, skip_serializing_if = "How::is_guessed")]
    how: How,
}

impl Entry {
    pub(super) fn to_text(&self) -> String {
        let Self {
            history,
            sha256,
            how,
            answer,
        } = self.clone();
        let head = Head {
            golden: VERSION,
            history,
            sha256,
            verdict: answer.verdict,
            model: answer.model,
            operations: answer.operations,
            events: answer.events,
            how,
        };
        let head = toml::to_string(&head).expect("a head has a form in TOML");
        format!("{}\n{RULE}{}", head.trim_end(), answer.explanation)
    }

    /// Reads a file of an answer, or says what was expected.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (head, explanation) = text
            .split_once(&format!("\n{RULE}"))
            .ok_or("expected a head in TOML, a line `---` and an explanation")?;
        let head: Head = toml::from_str(head).map_err(|error| error.to_string())?;
        if head.golden != VERSION {
            let found = head.golden;
            return Err(format!(
                "expected a golden history of version {VERSION}, found {found}"
            ));
        }
        head.how.options()?;
        if head.history.contains('/') {
            return Err(format!(
                "expected a file of the same folder, found {:?}",
                head.history
            ));
        }
        Ok(Self {
            history: head.history,
            sha256: head.sha256,
            how: head.how,
            answer: Answer {
                verdict: head.verdict,
                model: head.model,
                operations: head.operations,
                events: head.events,
                explanation: explanation.to_owned(),
            },
        })
    }
}

/// Version of the format.
const VERSION: u32 = 1;
/// Between head and explanation.
const RULE: &str = "---\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(how: How) -> Entry {
        Entry {
            history: "a.edn.gz".to_owned(),
            sha256: "00ff".to_owned(),
            how,
            answer: Answer {
                verdict: Outcome::Invalid,
                model: "register".to_owned(),
                operations: 3,
                events: vec![0, 1, 4],
                explanation: "invalid: a stale read\n\n  A\n---\n  B\n".to_owned(),
            },
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let how = How {
            model: Some("register".to_owned()),
            initial: Some("[1 \"a\"]".to_owned()),
            independent: Some(false),
            nil_reads: Some("unknown".to_owned()),
            failed_cas_differs: true,
        };
        for how in [How::default(), how] {
            let entry = entry(how);
            assert_eq!(Entry::parse(&entry.to_text()), Ok(entry));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let text = entry(How::default()).to_text();
        let says = |text: &str, wanted: &str| {
            let said = Entry::parse(text).unwrap_err();
            assert!(said.contains(wanted), "{said}");
        };
        says("verdict", "a line `---`");
        says(&text.replace("golden = 1", "golden = 2"), "version 1, found 2");
        says(&text.replace("sha256", "sha"), "unknown field `sha`");
        says(&text.replace("a.edn.gz", "../a.edn.gz"), "same folder");
        says(
            &text.replace("\"invalid\"", "\"wrong\""),
            "unknown variant `wrong`",
        );
    }
}

//! Something that is wrong, as it is printed.

use std::fmt;

use serde::Serialize;

/// Something that is wrong with a node, or between nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at: a word that stays.
    pub(super) check: &'static str,
    /// The nodes that it is about.
    pub(super) nodes: Vec<u64>,
    /// What is wrong.
    pub(super) what: String,
    /// What to do.
    pub(super) advice: &'static str,
    /// The page of the runbook, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) runbook: Option<String>,
}

impl Finding {
    pub(super) fn new(
        check: &'static str,
        nodes: impl IntoIterator<Item = u64>,
        what: impl Into<String>,
        advice: &'static str,
    ) -> Self {
        Self {
            check,
            nodes: nodes.into_iter().collect(),
            what: what.into(),
            advice,
            runbook: None,
        }
    }

    pub(super) fn with_page(self, page: &str) -> Self {
        let runbook = Some(format!("docs/src/runbook/{page}.md"));
        Self { runbook, ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            check,
            nodes: _,
            what,
            advice,
            runbook,
        } = self;
        write!(f, "{check:<10} {what}\n{:<10} -> {advice}", "")?;
        match runbook {
            Some(page) => write!(f, " ({page})"),
            None => Ok(()),
        }
    }
}

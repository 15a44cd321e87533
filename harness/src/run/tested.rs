//! What a run tests, when it is not noraftd as the harness knows it.

use crate::cluster::{Programs, Subject};

/// A system that a file declares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tested {
    /// Its name, with the versions of its programs.
    pub(super) system: Option<String>,
    /// What was left out of the plan for it, in sentences.
    pub(super) left_out: Vec<String>,
}

impl Tested {
    pub(super) fn new(programs: &Programs, left_out: Vec<String>) -> Self {
        let system = match &programs.subject {
            Subject::Noraftd { .. } => None,
            Subject::System(installed) => Some(installed.title()),
        };
        Self { system, left_out }
    }

    /// What a person reads at the start.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let system = self.system.iter().map(|title| format!("system: {title}"));
        system.chain(self.remarks())
    }

    /// What the report says of it.
    pub(super) fn remarks(&self) -> impl Iterator<Item = String> {
        self.left_out.iter().map(|what| format!("left out: {what}"))
    }

    /// Whether faults of the plan are among what was left out.
    pub(super) fn lacks_faults(&self) -> bool {
        self.left_out.iter().any(|what| what.starts_with("fault "))
    }
}

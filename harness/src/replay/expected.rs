//! What a smaller run has to come to: the file `expected.json` beside its plan and its schedule.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Rate;
use crate::results::Outcome;

/// What replays of a run come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The verdict.
    pub verdict: Outcome,
    /// The rule that is broken: the check that fails.
    pub rule: String,
    /// Replays that broke it when this was written.
    pub failed: u64,
    /// All replays.
    pub runs: u64,
    /// Replays of the recorded run, before it was made smaller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Rate>,
}

impl Expected {
    /// That `rule` is broken, at `rate`.
    pub fn broken(rule: &str, rate: Rate) -> Self {
        Self {
            verdict: Outcome::Invalid,
            rule: rule.to_owned(),
            failed: rate.failed,
            runs: rate.runs,
            recorded: None,
        }
    }

    /// Reads it from the folder of a run; `None` when the run has none.
    ///
    /// # Errors
    /// When the file is there, and cannot be read or is something else.
    pub fn load(folder: &Path) -> Result<Option<Self>, String> {
        let path = folder.join(FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|error| format!("{}: {error}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    /// Writes it into `folder`.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        let text = serde_json::to_string_pretty(self).expect("it has a JSON form");
        std::fs::write(folder.join(FILE), text + "\n")
    }
}

const FILE: &str = "expected.json";

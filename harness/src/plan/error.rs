//! What is wrong with a plan.

use std::path::PathBuf;

/// Why a plan was refused.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The file could not be read.
    #[error("plan {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("plan {path}:\n{source}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where, and what was expected.
        source: Box<toml::de::Error>,
    },
    /// A value that makes no sense.
    #[error("plan: `{key}` {why}")]
    Invalid {
        /// The key, with its table.
        key: String,
        /// What is wrong with its value.
        why: String,
    },
}

pub(super) fn require(holds: bool, key: &str, why: impl FnOnce() -> String) -> Result<(), PlanError> {
    if holds {
        Ok(())
    } else {
        Err(PlanError::Invalid {
            key: key.to_owned(),
            why: why(),
        })
    }
}

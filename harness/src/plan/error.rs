//! What is wrong with a plan.

use std::path::{Path, PathBuf};

use super::locate::locate;

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
    /// The same, in a file.
    #[error("plan {path}, line {line}, column {column}: `{key}` {why}", path = path.display())]
    Senseless {
        /// The file.
        path: PathBuf,
        /// Where the key is, or its table, from 1.
        line: usize,
        /// From 1.
        column: usize,
        /// The key, with its table.
        key: String,
        /// What is wrong with its value.
        why: String,
    },
}

impl PlanError {
    /// The same, about the file `text` at `path`.
    pub(super) fn in_file(self, text: &str, path: &Path) -> Self {
        match self {
            Self::Invalid { key, why } => {
                let (line, column) = locate(text, &key);
                let path = path.to_owned();
                Self::Senseless {
                    path,
                    line,
                    column,
                    key,
                    why,
                }
            }
            Self::Read { .. } | Self::Syntax { .. } | Self::Senseless { .. } => self,
        }
    }
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

//! Why the file of a campaign was refused, and where in it.

use std::path::{Path, PathBuf};

use crate::plan::{PlanError, locate};
use crate::systems::SystemError;

/// Why a campaign was refused.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file could not be read.
    #[error("campaign {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("campaign {path}:\n{source}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where, and what was expected.
        source: Box<toml::de::Error>,
    },
    /// A value that makes no sense.
    #[error("campaign: `{key}` {why}")]
    Invalid {
        /// The key, with its table.
        key: String,
        /// What is wrong with its value.
        why: String,
    },
    /// The same, in a file.
    #[error("campaign {path}, line {line}, column {column}: `{key}` {why}", path = path.display())]
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
    /// A plan that is named.
    #[error("campaign: `{key}`: {source}")]
    Plan {
        /// The key, with its table.
        key: String,
        /// What is wrong with the plan.
        source: PlanError,
    },
    /// A system that is named.
    #[error("campaign: `{key}`: {source}")]
    System {
        /// The key, with its table.
        key: String,
        /// What is wrong with it.
        source: Box<SystemError>,
    },
}

impl FileError {
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
            Self::Read { .. }
            | Self::Syntax { .. }
            | Self::Senseless { .. }
            | Self::Plan { .. }
            | Self::System { .. } => self,
        }
    }
}

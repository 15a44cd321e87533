//! What is wrong with the file of a system.

use std::path::{Path, PathBuf};

use crate::plan::locate;

/// Why a system was refused.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// Neither a file nor a name.
    #[error("no system `{name}`: it is no file, and not one of {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names that are known.
        known: String,
    },
    /// The file could not be read.
    #[error("system {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("system {path}:\n{source}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where, and what was expected.
        source: Box<toml::de::Error>,
    },
    /// A value that makes no sense.
    #[error("system {path}, line {line}, column {column}: `{key}` {why}", path = path.display())]
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

/// A key, and what is wrong with its value.
pub(super) struct Wrong {
    key: String,
    why: String,
}

impl Wrong {
    /// The same, about the file `text` at `path`.
    pub(super) fn in_file(self, text: &str, path: &Path) -> SystemError {
        let Self { key, why } = self;
        let (line, column) = locate(text, &key);
        let path = path.to_owned();
        SystemError::Senseless {
            path,
            line,
            column,
            key,
            why,
        }
    }
}

pub(super) fn require(holds: bool, key: &str, why: impl FnOnce() -> String) -> Result<(), Wrong> {
    if holds {
        return Ok(());
    }
    Err(Wrong {
        key: key.to_owned(),
        why: why(),
    })
}

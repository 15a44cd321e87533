//! Golden histories: recorded once, with the verdict and the explanation that the checkers gave then, and checked again
//! after every change.
//!
//! | file | content |
//! |-|-|
//! | `NAME.jsonl.gz` (`.edn.gz`, `.log.gz`, ...) | the history, byte for byte as it was recorded, so that events keep their numbers |
//! | `NAME.golden` | how it is checked, and what came of it (`answer.rs`) |
//!
//! Invariant: an answer is about the history beside it, whose SHA-256 it has. Nothing is decided by time, so
//! that a slower machine gives the same answer.

mod answer;
mod archive;
mod difference;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use answer::{Answer, How};
pub use difference::difference;

use self::answer::Entry;
use crate::checker::{self, Budget};
use crate::formats::{self, ReadError};

/// Why there is no answer about a golden history.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// A file could not be read or written.
    #[error("{path}: {error}", path = path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The history could not be read.
    #[error(transparent)]
    History(#[from] ReadError),
    /// A file is not as it has to be.
    #[error("{path}: {problem}", path = path.display())]
    Malformed {
        /// File.
        path: PathBuf,
        /// What was expected.
        problem: String,
    },
    /// The name cannot be given.
    #[error("{0}")]
    Name(String),
}

/// A golden history.
#[derive(Clone, Debug)]
pub struct Golden {
    name: String,
    folder: PathBuf,
    entry: Entry,
}

impl Golden {
    /// Copies the history at `path` into `folder`, checks the copy, and keeps the answer as `name`.
    ///
    /// # Errors
    /// When the name is taken or is none, the history cannot be read, or a file cannot be written.
    pub fn add(folder: &Path, name: &str, path: &Path, how: &How) -> Result<Self, GoldenError> {
        check_name(name)?;
        fs::create_dir_all(folder).map_err(at(folder))?;
        let entry_path = folder.join(format!("{name}.{ENDING}"));
        if entry_path.exists() {
            let problem = "this name is taken; choose another one, or remove the file first".to_owned();
            return Err(GoldenError::Malformed {
                path: entry_path,
                problem,
            });
        }
        let history = format!("{name}.{}.gz", archive::ending(path));
        let copy = folder.join(&history);
        let sha256 = archive::compress(path, &copy)?;
        let checked = answer_about(&copy, how);
        if checked.is_err() {
            // What cannot be checked is of no use here; the error says why.
            let _ = fs::remove_file(&copy);
        }
        let golden = Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            entry: Entry {
                history,
                sha256,
                how: how.clone(),
                answer: checked?,
            },
        };
        golden.write()?;
        Ok(golden)
    }

    /// Every golden history in `folder`, by name.
    ///
    /// # Errors
    /// When there is none, or a file of answers is not one.
    pub fn all(folder: &Path) -> Result<Vec<Self>, GoldenError> {
        let entries = fs::read_dir(folder).map_err(at(folder))?;
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(at(folder))?.path();
            if path.extension().is_some_and(|extension| extension == ENDING) {
                paths.push(path);
            }
        }
        paths.sort();
        if paths.is_empty() {
            return Err(GoldenError::Malformed {
                path: folder.to_owned(),
                problem: format!(
                    "no golden histories here (files named *.{ENDING}); `harness golden add` makes one"
                ),
            });
        }
        paths.iter().map(|path| Self::load(folder, path)).collect()
    }

    fn load(folder: &Path, path: &Path) -> Result<Self, GoldenError> {
        let text = fs::read_to_string(path).map_err(at(path))?;
        let entry = Entry::parse(&text).map_err(|problem| GoldenError::Malformed {
            path: path.to_owned(),
            problem,
        })?;
        let stem = path.file_stem().unwrap_or_default();
        Ok(Self {
            name: stem.to_string_lossy().into_owned(),
            folder: folder.to_owned(),
            entry,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that holds the history.
    pub fn history(&self) -> PathBuf {
        self.folder.join(&self.entry.history)
    }

    /// The answer that is expected.
    pub fn expected(&self) -> &Answer {
        &self.entry.answer
    }

    /// Checks the history again.
    ///
    /// # Errors
    /// When it cannot be read, or is no longer the history that was added.
    pub fn check(&self) -> Result<Answer, GoldenError> {
        let path = self.history();
        if archive::sha256(&path)? != self.entry.sha256 {
            return Err(GoldenError::Malformed {
                path,
                problem: "this is not the history that was added: its SHA-256 is another one".to_owned(),
            });
        }
        answer_about(&path, &self.entry.how)
    }

    /// Expects `answer` from now on.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn accept(&mut self, answer: Answer) -> Result<(), GoldenError> {
        self.entry.answer = answer;
        self.write()
    }

    /// Replaces the file as a whole, so that there is an answer whenever the process ends.
    fn write(&self) -> Result<(), GoldenError> {
        let path = self.folder.join(format!("{}.{ENDING}", self.name));
        let unfinished = path.with_extension("golden-unfinished");
        fs::write(&unfinished, self.entry.to_text()).map_err(at(&unfinished))?;
        fs::rename(&unfinished, &path).map_err(at(&path))
    }
}

fn answer_about(path: &Path, how: &How) -> Result<Answer, GoldenError> {
    let options = how.options().map_err(|problem| GoldenError::Malformed {
        path: path.to_owned(),
        problem,
    })?;
    let budget = Budget::default();
    let mut recording = formats::read_path_within(path, &budget)?;
    recording.failed_cas_differs |= how.failed_cas_differs;
    let report = checker::check(&mut recording, &options, &budget);
    Ok(Answer::of(&recording, &report))
}

fn check_name(name: &str) -> Result<(), GoldenError> {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.starts_with('.') || !name.chars().all(is_plain)
    {
        return Err(GoldenError::Name(format!(
            "{name:?} is no name for a golden history: expected 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_` and `.`"
        )));
    }
    Ok(())
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> GoldenError + '_ {
    |error| GoldenError::Io {
        path: path.to_owned(),
        error,
    }
}

/// Of the files with answers.
const ENDING: &str = "golden";

/// A name is part of a file name, which has 255 bytes.
const NAME_BYTES_MAX: usize = 100;

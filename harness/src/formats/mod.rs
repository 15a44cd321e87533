//! Readers of histories: our JSONL, Jepsen's EDN and log lines, Porcupine's key-value logs, Elle's JSON.
//!
//! Every reader streams: memory is that of the recording, not of the file. The format is guessed from
//! the first bytes. Blank lines and comments are skipped; anything else that is not understood ends
//! the reading with file, line and what was expected.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::checker::budget::{Budget, Limit};
use crate::checker::recording::Recording;
use crate::history::Header;
use crate::op::Event;

mod assemble;
mod entry;
mod events;
mod jepsen_log;
mod line;
mod notation;
mod objects;
mod open;
mod source;

use notation::Notation;
pub(crate) use objects::parse_datum;
use source::Source;

/// Why a history could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("{path}: {error}")]
    Io {
        /// File.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The memory budget ran out, so the history is not known.
    #[error("{path}:{line}: {} ran out while reading", limit.name())]
    Budget {
        /// File.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What ran out.
        limit: Limit,
    },
    /// The text is not a history.
    #[error("{path}:{line}: {problem}")]
    Malformed {
        /// File.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What was expected.
        problem: String,
    },
}

/// Trouble below the level at which the file's name is known.
pub(crate) enum Trouble {
    Io(io::Error),
    Budget { line: u64, limit: Limit },
    Malformed { line: u64, problem: String },
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads the history in the file at `path`, under the default budget.
///
/// # Errors
/// When the file cannot be read or is not a history in a known format.
pub fn read_path(path: &Path) -> Result<Recording, ReadError> {
    read_path_within(path, &Budget::default())
}

/// Reads the history in the file at `path`; its memory stays charged to `budget`.
///
/// # Errors
/// When the file cannot be read, is not a history in a known format, or is too large for the budget.
pub fn read_path_within(path: &Path, budget: &Budget) -> Result<Recording, ReadError> {
    let file = File::open(path).map_err(|error| ReadError::Io {
        path: path.to_owned(),
        error,
    })?;
    let bytes = file.metadata().ok().map(|metadata| metadata.len());
    read_sized(file, bytes, path, budget)
}

/// Reads a history from `input`; `path` is what errors call it.
///
/// # Errors
/// When the input cannot be read, is not a history in a known format, or is too large for the budget.
pub fn read(input: impl Read + 'static, path: &Path, budget: &Budget) -> Result<Recording, ReadError> {
    read_sized(input, None, path, budget)
}

fn read_sized(
    input: impl Read + 'static,
    bytes: Option<u64>,
    path: &Path,
    budget: &Budget,
) -> Result<Recording, ReadError> {
    let mut source = Source::new(Box::new(input), bytes);
    named(read_source(&mut source, budget), path)
}

/// Takes a history that is still in memory; `path` is the file that it would be written to.
///
/// # Errors
/// When the events are not a history, or too many for the budget.
pub(crate) fn read_events(
    header: &Header,
    events: &[Event],
    path: &Path,
    budget: &Budget,
) -> Result<Recording, ReadError> {
    named(events::read(header, events, budget), path)
}

/// What came of reading `path`, under its name.
fn named(read: Result<Recording, Trouble>, path: &Path) -> Result<Recording, ReadError> {
    let path = || path.to_owned();
    let recording = read.map_err(|trouble| match trouble {
        Trouble::Io(error) => ReadError::Io { path: path(), error },
        Trouble::Budget { line, limit } => ReadError::Budget {
            path: path(),
            line,
            limit,
        },
        Trouble::Malformed { line, problem } => ReadError::Malformed {
            path: path(),
            line,
            problem,
        },
    })?;
    Ok(Recording {
        path: Some(path()),
        ..recording
    })
}

fn read_source(source: &mut Source, budget: &Budget) -> Result<Recording, Trouble> {
    source.more()?;
    match guess(source.rest()) {
        Some(Guess::Objects(notation)) => objects::read(source, notation, budget),
        Some(Guess::Log) => jepsen_log::read(source, budget),
        None => Err(Trouble::Malformed {
            line: source.line(),
            problem: "expected a history: JSON lines, EDN operations or Jepsen log lines".to_owned(),
        }),
    }
}

/// True when the beginning of the file at `path` looks like a history. A folder of a run also has files
/// that are none.
///
/// # Errors
/// When the file cannot be read.
pub fn looks_like_history(path: &Path) -> io::Result<bool> {
    const SNIFFED_BYTES: u64 = 8 << 10;
    let mut beginning = Vec::new();
    File::open(path)?
        .take(SNIFFED_BYTES)
        .read_to_end(&mut beginning)?;
    let has = |word: &[u8]| beginning.windows(word.len()).any(|window| window == word);
    Ok(match guess(&beginning) {
        Some(Guess::Objects(Notation::Json)) => {
            has(b"\"history\":") || (has(b"\"process\"") && has(b"\"type\""))
        }
        Some(Guess::Objects(Notation::Edn)) => has(b":type"),
        Some(Guess::Log) => has(jepsen_log::MARK),
        None => false,
    })
}

/// True when `text` is one value in EDN or JSON.
pub fn is_value(text: &str) -> bool {
    parse_datum(&mut crate::checker::datum::Pool::default(), text).is_some()
}

enum Guess {
    Objects(Notation),
    Log,
}

/// Looks at the first line that is neither blank nor a comment.
fn guess(bytes: &[u8]) -> Option<Guess> {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(|line| line.trim_ascii());
    let first = lines.find(|line| !line.is_empty() && !line.starts_with(b";"))?;
    let inside = first.iter().find(|byte| !b"[({ \t".contains(byte));
    match (first[0], inside) {
        (b'{' | b'[', Some(b'"')) => Some(Guess::Objects(Notation::Json)),
        (b'{' | b'[' | b'(' | b'#', _) => Some(Guess::Objects(Notation::Edn)),
        _ if jepsen_log::is_log_line(first) => Some(Guess::Log),
        _ => None,
    }
}

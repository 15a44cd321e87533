//! Readers of histories: our JSONL, Jepsen's EDN, log and history.txt, Porcupine's key-value logs, Elle's JSON;
//! each also compressed with gzip, and with a byte order mark.
//!
//! Every reader streams: memory is that of the recording, not of the file. The format is guessed from
//! the first operation. Blank lines, comments and the lines of a log that are no operations are skipped; anything
//! else that is not understood ends the reading with file, line and what was expected. A value that is understood
//! only as far as to find its end is *odd* (see [`datum`](crate::recording::datum)): the checkers leave it out and say so.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::history::Header;
use crate::op::HistoryEvent;
use crate::recording::Recording;
use crate::recording::budget::{Budget, Limit};

mod assemble;
mod entry;
mod events;
mod jepsen_log;
mod line;
mod notation;
mod number;
mod objects;
mod open;
mod source;
mod trouble;

use notation::Notation;
pub(crate) use objects::parse_datum;
use source::Source;
use trouble::Trouble;

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
    let mut source = Source::new(Box::new(input), bytes, budget);
    named(read_source(&mut source, budget), path)
}

/// Takes a history that is still in memory; `path` is the file that it would be written to.
///
/// # Errors
/// When the events are not a history, or too many for the budget.
pub(crate) fn read_events(
    header: &Header,
    events: &[HistoryEvent],
    path: &Path,
    budget: &Budget,
) -> Result<Recording, ReadError> {
    named(events::read(header, events, budget), path)
}

/// What came of reading `path`, under its name.
fn named(read: Result<Recording, Trouble>, path: &Path) -> Result<Recording, ReadError> {
    let path = || path.to_owned();
    let mut recording = read.map_err(|trouble| match trouble {
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
    recording.path = Some(path());
    Ok(recording)
}

fn read_source(source: &mut Source, budget: &Budget) -> Result<Recording, Trouble> {
    source.more()?;
    source.skip_byte_order_mark()?;
    // The first operation may come late in a log.
    while guess(source.rest()).is_none() && source.rest().len() < SNIFFED_BYTES_MAX && source.more()? {}
    match guess(source.rest()) {
        Some(Guess::Objects(notation)) => objects::read(source, notation, budget),
        Some(Guess::Lines(style)) => jepsen_log::read(source, style, budget),
        None => Err(Trouble::Malformed {
            line: source.line(),
            problem: "expected a history: JSON lines, EDN operations or Jepsen log lines".to_owned(),
        }),
    }
}

/// How far the first operation is looked for.
const SNIFFED_BYTES_MAX: usize = 8 << 20;

/// True when the beginning of the file at `path` looks like a history. A folder of a run also has files
/// that are none.
///
/// # Errors
/// When the file cannot be read.
pub fn looks_like_history(path: &Path) -> io::Result<bool> {
    let mut source = Source::new(Box::new(File::open(path)?), None, &Budget::default());
    let sniffed = source.more().and_then(|_| source.skip_byte_order_mark());
    match sniffed {
        Ok(()) => {}
        Err(Trouble::Io(error)) => return Err(error),
        // Named as a history, and broken: reading it says how.
        Err(Trouble::Budget { .. } | Trouble::Malformed { .. }) => return Ok(true),
    }
    let beginning = source.rest();
    let has = |word: &[u8]| beginning.windows(word.len()).any(|window| window == word);
    Ok(match guess(beginning) {
        Some(Guess::Objects(Notation::Json)) => {
            has(b"\"history\":") || (has(b"\"process\"") && has(b"\"type\""))
        }
        Some(Guess::Objects(Notation::Edn)) => has(b":type"),
        Some(Guess::Lines(_)) => true,
        None => false,
    })
}

/// True when `text` is one value in EDN or JSON.
pub fn is_value(text: &str) -> bool {
    parse_datum(&mut crate::recording::datum::Pool::default(), text).is_some()
}

enum Guess {
    Objects(Notation),
    Lines(jepsen_log::Style),
}

/// Looks at the first thing that is neither blank nor a comment, or else for a line that is an operation.
fn guess(bytes: &[u8]) -> Option<Guess> {
    match objects_at(bytes) {
        Some(notation) => Some(Guess::Objects(notation)),
        None => jepsen_log::style_of(bytes).map(Guess::Lines),
    }
}

/// The notation of the object at the beginning, in brackets or not.
fn objects_at(bytes: &[u8]) -> Option<Notation> {
    let mut scanner = notation::Scanner::new(bytes, Notation::Edn);
    let mut depth = 0;
    loop {
        match scanner.peek()? {
            b'[' | b'(' => {
                depth += 1;
                scanner.at += 1;
                if depth > objects::BRACKETS_MAX {
                    return Some(Notation::Edn);
                }
            }
            // An empty vector, a tag, or something that is to be ignored.
            b']' | b')' => return Some(Notation::Edn),
            b'#' if bytes
                .get(scanner.at + 1)
                .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_') =>
            {
                return Some(Notation::Edn);
            }
            b'{' => break scanner.at += 1,
            _ => return None,
        }
    }
    if scanner.peek() != Some(b'"') {
        return Some(Notation::Edn);
    }
    // In EDN a text may be the name of a field, too, but what follows it is a value, perhaps a keyword.
    let has_colon = scanner.skip().is_ok() && scanner.peek() == Some(b':');
    let rest = bytes.get(scanner.at + 1..).unwrap_or_default();
    let words: [&[u8]; 3] = [b"true", b"false", b"null"];
    let is_keyword =
        rest.first().is_some_and(u8::is_ascii_alphabetic) && !words.iter().any(|word| rest.starts_with(word));
    Some(match has_colon && !is_keyword {
        true => Notation::Json,
        false => Notation::Edn,
    })
}

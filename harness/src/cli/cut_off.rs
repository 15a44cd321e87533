//! Histories of runs that did not come to their end.
//!
//! Invariant: a verdict on such a history never looks like one on a whole run. It is right as far as the history goes.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use harness::checker::Budget;
use harness::formats::{self, ReadError};
use harness::recording::Recording;
use harness::results::Results;

/// What has to be said of the run whose folder the history `file` is in; nothing when it came to its end, or when the
/// file is not in the folder of a run.
pub(crate) fn note(file: &Path) -> Option<String> {
    let folder = file.parent()?;
    if !folder.join("run.json").is_file() {
        return None;
    }
    let Ok(text) = std::fs::read_to_string(folder.join("results.json")) else {
        return Some(
            "the run was cut off (its folder has no results.json): the history ends where the harness did"
                .to_owned(),
        );
    };
    let results: Results = serde_json::from_str(&text).ok()?;
    results
        .reasons
        .into_iter()
        .find(|reason| reason.starts_with("the run was interrupted"))
}

/// Reads the history of a run that was cut off: a last line that was being written is left out, and `note` then says so.
///
/// # Errors
///
/// As [`formats::read_path_within`].
pub(crate) fn read(file: &Path, budget: &Budget, note: &mut Option<String>) -> Result<Recording, ReadError> {
    let whole = match (&note, torn_at(file)) {
        (Some(_), Ok(Some(end))) => end,
        _ => return formats::read_path_within(file, budget),
    };
    let io_error = |error| ReadError::Io {
        path: file.to_owned(),
        error,
    };
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(io_error)?;
    opened.take(whole).read_to_end(&mut bytes).map_err(io_error)?;
    if let Some(note) = note {
        note.push_str("; its last line is not whole, and is left out");
    }
    formats::read(Cursor::new(bytes), file, budget)
}

/// Where the last whole line ends, when there is more behind it.
fn torn_at(file: &Path) -> std::io::Result<Option<u64>> {
    let mut opened = File::open(file)?;
    let length = opened.metadata()?.len();
    let from = length.saturating_sub(LINE_BYTES_MAX);
    opened.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    opened.read_to_end(&mut tail)?;
    let end = tail.iter().rposition(|byte| *byte == b'\n');
    Ok(match end {
        Some(at) if at + 1 < tail.len() => Some(from + at as u64 + 1),
        Some(_) | None => None,
    })
}

/// As long as a line of a history may be.
const LINE_BYTES_MAX: u64 = 1 << 20;

//! What is wrong with a file, below the level at which its name is known.

use std::io;

use crate::recording::budget::Limit;

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

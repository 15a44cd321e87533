//! Whether every edit still applies and compiles: minutes for all of them, where hunts take hours.

use std::path::Path;

use super::catalog::Bug;
use super::progress::Progress;
use super::scratch::{Scratch, ScratchError};

/// Puts each bug into a copy of the sources of `root` in the folder `scratch`, and compiles it, but builds nothing. `report` gets a line for
/// each. Returns those that failed, by name, with the reason.
///
/// # Errors
///
/// When the sources cannot be read or written, or do not compile as they are.
pub fn check(
    root: &Path,
    scratch: &Path,
    bugs: &[Bug],
    report: &mut dyn FnMut(&str),
) -> Result<Vec<(String, ScratchError)>, ScratchError> {
    let scratch = Scratch::open(root, scratch)?;
    scratch.check(None, &PROGRAMS)?;
    report("unmutated: compiles");
    // Each of the rest compiles little.
    let mut progress = Progress::new(bugs.len());
    let mut failed = Vec::new();
    for bug in bugs {
        let said = match scratch.check(Some(bug), &PROGRAMS) {
            Ok(()) => "compiles".to_owned(),
            Err(error @ (ScratchError::File { .. } | ScratchError::Busy(_))) => return Err(error),
            Err(error @ (ScratchError::Edit(_) | ScratchError::NoSource(_) | ScratchError::Build(_))) => {
                let said = format!("FAILED: {error}");
                failed.push((bug.name.clone(), error));
                said
            }
        };
        report(&format!("{}: {said} ({})", bug.name, progress.step()));
    }
    Ok(failed)
}

/// The daemon by itself, and as the simulation sees it.
const PROGRAMS: [&str; 2] = ["harness", "noraftd"];

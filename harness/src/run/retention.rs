//! How many folders of old runs are kept.
//!
//! Invariant: what is removed is the folder of a run of the same plan, older than those that are kept; a run that is not
//! known to be valid (it failed, was cut off, or is still going on) is never removed for one that is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::FolderError;
use crate::results::{Outcome, Results};

/// Removes the oldest runs of the plan `name` below `root`: of those that were valid all but `keep`, of the others all but
/// `FAILED_KEPT`. Returns what is gone.
///
/// # Errors
///
/// When a folder cannot be listed or removed.
pub fn retain(root: &Path, name: &str, keep: usize) -> Result<Vec<PathBuf>, FolderError> {
    let parent = root.join(name);
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| FolderError { path, source }
    };
    let entries = match fs::read_dir(&parent) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(&parent)(error)),
    };
    let mut runs = Vec::new();
    for entry in entries {
        let path = entry.map_err(at(&parent))?.path();
        // What no run made is left alone.
        if !path.is_symlink() && path.join("run.json").is_file() {
            runs.push(path);
        }
    }
    // Their names begin with the time of day.
    runs.sort_unstable_by(|a, b| b.cmp(a));
    let (valid, other): (Vec<PathBuf>, Vec<PathBuf>) = runs.into_iter().partition(|run| was_valid(run));
    let old: Vec<PathBuf> = valid
        .into_iter()
        .skip(keep)
        .chain(other.into_iter().skip(FAILED_KEPT))
        .collect();
    for run in &old {
        fs::remove_dir_all(run).map_err(at(run))?;
    }
    Ok(old)
}

fn was_valid(run: &Path) -> bool {
    let results = fs::read(run.join("results.json")).ok();
    let results = results.and_then(|text| serde_json::from_slice::<Results>(&text).ok());
    results.is_some_and(|results| results.verdict == Outcome::Valid)
}

/// A run that failed has its data too, some hundred megabytes with the largest segments.
const FAILED_KEPT: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Counts;

    fn run(root: &Path, name: &str, verdict: Option<Outcome>) {
        let folder = root.join("p").join(name);
        fs::create_dir_all(folder.join("nodes")).unwrap();
        fs::write(folder.join("run.json"), "{}").unwrap();
        if let Some(verdict) = verdict {
            let mut results = Results::from_checks(Counts::default(), Vec::new());
            results.verdict = verdict;
            let text = serde_json::to_string(&results).unwrap();
            fs::write(folder.join("results.json"), text).unwrap();
        }
    }

    fn left(root: &Path) -> Vec<String> {
        let entries = fs::read_dir(root.join("p")).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_newest_valid_runs_stay_and_failed_ones_beside_them() {
        let root = tempfile::tempdir().unwrap();
        assert!(retain(root.path(), "p", 1).unwrap().is_empty(), "nothing yet");
        for (name, verdict) in [
            ("2026-1", Some(Outcome::Invalid)),
            ("2026-2", Some(Outcome::Valid)),
            ("2026-3", None),
            ("2026-4", Some(Outcome::Valid)),
            ("2026-5", Some(Outcome::Unknown)),
            ("2026-6", Some(Outcome::Valid)),
        ] {
            run(root.path(), name, verdict);
        }
        fs::create_dir(root.path().join("p/notes")).unwrap();
        let removed = retain(root.path(), "p", 2).unwrap();
        assert_eq!(removed, [root.path().join("p/2026-2")]);
        assert_eq!(
            left(root.path()),
            ["2026-1", "2026-3", "2026-4", "2026-5", "2026-6", "notes"]
        );
        retain(root.path(), "p", 0).unwrap();
        assert_eq!(left(root.path()), ["2026-1", "2026-3", "2026-5", "notes"]);
    }

    #[test]
    fn failed_runs_stay_up_to_a_bound() {
        let root = tempfile::tempdir().unwrap();
        for at in 0..FAILED_KEPT + 3 {
            run(root.path(), &format!("2026-{at:03}"), Some(Outcome::Invalid));
        }
        assert_eq!(retain(root.path(), "p", 0).unwrap().len(), 3);
        assert_eq!(left(root.path())[0], "2026-003");
    }
}

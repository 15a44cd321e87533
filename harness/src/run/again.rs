//! The page of a run that is over, made again from its folder: of a run of an older harness, or of a history that was recorded elsewhere.
//!
//! Invariant: the verdict is the one that is recorded; nothing is checked again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::history_name;
use crate::history::HistoryError;
use crate::plan::{Plan, PlanError};
use crate::report::{self, drawing_name};
use crate::results::Results;
use crate::tally::Tally;

/// Why a folder gives no page.
#[derive(Debug, thiserror::Error)]
pub enum AgainError {
    /// A file cannot be read.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `plan.toml` is no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// `results.json` is not what a run writes.
    #[error("{path}: {source}", path = path.display())]
    Results {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A history cannot be read.
    #[error("a history in {path}: {source}", path = path.display())]
    History {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        source: HistoryError,
    },
}

/// The page of the run in `folder`.
///
/// # Errors
///
/// When a file that it needs is missing or damaged: `plan.toml`, `results.json`, and the histories that the plan names.
pub fn report_again(folder: &Path) -> Result<String, AgainError> {
    let folder = folder.canonicalize().map_err(at(folder))?;
    let plan = Plan::load(&folder.join("plan.toml"))?;
    let path = folder.join("results.json");
    let text = fs::read_to_string(&path).map_err(at(&path))?;
    let mut results: Results =
        serde_json::from_str(&text).map_err(|source| AgainError::Results { path, source })?;
    for (place, check) in results.checks.iter_mut().enumerate() {
        let path = folder.join(drawing_name(place, check));
        if let Some(account) = check.account.as_mut() {
            account.drawing = optional(&path)?;
        }
    }
    let names = plan
        .workloads
        .iter()
        .map(|workload| history_name(&plan, workload.name()));
    let histories: Vec<PathBuf> = names.map(|name| folder.join(name)).collect();
    let mut tally = Tally::read(&histories, &[]).map_err(|source| AgainError::History {
        path: folder.clone(),
        source,
    })?;
    tally.phases.clone_from(&results.phases);
    tally.decisions_skipped = results.decisions_skipped;
    let seed = plan.seed.unwrap_or_default();
    Ok(report::page::page(&plan, seed, &folder, &results, &tally))
}

fn optional(path: &Path) -> Result<Option<String>, AgainError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> AgainError + use<> {
    let path = path.to_owned();
    move |source| AgainError::File {
        path: path.clone(),
        source,
    }
}

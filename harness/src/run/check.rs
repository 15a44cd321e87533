//! The checkers' part of a run's verdict.

use std::path::PathBuf;

use tokio::sync::watch;

use super::RunError;
use crate::plan::Span;
use crate::results::{CheckResult, Outcome};

/// Checks every history.
pub(super) async fn check_all(
    histories: &[PathBuf],
    _time_max: Span,
    _abort: watch::Receiver<bool>,
) -> Result<Vec<CheckResult>, RunError> {
    Ok(histories
        .iter()
        .map(|path| CheckResult {
            model: path.display().to_string(),
            verdict: Outcome::Unknown,
            operations: 0,
            seconds: 0.0,
            summary: None,
            explanation: None,
        })
        .collect())
}

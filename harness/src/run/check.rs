//! The checkers' part of a run's verdict.
//!
//! Invariant: checking ends. Whatever it has not decided when its time is over is `unknown`, never valid.

use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::RunError;
use crate::checker::{Budget, Options, check};
use crate::formats::{ReadError, read_path_within};
use crate::plan::Span;
use crate::report::check_result;
use crate::results::{CheckResult, Outcome};

/// Checks every history, one after the other, all within `time_max`.
pub(super) async fn check_all(
    histories: &[PathBuf],
    time_max: Span,
    mut abort: watch::Receiver<bool>,
) -> Result<Vec<CheckResult>, RunError> {
    let budget = Budget::default();
    let work = {
        let (histories, budget) = (histories.to_vec(), budget.clone());
        let check_each = move || histories.iter().map(|path| check_one(path, &budget)).collect();
        tokio::task::spawn_blocking(check_each)
    };
    let deadline = async {
        tokio::select! {
            () = sleep(time_max.as_duration()) => {}
            _ = abort.wait_for(|abort| *abort) => {}
        }
        budget.cancel();
        // The work itself ends now, and with it the wait for it.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        checked = work => checked.map_err(|panic| RunError::Check(panic.to_string()))?,
        () = deadline => unreachable!("it never ends"),
    }
}

fn check_one(path: &Path, budget: &Budget) -> Result<CheckResult, RunError> {
    let start = Instant::now();
    let mut recording = match read_path_within(path, budget) {
        Ok(recording) => recording,
        Err(error @ ReadError::Budget { .. }) => return Ok(unread(path, &error, start)),
        Err(error) => return Err(RunError::Check(error.to_string())),
    };
    let threads = available_parallelism().map_or(1, usize::from);
    let report = check(
        &mut recording,
        &Options {
            threads,
            ..Options::default()
        },
        budget,
    );
    let mut result = check_result(&recording, &report, start.elapsed().as_secs_f64());
    if report.outcome() == Outcome::Valid {
        result.summary = Some(match report.parts {
            1 => "its only key has an order".to_owned(),
            keys => format!("all {keys} keys have an order"),
        });
    }
    Ok(result)
}

/// The answer about a history that does not fit into the memory budget.
fn unread(path: &Path, error: &ReadError, start: Instant) -> CheckResult {
    let model = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    CheckResult {
        model,
        verdict: Outcome::Unknown,
        operations: 0,
        usage: None,
        seconds: start.elapsed().as_secs_f64(),
        summary: Some(error.to_string()),
        explanation: None,
        account: None,
    }
}

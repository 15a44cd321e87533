//! The checkers' part of a run's verdict.
//!
//! Invariant: checking ends. Whatever it has not decided when its time is over is `unknown`, never valid.

use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::RunError;
use crate::checker::{Budget, Finding, Options, Report, check};
use crate::formats::read_path;
use crate::plan::Span;
use crate::results::CheckResult;

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
        () = deadline => unreachable!("it waits for ever"),
    }
}

fn check_one(path: &Path, budget: &Budget) -> Result<CheckResult, RunError> {
    let start = Instant::now();
    let mut recording = read_path(path).map_err(|error| RunError::Check(error.to_string()))?;
    let threads = available_parallelism().map_or(1, usize::from);
    let report = check(
        &mut recording,
        &Options {
            threads,
            ..Options::default()
        },
        budget,
    );
    let (summary, explanation) = explain(&report);
    Ok(CheckResult {
        model: report.model.name().to_owned(),
        verdict: report.outcome(),
        operations: report.operations,
        seconds: start.elapsed().as_secs_f64(),
        summary: Some(summary),
        explanation,
    })
}

fn explain(report: &Report) -> (String, Option<String>) {
    match &report.finding {
        Finding::Valid => (format!("{} keys, linearizable", report.parts), None),
        Finding::Invalid { violation, .. } => ("not linearizable".to_owned(), Some(format!("{violation:?}"))),
        Finding::Unknown { reason } => (reason.clone(), None),
    }
}

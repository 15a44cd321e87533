//! A recorded schedule on real processes, again and again.
//!
//! Invariant: the disk is bounded: of the runs, one valid one and those that failed last are kept.

use std::path::PathBuf;

use super::Case;
use crate::cluster::Programs;
use crate::results::Outcome;
use crate::run::{Interrupt, Print, RunError, RunFolder, RunOptions, retain, run};

/// Repeats one recorded run.
#[derive(Debug, Clone)]
pub struct Replays {
    /// Decides what clients do.
    pub seed: u64,
    /// The rule that the recorded run broke.
    pub rule: Option<String>,
    /// The programs.
    pub programs: Programs,
    /// Where the folders of the replays are.
    pub root: PathBuf,
    /// The command line, for `run.json`.
    pub argv: Vec<String>,
}

/// How a replay ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// As the recorded run: it broke the same rule, or any, where that one broke none.
    Same(String),
    /// It broke another rule.
    Otherwise(String),
    /// It broke none.
    Valid,
    /// It has no verdict, and why.
    Unknown(String),
    /// It was interrupted.
    Interrupted,
}

impl Replays {
    /// Runs the plan of `case` with its schedule.
    ///
    /// # Errors
    /// When the harness or the machine fails.
    pub async fn once(
        &self,
        case: &Case,
        interrupt: &Interrupt,
        print: Print,
    ) -> Result<(Ended, RunFolder), RunError> {
        retain(&self.root, &case.plan.name, VALID_KEPT)?;
        let options = RunOptions {
            plan: case.plan.clone(),
            left_out: Vec::new(),
            seed: self.seed,
            schedule: Some(case.schedule.clone()),
            root: self.root.clone(),
            programs: self.programs.clone(),
            argv: self.argv.clone(),
        };
        let finished = run(options, interrupt.clone(), print).await?;
        if *interrupt.stop.borrow() {
            return Ok((Ended::Interrupted, finished.folder));
        }
        let results = finished.results;
        let broken = results.broken().unwrap_or("invalid");
        let ended = match (results.verdict, self.rule.as_deref()) {
            (Outcome::Valid, _) => Ended::Valid,
            (Outcome::Unknown, _) => Ended::Unknown(results.reasons.join("; ")),
            (Outcome::Invalid, None) => Ended::Same(broken.to_owned()),
            (Outcome::Invalid, Some(rule)) if results.breaks(rule) => Ended::Same(rule.to_owned()),
            (Outcome::Invalid, Some(_)) => Ended::Otherwise(broken.to_owned()),
        };
        Ok((ended, finished.folder))
    }
}

/// Replays that broke nothing and are kept.
const VALID_KEPT: usize = 1;

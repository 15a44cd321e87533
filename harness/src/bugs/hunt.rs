//! Plans run on one build, in either world, until something is caught or the budget is spent.
//!
//! Invariant: what is run is another process, so whatever a bug does to it (abort, hang, eat memory) happens
//! there. A bug that keeps the harness from giving a verdict is not caught but an error.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use crate::plan::Span;
use crate::results::{Outcome, Results};
use crate::sim::campaign::Brief;

/// Where plans run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum World {
    /// The simulation.
    Sim,
    /// Real processes.
    Cluster,
    /// No plan at all: the project's tests.
    Tests,
}

impl World {
    /// Every world.
    pub const ALL: [Self; 3] = [Self::Sim, Self::Cluster, Self::Tests];

    /// The name used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sim => "sim",
            Self::Cluster => "cluster",
            Self::Tests => "tests",
        }
    }

    /// What is counted.
    pub fn runs(self) -> &'static str {
        match self {
            Self::Sim | Self::Cluster => "seeds",
            Self::Tests => "tests",
        }
    }

    /// What a second of the budget is.
    pub fn seconds(self) -> &'static str {
        match self {
            Self::Sim => "CPU seconds",
            Self::Cluster | Self::Tests => "seconds",
        }
    }

    /// The budget by default.
    pub fn budget(self) -> Span {
        match self {
            Self::Sim => Span::from_millis(60_000),
            Self::Cluster => Span::from_millis(180_000),
            Self::Tests => Span::from_millis(600_000),
        }
    }
}

/// What came of hunting in one plan, or in several one after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Seeds that ran.
    pub seeds: u64,
    /// Runs that could not be decided.
    pub unknown: u64,
    /// What it took: time of the processors in the simulation, time on real processes.
    pub seconds: f64,
    /// What was caught, if anything was.
    pub catch: Option<Catch>,
}

/// A seed that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catch {
    /// The plan.
    pub plan: PathBuf,
    /// The seed; 0 for a test.
    pub seed: u64,
    /// The check, the rule, or the test.
    pub by: String,
    /// What was seen, in a line.
    pub detail: String,
}

/// How the seeds of a plan are run in the simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// As many at a time as there are processors.
    Parallel,
    /// One after the other.
    Single,
    /// One after the other, where coverage steers.
    Steered,
}

/// What to run.
pub(super) struct Hunt<'a> {
    pub(super) world: World,
    /// The harness to run: with the bug in it for the simulation, without it for real processes; a program of tests for these.
    pub(super) harness: PathBuf,
    /// The daemon, for real processes.
    pub(super) noraftd: PathBuf,
    /// The project, which plans are relative to; for tests, the copy.
    pub(super) root: &'a Path,
    /// Where runs leave their folders.
    pub(super) runs: PathBuf,
    pub(super) plan: &'a Path,
    pub(super) first_seed: u64,
    /// At most so many.
    pub(super) seeds_max: u64,
    pub(super) budget: Duration,
    pub(super) order: Order,
}

impl Hunt<'_> {
    /// Hunts.
    pub(super) async fn run(&self) -> Result<Found, String> {
        match self.world {
            World::Sim => self.simulate().await,
            World::Cluster => self.run_processes().await,
            World::Tests => self.run_tests().await,
        }
    }

    /// Runs a program of tests, or those of one file of it.
    async fn run_tests(&self) -> Result<Found, String> {
        let started = Instant::now();
        let mut command = Command::new(&self.harness);
        command
            .current_dir(self.root)
            .args(super::test_programs::filter(self.plan));
        let output = output(command, self.budget).await?;
        let said = String::from_utf8_lossy(&output.stdout);
        let (count, failed) = super::test_programs::outcome(&said).ok_or_else(|| no_verdict(&output))?;
        if count == 0 || output.status.success() != failed.is_none() {
            return Err(no_verdict(&output));
        }
        Ok(Found {
            seeds: count,
            unknown: 0,
            seconds: started.elapsed().as_secs_f64(),
            catch: failed.map(|name| self.catch(0, name, "")),
        })
    }

    async fn simulate(&self) -> Result<Found, String> {
        let last = self.first_seed.saturating_add(self.seeds_max);
        let budget = format!("{}ms", self.budget.as_millis());
        let mut command = self.command("sim");
        command.args(["--seeds", &format!("{}..{last}", self.first_seed)]);
        command.args(["--cpu", &budget, "--json"]);
        match self.order {
            Order::Parallel => &mut command,
            Order::Single => command.args(["--jobs", "1"]),
            Order::Steered => command.arg("--steer"),
        };
        let output = output(command, self.budget * SIM_PATIENCE + SIM_PATIENCE_MIN).await?;
        let said = String::from_utf8_lossy(&output.stdout);
        let brief: Brief = serde_json::from_str(&said).map_err(|_| no_verdict(&output))?;
        let first = brief.failed.into_iter().min();
        Ok(Found {
            seeds: first
                .as_ref()
                .map_or(brief.seeds, |failure| failure.seed - self.first_seed + 1),
            unknown: brief.unknown,
            seconds: brief.cpu_seconds,
            catch: first.map(|failure| self.catch(failure.seed, failure.rule, &failure.detail)),
        })
    }

    /// One seed after the other, none after the budget.
    async fn run_processes(&self) -> Result<Found, String> {
        let started = Instant::now();
        let mut found = Found {
            seeds: 0,
            unknown: 0,
            seconds: 0.0,
            catch: None,
        };
        while found.catch.is_none() && found.seeds < self.seeds_max && started.elapsed() < self.budget {
            let seed = self.first_seed + found.seeds;
            let results = self.run_once(seed).await?;
            found.seeds += 1;
            match results.verdict {
                Outcome::Valid => {}
                Outcome::Unknown => found.unknown += 1,
                Outcome::Invalid => found.catch = Some(self.broken(seed, &results)),
            }
        }
        found.seconds = started.elapsed().as_secs_f64();
        Ok(found)
    }

    async fn run_once(&self, seed: u64) -> Result<Results, String> {
        let mut command = self.command("run");
        command.args(["--seed", &seed.to_string()]);
        command.arg("--noraftd").arg(&self.noraftd);
        command.arg("--out").arg(&self.runs);
        let output = output(command, RUN_PATIENCE).await?;
        let folder = self.runs.join("latest");
        let read = |error: &dyn std::fmt::Display| format!("{error}; {}", no_verdict(&output));
        let text = std::fs::read_to_string(folder.join("results.json")).map_err(|error| read(&error))?;
        let results: Results = serde_json::from_str(&text).map_err(|error| read(&error))?;
        if output.status.code() != Some(i32::from(results.verdict.code())) {
            return Err(no_verdict(&output));
        }
        if results.verdict == Outcome::Valid
            && let Ok(folder) = folder.canonicalize()
        {
            // Only failed runs are worth their room; what cannot be removed stays.
            let _ = std::fs::remove_dir_all(folder);
        }
        Ok(results)
    }

    fn broken(&self, seed: u64, results: &Results) -> Catch {
        let mut checks = results.checks.iter();
        let broken = checks.find(|check| check.verdict == Outcome::Invalid);
        let by = broken.map_or_else(|| "invalid".to_owned(), |check| check.model.clone());
        let detail = broken.and_then(|check| check.summary.clone()).unwrap_or_default();
        self.catch(seed, by, &detail)
    }

    fn catch(&self, seed: u64, by: String, detail: &str) -> Catch {
        Catch {
            plan: self.plan.to_owned(),
            seed,
            by,
            detail: detail.lines().next().unwrap_or_default().to_owned(),
        }
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.harness);
        command.current_dir(self.root).arg(verb).arg(self.plan);
        command
    }
}

/// Runs it to its end, or ends it when `patience` is over.
async fn output(mut command: Command, patience: Duration) -> Result<Output, String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    match timeout(patience, command.output()).await {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(error)) => Err(format!("cannot run the harness: {error}")),
        Err(_) => Err(format!("no end after {} s", patience.as_secs())),
    }
}

fn no_verdict(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = said.lines().rev().take(LINES_SHOWN).collect();
    let shown: Vec<&str> = last.into_iter().rev().collect();
    format!("no verdict ({}): {}", output.status, shown.join("\n"))
}

/// A machine may have other work to do: a second of the processor can take several.
const SIM_PATIENCE: u32 = 10;
const SIM_PATIENCE_MIN: Duration = Duration::from_secs(60);
/// Longer than any plan with its deadlines.
const RUN_PATIENCE: Duration = Duration::from_secs(600);
const LINES_SHOWN: usize = 5;

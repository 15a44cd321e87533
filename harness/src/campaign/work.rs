//! A unit of work, from its command to its record.
//!
//! Invariant: a record says *invalid* only where a verdict of that name was read; all else that goes wrong is the harness's.

use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tokio::time::{Instant, sleep};

use super::child::{Programs, no_verdict};
use super::draw::Unit;
use super::file::{Entry, Place};
use super::record::{Failed, Figures, Record, Run, Verdict};
use crate::results::{Outcome, Results};
use crate::sim::campaign::{Brief, Failure, SeedRun};

/// Where units run, and with what.
#[derive(Debug, Clone)]
pub(super) struct Works {
    /// The campaign's folder.
    pub(super) folder: PathBuf,
    /// The programs.
    pub(super) programs: Programs,
    /// How long a run of real processes is made smaller.
    pub(super) shrink_budget: Duration,
}

/// What one child came to.
struct Done {
    verdict: Verdict,
    reason: Option<String>,
    figures: Figures,
    folder: Option<String>,
    failures: Vec<Failed>,
    runs: Vec<Run>,
    /// The system with its versions, if it is not noraftd.
    system: Option<String>,
}

impl Works {
    /// The plan of an entry, as its runs get it.
    pub(super) fn plan(&self, entry: &Entry) -> PathBuf {
        self.folder.join("plans").join(format!("{}.toml", entry.name))
    }

    /// Writes the plans of all entries.
    ///
    /// # Errors
    ///
    /// When one cannot be written.
    pub(super) fn write_plans(&self, entries: &[Entry]) -> std::io::Result<()> {
        std::fs::create_dir_all(self.folder.join("plans"))?;
        entries
            .iter()
            .try_for_each(|entry| std::fs::write(self.plan(entry), entry.plan.to_toml()))
    }

    /// Runs a unit.
    pub(super) async fn run(self, unit: Unit, entry: Entry) -> Record {
        let started = Instant::now();
        let done = match entry.place {
            Place::Simulation => self.simulate(&unit, &entry).await,
            Place::Processes => self.run_processes(&unit, &entry).await,
        };
        let mut done = done.unwrap_or_else(|reason| Done {
            verdict: Verdict::Failed,
            reason: Some(reason),
            figures: Figures::default(),
            folder: Some(folder_of(unit.id)).filter(|name| self.folder.join(name).exists()),
            failures: Vec::new(),
            runs: Vec::new(),
            system: entry.system.clone(),
        });
        done.figures.wall_ms = millis(started.elapsed());
        let build = match (&done.system, entry.place) {
            (Some(system), _) => system,
            (None, Place::Simulation) => self.programs.simulated(),
            (None, Place::Processes) => self.programs.processes(),
        };
        Record {
            unit,
            entry: entry.name,
            place: entry.place,
            steered: entry.steer,
            build: build.to_owned(),
            verdict: done.verdict,
            reason: done.reason,
            figures: done.figures,
            folder: done.folder,
            failures: done.failures,
            runs: done.runs,
        }
    }

    /// Where the kinds of states are that a unit reached.
    fn coverage(&self, unit: &Unit) -> PathBuf {
        self.folder.join("coverage").join(format!("{}.json", unit.id))
    }

    async fn simulate(&self, unit: &Unit, entry: &Entry) -> Result<Done, String> {
        let range = unit.range();
        let child = self.programs.command("sim").arg(self.plan(entry));
        let child = child.args(if entry.steer {
            ["--keep-going", "--json", "--steer"].as_slice()
        } else {
            ["--keep-going", "--json", "--jobs", "1"].as_slice()
        });
        let child = child
            .arg("--seeds")
            .arg(format!("{}..{}", range.start, range.end));
        let child = child.arg("--coverage").arg(self.coverage(unit));
        let patience = UNIT_PATIENCE + SEED_PATIENCE * seeds_of(unit);
        let output = child.output(patience).await?;
        let brief = brief_of(&output)?;
        if brief.seeds != unit.seeds {
            return Err(format!("{} of {} seeds were run", brief.seeds, unit.seeds));
        }
        let verdict = match (brief.failed.is_empty(), brief.unknown) {
            (false, _) => Verdict::Invalid,
            (true, 0) => Verdict::Valid,
            (true, _) => Verdict::Unknown,
        };
        Ok(Done {
            verdict,
            reason: brief.doubt,
            figures: Figures {
                unknown: brief.unknown,
                operations: brief.operations,
                faults: brief.faults,
                cpu_ms: (brief.cpu_seconds * 1e3) as u64,
                wall_ms: 0,
            },
            folder: None,
            failures: brief.failed.into_iter().map(failed).collect(),
            runs: brief.runs.into_iter().map(run_of).collect(),
            system: None,
        })
    }

    async fn run_processes(&self, unit: &Unit, entry: &Entry) -> Result<Done, String> {
        let name = folder_of(unit.id);
        let folder = self.folder.join(&name);
        // What a killed campaign left of this unit is no result.
        remove(&folder).await?;
        let before = children_cpu_ms();
        let started = Instant::now();
        let child = self.programs.command("run").arg(self.plan(entry));
        let child = child.args(["--seed", &unit.first_seed.to_string()]);
        let child = child.arg("--out").arg(&folder);
        let child = match &entry.system {
            Some(system) => child.arg("--system").arg(system),
            None => child.arg("--noraftd").arg(self.programs.noraftd()),
        };
        let output = child.output(run_patience(entry)).await?;
        let results = results_of(&output, &folder.join("latest"))?;
        let took = started.elapsed();
        let effective = results.faults.iter().filter(|fault| fault.evidence.is_some());
        let run = Run {
            seed: unit.first_seed,
            verdict: results.verdict,
            operations: results.operations.ok,
            faults: effective.count() as u64,
            coverage: None,
            micros: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        };
        Ok(Done {
            verdict: results.verdict.into(),
            reason: results.reasons.first().cloned(),
            figures: Figures {
                unknown: u64::from(results.verdict == Outcome::Unknown),
                operations: run.operations,
                faults: run.faults,
                cpu_ms: children_cpu_ms().saturating_sub(before),
                wall_ms: 0,
            },
            folder: Some(name),
            failures: broken(&results, unit.first_seed, millis(took), place_of(entry)),
            runs: vec![run],
            system: results.system,
        })
    }
}

/// What a simulation printed with `--json`.
pub(super) fn brief_of(output: &Output) -> Result<Brief, String> {
    let said = String::from_utf8_lossy(&output.stdout);
    let brief: Brief = serde_json::from_str(&said).map_err(|_| no_verdict(output))?;
    let verdict = match (brief.failed.is_empty(), brief.unknown) {
        (false, _) => Outcome::Invalid,
        (true, 0) => Outcome::Valid,
        (true, _) => Outcome::Unknown,
    };
    match output.status.code() {
        Some(code) if code == i32::from(verdict.code()) => Ok(brief),
        Some(_) | None => Err(no_verdict(output)),
    }
}

/// What a run on real processes left in its folder.
pub(super) fn results_of(output: &Output, folder: &std::path::Path) -> Result<Results, String> {
    let read = |error: &dyn std::fmt::Display| format!("{error}; {}", no_verdict(output));
    let text = std::fs::read(folder.join("results.json")).map_err(|error| read(&error))?;
    let results: Results = serde_json::from_slice(&text).map_err(|error| read(&error))?;
    match output.status.code() {
        Some(code) if code == i32::from(results.verdict.code()) => Ok(results),
        Some(_) | None => Err(no_verdict(output)),
    }
}

/// What a run on real processes broke.
fn broken(results: &Results, seed: u64, cost: u64, place: String) -> Vec<Failed> {
    if results.verdict != Outcome::Invalid {
        return Vec::new();
    }
    let mut checks = results.checks.iter();
    let broken = checks.find(|check| check.verdict == Outcome::Invalid);
    let summary = broken
        .and_then(|check| check.summary.as_deref())
        .unwrap_or_default();
    vec![Failed {
        cost,
        seed,
        rule: broken.map_or_else(|| "invalid".to_owned(), |check| check.model.clone()),
        place,
        detail: summary.lines().next().unwrap_or_default().to_owned(),
    }]
}

/// Where a run on real processes fails. What two systems do wrong is not the same thing.
fn place_of(entry: &Entry) -> String {
    let system = entry.system.as_deref().map(std::path::Path::new);
    match system.and_then(std::path::Path::file_stem) {
        Some(system) => format!("{} as real processes", system.to_string_lossy()),
        None => "real processes".to_owned(),
    }
}

/// A failure of the simulation, as it is in the ledger.
pub(super) fn failed(failure: Failure) -> Failed {
    Failed {
        cost: failure.events,
        seed: failure.seed,
        rule: failure.rule,
        place: failure.place,
        detail: failure.detail,
    }
}

fn run_of(run: SeedRun) -> Run {
    Run {
        seed: run.seed,
        verdict: run.verdict,
        operations: run.operations,
        faults: run.faults,
        coverage: run.coverage,
        micros: run.cpu_us,
    }
}

/// Longer than any run of this entry with its deadlines.
pub(super) fn run_patience(entry: &Entry) -> Duration {
    let limits = &entry.plan.limits;
    let spans = [entry.plan.time, limits.start, limits.recovery, limits.check];
    spans.into_iter().map(|span| span.as_duration()).sum::<Duration>() * 2 + RUN_PATIENCE_MIN
}

/// Where the run of a unit on real processes leaves its folder.
pub(super) fn folder_of(unit: u64) -> String {
    format!("runs/{unit}")
}

/// A campaign that was killed a moment ago may have children that still write.
async fn remove(folder: &std::path::Path) -> Result<(), String> {
    let mut tries = 0;
    loop {
        match std::fs::remove_dir_all(folder) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) if tries == REMOVE_TRIES => {
                return Err(format!("{}: {error}", folder.display()));
            }
            Err(_) => {
                tries += 1;
                sleep(REMOVE_PAUSE).await;
            }
        }
    }
}

fn seeds_of(unit: &Unit) -> u32 {
    u32::try_from(unit.seeds).unwrap_or(u32::MAX)
}

/// Time of the processors for children that have ended; a run on real processes has the campaign to itself.
fn children_cpu_ms() -> u64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN);
    let spent = usage.map_or(0, |usage| {
        usage.user_time().num_milliseconds() + usage.system_time().num_milliseconds()
    });
    u64::try_from(spent).unwrap_or(0)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A seed takes a fraction of a second, on a machine with other work to do some seconds.
const SEED_PATIENCE: Duration = Duration::from_secs(10);
const UNIT_PATIENCE: Duration = Duration::from_secs(600);
const REMOVE_TRIES: u32 = 50;
const REMOVE_PAUSE: Duration = Duration::from_millis(100);
/// For programs that are hashed, and for a machine with other work to do.
const RUN_PATIENCE_MIN: Duration = Duration::from_secs(300);

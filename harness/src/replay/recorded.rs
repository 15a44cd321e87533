//! The folder of a run, as far as it takes to repeat the run.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::Expected;
use crate::nemesis::{Schedule, ScheduleError};
use crate::plan::{Plan, PlanError};
use crate::results::Results;
use crate::systems::{SYSTEM_FILE, System, SystemError};

/// A run that was recorded.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Its folder.
    pub folder: PathBuf,
    /// Its plan.
    pub plan: Plan,
    /// Its seed.
    pub seed: u64,
    /// Where it ran.
    pub origin: Origin,
    /// The rule that it broke.
    pub rule: Option<String>,
}

/// Where a run was recorded.
#[derive(Debug, Clone)]
pub enum Origin {
    /// In the simulation.
    Simulation {
        /// The hash of its trace, as `run.json` has it.
        trace_hash: String,
        /// The events of its trace.
        events: u64,
    },
    /// On real processes.
    Processes {
        /// The daemon; `None` for a run that was made smaller and committed, which is one of any build.
        noraftd: Option<RecordedProgram>,
        /// The older one, of a cluster that was rolled over.
        noraftd_old: Option<RecordedProgram>,
        /// The system that was tested in place of noraftd.
        system: Option<Box<System>>,
        /// What was decided, and what it hit.
        schedule: Schedule,
    },
}

/// A program that took part.
#[derive(Debug, Clone, Deserialize)]
pub struct RecordedProgram {
    /// Where it was.
    pub path: PathBuf,
    /// What it was.
    pub sha256: String,
}

/// Why a folder is not one of a run that can be repeated.
#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    /// The plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The schedule.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The system.
    #[error(transparent)]
    System(#[from] SystemError),
    /// Another file.
    #[error("{0}")]
    File(String),
}

/// The part of `run.json` that matters.
#[derive(Deserialize)]
struct About {
    seed: u64,
    world: Option<String>,
    trace_hash: Option<String>,
    events: Option<u64>,
    broken: Option<String>,
    noraftd: Option<RecordedProgram>,
    noraftd_old: Option<RecordedProgram>,
    system: Option<RecordedSystem>,
}

/// A system that was tested in place of noraftd; its file is in the folder.
#[derive(Deserialize)]
struct RecordedSystem {
    /// Where its file was: paths in it are seen from there.
    file: PathBuf,
}

impl Recorded {
    /// Reads the folder of a run.
    ///
    /// # Errors
    /// When a file is missing that repeating takes, or is not what it has to be.
    pub fn load(folder: &Path) -> Result<Self, RecordedError> {
        // A link such as `latest` may point elsewhere while replays run.
        let folder = &folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        if let Some(committed) = committed(folder)? {
            return Ok(committed);
        }
        let about: About = read_json(&folder.join("run.json"))?;
        let plan = Plan::load(&folder.join("plan.toml"))?;
        let system = about.system.map(|system| system.load(folder)).transpose()?;
        let is_of_processes = about.noraftd.is_some() || system.is_some();
        let (origin, rule) = match (about.world.as_deref(), is_of_processes) {
            (Some("simulation"), _) => (simulated(folder, about.trace_hash, about.events)?, about.broken),
            (None, true) => {
                let schedule = Schedule::load(&folder.join("schedule.jsonl"))?;
                let origin = Origin::Processes {
                    noraftd: about.noraftd,
                    noraftd_old: about.noraftd_old,
                    system,
                    schedule,
                };
                (origin, rule_of(folder)?)
            }
            (world, _) => {
                let world = world.unwrap_or("none");
                return Err(RecordedError::File(format!(
                    "{}: expected a run of the simulation or of a daemon, found the world {world:?}",
                    folder.join("run.json").display()
                )));
            }
        };
        Ok(Self {
            folder: folder.to_owned(),
            plan,
            seed: about.seed,
            origin,
            rule,
        })
    }
}

impl RecordedSystem {
    fn load(self, folder: &Path) -> Result<Box<System>, RecordedError> {
        let path = folder.join(SYSTEM_FILE);
        let text = std::fs::read_to_string(&path);
        let text = text.map_err(|error| RecordedError::File(format!("{}: {error}", path.display())))?;
        Ok(Box::new(System::parse(&text, &self.file)?))
    }
}

impl RecordedProgram {
    /// Whether the program at `path` is the one that took part.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is(&self, path: &Path) -> std::io::Result<bool> {
        let digest = Sha256::digest(std::fs::read(path)?);
        let found: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(found == self.sha256)
    }
}

/// A run that was made smaller and committed: a plan with its seed, its schedule and what it has to come to, and nothing of the
/// machine that it ran on. `None` when `folder` is not one.
fn committed(folder: &Path) -> Result<Option<Recorded>, RecordedError> {
    if folder.join("run.json").exists() {
        return Ok(None);
    }
    let Some(expected) = Expected::load(folder).map_err(RecordedError::File)? else {
        return Ok(None);
    };
    let path = folder.join("plan.toml");
    let plan = Plan::load(&path)?;
    let without = || {
        RecordedError::File(format!(
            "{}: expected `seed`, as of a run that was made smaller",
            path.display()
        ))
    };
    let seed = plan.seed.ok_or_else(without)?;
    let file = folder.join(SYSTEM_FILE);
    let system = file.is_file().then(|| System::load(&file).map(Box::new));
    Ok(Some(Recorded {
        folder: folder.to_owned(),
        plan,
        seed,
        origin: Origin::Processes {
            noraftd: None,
            noraftd_old: None,
            system: system.transpose()?,
            schedule: Schedule::load(&folder.join("schedule.jsonl"))?,
        },
        rule: Some(expected.rule),
    }))
}

fn simulated(folder: &Path, hash: Option<String>, events: Option<u64>) -> Result<Origin, RecordedError> {
    let missing = || {
        let path = folder.join("run.json");
        RecordedError::File(format!("{}: expected trace_hash and events", path.display()))
    };
    Ok(Origin::Simulation {
        trace_hash: hash.ok_or_else(missing)?,
        events: events.ok_or_else(missing)?,
    })
}

/// What a run on real processes broke: a smaller run says so itself, any other in its results, if it came to its end.
fn rule_of(folder: &Path) -> Result<Option<String>, RecordedError> {
    if let Some(expected) = Expected::load(folder).map_err(RecordedError::File)? {
        return Ok(Some(expected.rule));
    }
    let path = folder.join("results.json");
    if !path.exists() {
        return Ok(None);
    }
    let results: Results = read_json(&path)?;
    Ok(results.broken().map(str::to_owned))
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, RecordedError> {
    let at = |error: String| RecordedError::File(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| at(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| at(error.to_string()))
}

//! A run, as the files in its folder say.
//!
//! Invariant: a run has a verdict, because its `results.json` has one. Everything else that a run lacks is absent or noted.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::beneath::{Beneath, BeneathError, inside};
use super::When;
use super::settings::{ABOUT_BYTES_MAX, Settings};
use crate::campaign::Place;
use crate::results::{Counts, Outcome, RESULTS_VERSION, Results};

/// A run that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its folder, below that of the results.
    pub path: String,
    /// What ran.
    pub about: RunAbout,
    /// What it came to.
    pub came: Came,
    /// The files that are there, by name, with their sizes.
    pub files: Vec<(String, u64)>,
    /// What its files do not say, or contradict.
    pub notes: Vec<String>,
}

/// What ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunAbout {
    /// The plan's name.
    pub plan: String,
    /// The seed.
    pub seed: Option<u64>,
    /// Where.
    pub place: Option<Place>,
    /// When it began.
    pub when: When,
    /// Which build was tested: the beginning of the program's SHA-256, or a version.
    pub build: Option<String>,
    /// The plan, setting by setting.
    pub settings: Settings,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Came {
    /// The verdict.
    pub verdict: Outcome,
    /// Why it is not valid, in sentences; none when it is.
    pub reasons: Vec<String>,
    /// Operations by how they ended.
    pub operations: Counts,
    /// Each check: its name, verdict, and the operations that it used.
    pub checks: Vec<(String, Outcome, u64)>,
    /// Faults by kind.
    pub faults: BTreeMap<String, Effect>,
    /// How long its phases took, in nanoseconds; zero when that is not recorded.
    pub nanos: u64,
}

/// What became of the faults of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effect {
    /// Injected.
    pub injected: u64,
    /// With an observable effect.
    pub effective: u64,
}

impl Came {
    /// Completed operations a second.
    pub fn rate(&self) -> Option<f64> {
        (self.nanos > 0).then(|| self.operations.ok as f64 * 1e9 / self.nanos as f64)
    }

    /// All faults.
    pub fn effect(&self) -> Effect {
        self.faults.values().fold(Effect::default(), |sum, kind| Effect {
            injected: sum.injected + kind.injected,
            effective: sum.effective + kind.effective,
        })
    }
}

/// What is read of `run.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Recorded {
    plan: Option<String>,
    seed: Option<u64>,
    started: Option<String>,
    world: Option<String>,
    version: Option<String>,
    noraftd: Option<Program>,
}

#[derive(Debug, Deserialize)]
struct Program {
    #[serde(default)]
    sha256: String,
}

impl Run {
    /// Reads the folder `path`, in which the files `files` are.
    ///
    /// # Errors
    ///
    /// The reason why it is not known what ran, or what it came to.
    pub(super) fn read(
        beneath: &Beneath,
        path: &str,
        files: Vec<(String, u64)>,
        written: Option<When>,
    ) -> Result<Self, String> {
        let mut notes = Vec::new();
        let results = results(beneath, path)?;
        let recorded = recorded(beneath, path).unwrap_or_else(|note| {
            notes.push(note);
            Recorded::default()
        });
        let settings = Settings::read(beneath, path).unwrap_or_else(|note| {
            notes.push(note);
            Settings::default()
        });
        let about = about(path, &recorded, settings, written, &mut notes)?;
        Ok(Self {
            path: path.to_owned(),
            about,
            came: came(&results),
            files,
            notes,
        })
    }

    /// Whether there is a file of this name in its folder.
    pub fn has(&self, name: &str) -> bool {
        self.files.iter().any(|(file, _)| file == name)
    }
}

fn results(beneath: &Beneath, path: &str) -> Result<Results, String> {
    let text = match beneath.read(&inside(path, "results.json"), RESULTS_BYTES_MAX) {
        Ok(text) => text,
        Err(BeneathError::Absent) => {
            return Err(
                "there is no results.json: the run goes on, or the harness was killed before its verdict"
                    .to_owned(),
            );
        }
        Err(error) => return Err(format!("results.json {error}")),
    };
    let results: Results = serde_json::from_slice(&text)
        .map_err(|error| format!("results.json is not that of a run, or was cut off: {error}"))?;
    if results.version != RESULTS_VERSION {
        let found = results.version;
        return Err(format!(
            "results.json has version {found}, and this harness reads version {RESULTS_VERSION}"
        ));
    }
    Ok(results)
}

fn recorded(beneath: &Beneath, path: &str) -> Result<Recorded, String> {
    let text = beneath.read(&inside(path, "run.json"), ABOUT_BYTES_MAX);
    let text = text.map_err(|error| format!("run.json {error}"))?;
    serde_json::from_slice(&text).map_err(|error| format!("run.json is damaged: {error}"))
}

fn about(
    path: &str,
    recorded: &Recorded,
    settings: Settings,
    written: Option<When>,
    notes: &mut Vec<String>,
) -> Result<RunAbout, String> {
    let name = settings.text("name");
    let plan = match (&recorded.plan, name) {
        (Some(recorded), Some(planned)) if *recorded != planned => {
            notes.push(format!(
                "run.json names the plan {recorded}, and plan.toml {planned}"
            ));
            recorded.clone()
        }
        (Some(plan), _) => plan.clone(),
        (None, Some(plan)) => plan,
        (None, None) => return Err("neither run.json nor plan.toml names the plan".to_owned()),
    };
    let place = match (recorded.world.as_deref(), &recorded.noraftd) {
        (Some("simulation"), _) => Some(Place::Simulation),
        (None, Some(_)) => Some(Place::Processes),
        (Some(_) | None, _) => None,
    };
    let folder = path.rsplit('/').next().unwrap_or_default();
    let started = recorded.started.as_deref().and_then(When::of_name);
    let when = started.or_else(|| When::of_name(folder)).or(written);
    let hash = recorded.noraftd.as_ref().map(|program| {
        let hash: String = program.sha256.chars().take(BUILD_CHARS).collect();
        hash
    });
    Ok(RunAbout {
        plan,
        seed: recorded.seed.or_else(|| settings.number("seed")),
        place,
        when: when.ok_or("it is not known when it was written")?,
        build: hash
            .or_else(|| recorded.version.clone())
            .filter(|build| !build.is_empty()),
        settings,
    })
}

fn came(results: &Results) -> Came {
    let mut reasons: Vec<String> = Vec::new();
    let worst = |outcome| {
        results
            .checks
            .iter()
            .filter(move |check| check.verdict == outcome)
    };
    for check in worst(Outcome::Invalid).chain(worst(Outcome::Unknown)) {
        let summary = check.summary.as_deref().unwrap_or(check.verdict.name());
        reasons.push(format!("{}: {}", check.model, cut(summary)));
    }
    reasons.extend(results.reasons.iter().map(|reason| cut(reason)));
    reasons.truncate(REASONS_MAX);
    let mut faults: BTreeMap<String, Effect> = BTreeMap::new();
    for fault in &results.faults {
        let named = fault.fault.split('(').next().unwrap_or_default();
        let kind = if fault.kind.is_empty() { named } else { &fault.kind };
        let effect = faults.entry(cut(kind)).or_default();
        effect.injected += 1;
        effect.effective += u64::from(fault.evidence.is_some());
    }
    let from = results.phases.iter().map(|phase| phase.from_ns).min();
    let to = results.phases.iter().map(|phase| phase.to_ns).max();
    Came {
        verdict: results.verdict,
        reasons,
        operations: results.operations,
        checks: results
            .checks
            .iter()
            .take(CHECKS_MAX)
            .map(|check| (cut(&check.model), check.verdict, check.operations))
            .collect(),
        faults,
        nanos: to.unwrap_or(0).saturating_sub(from.unwrap_or(0)),
    }
}

/// The first line, of at most [`SENTENCE_CHARS`] characters.
fn cut(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(SENTENCE_CHARS) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

/// An explanation is bounded, and there is one a check: more is not ours.
const RESULTS_BYTES_MAX: u64 = 64 << 20;
const REASONS_MAX: usize = 20;
const CHECKS_MAX: usize = 50;
const SENTENCE_CHARS: usize = 400;
/// Of a hash: as many as campaigns keep.
const BUILD_CHARS: usize = 12;

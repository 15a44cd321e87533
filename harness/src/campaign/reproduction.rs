//! A group's reproduction: replayed, made smaller, written as a plan that can be committed.
//!
//! | file | content |
//! |-|-|
//! | `plan.toml` | the plan, with its seed, what it breaks and the command that repeats it |
//! | `original.toml` | the plan before it was made smaller |
//! | `group.json` | rule, place, seed, how often the plan failed again |
//!
//! Invariant: `group.json` is written last, so a folder that has it is complete.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::CampaignError;
use super::file::{CampaignFile, Entry, Place};
use super::groups::Group;
use super::record::Failed;
use super::work::{Works, brief_of, broken, failed, results_of, run_patience};
use crate::plan::Plan;

/// The content of `group.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reproduction {
    /// The broken rule.
    pub rule: String,
    /// Where.
    pub place: String,
    /// The seed that failed in the campaign.
    pub seed: u64,
    /// What it took.
    pub cost: u64,
    /// How often the plan was replayed.
    pub replays: u64,
    /// How often it broke the rule again.
    pub again: u64,
    /// Faults of the plan that failed, and of the one that was written.
    pub faults: [usize; 2],
    /// The command that repeats it, in the campaign's folder.
    pub command: String,
}

/// The folder of a group.
pub(super) fn folder_of(campaign: &Path, group: &Group) -> PathBuf {
    campaign.join("groups").join(group.signature())
}

/// What is known of a group's reproduction, if it is complete and still the best.
pub(super) fn read(campaign: &Path, group: &Group) -> Option<Reproduction> {
    let text = std::fs::read(folder_of(campaign, group).join(ABOUT)).ok()?;
    let found: Reproduction = serde_json::from_slice(&text).ok()?;
    ((found.cost, found.seed) == (group.best.cost, group.best.seed)).then_some(found)
}

/// Writes the reproduction of `group`, unless it is there.
pub(super) async fn write(
    works: &Works,
    campaign: &CampaignFile,
    group: &Group,
) -> Result<(), CampaignError> {
    if read(&works.folder, group).is_some() {
        return Ok(());
    }
    let entry = campaign.entries.iter().find(|entry| entry.name == group.entry);
    let entry = entry.expect("a failure is of an entry of its campaign");
    let folder = folder_of(&works.folder, group);
    clear(&folder)?;
    let signature = group.signature();
    let mut original = entry.plan.drawn(group.best.seed);
    original.name.clone_from(&signature);
    original.about = format!("{} ({})", group.best.rule, group.best.place);
    let path = folder.join("original.toml");
    put(&path, &original.to_toml())?;
    let smaller = match entry.place {
        Place::Simulation => shrunk(works, &path, &folder.join("shrunk.toml")).await,
        Place::Processes => None,
    };
    let plan = smaller.unwrap_or_else(|| original.clone());
    let seed = plan.seed.unwrap_or(group.best.seed);
    let (verb, plan_path) = (entry.place.verb(), folder.join("plan.toml"));
    // The seed is in the plan.
    let command = format!("harness {verb} groups/{signature}/plan.toml");
    let head = head_of(group, campaign, verb);
    put(&plan_path, &format!("{head}{}", plan.to_toml()))?;
    let (replays, again) = replay(works, entry, &folder, &group.best, seed).await;
    let about = Reproduction {
        rule: group.best.rule.clone(),
        place: group.best.place.clone(),
        seed: group.best.seed,
        cost: group.best.cost,
        replays,
        again,
        faults: [original.faults.len(), plan.faults.len()],
        command,
    };
    let text = serde_json::to_string_pretty(&about).expect("a reproduction has a JSON form");
    put(&folder.join(ABOUT), &format!("{text}\n"))
}

/// What a person wants to know who finds the plan among the others.
fn head_of(group: &Group, campaign: &CampaignFile, verb: &str) -> String {
    let (best, signature) = (&group.best, group.signature());
    let detail = best.detail.lines().next().unwrap_or_default();
    format!(
        "# Breaks \"{}\" in {}: {detail}\n# Found by the campaign {}, in {} with seed {}; expected verdict until it is mended: \
         invalid.\n# Again: harness {verb} workloads/regressions/{signature}.toml\n",
        best.rule, best.place, campaign.name, group.entry, best.seed
    )
}

/// The plan made smaller; none when that takes too long, or the harness fails at it.
async fn shrunk(works: &Works, original: &Path, out: &Path) -> Option<Plan> {
    let child = works
        .programs
        .command("shrink")
        .arg(original)
        .arg("--out")
        .arg(out);
    let child = child.args(["--tries", "3"]);
    child.output(SHRINK_PATIENCE).await.ok()?;
    Plan::load(out).ok()
}

/// Runs the plan again: how often, and how often it broke the same rule.
async fn replay(works: &Works, entry: &Entry, folder: &Path, best: &Failed, seed: u64) -> (u64, u64) {
    let replays = match entry.place {
        Place::Simulation => REPLAYS_SIMULATED,
        Place::Processes => REPLAYS_REAL,
    };
    let mut again = 0;
    for _ in 0..replays {
        let failures = match entry.place {
            Place::Simulation => simulated(works, folder, seed).await,
            Place::Processes => on_processes(works, entry, folder, seed).await,
        };
        // A replay that gives no verdict did not break the rule again.
        let failures = failures.unwrap_or_default();
        again += u64::from(failures.iter().any(|failure| failure.rule == best.rule));
    }
    (replays, again)
}

async fn simulated(works: &Works, folder: &Path, seed: u64) -> Result<Vec<Failed>, String> {
    let child = works.programs.command("sim").arg(folder.join("plan.toml"));
    let child = child.args(["--json", "--jobs", "1", "--seeds"]);
    let output = child
        .arg(format!("{seed}..{}", seed + 1))
        .output(REPLAY_PATIENCE)
        .await?;
    Ok(brief_of(&output)?.failed.into_iter().map(failed).collect())
}

async fn on_processes(works: &Works, entry: &Entry, folder: &Path, seed: u64) -> Result<Vec<Failed>, String> {
    let out = folder.join("replays");
    let child = works.programs.command("run").arg(folder.join("plan.toml"));
    let child = child.args(["--seed", &seed.to_string()]).arg("--out").arg(&out);
    let child = child.arg("--noraftd").arg(works.programs.noraftd());
    let output = child.output(run_patience(entry)).await?;
    let results = results_of(&output, &out.join("latest"));
    std::fs::remove_dir_all(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    Ok(broken(&results?, seed, 0))
}

fn clear(folder: &Path) -> Result<(), CampaignError> {
    let at = |source| CampaignError::Io {
        path: folder.to_owned(),
        source,
    };
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(at)?;
    }
    std::fs::create_dir_all(folder).map_err(at)
}

fn put(path: &Path, text: &str) -> Result<(), CampaignError> {
    let at = |source| CampaignError::Io {
        path: path.to_owned(),
        source,
    };
    let draft = path.with_extension("new");
    std::fs::write(&draft, text).map_err(at)?;
    std::fs::rename(&draft, path).map_err(at)
}

const ABOUT: &str = "group.json";
const REPLAYS_SIMULATED: u64 = 10;
/// Each is as long as the run.
const REPLAYS_REAL: u64 = 3;
const REPLAY_PATIENCE: Duration = Duration::from_secs(120);
/// A plan that is not small by then is written as it was.
const SHRINK_PATIENCE: Duration = Duration::from_secs(300);

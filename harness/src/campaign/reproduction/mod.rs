//! A group's reproduction: replayed, made smaller, written so that it can be committed.
//!
//! | file | content |
//! |-|-|
//! | `plan.toml` | the plan, with its seed, what it breaks and the command that repeats it |
//! | `original.toml` | in the simulation: the plan before it was made smaller |
//! | `schedule.jsonl`, `expected.json` | on real processes: the faults, and the verdict, the rule and the rate of its replays; `harness replay` takes the folder |
//! | `group.json` | rule, place, seed, how often it failed again |
//!
//! Invariant: `group.json` is written last, so a folder that has it is complete.

mod processes;
mod simulated;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::CampaignError;
use super::file::{CampaignFile, Place};
use super::groups::Group;
use super::work::Works;
use crate::plan::Plan;
use crate::replay::Rate;

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
    /// How often it was replayed.
    pub replays: u64,
    /// How often it broke the rule again.
    pub again: u64,
    /// On real processes: how often the recorded run failed again, before it was made smaller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Rate>,
    /// Faults of what failed, and of what was written: kinds of faults in the simulation, faults of the schedule on real processes.
    pub faults: [usize; 2],
    /// The command that repeats it, in the campaign's folder.
    pub command: String,
    /// Why it could be neither replayed nor made smaller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// What became of a group that was found.
struct Written {
    replays: u64,
    again: u64,
    recorded: Option<Rate>,
    faults: [usize; 2],
    command: String,
    trouble: Option<String>,
}

impl Reproduction {
    /// How often it fails, and how small it is.
    pub(super) fn rate(&self) -> String {
        format!(
            "failed in {} of {} replays, {} of {} faults left",
            self.again, self.replays, self.faults[1], self.faults[0]
        )
    }
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
    let found = Found {
        works,
        entry: entry.expect("a failure is of an entry of its campaign"),
        group,
        folder: folder_of(&works.folder, group),
        head: head_of(group, campaign),
    };
    clear(&found.folder)?;
    let written = match found.entry.place {
        Place::Simulation => simulated::write(&found).await?,
        Place::Processes => processes::write(&found).await?,
    };
    let about = Reproduction {
        rule: group.best.rule.clone(),
        place: group.best.place.clone(),
        seed: group.best.seed,
        cost: group.best.cost,
        replays: written.replays,
        again: written.again,
        recorded: written.recorded,
        faults: written.faults,
        command: written.command,
        trouble: written.trouble,
    };
    let text = serde_json::to_string_pretty(&about).expect("a reproduction has a JSON form");
    put(&found.folder.join(ABOUT), &format!("{text}\n"))
}

/// A group that gets its reproduction.
struct Found<'a> {
    works: &'a Works,
    entry: &'a super::file::Entry,
    group: &'a Group,
    /// Its folder.
    folder: PathBuf,
    /// What a person wants to know who finds the plan among the others.
    head: String,
}

impl Found<'_> {
    /// `plan` under the name of the group.
    fn named(&self, mut plan: Plan) -> Plan {
        let best = &self.group.best;
        plan.name = self.group.signature();
        plan.about = format!("{} ({})", best.rule, best.place);
        plan
    }

    /// Writes `plan.toml`.
    fn put_plan(&self, plan: &Plan) -> Result<(), CampaignError> {
        let text = format!("{}{}", self.head, plan.to_toml());
        put(&self.folder.join(PLAN), &text)
    }
}

fn head_of(group: &Group, campaign: &CampaignFile) -> String {
    let (best, signature) = (&group.best, group.signature());
    let detail = best.detail.lines().next().unwrap_or_default();
    let again = match group.place {
        Place::Simulation => format!("harness sim workloads/regressions/{signature}.toml"),
        Place::Processes => format!("harness replay, with the folder that has this plan and {SCHEDULE}"),
    };
    format!(
        "# Breaks \"{}\" in {}: {detail}\n# Found by the campaign {}, in {} with seed {}; expected verdict until it is mended: \
         invalid.\n# Again: {again}\n",
        best.rule, best.place, campaign.name, group.entry, best.seed
    )
}

fn clear(folder: &Path) -> Result<(), CampaignError> {
    remove(folder)?;
    std::fs::create_dir_all(folder).map_err(at(folder))
}

/// Removes a folder, if there is one.
fn remove(folder: &Path) -> Result<(), CampaignError> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(at(folder))?;
    }
    Ok(())
}

fn put(path: &Path, text: &str) -> Result<(), CampaignError> {
    let draft = path.with_extension("new");
    std::fs::write(&draft, text).map_err(at(path))?;
    std::fs::rename(&draft, path).map_err(at(path))
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> CampaignError + use<> {
    let path = path.to_owned();
    move |source| CampaignError::Io {
        path: path.clone(),
        source,
    }
}

const ABOUT: &str = "group.json";
const PLAN: &str = "plan.toml";
const SCHEDULE: &str = "schedule.jsonl";

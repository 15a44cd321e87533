//! The file of a campaign: which plans run, in which world, with which seeds, and how often each.
//!
//! | key | what it says |
//! |-|-|
//! | `version` | 1 |
//! | `name`, `about` | what the campaign is called, and what it is for |
//! | `seed` | decides the order of everything |
//! | `budget` | time after which no more is begun; without it, all seeds are run |
//! | `keep` | room for the folders of runs |
//! | `[[entry]]` | `plan` (a path, from this file), `world`, `weight`, `seeds`, `block`, `nodes`, `time`, `steer`, `system` (a name, or a path) |
//!
//! Invariant: a [`CampaignFile`] that exists is valid, and so are the plans that it names, in the world that it names for each.

mod error;

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use error::FileError;

use super::bytes::Bytes;
use crate::plan::{Plan, PlanError, Span};
use crate::systems::System;

/// The format of campaigns that this harness reads.
const CAMPAIGN_VERSION: u32 = 1;

/// Where a plan runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// The simulation.
    Simulation,
    /// Real processes.
    Processes,
}

impl Place {
    /// As it is written in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Simulation => "simulation",
            Self::Processes => "processes",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    name: String,
    #[serde(default)]
    about: String,
    #[serde(default = "one")]
    seed: u64,
    budget: Option<Span>,
    keep: Option<Bytes>,
    #[serde(rename = "entry")]
    entries: Vec<WrittenEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEntry {
    plan: PathBuf,
    world: Place,
    #[serde(default = "one")]
    weight: u64,
    /// From the first up to the second, which is not included.
    seeds: [u64; 2],
    block: Option<u64>,
    #[serde(default)]
    nodes: Vec<usize>,
    time: Option<Span>,
    /// Whether coverage steers the units of this entry; only in the simulation.
    #[serde(default)]
    steer: bool,
    /// In place of noraftd; only on real processes.
    system: Option<String>,
}

fn one() -> u64 {
    1
}

/// A campaign, declared.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct CampaignFile {
    /// Names the campaign.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// Decides the order of everything.
    pub seed: u64,
    /// Time after which nothing more is begun.
    pub budget: Option<Span>,
    /// Room for the folders of runs.
    pub keep: Option<Bytes>,
    /// What runs.
    pub entries: Vec<Entry>,
}

/// A plan in one world, with one number of nodes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Entry {
    /// Its name, unique in the campaign.
    pub name: String,
    /// The plan as it runs.
    pub plan: Plan,
    /// Where.
    pub place: Place,
    /// How often it is drawn, beside the others.
    pub weight: u64,
    /// Its seeds.
    pub seeds: Range<u64>,
    /// How many seeds are a unit of work.
    pub block: u64,
    /// Whether coverage steers: the runs of a unit are mutants of those before them in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub steer: bool,
    /// The system that is tested in place of noraftd, as `harness run --system` takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
}

impl CampaignFile {
    /// The same campaign with another order, which starts with other seeds.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Reads the campaign at `path`, and the plans that it names.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or says something impossible.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        let text = std::fs::read_to_string(path).map_err(|source| FileError::Read {
            path: path.to_owned(),
            source,
        })?;
        let written: Written = toml::from_str(&text).map_err(|source| FileError::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let campaign = written.into_campaign(folder, |plan| Plan::load(&folder.join(plan)));
        campaign.map_err(|error| error.in_file(&text, path))
    }
}

impl Written {
    fn into_campaign(
        self,
        folder: &Path,
        load: impl Fn(&Path) -> Result<Plan, PlanError>,
    ) -> Result<CampaignFile, FileError> {
        require(self.version == CAMPAIGN_VERSION, "version", || {
            format!("must be {CAMPAIGN_VERSION}")
        })?;
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let plain = (1..=40).contains(&self.name.len()) && self.name.bytes().all(is_plain);
        require(plain, "name", || "must be 1 to 40 of a-z, 0-9 and -".to_owned())?;
        let many = 1..=ENTRIES_MAX;
        require(many.contains(&self.entries.len()), "entry", || {
            format!("must be given 1 to {ENTRIES_MAX} times")
        })?;
        let mut entries: Vec<Entry> = Vec::new();
        for (at, entry) in self.entries.into_iter().enumerate() {
            let key = format!("entry[{at}]");
            for entry in entry.variants(&key, folder, &load)? {
                let is_new = entries.iter().all(|other| other.name != entry.name);
                require(is_new, &key, || {
                    format!("is `{}` a second time: give that one more weight", entry.name)
                })?;
                entries.push(entry);
            }
        }
        Ok(CampaignFile {
            name: self.name,
            about: self.about,
            seed: self.seed,
            budget: self.budget,
            keep: self.keep,
            entries,
        })
    }
}

impl WrittenEntry {
    /// One for each number of nodes.
    fn variants(
        self,
        key: &str,
        folder: &Path,
        load: impl Fn(&Path) -> Result<Plan, PlanError>,
    ) -> Result<Vec<Entry>, FileError> {
        let block = self.checked_block(key)?;
        let [from, to] = self.seeds;
        let system = self.find_system(key, folder)?;
        let in_plan = |source| FileError::Plan {
            key: format!("{key}.plan"),
            source,
        };
        let plan = load(&self.plan).map_err(in_plan)?;
        let plan = self.time.map_or(plan.clone(), |time| plan.lasting(time));
        require(
            self.nodes.is_empty() || plan.swarm.is_none() || self.world == Place::Processes,
            &format!("{key}.nodes"),
            || "is drawn by each seed in the simulation: the plan has a table [swarm]".to_owned(),
        )?;
        let mut numbers: Vec<Option<usize>> = self.nodes.iter().copied().map(Some).collect();
        if numbers.is_empty() {
            numbers.push(None);
        }
        let variant = |nodes: Option<usize>| {
            let mut plan = plan.clone();
            let mut name = format!("{}-{}", plan.name, self.world.name());
            if let Some(nodes) = nodes {
                plan = plan.of_nodes(nodes);
                name = format!("{name}-{nodes}");
            }
            if let Some((system, _)) = &system {
                name = format!("{name}-{}", system.name);
            }
            if self.steer {
                name += "-steered";
            }
            plan.validate().map_err(in_plan)?;
            let plan = match self.world {
                Place::Simulation => plan.for_simulation(),
                // What a system cannot have is left out of each run, which says so.
                Place::Processes if system.is_some() => plan,
                Place::Processes => {
                    plan.for_processes(from).map_err(in_plan)?;
                    plan
                }
            };
            Ok(Entry {
                name,
                plan,
                place: self.world,
                weight: self.weight,
                seeds: from..to,
                block,
                steer: self.steer,
                system: system.as_ref().map(|(_, argument)| argument.clone()),
            })
        };
        numbers.into_iter().map(variant).collect()
    }

    /// Seeds of a unit, when the numbers of this entry make sense.
    fn checked_block(&self, key: &str) -> Result<u64, FileError> {
        let [from, to] = self.seeds;
        require(
            (1..=WEIGHT_MAX).contains(&self.weight),
            &format!("{key}.weight"),
            || format!("must be 1 to {WEIGHT_MAX}"),
        )?;
        // Seeds are signed numbers in TOML and in the ledger, and those that follow findings come after these.
        require(from < to && to <= SEED_MAX, &format!("{key}.seeds"), || {
            format!("must be a first seed and one above the last, at most {SEED_MAX}")
        })?;
        let block = match (self.block, self.world) {
            (Some(block), Place::Simulation) => block,
            (None, Place::Simulation) => BLOCK,
            (None | Some(1), Place::Processes) => 1,
            (Some(_), Place::Processes) => 0,
        };
        require((1..=BLOCK_MAX).contains(&block), &format!("{key}.block"), || {
            format!("must be 1 to {BLOCK_MAX}, and on real processes 1")
        })?;
        require(
            !self.steer || self.world == Place::Simulation,
            &format!("{key}.steer"),
            || "is only possible in the simulation".to_owned(),
        )?;
        Ok(block)
    }

    /// The system that is tested, and how `harness run` finds it from any folder.
    fn find_system(&self, key: &str, folder: &Path) -> Result<Option<(System, String)>, FileError> {
        let Some(name) = &self.system else {
            return Ok(None);
        };
        let key = format!("{key}.system");
        require(self.world == Place::Processes, &key, || {
            "is only possible on real processes".to_owned()
        })?;
        let file = folder.join(name);
        let argument = match file.canonicalize() {
            Ok(path) if path.is_file() => path.to_string_lossy().into_owned(),
            Ok(_) | Err(_) => name.clone(),
        };
        match System::find(&argument) {
            Ok(system) => Ok(Some((system, argument))),
            Err(source) => Err(FileError::System {
                key,
                source: Box::new(source),
            }),
        }
    }
}

fn require(holds: bool, key: &str, why: impl FnOnce() -> String) -> Result<(), FileError> {
    if holds {
        Ok(())
    } else {
        Err(FileError::Invalid {
            key: key.to_owned(),
            why: why(),
        })
    }
}

/// Seeds of a unit in the simulation: some seconds of work, so that a SIGKILL loses little.
const BLOCK: u64 = 100;
const BLOCK_MAX: u64 = 10_000;
/// More than anybody lists by hand.
const ENTRIES_MAX: usize = 100;
const WEIGHT_MAX: u64 = 1000;
/// With the seeds after these, still far from the largest of SQLite.
const SEED_MAX: u64 = 1 << 40;

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str =
        "version = 1\nname = \"n\"\n[[entry]]\nplan = \"p\"\nworld = \"simulation\"\nseeds = [1, 101]\n";

    fn parse(text: &str) -> Result<CampaignFile, String> {
        let written: Written = toml::from_str(text).map_err(|error| error.to_string())?;
        let plan = "version = 1\nname = \"p\"\ntime = \"5s\"\n[[workload]]\nkind = \"log\"\n";
        let load = |path: &Path| Plan::parse(plan, path);
        written
            .into_campaign(Path::new("."), load)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_small_campaign_has_defaults() {
        let campaign = parse(SMALL).unwrap();
        assert_eq!((campaign.seed, campaign.budget, campaign.keep), (1, None, None));
        let [entry] = &campaign.entries[..] else {
            panic!("{campaign:?}")
        };
        assert_eq!((entry.name.as_str(), entry.block), ("p-simulation", BLOCK));
    }

    #[test]
    fn an_entry_may_be_steered_beside_one_that_is_not() {
        let (_, entry) = SMALL.split_at(SMALL.find("[[").unwrap());
        let campaign = parse(&format!("{SMALL}{entry}steer = true\n")).unwrap();
        let found: Vec<_> = campaign
            .entries
            .iter()
            .map(|entry| (entry.name.as_str(), entry.steer))
            .collect();
        assert_eq!(found, [("p-simulation", false), ("p-simulation-steered", true)]);
        // A ledger of before has entries without this.
        let text = serde_json::to_string(&campaign.entries[0]).unwrap();
        assert!(!text.contains("steer"), "{text}");
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), campaign.entries[0]);
        let real = SMALL.replace("simulation", "processes");
        let said = parse(&format!("{real}steer = true\n")).unwrap_err();
        assert!(said.contains("entry[0].steer"), "{said}");
    }

    #[test]
    fn each_number_of_nodes_is_an_entry() {
        let campaign = parse(&format!("{SMALL}nodes = [3, 5]\ntime = \"1s\"\n")).unwrap();
        let found: Vec<_> = campaign
            .entries
            .iter()
            .map(|entry| (entry.name.as_str(), entry.plan.cluster.nodes))
            .collect();
        assert_eq!(found, [("p-simulation-3", 3), ("p-simulation-5", 5)]);
    }

    #[test]
    fn a_system_is_an_entry_of_its_own_on_real_processes() {
        let (_, entry) = SMALL.split_at(SMALL.find("[[").unwrap());
        let real = |text: &str| text.replace("simulation", "processes");
        let text = format!("{}{}system = \"etcd\"\n", real(SMALL), real(entry));
        let found: Vec<_> = parse(&text)
            .unwrap()
            .entries
            .into_iter()
            .map(|entry| (entry.name, entry.system))
            .collect();
        let expected = [
            ("p-processes".to_owned(), None),
            ("p-processes-etcd".to_owned(), Some("etcd".to_owned())),
        ];
        assert_eq!(found, expected);
        let said = parse(&format!("{SMALL}system = \"etcd\"\n")).unwrap_err();
        assert!(
            said.contains("entry[0].system") && said.contains("real processes"),
            "{said}"
        );
        let said = parse(&format!("{}system = \"nowhere\"\n", real(SMALL))).unwrap_err();
        assert!(
            said.contains("entry[0].system") && said.contains("no system `nowhere`"),
            "{said}"
        );
    }

    #[test]
    fn real_processes_take_the_number_of_nodes_of_a_plan_that_draws_it() {
        let swarm = |path: &Path| {
            let text = "version = 1\nname = \"p\"\ntime = \"5s\"\n[[workload]]\nkind = \"log\"\n[swarm]\n";
            Plan::parse(text, path)
        };
        let text = format!("{SMALL}nodes = [3, 5]\n");
        let parse = |text: &str| {
            let written: Written = toml::from_str(text).unwrap();
            written.into_campaign(Path::new("."), swarm)
        };
        let said = parse(&text).unwrap_err().to_string();
        assert!(said.contains("entry[0].nodes"), "{said}");
        let campaign = parse(&text.replace("simulation", "processes")).unwrap();
        let nodes: Vec<usize> = campaign
            .entries
            .iter()
            .map(|entry| entry.plan.cluster.nodes)
            .collect();
        assert_eq!(nodes, [3, 5]);
    }

    #[test]
    fn a_senseless_value_is_refused_with_its_key() {
        let cases = [
            (SMALL.replace("[1, 101]", "[5, 5]"), "entry[0].seeds"),
            (format!("{SMALL}weight = 0"), "entry[0].weight"),
            (format!("{SMALL}block = 0"), "entry[0].block"),
            (format!("{SMALL}nodes = [0]"), "entry[0].plan"),
            (format!("{SMALL}colour = 0"), "colour"),
            (SMALL.replace("version = 1", "version = 2"), "version"),
            (SMALL.replace("\"n\"", "\"N n\""), "name"),
            (SMALL.replace("simulation", "cloud"), "cloud"),
            (format!("keep = \"10\"\n{SMALL}"), "10GiB"),
            (
                SMALL.replace("simulation", "processes") + "block = 2",
                "entry[0].block",
            ),
            (
                SMALL.to_owned() + SMALL.split_once("[[").map_or("", |(_, rest)| rest).trim_end(),
                "entry",
            ),
        ];
        for (text, key) in cases {
            let said = parse(&text).unwrap_err();
            assert!(said.contains(key), "{text}: {said}");
        }
    }
}

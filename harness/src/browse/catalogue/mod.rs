//! What a folder of results holds: runs, campaigns, and what could not be read, with the reason.
//!
//! | module | what it owns |
//! |-|-|
//! | `scan` | which folders there are |
//! | `run`, `settings`, `figures` | a run: its verdict, its plan, what its histories say |
//! | `campaign` | a campaign: what its ledger says |
//! | `nights` | runs and campaigns by day |
//! | `when` | moments |
//!
//! Invariant: no file makes it panic or wait, whatever is in it: campaigns are killed, and folders are half-written. What is not
//! understood is a [`Trouble`]; nothing is guessed.

mod campaign;
mod figures;
mod nights;
mod run;
mod scan;
mod settings;
mod when;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

pub use campaign::{Campaign, CampaignAbout, Detection, EntryFigures};
pub use figures::{Figures, Latencies};
pub use nights::{Night, nights};
pub use run::{Came, Effect, Run, RunAbout};
pub use scan::SITE_MARK;
pub use settings::Settings;
pub use when::{When, is_day};

use super::beneath::{Beneath, inside};
use crate::campaign::LEDGER;
use scan::{Found, Kind, scan};

/// What a folder of results holds.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// Where the folder is.
    pub root: String,
    /// Runs, the newest first.
    pub runs: Vec<Arc<Run>>,
    /// Campaigns, the newest first.
    pub campaigns: Vec<Arc<Campaign>>,
    /// What could not be read, by path.
    pub troubles: Vec<Trouble>,
}

/// A folder of which it is not known what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The folder, below that of the results; empty for that itself.
    pub path: String,
    /// The reason.
    pub why: String,
    /// The files in it, with their sizes.
    pub files: Vec<(String, u64)>,
}

impl Catalogue {
    /// The run in the folder `path`.
    pub fn run(&self, path: &str) -> Option<&Arc<Run>> {
        self.runs.iter().find(|run| run.path == path)
    }

    /// The campaign in the folder `path`.
    pub fn campaign(&self, path: &str) -> Option<&Arc<Campaign>> {
        self.campaigns.iter().find(|campaign| campaign.path == path)
    }

    /// The run of the same plan, in the same place, before `run`.
    pub fn previous(&self, run: &Run) -> Option<&Arc<Run>> {
        self.before(run).next()
    }

    /// The last valid run of the same plan, in the same place, before `run`.
    pub fn last_valid(&self, run: &Run) -> Option<&Arc<Run>> {
        self.before(run)
            .find(|other| other.came.verdict == crate::results::Outcome::Valid)
    }

    /// The campaign of the same name and shard before `campaign`.
    pub fn previous_campaign(&self, campaign: &Campaign) -> Option<&Arc<Campaign>> {
        let at = self
            .campaigns
            .iter()
            .position(|other| other.path == campaign.path)?;
        let same = |other: &&Arc<Campaign>| {
            let (one, two) = (&campaign.about, &other.about);
            (&one.name, one.shard) == (&two.name, two.shard)
        };
        self.campaigns.iter().skip(at + 1).find(same)
    }

    /// Whether `file`, a path below the folder, is listed as a file of a run or of a folder that could not be read.
    pub fn lists(&self, file: &str) -> bool {
        let is_in = |folder: &str, files: &[(String, u64)]| {
            let below = match folder {
                "" => Some(file),
                folder => file.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')),
            };
            below.is_some_and(|below| files.iter().any(|(name, _)| name == below))
        };
        self.runs.iter().any(|run| is_in(&run.path, &run.files))
            || self
                .troubles
                .iter()
                .any(|trouble| is_in(&trouble.path, &trouble.files))
    }

    /// The campaign that a run belongs to.
    pub fn owner(&self, run: &Run) -> Option<&Arc<Campaign>> {
        let is_above = |campaign: &&Arc<Campaign>| {
            let below = run.path.strip_prefix(campaign.path.as_str());
            below.is_some_and(|rest| campaign.path.is_empty() || rest.starts_with('/'))
        };
        self.campaigns.iter().find(is_above)
    }

    fn before<'a, 'b>(&'a self, run: &'b Run) -> impl Iterator<Item = &'a Arc<Run>> + use<'a, 'b> {
        let at = self.runs.iter().position(|other| other.path == run.path);
        let after = self.runs.iter().skip(at.map_or(usize::MAX, |at| at + 1));
        after.filter(|other| other.about.plan == run.about.plan && other.about.place == run.about.place)
    }
}

/// What identifies the state of a folder's files: when it is the same, nothing is read again.
type Stamp = Vec<Option<(u64, Option<SystemTime>)>>;

#[derive(Debug, Clone)]
enum Item {
    Run(Arc<Run>),
    Campaign(Arc<Campaign>),
    Trouble(String),
}

/// Reads a folder of results, again and again; what has not changed is read once.
#[derive(Debug)]
pub struct Reader {
    beneath: Arc<Beneath>,
    items: BTreeMap<(Kind, String), (Stamp, Item)>,
    figures: BTreeMap<String, (Stamp, Arc<Result<Figures, String>>)>,
}

impl Reader {
    /// Of the results in `folder`.
    ///
    /// # Errors
    ///
    /// When there is no such folder.
    pub fn new(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            beneath: Arc::new(Beneath::new(folder)?),
            items: BTreeMap::new(),
            figures: BTreeMap::new(),
        })
    }

    /// The files of the folder.
    pub fn files(&self) -> &Arc<Beneath> {
        &self.beneath
    }

    /// What the folder holds now.
    pub fn read(&mut self) -> Catalogue {
        let scanned = scan(self.beneath.path());
        let mut catalogue = Catalogue {
            root: self.beneath.path().display().to_string(),
            troubles: scanned.troubles,
            ..Catalogue::default()
        };
        let mut items = BTreeMap::new();
        for found in scanned.found {
            let key = (found.kind, found.path.clone());
            let stamp = self.stamp(&found);
            let item = match self.items.remove(&key) {
                Some((same, item)) if same == stamp => item,
                Some(_) | None => self.item(&found),
            };
            match &item {
                Item::Run(run) => catalogue.runs.push(Arc::clone(run)),
                Item::Campaign(campaign) => catalogue.campaigns.push(Arc::clone(campaign)),
                Item::Trouble(why) => catalogue.troubles.push(Trouble {
                    path: found.path.clone(),
                    why: why.clone(),
                    files: found.files,
                }),
            }
            items.insert(key, (stamp, item));
        }
        self.items = items;
        catalogue
            .runs
            .sort_by(|one, two| (&two.about.when, &two.path).cmp(&(&one.about.when, &one.path)));
        catalogue
            .campaigns
            .sort_by(|one, two| (&two.about.when, &two.path).cmp(&(&one.about.when, &one.path)));
        catalogue.troubles.sort_by(|one, two| one.path.cmp(&two.path));
        catalogue
    }

    /// What the histories of `run` say, or why that is not known.
    pub fn figures(&mut self, run: &Run) -> Arc<Result<Figures, String>> {
        let names = run.files.iter().filter(|(name, _)| name.starts_with("history"));
        let stamp: Stamp = names
            .map(|(name, _)| self.stamp_of(&inside(&run.path, name)))
            .collect();
        match self.figures.get(&run.path) {
            Some((same, figures)) if *same == stamp => Arc::clone(figures),
            Some(_) | None => {
                let figures = Arc::new(figures::read(&self.beneath, run));
                if self.figures.len() >= FIGURES_MAX {
                    self.figures.pop_first();
                }
                self.figures
                    .insert(run.path.clone(), (stamp, Arc::clone(&figures)));
                figures
            }
        }
    }

    fn item(&self, found: &Found) -> Item {
        let path = &found.path;
        match found.kind {
            Kind::Run => match Run::read(
                &self.beneath,
                path,
                found.files.clone(),
                self.written(path, "results.json"),
            ) {
                Ok(run) => Item::Run(Arc::new(run)),
                Err(why) => Item::Trouble(why),
            },
            Kind::Campaign => match Campaign::read(&self.beneath, path, self.written(path, LEDGER)) {
                Ok(campaign) => Item::Campaign(Arc::new(campaign)),
                Err(why) => Item::Trouble(why),
            },
        }
    }

    fn written(&self, path: &str, name: &str) -> Option<When> {
        let about = self.beneath.open(&inside(path, name)).ok()?.metadata().ok()?;
        about.modified().ok().map(When::of_file)
    }

    /// The files that an item is read from, and the folder itself, which changes when a file is made in it.
    fn stamp(&self, found: &Found) -> Stamp {
        let names: &[&str] = match found.kind {
            Kind::Run => &["results.json", "run.json", "plan.toml", ""],
            Kind::Campaign => &["campaign.sqlite", "campaign.sqlite-wal", "groups", ""],
        };
        names
            .iter()
            .map(|name| self.stamp_of(&inside(&found.path, name)))
            .collect()
    }

    /// Of the link itself, where it is one: what it leads to is read beneath the folder alone.
    fn stamp_of(&self, name: &str) -> Option<(u64, Option<SystemTime>)> {
        let about = self.beneath.path().join(name).symlink_metadata().ok()?;
        Some((about.len(), about.modified().ok()))
    }
}

/// Runs whose latencies are kept: a kilobyte each.
const FIGURES_MAX: usize = 10_000;

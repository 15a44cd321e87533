//! The order of it all: the unmutated daemon runs every plan first, then each bug runs its own.
//!
//! Invariant: a bug is hunted with seeds that the unmutated daemon has passed, and with no others; a plan that
//! the unmutated daemon does not pass proves nothing, so no bug is hunted with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::catalog::{Bug, Catalog};
use super::hunt::{Found, Hunt, World};
use super::parts::{Origin, PartError, Rows, commit};
use super::progress::Progress;
use super::scorecard::{Control, Line, Score, Scorecard};
use super::scratch::{Scratch, ScratchError};
use crate::plan::Span;
use crate::sim::topologies::Shard;

/// What to hunt, and how.
#[derive(Debug, Clone)]
pub struct Hunts {
    /// The project.
    pub root: PathBuf,
    /// Where the copy of the sources is.
    pub scratch: PathBuf,
    /// The bugs.
    pub catalog: Catalog,
    /// Where.
    pub worlds: Vec<World>,
    /// How long for each bug, instead of the world's own budget.
    pub budget: Option<Span>,
    /// The first seed of every plan.
    pub first_seed: u64,
    /// Which part the bugs are of the whole, and where its rows go; when absent, they are the whole.
    pub part: Option<(Shard, PathBuf)>,
}

/// Why hunts could not go on.
#[derive(Debug, thiserror::Error)]
pub enum HuntsError {
    /// The unmutated sources.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// The rows of the part.
    #[error(transparent)]
    Part(#[from] PartError),
}

/// Hunts all bugs. `report` gets a line whenever something is known.
///
/// # Errors
///
/// When the unmutated sources cannot be read or built, or a row cannot be written: everything else is a line of the scorecard.
pub async fn run(hunts: &Hunts, report: &mut dyn FnMut(&str)) -> Result<Scorecard, HuntsError> {
    let scratch = Scratch::open(&hunts.root, &hunts.scratch)?;
    let rows = match &hunts.part {
        None => None,
        Some((part, folder)) => Some(Rows::create(folder, *part, hunts.origin(&scratch)?)?),
    };
    let steps = hunts.plans().len() + hunts.pairs().count();
    let mut campaign = Campaign {
        hunts,
        scratch,
        rows,
        progress: Progress::new(steps),
        harness: PathBuf::new(),
        passed: BTreeMap::new(),
        card: Scorecard::default(),
    };
    campaign.control(report).await?;
    campaign.bugs(report).await?;
    Ok(campaign.card)
}

impl Hunts {
    fn origin(&self, scratch: &Scratch) -> Result<Origin, ScratchError> {
        Ok(Origin {
            commit: commit(&self.root),
            sources: scratch.digest(&self.root)?,
            edits: self.catalog.digest.clone(),
            worlds: self.worlds.clone(),
            budget: self.budget,
            first_seed: self.first_seed,
        })
    }

    /// Every plan, in the worlds in which a bug is hunted with it.
    fn plans(&self) -> BTreeSet<(World, PathBuf)> {
        self.pairs()
            .flat_map(|(bug, world)| {
                let plans = bug.plans(world).iter();
                plans.map(move |plan| (world, plan.clone()))
            })
            .collect()
    }

    /// Every bug in its worlds.
    fn pairs(&self) -> impl Iterator<Item = (&Bug, World)> {
        let bugs = self.catalog.bugs.iter();
        bugs.flat_map(|bug| self.worlds_of(bug).into_iter().map(move |world| (bug, world)))
    }

    fn worlds_of(&self, bug: &Bug) -> Vec<World> {
        let wanted = |world: &World| self.worlds.contains(world) && !bug.plans(*world).is_empty();
        World::ALL.into_iter().filter(wanted).collect()
    }
}

struct Campaign<'a> {
    hunts: &'a Hunts,
    scratch: Scratch,
    rows: Option<Rows>,
    progress: Progress,
    /// The unmutated harness.
    harness: PathBuf,
    /// How many seeds of each plan the unmutated daemon passed.
    passed: BTreeMap<(World, PathBuf), u64>,
    card: Scorecard,
}

impl Campaign<'_> {
    async fn control(&mut self, report: &mut dyn FnMut(&str)) -> Result<(), HuntsError> {
        report("building the unmutated daemon");
        self.scratch.build(None, &["harness", "noraftd"])?;
        self.harness = self.scratch.keep("harness", "harness-unmutated")?;
        let noraftd = self.scratch.keep("noraftd", "noraftd-unmutated")?;
        // The other builds are small.
        self.progress = Progress::new(self.progress.all);
        for (world, plan) in self.hunts.plans() {
            let harness = self.harness.clone();
            let found = self
                .hunt(world, &plan, harness, noraftd.clone(), u64::MAX, 1)
                .await;
            if let Ok(Found {
                seeds, catch: None, ..
            }) = found
            {
                self.passed.insert((world, plan.clone()), seeds);
            }
            let control = Control { world, plan, found };
            report(&format!("{} ({})", control.words(), self.progress.step()));
            if let Some(rows) = &mut self.rows {
                rows.add_control(&control)?;
            }
            self.card.controls.push(control);
        }
        Ok(())
    }

    async fn bugs(&mut self, report: &mut dyn FnMut(&str)) -> Result<(), HuntsError> {
        let hunts = self.hunts;
        for bug in &hunts.catalog.bugs {
            let worlds = hunts.worlds_of(bug);
            let programs: Vec<&str> = worlds.iter().map(|world| program_of(*world)).collect();
            if programs.is_empty() {
                continue;
            }
            let built = self.scratch.build(Some(bug), &programs);
            for world in worlds {
                let score = match &built {
                    Ok(()) => self.hunt_bug(bug, world).await,
                    Err(error) => Score::Failed(error.to_string()),
                };
                let line = Line::new(bug, world, score);
                report(&format!("{} ({})", line.words(), self.progress.step()));
                if let Some(rows) = &mut self.rows {
                    rows.add_line(&line)?;
                }
                self.card.lines.push(line);
            }
        }
        Ok(())
    }

    /// Its plans share the budget.
    async fn hunt_bug(&self, bug: &Bug, world: World) -> Score {
        let plans = bug.plans(world);
        let mut all = Found {
            seeds: 0,
            unknown: 0,
            seconds: 0.0,
            catch: None,
        };
        for plan in plans {
            let Some(seeds) = self.passed.get(&(world, plan.clone())) else {
                return Score::Failed(format!("the unmutated daemon does not pass {}", plan.display()));
            };
            let harness = match world {
                World::Sim => self.scratch.program("harness"),
                World::Cluster => self.harness.clone(),
            };
            let noraftd = self.scratch.program("noraftd");
            match self
                .hunt(world, plan, harness, noraftd, *seeds, plans.len())
                .await
            {
                Err(problem) => return Score::Failed(problem),
                Ok(found) => {
                    all.seeds += found.seeds;
                    all.unknown += found.unknown;
                    all.seconds += found.seconds;
                    all.catch = found.catch;
                }
            }
            if all.catch.is_some() {
                break;
            }
        }
        Score::Hunted(all)
    }

    async fn hunt(
        &self,
        world: World,
        plan: &Path,
        harness: PathBuf,
        noraftd: PathBuf,
        seeds_max: u64,
        share: usize,
    ) -> Result<Found, String> {
        let budget = self.hunts.budget.unwrap_or(world.budget()).as_duration();
        let hunt = Hunt {
            world,
            harness,
            noraftd,
            root: &self.hunts.root,
            runs: self.scratch.folder().join("runs"),
            plan,
            first_seed: self.hunts.first_seed,
            seeds_max,
            budget: (budget / u32::try_from(share).unwrap_or(1)).max(Duration::from_millis(1)),
        };
        hunt.run().await
    }
}

fn program_of(world: World) -> &'static str {
    match world {
        World::Sim => "harness",
        World::Cluster => "noraftd",
    }
}

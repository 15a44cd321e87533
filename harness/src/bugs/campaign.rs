//! The order of it all: the unmutated daemon runs every plan first, then each bug runs its own.
//!
//! Invariant: a bug is hunted with seeds that the unmutated daemon has passed, and with no others; a plan that
//! the unmutated daemon does not pass proves nothing, so no bug is hunted with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::catalog::{Bug, Catalog};
use super::hunt::{Found, Hunt, Order, World};
use super::parts::{Origin, PartError, Rows, commit};
use super::progress::Progress;
use super::scorecard::{Control, Line, Score, Scorecard};
use super::scratch::{Scratch, ScratchError, Tests};
use super::test_programs::target;
use crate::plan::Span;
use crate::shard::Shard;

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
        tests: Tests::new(),
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
    /// The programs of tests, as they were built last.
    tests: Tests,
    /// How many seeds of each plan the unmutated daemon passed.
    passed: BTreeMap<(World, PathBuf), u64>,
    card: Scorecard,
}

impl Campaign<'_> {
    async fn control(&mut self, report: &mut dyn FnMut(&str)) -> Result<(), HuntsError> {
        report("building the unmutated daemon");
        let plans = self.hunts.plans();
        let noraftd = self.build_unmutated(&plans)?;
        // The other builds are small.
        self.progress = Progress::new(self.progress.all);
        for (world, plan) in plans {
            let programs = (self.harness.clone(), noraftd.clone());
            let found = self.hunt(world, &plan, programs, u64::MAX, 1).await;
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

    /// Builds what `plans` run with; gives the daemon.
    fn build_unmutated(&mut self, plans: &BTreeSet<(World, PathBuf)>) -> Result<PathBuf, HuntsError> {
        let mut noraftd = PathBuf::new();
        if plans.iter().any(|(world, _)| *world != World::Tests) {
            self.scratch.build(None, &["harness", "noraftd"])?;
            self.harness = self.scratch.keep("harness", "harness-unmutated")?;
            noraftd = self.scratch.keep("noraftd", "noraftd-unmutated")?;
        }
        let tests = plans.iter().filter(|(world, _)| *world == World::Tests);
        let tests: BTreeSet<PathBuf> = tests.map(|(_, path)| path.clone()).collect();
        if !tests.is_empty() {
            self.tests = self.scratch.build_tests(None, &tests)?;
        }
        Ok(noraftd)
    }

    /// Builds what hunts in `world` run with.
    fn build_mutated(&mut self, bug: &Bug, world: World) -> Result<(), ScratchError> {
        match world {
            World::Sim => self.scratch.build(Some(bug), &["harness"]),
            World::Cluster => self.scratch.build(Some(bug), &["noraftd"]),
            World::Tests => {
                let paths = bug.plans(world).iter().cloned().collect();
                self.tests = self.scratch.build_tests(Some(bug), &paths)?;
                Ok(())
            }
        }
    }

    async fn bugs(&mut self, report: &mut dyn FnMut(&str)) -> Result<(), HuntsError> {
        let hunts = self.hunts;
        for bug in &hunts.catalog.bugs {
            for world in hunts.worlds_of(bug) {
                let score = match self.build_mutated(bug, world) {
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
                World::Cluster | World::Tests => self.harness.clone(),
            };
            let programs = (harness, self.scratch.program("noraftd"));
            match self.hunt(world, plan, programs, *seeds, plans.len()).await {
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

    /// Runs one plan with a harness and a daemon, or one program of tests; a plan gets its `share` of the budget.
    async fn hunt(
        &self,
        world: World,
        plan: &Path,
        (mut harness, noraftd): (PathBuf, PathBuf),
        seeds_max: u64,
        share: usize,
    ) -> Result<Found, String> {
        let mut root = self.hunts.root.clone();
        let mut budget = self.hunts.budget.unwrap_or(world.budget()).as_duration();
        budget /= u32::try_from(share).unwrap_or(1);
        if world == World::Tests {
            let (package, target) = target(plan).ok_or("neither src/ nor tests/ of a package")?;
            let program = self.tests.get(&(package.to_owned(), target.option()));
            harness = program.ok_or("there is no such program of tests")?.clone();
            root = self.scratch.tree();
            // They end by themselves.
            budget = world.budget().as_duration();
        }
        let hunt = Hunt {
            world,
            harness,
            noraftd,
            root: &root,
            runs: self.scratch.folder().join("runs"),
            plan,
            first_seed: self.hunts.first_seed,
            seeds_max,
            budget: budget.max(Duration::from_millis(1)),
            order: Order::Parallel,
        };
        hunt.run().await
    }
}

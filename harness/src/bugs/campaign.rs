//! The order of it all: the unmutated daemon runs every plan first, then each bug runs its own.
//!
//! Invariant: a bug is hunted with seeds that the unmutated daemon has passed, and with no others; a plan that
//! the unmutated daemon does not pass proves nothing, so no bug is hunted with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::catalog::{Bug, Catalog};
use super::hunt::{Found, Hunt, World};
use super::scorecard::{Control, Line, Score, Scorecard};
use super::scratch::{Scratch, ScratchError};
use crate::plan::Span;

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
}

/// Hunts all bugs. `report` gets a line whenever something is known.
///
/// # Errors
///
/// When the unmutated sources cannot be read or built: everything else is a line of the scorecard.
pub async fn run(hunts: &Hunts, report: &mut dyn FnMut(&str)) -> Result<Scorecard, ScratchError> {
    let scratch = Scratch::open(&hunts.root, &hunts.scratch)?;
    let mut campaign = Campaign {
        hunts,
        scratch,
        harness: PathBuf::new(),
        passed: BTreeMap::new(),
        card: Scorecard::default(),
    };
    campaign.control(report).await?;
    campaign.bugs(report).await?;
    Ok(campaign.card)
}

struct Campaign<'a> {
    hunts: &'a Hunts,
    scratch: Scratch,
    /// The unmutated harness.
    harness: PathBuf,
    /// How many seeds of each plan the unmutated daemon passed.
    passed: BTreeMap<(World, PathBuf), u64>,
    card: Scorecard,
}

impl Campaign<'_> {
    async fn control(&mut self, report: &mut dyn FnMut(&str)) -> Result<(), ScratchError> {
        let (hunts, worlds) = (self.hunts, &self.hunts.worlds);
        let plans = worlds.iter().flat_map(|world| {
            let plans = hunts.catalog.bugs.iter().flat_map(|bug| bug.plans(*world));
            plans.map(|plan| (*world, plan.clone()))
        });
        let plans: BTreeSet<(World, PathBuf)> = plans.collect();
        report("building the unmutated daemon");
        self.scratch.build(None, &["harness", "noraftd"])?;
        self.harness = self.scratch.keep("harness", "harness-unmutated")?;
        let noraftd = self.scratch.keep("noraftd", "noraftd-unmutated")?;
        for (world, plan) in plans {
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
            report(&control.words());
            self.card.controls.push(control);
        }
        Ok(())
    }

    async fn bugs(&mut self, report: &mut dyn FnMut(&str)) -> Result<(), ScratchError> {
        let hunts = self.hunts;
        let count = hunts.catalog.bugs.len();
        for (number, bug) in (1..).zip(&hunts.catalog.bugs) {
            let wanted = |world: &World| hunts.worlds.contains(world) && !bug.plans(*world).is_empty();
            let worlds: Vec<World> = World::ALL.into_iter().filter(wanted).collect();
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
                report(&format!("{number}/{count} {}", line.words()));
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

//! Whether coverage that steers finds slow bugs in less time of the processor than seeds alone.
//!
//! Each bug is hunted several times in both ways with the first of its plans, one run after the other, with other first seeds each time. The unmutated
//! daemon is steered through each plan before, and must pass.
//!
//! Invariant: a hunt that finds nothing counts as its limit, and is shown as such.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::catalog::Bug;
use super::hunt::{Found, Hunt, Order, World};
use super::progress::Progress;
use super::scratch::{Scratch, ScratchError};
use crate::plan::Span;

/// What to compare, and how.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The project.
    pub root: PathBuf,
    /// Where the copy of the sources is.
    pub scratch: PathBuf,
    /// The bugs; those that no plan of the simulation is to catch are left out.
    pub bugs: Vec<Bug>,
    /// How often each is hunted, in both ways.
    pub tries: u64,
    /// Time of the processor that a hunt takes at most.
    pub limit: Span,
}

/// One bug.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// Its name.
    pub bug: String,
    /// What is run.
    pub plan: PathBuf,
    /// What each hunt took with seeds alone, in seconds of the processor; none for one that found nothing.
    pub alone: Vec<Option<f64>>,
    /// The same, where coverage steers.
    pub steered: Vec<Option<f64>>,
}

/// Compares. `report` gets a line for each hunt.
///
/// # Errors
///
/// When sources cannot be read or built, the unmutated daemon does not pass, or a hunt has no verdict.
pub async fn compare(wanted: &Comparison, report: &mut dyn FnMut(&str)) -> Result<Vec<Compared>, String> {
    let said = |error: ScratchError| error.to_string();
    let scratch = Scratch::open(&wanted.root, &wanted.scratch).map_err(said)?;
    let mut rows = Vec::new();
    let hunted: Vec<(&Bug, &Path)> = wanted.hunted().collect();
    let plans: BTreeSet<&Path> = hunted.iter().map(|(_, plan)| *plan).collect();
    let mut progress = Progress::new(plans.len() + hunted.len() * 2 * wanted.tries as usize);
    scratch.build(None, &["harness"]).map_err(said)?;
    for plan in plans {
        let hunt = wanted.hunt(&scratch, plan, 0, Order::Steered);
        let Found { seeds, catch, .. } = hunt.run().await?;
        if let Some(catch) = catch {
            return Err(format!(
                "the unmutated daemon fails: {}, {}",
                catch.by, catch.detail
            ));
        }
        let step = progress.step();
        report(&format!(
            "unmutated, {}: {seeds} runs pass ({step})",
            plan.display()
        ));
    }
    for (bug, plan) in hunted {
        scratch.build(Some(bug), &["harness"]).map_err(said)?;
        let mut row = Compared {
            bug: bug.name.clone(),
            plan: plan.to_owned(),
            alone: Vec::new(),
            steered: Vec::new(),
        };
        for number in 0..wanted.tries {
            for order in [Order::Single, Order::Steered] {
                let found = wanted.hunt(&scratch, plan, number, order).run().await?;
                let seconds = found.catch.is_some().then_some(found.seconds);
                let step = progress.step();
                report(&format!(
                    "{}: {} ({step})",
                    bug.name,
                    shown(seconds, wanted.limit)
                ));
                match order {
                    Order::Steered => row.steered.push(seconds),
                    Order::Single | Order::Parallel => row.alone.push(seconds),
                }
            }
        }
        rows.push(row);
    }
    Ok(rows)
}

impl Comparison {
    fn hunted(&self) -> impl Iterator<Item = (&Bug, &Path)> {
        self.bugs
            .iter()
            .filter_map(move |bug| Some((bug, bug.plans(World::Sim).first()?.as_path())))
    }

    fn hunt<'a>(&'a self, scratch: &Scratch, plan: &'a Path, number: u64, order: Order) -> Hunt<'a> {
        Hunt {
            world: World::Sim,
            harness: scratch.program("harness"),
            noraftd: PathBuf::new(),
            root: &self.root,
            runs: scratch.folder().join("runs"),
            plan,
            first_seed: 1 + number * SEEDS_APART,
            seeds_max: SEEDS_APART,
            budget: self.limit.as_duration().max(Duration::from_millis(1)),
            order,
        }
    }
}

/// Hunts of one bug begin with seeds that are so far apart.
const SEEDS_APART: u64 = 100_000;

/// The median of hunts; one that found nothing took `limit`.
pub fn median(hunts: &[Option<f64>], limit: Span) -> f64 {
    let limit = limit.as_duration().as_secs_f64();
    let mut all: Vec<f64> = hunts.iter().map(|hunt| hunt.unwrap_or(limit)).collect();
    all.sort_by(f64::total_cmp);
    let middle = all.len() / 2;
    match (all.len(), all.len() % 2) {
        (0, _) => limit,
        (_, 0) => f64::midpoint(all[middle - 1], all[middle]),
        (_, _) => all[middle],
    }
}

/// The comparison as a table.
pub fn table(rows: &[Compared], limit: Span) -> String {
    let mut text = "| bug | plan | seeds alone: median | found | steered: median | found | less with |\n|-|-|-|-|-|-|-|\n".to_owned();
    for row in rows {
        let (alone, steered) = (median(&row.alone, limit), median(&row.steered, limit));
        let found = |hunts: &[Option<f64>]| {
            let found = hunts.iter().filter(|hunt| hunt.is_some()).count();
            format!("{found} of {}", hunts.len())
        };
        let less = if steered < alone {
            "steering"
        } else {
            "seeds alone"
        };
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {} | {less} |",
            row.bug,
            row.plan.display(),
            shown(Some(alone), limit),
            found(&row.alone),
            shown(Some(steered), limit),
            found(&row.steered),
        );
    }
    text
}

fn shown(seconds: Option<f64>, limit: Span) -> String {
    let limit_s = limit.as_duration().as_secs_f64();
    match seconds.filter(|seconds| *seconds < limit_s) {
        Some(seconds) => format!("{seconds:.1}"),
        None => format!("over {limit_s:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Span = Span::from_millis(20_000);

    #[test]
    fn a_hunt_that_finds_nothing_counts_as_its_limit() {
        assert!((median(&[Some(1.0), None, Some(2.0)], LIMIT) - 2.0).abs() < 1e-9);
        assert!((median(&[Some(1.0), Some(2.0)], LIMIT) - 1.5).abs() < 1e-9);
        assert!((median(&[None, None, Some(2.0)], LIMIT) - 20.0).abs() < 1e-9);
    }

    #[test]
    fn the_table_says_what_was_found_and_what_was_not() {
        let row = Compared {
            bug: "slow".to_owned(),
            plan: PathBuf::from("workloads/swarm.toml"),
            alone: vec![None, None, Some(3.0)],
            steered: vec![Some(2.0), None, Some(3.0)],
        };
        let text = table(&[row], LIMIT);
        assert!(
            text.ends_with(
                "| `slow` | workloads/swarm.toml | over 20 | 1 of 3 | 3.0 | 2 of 3 | steering |\n"
            ),
            "{text}"
        );
    }
}

//! What a campaign reached, as a file, and compared with what an earlier one reached: whether a plan reaches less.
//!
//! After a change of plan or daemon every seed is another run, so what is rare may be missed by chance. What is compared
//! is therefore what chance hardly explains. A kind that `n` runs reached is reached by about as many of another campaign
//! of that length, by Poisson's law: eight expected and none seen has a chance of 3 in 10,000; twenty expected and fewer
//! than five seen, of 2 in 100,000.
//!
//! Distinct states of a node vary less: they are thousands, and the same length finds about the same number of them.
//!
//! Invariant: the same runs give the same file, byte for byte, in whatever order they ran.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::Coverage;
use crate::plan::Plan;

/// What a campaign reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reached {
    /// Version of this format.
    pub coverage: u32,
    /// The plan's name.
    pub plan: String,
    /// How long clients and faults ran in each run, in milliseconds.
    pub time_ms: u64,
    /// The seeds that were asked for, as A..B: B is not among them.
    pub seeds: String,
    /// The totals.
    pub totals: ReachedTotals,
    /// In each dimension, the number of runs that reached each kind.
    pub kinds: BTreeMap<String, BTreeMap<String, u64>>,
    /// In each dimension, the kinds that no run reached.
    pub never: BTreeMap<String, Vec<String>>,
}

/// The totals of a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReachedTotals {
    /// Runs: less than there are seeds, when the campaign ended early.
    pub runs: u64,
    /// Distinct states of a node.
    pub nodes: u64,
    /// Distinct states of the cluster.
    pub clusters: u64,
}

/// Why a file of this kind cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReachedError {
    /// It is not there, or not readable.
    #[error("the coverage file {path} cannot be read: {problem}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        problem: io::Error,
    },
    /// It holds something else.
    #[error("{path} is no coverage file of this version (`harness sim --coverage` writes them): {problem}")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong, and where.
        problem: String,
    },
}

/// Why two campaigns cannot be compared.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Incomparable {
    /// They are of different plans.
    #[error("the baseline is of plan `{0}`, this campaign of `{1}`")]
    Plans(String, String),
    /// Their runs are of different lengths.
    #[error("runs of the baseline last {0} ms, those of this campaign {1} ms")]
    Times(u64, u64),
    /// They have different numbers of runs.
    #[error("the baseline counts {0} runs, this campaign {1}")]
    Runs(u64, u64),
}

/// What is less than before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// Beyond chance: a line each.
    pub falls: Vec<String>,
    /// What was rare, and was not reached now: a line each.
    pub rare: Vec<String>,
}

impl Reached {
    /// What `coverage` says of a campaign over `seeds` of `plan`.
    pub fn new(plan: &Plan, seeds: &Range<u64>, coverage: &Coverage) -> Self {
        let counted = |kinds: BTreeMap<&'static str, u64>| {
            let named = kinds.into_iter().map(|(kind, runs)| (kind.to_owned(), runs));
            named.collect()
        };
        let kinds = coverage.kinds().into_iter();
        let never = coverage.never().into_iter();
        Self {
            coverage: VERSION,
            plan: plan.name.clone(),
            time_ms: plan.time.as_millis(),
            seeds: format!("{}..{}", seeds.start, seeds.end),
            totals: ReachedTotals {
                runs: coverage.runs(),
                nodes: coverage.nodes(),
                clusters: coverage.clusters(),
            },
            kinds: kinds
                .map(|(name, kinds)| (name.to_owned(), counted(kinds)))
                .collect(),
            never: never
                .map(|(name, kinds)| (name.to_owned(), kinds.into_iter().map(str::to_owned).collect()))
                .collect(),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is something else.
    pub fn read(path: &Path) -> Result<Self, ReachedError> {
        let name = || path.display().to_string();
        let text = fs::read_to_string(path).map_err(|problem| ReachedError::Unreadable {
            path: name(),
            problem,
        })?;
        let malformed = |problem| ReachedError::Malformed {
            path: name(),
            problem,
        };
        let read: Self = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        if read.coverage != VERSION {
            return Err(malformed(format!("it is version {}", read.coverage)));
        }
        Ok(read)
    }

    /// Writes the file; a directory that lacks is made.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, text)
    }

    /// What is less than in `baseline`.
    ///
    /// # Errors
    ///
    /// When the two are of different plans or lengths: then less says nothing.
    pub fn compare(&self, baseline: &Self) -> Result<Comparison, Incomparable> {
        if self.plan != baseline.plan {
            return Err(Incomparable::Plans(baseline.plan.clone(), self.plan.clone()));
        }
        if self.time_ms != baseline.time_ms {
            return Err(Incomparable::Times(baseline.time_ms, self.time_ms));
        }
        let (before, now) = (&baseline.totals, &self.totals);
        if before.runs != now.runs {
            return Err(Incomparable::Runs(before.runs, now.runs));
        }
        let mut found = Comparison::default();
        let all = baseline.kinds.iter();
        for (dimension, kinds) in all {
            for (kind, before) in kinds {
                let now = self.runs_of(dimension, kind);
                let line = format!("{dimension}: {kind}: reached by {before} runs before, by {now} now");
                match weigh(*before, now) {
                    Weight::Falls => found.falls.push(line),
                    Weight::Rare => found.rare.push(line),
                    Weight::Holds => {}
                }
            }
        }
        if now.nodes * 100 < before.nodes * (100 - NODES_FALL_PERCENT_MAX) {
            found.falls.push(format!(
                "distinct states of a node: {} before, {} now: more than {NODES_FALL_PERCENT_MAX} % fewer",
                before.nodes, now.nodes
            ));
        }
        Ok(found)
    }

    fn runs_of(&self, dimension: &str, kind: &str) -> u64 {
        let kinds = self.kinds.get(dimension);
        kinds.and_then(|kinds| kinds.get(kind)).copied().unwrap_or(0)
    }
}

/// What a kind's runs before and now say.
enum Weight {
    Holds,
    /// It is missed, and chance may be why.
    Rare,
    /// Chance is hardly why.
    Falls,
}

fn weigh(before: u64, now: u64) -> Weight {
    match (before, now) {
        (LOST_FROM.., 0) => Weight::Falls,
        (FALLS_FROM.., _) if now * FALLS_TO_ONE_IN < before => Weight::Falls,
        (1.., 0) => Weight::Rare,
        (_, _) => Weight::Holds,
    }
}

const VERSION: u32 = 1;
/// Runs that reached a kind, from which on it is missed for a reason.
const LOST_FROM: u64 = 8;
/// Runs that reached a kind, from which on fewer than one in four of them have a reason.
const FALLS_FROM: u64 = 20;
const FALLS_TO_ONE_IN: u64 = 4;
/// Other seeds of the same plan differ by a few in a hundred; a family of faults that is gone takes far more.
const NODES_FALL_PERCENT_MAX: u64 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(kinds: &[(&str, u64)], nodes: u64) -> Reached {
        let kinds = kinds.iter().map(|(kind, runs)| ((*kind).to_owned(), *runs));
        Reached {
            coverage: VERSION,
            plan: "swarm".to_owned(),
            time_ms: 10_000,
            seeds: "1..301".to_owned(),
            totals: ReachedTotals {
                runs: 300,
                nodes,
                clusters: 9,
            },
            kinds: BTreeMap::from([("role".to_owned(), kinds.collect())]),
            never: BTreeMap::new(),
        }
    }

    #[test]
    fn a_kind_that_is_missed_falls_unless_it_was_rare() {
        let before = reached(
            &[("leader", 300), ("candidate", 8), ("won", 7), ("new", 20)],
            1000,
        );
        let now = reached(&[("leader", 75), ("new", 4)], 1000);
        let found = now.compare(&before).unwrap();
        assert_eq!(
            found.falls,
            [
                "role: candidate: reached by 8 runs before, by 0 now",
                "role: new: reached by 20 runs before, by 4 now"
            ]
        );
        assert_eq!(found.rare, ["role: won: reached by 7 runs before, by 0 now"]);
        assert_eq!(before.compare(&before), Ok(Comparison::default()));
        assert_eq!(
            before.compare(&now).unwrap(),
            Comparison::default(),
            "more is never a fall"
        );
    }

    #[test]
    fn fewer_states_of_nodes_fall_beyond_a_share() {
        let (before, kept, fewer) = (reached(&[], 1000), reached(&[], 850), reached(&[], 849));
        assert_eq!(kept.compare(&before), Ok(Comparison::default()));
        assert_eq!(
            fewer.compare(&before).unwrap().falls,
            ["distinct states of a node: 1000 before, 849 now: more than 15 % fewer"]
        );
    }

    #[test]
    fn only_campaigns_of_one_plan_and_length_are_compared() {
        let before = reached(&[], 1);
        let mut other = before.clone();
        other.plan = "calm".to_owned();
        let said = other.compare(&before).unwrap_err().to_string();
        assert_eq!(said, "the baseline is of plan `swarm`, this campaign of `calm`");
        let mut other = before.clone();
        other.time_ms = 5000;
        assert_eq!(other.compare(&before), Err(Incomparable::Times(10_000, 5000)));
        let mut other = before.clone();
        other.totals.runs = 299;
        assert_eq!(other.compare(&before), Err(Incomparable::Runs(300, 299)));
        let mut other = before.clone();
        other.seeds = "301..601".to_owned();
        assert!(
            other.compare(&before).is_ok(),
            "other seeds of the same number are"
        );
    }
}

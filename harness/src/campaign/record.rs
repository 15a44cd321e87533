//! What came of a unit of work.
//!
//! Invariant: that the harness failed is a verdict of its own, never one on the system.

use serde::{Deserialize, Serialize};

use super::draw::Unit;
use super::file::Place;
use crate::results::Outcome;

/// The verdict on a unit, or that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The system kept its promise.
    Valid,
    /// It could not be decided.
    Unknown,
    /// The harness failed: this says nothing of the system.
    Failed,
    /// The system broke its promise.
    Invalid,
}

impl Verdict {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Valid, Self::Unknown, Self::Failed, Self::Invalid];

    /// As it is written in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Unknown => "unknown",
            Self::Failed => "harness failure",
            Self::Invalid => "invalid",
        }
    }

    /// The one with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Valid => Self::Valid,
            Outcome::Unknown => Self::Unknown,
            Outcome::Invalid => Self::Invalid,
        }
    }
}

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The unit.
    pub unit: Unit,
    /// Its entry's name.
    pub entry: String,
    /// Where it ran.
    pub place: Place,
    /// Whether coverage steered it.
    pub steered: bool,
    /// Which build ran: the beginning of the program's SHA-256.
    pub build: String,
    /// The worst of its seeds.
    pub verdict: Verdict,
    /// Why it is unknown, or how the harness failed.
    pub reason: Option<String>,
    /// What it did, in figures.
    pub figures: Figures,
    /// The folder of its run below the campaign's, where there is one.
    pub folder: Option<String>,
    /// What was found.
    pub failures: Vec<Failed>,
    /// Each of its seeds; none where the harness failed.
    pub runs: Vec<Run>,
}

/// One seed, in figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// Its verdict.
    pub verdict: Outcome,
    /// Operations that took effect.
    pub operations: u64,
    /// Faults that had an effect.
    pub faults: u64,
    /// States that were reached, where they are counted.
    pub coverage: Option<u64>,
    /// How long it took: time of the processor in the simulation, time of day on real processes, in microseconds.
    pub micros: u64,
}

/// What a unit did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Seeds that could not be decided.
    pub unknown: u64,
    /// Operations that took effect.
    pub operations: u64,
    /// Faults that had an effect.
    pub faults: u64,
    /// Time of the processors, in milliseconds.
    pub cpu_ms: u64,
    /// Time, in milliseconds.
    pub wall_ms: u64,
}

/// A seed with which the system broke its promise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Failed {
    /// What it takes to see it again: events in the simulation, milliseconds on real processes.
    pub cost: u64,
    /// The seed.
    pub seed: u64,
    /// The broken rule.
    pub rule: String,
    /// Where: a line of source, a checker, a world.
    pub place: String,
    /// What was seen, in a line.
    pub detail: String,
}

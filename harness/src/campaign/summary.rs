//! What a campaign came to, from its ledger and its groups.
//!
//! Invariant: the verdict is *invalid* only for a fault of the system. A failure of the harness is said as such, and a part that
//! proved nothing is never a pass: of each entry nine in ten seeds have to be decided.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::groups::{Group, group};
use super::record::{Record, Verdict};
use super::reproduction::{self, Reproduction};
use crate::results::{EXIT_HARNESS_FAILURE, Outcome};
use crate::shard::Shard;

/// A campaign in figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The campaign's name.
    pub name: String,
    /// Which part of it.
    pub shard: Shard,
    /// What ran, by entry.
    pub entries: BTreeMap<String, Totals>,
    /// What was found.
    pub groups: Vec<Finding>,
    /// Units in which the harness failed, with the reason.
    pub failed: Vec<(String, String)>,
}

/// What an entry did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Units.
    pub units: u64,
    /// Seeds.
    pub seeds: u64,
    /// Seeds that could not be decided.
    pub unknown: u64,
    /// Seeds that failed.
    pub invalid: u64,
    /// Units in which the harness failed.
    pub failed: u64,
    /// Operations that took effect.
    pub operations: u64,
    /// Faults that had an effect.
    pub faults: u64,
    /// Time of the processors, in milliseconds.
    pub cpu_ms: u64,
    /// Why a seed could not be decided.
    pub doubt: Option<String>,
}

/// A group, and its reproduction where that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The group.
    pub group: Group,
    /// Its reproduction.
    pub reproduction: Option<Reproduction>,
}

impl Summary {
    /// Of the campaign in `folder`.
    pub fn new(folder: &Path, name: &str, shard: Shard, records: &[Record]) -> Self {
        let mut entries: BTreeMap<String, Totals> = BTreeMap::new();
        let mut failed = Vec::new();
        for record in records {
            entries.entry(record.entry.clone()).or_default().add(record);
            if record.verdict == Verdict::Failed {
                let range = record.unit.range();
                let unit = format!("{}, seeds {}..{}", record.entry, range.start, range.end);
                failed.push((unit, record.reason.clone().unwrap_or_default()));
            }
        }
        let mut groups: Vec<Finding> = group(records)
            .into_iter()
            .map(|group| Finding {
                reproduction: reproduction::read(folder, &group),
                group,
            })
            .collect();
        groups.sort_by_key(|finding| std::cmp::Reverse(finding.group.seeds));
        Self {
            name: name.to_owned(),
            shard,
            entries,
            groups,
            failed,
        }
    }

    /// The verdict on all of it.
    pub fn verdict(&self) -> Verdict {
        if !self.groups.is_empty() {
            return Verdict::Invalid;
        }
        if !self.failed.is_empty() {
            return Verdict::Failed;
        }
        let proved = self.entries.values().all(|totals| totals.doubtful().is_none());
        if proved && !self.entries.is_empty() {
            Verdict::Valid
        } else {
            Verdict::Unknown
        }
    }

    /// The exit code that says it.
    pub fn code(&self) -> u8 {
        match self.verdict() {
            Verdict::Valid => Outcome::Valid.code(),
            Verdict::Unknown => Outcome::Unknown.code(),
            Verdict::Invalid => Outcome::Invalid.code(),
            Verdict::Failed => EXIT_HARNESS_FAILURE,
        }
    }

    /// One paragraph, for a message in a chat.
    pub fn paragraph(&self) -> String {
        let all = self.all();
        let mut text = format!("Campaign {}", self.name);
        if self.shard != Shard::WHOLE {
            let _ = write!(text, " (shard {})", self.shard);
        }
        let _ = write!(
            text,
            ": {}. {} of {} in {} CPU s: {} operations, {} faults with an effect.",
            self.verdict().name(),
            counted(all.seeds, "seed"),
            counted_as(self.entries.len() as u64, "entry", "entries"),
            all.cpu_ms / 1000,
            all.operations,
            all.faults
        );
        let seeds = counted(all.invalid, "seed");
        match &self.groups[..] {
            [] => text.push_str(" Nothing was found."),
            [one] => {
                let _ = write!(text, " One finding: {} ({seeds}).", one.name());
            }
            [first, ..] => {
                let count = self.groups.len();
                let _ = write!(
                    text,
                    " {count} findings ({seeds}), the most frequent: {}.",
                    first.name()
                );
            }
        }
        if let Some(again) = self.groups.first().and_then(|first| first.reproduction.as_ref()) {
            let _ = write!(text, " Repeat, in the campaign's folder: {}.", again.command);
        }
        if all.unknown > 0 {
            let _ = write!(text, " {} could not be decided.", counted(all.unknown, "seed"));
        }
        if let Some((unit, _)) = self.failed.first() {
            let count = counted(self.failed.len() as u64, "unit");
            let _ = write!(text, " The harness failed in {count}, first in {unit}.");
        }
        text.push('\n');
        text
    }

    /// All of it, as text; the last line is the verdict.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, totals) in &self.entries {
            let _ = writeln!(text, "{name}: {}", totals.line());
        }
        for finding in &self.groups {
            text.push_str(&finding.text());
        }
        for (unit, reason) in self.failed.iter().take(SHOWN_MAX) {
            let _ = writeln!(text, "the harness failed in {unit}: {reason}");
        }
        if self.failed.len() > SHOWN_MAX {
            let _ = writeln!(text, "and in {} more units", self.failed.len() - SHOWN_MAX);
        }
        for (name, totals) in &self.entries {
            if let Some(why) = totals.doubtful() {
                let _ = writeln!(text, "unknown: {name}: {why}");
            }
        }
        let _ = writeln!(text, "verdict: {}", self.verdict().name());
        text
    }

    fn all(&self) -> Totals {
        let mut all = Totals::default();
        for totals in self.entries.values() {
            all.units += totals.units;
            all.seeds += totals.seeds;
            all.unknown += totals.unknown;
            all.invalid += totals.invalid;
            all.failed += totals.failed;
            all.operations += totals.operations;
            all.faults += totals.faults;
            all.cpu_ms += totals.cpu_ms;
        }
        all
    }
}

impl Totals {
    fn add(&mut self, record: &Record) {
        let figures = &record.figures;
        self.units += 1;
        // Of a unit in which the harness failed, no seed says anything.
        if record.verdict != Verdict::Failed {
            self.seeds += record.unit.seeds;
        }
        self.unknown += figures.unknown;
        self.invalid += record.failures.len() as u64;
        self.failed += u64::from(record.verdict == Verdict::Failed);
        self.operations += figures.operations;
        self.faults += figures.faults;
        self.cpu_ms += figures.cpu_ms;
        if figures.unknown > 0 && self.doubt.is_none() {
            self.doubt.clone_from(&record.reason);
        }
    }

    /// Why the entry proves nothing, if it does not.
    pub fn doubtful(&self) -> Option<String> {
        (self.unknown * UNKNOWN_PART > self.seeds).then(|| {
            let why = self.doubt.as_deref().unwrap_or("no reason was given");
            format!(
                "{} of {} could not be decided; {why}",
                self.unknown,
                counted(self.seeds, "seed")
            )
        })
    }

    fn line(&self) -> String {
        format!(
            "{} in {}, {} CPU s, {} operations, {} faults with an effect | invalid {}, unknown {}, harness failures {}",
            counted(self.seeds, "seed"),
            counted(self.units, "unit"),
            self.cpu_ms / 1000,
            self.operations,
            self.faults,
            self.invalid,
            self.unknown,
            self.failed
        )
    }
}

impl Finding {
    /// The rule and its place.
    pub fn name(&self) -> String {
        format!("{} in {}", self.group.best.rule, self.group.best.place)
    }

    /// How to see it again, and how sure that is.
    pub fn repeat(&self) -> String {
        match &self.reproduction {
            Some(again) => format!(
                "{} ({})",
                again.command,
                again.trouble.clone().unwrap_or_else(|| again.rate())
            ),
            None => self.group.command(),
        }
    }

    fn text(&self) -> String {
        format!(
            "found: {}: {}, fastest in {} with seed {}: {}\n  repeat: {}\n",
            self.name(),
            counted(self.group.seeds, "seed"),
            self.group.entry,
            self.group.best.seed,
            self.group.best.detail.lines().next().unwrap_or_default(),
            self.repeat()
        )
    }
}

fn counted(count: u64, one: &str) -> String {
    counted_as(count, one, &format!("{one}s"))
}

fn counted_as(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Of so many seeds of an entry one may stay undecided.
const UNKNOWN_PART: u64 = 10;
const SHOWN_MAX: usize = 10;

//! A campaign, as its ledger says.
//!
//! Invariant: the folder of the campaign is not touched. The ledger is read from a copy, so that looking at a campaign never takes
//! the lock that its harness needs, and a campaign that runs can be looked at: a copy during which the ledger was
//! written to is made again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::super::beneath::{Beneath, BeneathError, inside};
use super::When;
use crate::campaign::{Finding, LEDGER, Ledger, Place, Record, Summary, Totals, Verdict};
use crate::shard::Shard;

/// A campaign.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// Its folder, below that of the results.
    pub path: String,
    /// What ran.
    pub about: CampaignAbout,
    /// The verdict on all of it.
    pub verdict: Verdict,
    /// What it came to, in a paragraph.
    pub paragraph: String,
    /// What each entry did, by name.
    pub entries: BTreeMap<String, EntryFigures>,
    /// What was found, the most frequent first.
    pub findings: Vec<Finding>,
    /// Where the harness failed, with the reason: the first of them, and how many there are.
    pub failed: (Vec<(String, String)>, usize),
    /// What it took until the first seed failed.
    pub detection: Option<Detection>,
}

/// What a campaign is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignAbout {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// Which part of it.
    pub shard: Shard,
    /// When it began.
    pub when: When,
    /// Which builds ran.
    pub builds: BTreeSet<String>,
    /// How long it has run, in milliseconds.
    pub spent_ms: u64,
}

/// What an entry did.
#[derive(Debug, Clone, PartialEq)]
pub struct EntryFigures {
    /// The plan's name.
    pub plan: String,
    /// Where it ran.
    pub place: Place,
    /// Its sums.
    pub totals: Totals,
    /// Why it proves nothing, if it does not.
    pub doubt: Option<String>,
    /// States that its seeds reached, sorted; empty where they are not counted.
    pub coverage: Vec<u64>,
    /// Completed operations a second of each run on real processes, sorted.
    pub rates: Vec<f64>,
}

/// What it took until the first seed failed, in the order of the units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detection {
    /// Seeds, with the one that failed.
    pub seeds: u64,
    /// Time of the processors, in milliseconds, with that of its unit.
    pub cpu_ms: u64,
}

impl Campaign {
    /// Reads the campaign in the folder `path`.
    ///
    /// # Errors
    ///
    /// The reason why it is not known what it came to.
    pub(super) fn read(beneath: &Beneath, path: &str, written: Option<When>) -> Result<Self, String> {
        let copy =
            tempfile::tempdir().map_err(|error| format!("no room for a copy of the ledger: {error}"))?;
        copy_ledger(beneath, path, copy.path())?;
        copy_groups(beneath, path, copy.path())?;
        let shown = |error: String| error.replace(&format!("{}/", copy.path().display()), "");
        let ledger = Ledger::open(copy.path()).map_err(|error| shown(error.to_string()))?;
        let read = || Ok((ledger.about()?, ledger.spent()?, ledger.records()?));
        let (about, spent, records) =
            read().map_err(|error: crate::campaign::LedgerError| shown(error.to_string()))?;
        let summary = Summary::new(copy.path(), &about.campaign.name, about.shard, &records);
        let folder = path.rsplit('/').next().unwrap_or_default();
        let when = When::of_name(folder).or(written);
        let verdict = summary.verdict();
        let paragraph = summary.paragraph();
        let failed = (
            summary.failed.iter().take(FAILED_MAX).cloned().collect(),
            summary.failed.len(),
        );
        let plan = |entry: usize| about.campaign.entries[entry].plan.name.clone();
        Ok(Self {
            path: path.to_owned(),
            verdict,
            paragraph,
            failed,
            entries: figures(&records, &summary, plan),
            detection: detection(&records),
            findings: summary.groups,
            about: CampaignAbout {
                name: about.campaign.name,
                about: about.campaign.about,
                shard: about.shard,
                when: when.ok_or("it is not known when its ledger was written")?,
                builds: records.iter().map(|record| record.build.clone()).collect(),
                spent_ms: u64::try_from(spent.as_millis()).unwrap_or(u64::MAX),
            },
        })
    }

    /// The seeds, by verdict, and units in which the harness failed: as [`Verdict::ALL`] orders them.
    pub fn counts(&self) -> [u64; 4] {
        let mut sums = [0; 4];
        for entry in self.entries.values() {
            for (sum, count) in sums.iter_mut().zip(entry.counts()) {
                *sum += count;
            }
        }
        sums
    }
}

impl EntryFigures {
    /// As [`Campaign::counts`], of this entry.
    pub fn counts(&self) -> [u64; 4] {
        let totals = &self.totals;
        let valid = totals.seeds.saturating_sub(totals.unknown + totals.invalid);
        [valid, totals.unknown, totals.failed, totals.invalid]
    }
}

fn figures(
    records: &[Record],
    summary: &Summary,
    plan: impl Fn(usize) -> String,
) -> BTreeMap<String, EntryFigures> {
    let mut entries: BTreeMap<String, EntryFigures> = BTreeMap::new();
    for record in records {
        let entry = entries.entry(record.entry.clone()).or_insert_with(|| {
            let totals = summary.entries.get(&record.entry).cloned().unwrap_or_default();
            EntryFigures {
                plan: plan(record.unit.entry),
                place: record.place,
                doubt: totals.doubtful(),
                totals,
                coverage: Vec::new(),
                rates: Vec::new(),
            }
        });
        entry
            .coverage
            .extend(record.runs.iter().filter_map(|run| run.coverage));
        if record.place == Place::Processes {
            let timed = record.runs.iter().filter(|run| run.micros > 0);
            entry
                .rates
                .extend(timed.map(|run| run.operations as f64 * 1e6 / run.micros as f64));
        }
    }
    for entry in entries.values_mut() {
        entry.coverage.sort_unstable();
        entry.rates.sort_by(f64::total_cmp);
    }
    entries
}

/// The records are in the order of their units.
fn detection(records: &[Record]) -> Option<Detection> {
    let (mut seeds, mut cpu_ms) = (0, 0);
    for record in records {
        cpu_ms += record.figures.cpu_ms;
        if let Some(first) = record.failures.iter().map(|failed| failed.seed).min() {
            let seeds = seeds + first.saturating_sub(record.unit.first_seed) + 1;
            return Some(Detection { seeds, cpu_ms });
        }
        seeds += record.unit.seeds;
    }
    None
}

/// The size and the time of a file; `None` when it is not there.
type Stamp = Option<(u64, Option<SystemTime>)>;

/// The file of SQLite, and what was committed to the log beside it.
fn copy_ledger(beneath: &Beneath, path: &str, to: &Path) -> Result<(), String> {
    let names = [LEDGER.to_owned(), format!("{LEDGER}-wal")];
    for _ in 0..COPIES_MAX {
        let mut before = Vec::new();
        for name in &names {
            let copied = copy(beneath, &inside(path, name), &to.join(name), LEDGER_BYTES_MAX);
            before.push(copied.map_err(|why| format!("{name} {why}"))?);
        }
        if before[0].is_none() {
            return Err(format!("{LEDGER} is not there"));
        }
        let stamp = |name: &String| stamp(beneath, &inside(path, name));
        // What is appended to the log meanwhile is not in the copy, or has no valid end there. A new file, or one that was
        // written to, may be half of what it was and half of what it became.
        let after: Vec<Stamp> = names.iter().map(stamp).collect();
        let log_grew = |(one, two): (&Stamp, &Stamp)| match (one, two) {
            (Some((one, _)), Some((two, _))) => one <= two,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if before[0] == after[0] && log_grew((&before[1], &after[1])) {
            return Ok(());
        }
    }
    Err("the ledger is being written to, so that no copy of it is whole: look again".to_owned())
}

fn stamp(beneath: &Beneath, name: &str) -> Stamp {
    let about = beneath.open(name).ok()?.metadata().ok()?;
    Some((about.len(), about.modified().ok()))
}

/// What the file was before it was copied.
fn copy(beneath: &Beneath, name: &str, to: &Path, most: u64) -> Result<Stamp, BeneathError> {
    let mut file = match beneath.open(name) {
        Ok(file) => file,
        Err(BeneathError::Absent) => {
            return match fs::remove_file(to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BeneathError::Io(error)),
                Ok(()) | Err(_) => Ok(None),
            };
        }
        Err(error) => return Err(error),
    };
    let about = file.metadata().map_err(BeneathError::Io)?;
    let bytes = about.len();
    if bytes > most {
        return Err(BeneathError::TooLarge { bytes, most });
    }
    let mut out = File::create(to).map_err(BeneathError::Io)?;
    io::copy(&mut io::Read::take(&mut file, most), &mut out).map_err(BeneathError::Io)?;
    Ok(Some((bytes, about.modified().ok())))
}

/// What is known of how to repeat each finding. One that cannot be read is absent: the finding then names its seed.
fn copy_groups(beneath: &Beneath, path: &str, to: &Path) -> Result<(), String> {
    let Ok(folder) = fs::read_dir(beneath.path().join(path).join("groups")) else {
        return Ok(());
    };
    let names = folder.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    for name in names.take(GROUPS_MAX) {
        let group = to.join("groups").join(&name);
        fs::create_dir_all(&group)
            .map_err(|error| format!("no room for a copy of groups/{name}: {error}"))?;
        let about = inside(path, &format!("groups/{name}/group.json"));
        // The error is that there is none, or none that is ours.
        if copy(beneath, &about, &group.join("group.json"), GROUP_BYTES_MAX).is_err() {
            continue;
        }
    }
    Ok(())
}

/// Copies of a ledger that is being written to.
const COPIES_MAX: usize = 5;
/// A row has some hundred bytes; a night has some million.
const LEDGER_BYTES_MAX: u64 = 4 << 30;
const GROUP_BYTES_MAX: u64 = 1 << 20;
/// More than a campaign writes.
const GROUPS_MAX: usize = 1000;
/// Failures of the harness that are kept.
const FAILED_MAX: usize = 20;

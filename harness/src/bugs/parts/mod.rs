//! Hunts in parts, as on several machines: what each part found, line by line, and the scorecard of all of them.
//!
//! The folder of a part holds `rows.jsonl`: which part of what it is, then a line for each plan of the unmutated daemon and for
//! each bug, as soon as it is known.
//!
//! Invariant: parts are joined when they are all there, each of them once and complete, and came from the same commit, sources, edits and
//! settings; otherwise there is no scorecard, and the message names the part.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::catalog::{Bug, Catalog};
use super::hunt::World;
use super::scorecard::{Control, Line, Score, Scorecard};
use crate::plan::Span;
use crate::shard::Shard;

/// What a part is a part of. Those of another origin prove nothing about each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Origin {
    /// The commit of the project; empty without Git.
    pub(super) commit: String,
    /// A digest of all sources and plans, for what is not committed.
    pub(super) sources: String,
    /// A digest of all files of bugs.
    pub(super) edits: String,
    pub(super) worlds: Vec<World>,
    pub(super) budget: Option<Span>,
    pub(super) first_seed: u64,
}

/// A line of `rows.jsonl`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Entry {
    Part { index: u64, count: u64, origin: Origin },
    Control(Control),
    Row { bug: String, world: World, score: Score },
}

/// Why parts cannot be written or joined.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line is not what it should be.
    #[error("{path}, line {line}: {problem}; run this part again", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A part is there twice, or in other parts too.
    #[error("{a} and {b} overlap: they are parts {of_a} and {of_b}", a = a.display(), b = b.display())]
    Overlap {
        /// A file.
        a: PathBuf,
        /// Which part that is.
        of_a: String,
        /// Another file.
        b: PathBuf,
        /// Which part that is.
        of_b: String,
    },
    /// Parts were not given.
    #[error("missing: {0}")]
    Missing(String),
    /// A part has not come to its end.
    #[error("{path}: part {part} has no row of `{bug}` in the world `{world}`; run it to its end", path = path.display())]
    Unfinished {
        /// The file.
        path: PathBuf,
        /// Which part.
        part: String,
        /// The first bug without a row.
        bug: String,
        /// In which world.
        world: &'static str,
    },
    /// A part is of something else.
    #[error("{path}: another {what} than that of {than}: {here} instead of {there}", path = path.display())]
    OtherOrigin {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// From what.
        than: String,
        /// What it is in the file.
        here: String,
        /// What it is in the other.
        there: String,
    },
}

/// Where a part writes what it knows.
pub(super) struct Rows {
    path: PathBuf,
    file: File,
}

impl Rows {
    /// Begins the file of a part, instead of an earlier one.
    pub(super) fn create(folder: &Path, part: Shard, origin: Origin) -> Result<Self, PartError> {
        fs::create_dir_all(folder).map_err(at(folder))?;
        let path = folder.join(ROWS_FILE);
        let file = File::create(&path).map_err(at(&path))?;
        let mut rows = Self { path, file };
        rows.add(&Entry::Part {
            index: part.index,
            count: part.count,
            origin,
        })?;
        Ok(rows)
    }

    pub(super) fn add_control(&mut self, control: &Control) -> Result<(), PartError> {
        self.add(&Entry::Control(control.clone()))
    }

    pub(super) fn add_line(&mut self, line: &Line) -> Result<(), PartError> {
        self.add(&Entry::Row {
            bug: line.bug.clone(),
            world: line.world,
            score: line.score.clone(),
        })
    }

    fn add(&mut self, entry: &Entry) -> Result<(), PartError> {
        let line = serde_json::to_string(entry).map_err(|error| at(&self.path)(error.into()))?;
        writeln!(self.file, "{line}").map_err(at(&self.path))
    }
}

/// The scorecard of all parts of `catalog`, which is the whole one.
///
/// # Errors
///
/// When they are not all the parts of one whole.
pub fn join(folders: &[PathBuf], catalog: &Catalog) -> Result<Scorecard, PartError> {
    let parts: Vec<Part> = folders
        .iter()
        .map(|folder| Part::read(&folder.join(ROWS_FILE), catalog))
        .collect::<Result<_, _>>()?;
    all_of_one_origin(&parts, catalog)?;
    all_there_once(&parts)?;
    for part in &parts {
        part.is_finished(catalog)?;
    }
    let mut card = Scorecard::default();
    let mut controls: BTreeMap<(World, PathBuf), Control> = BTreeMap::new();
    for part in parts {
        card.lines.extend(part.lines);
        for control in part.controls {
            let key = (control.world, control.plan.clone());
            let before = controls.remove(&key);
            controls.insert(key, worse(before, control));
        }
    }
    card.controls = controls.into_values().collect();
    card.lines
        .sort_by(|a, b| (&a.bug, a.world).cmp(&(&b.bug, b.world)));
    Ok(card)
}

/// What several parts say of the unmutated daemon on the same plan: a false alarm of one is one of all, and it passed as many seeds as
/// it passed everywhere.
fn worse(before: Option<Control>, control: Control) -> Control {
    let Some(before) = before else { return control };
    let rank = |control: &Control| {
        let seeds = control.found.as_ref().map_or(0, |found| found.seeds);
        (control.passes(), seeds)
    };
    if rank(&before) <= rank(&control) {
        before
    } else {
        control
    }
}

/// What a file says.
struct Part {
    path: PathBuf,
    shard: Shard,
    origin: Origin,
    controls: Vec<Control>,
    lines: Vec<Line>,
}

impl Part {
    fn read(path: &Path, catalog: &Catalog) -> Result<Self, PartError> {
        let text = fs::read_to_string(path).map_err(at(path))?;
        let malformed = |line: usize, problem: String| PartError::Malformed {
            path: path.to_owned(),
            line,
            problem,
        };
        let entry = |(number, line): (usize, &str)| {
            let entry: Result<Entry, _> = serde_json::from_str(line);
            entry
                .map(|entry| (number + 1, entry))
                .map_err(|error| malformed(number + 1, error.to_string()))
        };
        let mut entries = text.lines().enumerate().map(entry);
        let (shard, origin) = match entries.next().transpose()? {
            Some((_, Entry::Part { index, count, origin })) if (1..=count).contains(&index) => {
                (Shard { index, count }, origin)
            }
            _ => return Err(malformed(1, "it does not say which part this is".to_owned())),
        };
        let mut part = Self {
            path: path.to_owned(),
            shard,
            origin,
            controls: Vec::new(),
            lines: Vec::new(),
        };
        for entry in entries {
            let (number, entry) = entry?;
            part.add(entry, catalog)
                .map_err(|problem| malformed(number, problem))?;
        }
        Ok(part)
    }

    fn add(&mut self, entry: Entry, catalog: &Catalog) -> Result<(), String> {
        match entry {
            Entry::Part { .. } => return Err("it says again which part this is".to_owned()),
            Entry::Control(control) => self.controls.push(control),
            Entry::Row { bug, world, score } => {
                let bug = self
                    .bugs(catalog)
                    .find(|known| known.name == bug)
                    .ok_or_else(|| {
                        let part = self.shard;
                        format!("`{bug}` is no bug of part {part}")
                    })?;
                if self.has(bug, world) {
                    return Err(format!("`{}` is there twice", bug.name));
                }
                self.lines.push(Line::new(bug, world, score));
            }
        }
        Ok(())
    }

    fn bugs<'c>(&self, catalog: &'c Catalog) -> impl Iterator<Item = &'c Bug> + use<'c> {
        let shard = self.shard;
        let of_part = catalog.bugs.iter().enumerate();
        of_part
            .filter(move |(number, _)| shard.has(*number as u64))
            .map(|(_, bug)| bug)
    }

    fn has(&self, bug: &Bug, world: World) -> bool {
        self.lines
            .iter()
            .any(|line| line.bug == bug.name && line.world == world)
    }

    fn is_finished(&self, catalog: &Catalog) -> Result<(), PartError> {
        for bug in self.bugs(catalog) {
            for world in &self.origin.worlds {
                if !bug.plans(*world).is_empty() && !self.has(bug, *world) {
                    return Err(PartError::Unfinished {
                        path: self.path.clone(),
                        part: self.shard.to_string(),
                        bug: bug.name.clone(),
                        world: world.name(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// The edits have to be those of the catalog, too, for that is where the titles come from.
fn all_of_one_origin(parts: &[Part], catalog: &Catalog) -> Result<(), PartError> {
    let Some(first) = parts.first() else { return Ok(()) };
    for part in parts {
        let (here, there) = (&part.origin, &first.origin);
        let settings = |origin: &Origin| format!("{:?}", (&origin.worlds, origin.budget, origin.first_seed));
        let than = first.path.display().to_string();
        let facts = [
            ("commit", &than, here.commit.clone(), there.commit.clone()),
            (
                "state of the sources and plans",
                &than,
                here.sources.clone(),
                there.sources.clone(),
            ),
            ("set of edits", &than, here.edits.clone(), there.edits.clone()),
            (
                "choice of worlds, budget and seeds",
                &than,
                settings(here),
                settings(there),
            ),
            (
                "set of edits",
                &catalog.folder.display().to_string(),
                here.edits.clone(),
                catalog.digest.clone(),
            ),
        ];
        for (what, than, here, there) in facts {
            if here != there {
                return Err(PartError::OtherOrigin {
                    path: part.path.clone(),
                    what,
                    than: than.clone(),
                    here,
                    there,
                });
            }
        }
    }
    Ok(())
}

fn all_there_once(parts: &[Part]) -> Result<(), PartError> {
    let Some(first) = parts.first() else {
        return Err(PartError::Missing("every part".to_owned()));
    };
    let count = first.shard.count;
    let mut seen: BTreeMap<u64, &Part> = BTreeMap::new();
    for part in parts {
        let of_other_whole = (part.shard.count != count).then_some(first);
        let twice = seen.insert(part.shard.index, part);
        if let Some(other) = of_other_whole.or(twice) {
            return Err(PartError::Overlap {
                a: other.path.clone(),
                of_a: other.shard.to_string(),
                b: part.path.clone(),
                of_b: part.shard.to_string(),
            });
        }
    }
    let missing = (1..=count).filter(|index| !seen.contains_key(index));
    let missing: Vec<String> = missing.map(|index| Shard { index, count }.to_string()).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(PartError::Missing(format!("part {}", missing.join(", "))))
    }
}

/// The commit of the project at `root`; empty when that cannot be known.
pub(super) fn commit(root: &Path) -> String {
    let mut git = Command::new("git");
    let output = git.arg("-C").arg(root).args(["rev-parse", "HEAD"]).output();
    let output = output.ok().filter(|output| output.status.success());
    output.map_or_else(String::new, |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
}

fn at(path: &Path) -> impl Fn(io::Error) -> PartError + use<> {
    let path = path.to_owned();
    move |source| PartError::File {
        path: path.clone(),
        source,
    }
}

/// In the folder of each part.
const ROWS_FILE: &str = "rows.jsonl";

#[cfg(test)]
mod tests;

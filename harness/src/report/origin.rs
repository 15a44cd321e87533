//! Where a run took place and with which programs, as `run.json` in its folder says.
//!
//! Invariant: a folder without a readable `run.json` has an origin too; it only says less.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What `run.json` says that a report repeats.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Origin {
    /// `simulation`, or absent: real processes.
    pub(super) world: Option<String>,
    pub(super) harness: Option<Program>,
    pub(super) noraftd: Option<Program>,
    pub(super) noraftd_old: Option<Program>,
    pub(super) system: Option<System>,
    pub(super) version: Option<String>,
    pub(super) kernel: Option<String>,
    pub(super) started: Option<String>,
    pub(super) trace_hash: Option<String>,
    /// Files of the folder that are histories, by name.
    #[serde(skip)]
    pub(super) histories: Vec<String>,
    /// Why `run.json` could not be read.
    #[serde(skip)]
    pub(super) trouble: Option<String>,
}

/// A system that was tested in place of noraftd.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct System {
    #[serde(default)]
    pub(super) programs: Vec<Program>,
}

/// A program that took part.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    #[serde(default)]
    pub(super) version: String,
    #[serde(default)]
    pub(super) sha256: String,
}

impl Origin {
    pub(super) fn read(folder: &Path) -> Self {
        let path = folder.join("run.json");
        let read = std::fs::read_to_string(&path).map_err(|error| error.to_string());
        let parsed = read.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
        let mut origin = parsed.unwrap_or_else(|error| Self {
            trouble: Some(format!("{}: {error}", path.display())),
            ..Self::default()
        });
        origin.histories = histories(folder);
        origin
    }

    /// Whether it says that processes ran.
    pub(super) fn is_of_processes(&self) -> bool {
        self.noraftd.is_some() || self.system.is_some()
    }

    pub(super) fn is_simulation(&self) -> bool {
        self.world.as_deref() == Some("simulation")
    }
}

/// A folder that cannot be listed has none to link.
fn histories(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names
        .filter(|name| name.starts_with("history") && name.ends_with(".jsonl"))
        .collect();
    names.sort();
    names
}

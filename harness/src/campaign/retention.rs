//! Room for the folders of runs.
//!
//! Invariant: what is removed is first forgotten in the ledger, and never the reproduction of a group. Valid runs go first,
//! the oldest of them before the others.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::CampaignError;
use super::bytes::Bytes;
use super::groups::group;
use super::ledger::Ledger;
use super::record::{Record, Verdict};

/// The room of one campaign.
#[derive(Debug, Clone)]
pub(super) struct Room {
    pub(super) folder: PathBuf,
    /// Without a bound, nothing is removed.
    pub(super) keep: Option<Bytes>,
}

impl Room {
    /// Removes folders of runs until the others fit.
    pub(super) fn keep_within(&self, ledger: &Ledger) -> Result<Vec<u64>, CampaignError> {
        let runs = self.folder.join("runs");
        let Some(keep) = self.keep else {
            return Ok(Vec::new());
        };
        let mut size = size_of(&runs).map_err(at(&runs))?;
        if size <= keep.get() {
            return Ok(Vec::new());
        }
        let records = ledger.records()?;
        let mut removed = Vec::new();
        for (unit, name) in dispensable(&records) {
            if size <= keep.get() {
                break;
            }
            let folder = self.folder.join(name);
            let bytes = size_of(&folder).map_err(at(&folder))?;
            ledger.forget_folder(unit)?;
            remove(&folder).map_err(at(&folder))?;
            size = size.saturating_sub(bytes);
            removed.push(unit);
        }
        Ok(removed)
    }

    /// Removes folders that no result has: those of runs that were going on when the campaign ended, and those that were
    /// about to be removed.
    pub(super) fn tidy(&self, records: &[Record]) -> Result<(), CampaignError> {
        let known: BTreeSet<PathBuf> = records
            .iter()
            .filter_map(|record| Some(self.folder.join(record.folder.as_ref()?)))
            .collect();
        let runs = self.folder.join("runs");
        let entries = match std::fs::read_dir(&runs) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(at(&runs))?,
        };
        for entry in entries {
            let path = entry.map_err(at(&runs))?.path();
            if !known.contains(&path) {
                remove(&path).map_err(at(&path))?;
            }
        }
        Ok(())
    }
}

/// The folders that may go, in that order.
fn dispensable(records: &[Record]) -> Vec<(u64, &str)> {
    let kept: BTreeSet<u64> = group(records).iter().map(|group| group.best_unit).collect();
    let mut found: Vec<(u8, u64, &str)> = records
        .iter()
        .filter(|record| !kept.contains(&record.unit.id))
        .filter_map(|record| {
            let worth = match record.verdict {
                Verdict::Valid => 0,
                Verdict::Unknown => 1,
                Verdict::Failed => 2,
                Verdict::Invalid => 3,
            };
            Some((worth, record.unit.id, record.folder.as_deref()?))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, unit, name)| (unit, name)).collect()
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The bytes of all files below `path`; zero when there is nothing.
fn size_of(path: &Path) -> io::Result<u64> {
    let mut open = vec![path.to_owned()];
    let mut bytes = 0;
    while let Some(path) = open.pop() {
        let entries = match std::fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let about = entry.metadata()?;
            if about.is_dir() {
                open.push(entry.path());
            } else {
                // The images of file systems are mostly holes.
                bytes += about.blocks() * BLOCK_BYTES;
            }
        }
    }
    Ok(bytes)
}

/// What `stat` calls a block, on every file system.
const BLOCK_BYTES: u64 = 512;

fn at(path: &Path) -> impl Fn(io::Error) -> CampaignError + use<> {
    let path = path.to_owned();
    move |source| CampaignError::Io {
        path: path.clone(),
        source,
    }
}

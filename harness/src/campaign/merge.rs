//! Shards joined: their ledgers, groups and folders of runs.
//!
//! Invariant: what comes out is what one machine would have written; nothing of the shards is changed. A shard that is missing is
//! a failure of the harness, never a pass.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::CampaignError;
use super::groups::group;
use super::ledger::{About, Ledger};
use super::reproduction::{folder_of, read};
use super::summary::Summary;
use crate::shard::Shard;

/// Joins the campaigns in `folders` into one in `out`.
///
/// # Errors
///
/// When they are not parts of one campaign, two have the same unit, or a file cannot be read or written.
pub fn merge(folders: &[PathBuf], out: &Path) -> Result<Summary, CampaignError> {
    let mut parts = Vec::new();
    for folder in folders {
        let ledger = Ledger::open(folder)?;
        parts.push((folder, ledger.about()?, ledger.records()?, ledger.spent()?));
    }
    let Some((first, about, ..)) = parts.first() else {
        return Err(CampaignError::Parts("there is nothing to join".to_owned()));
    };
    let about = About {
        campaign: about.campaign.clone(),
        shard: Shard::WHOLE,
    };
    for (folder, other, ..) in &parts {
        if other.campaign != about.campaign {
            let why = format!(
                "{} and {} are not parts of one campaign",
                first.display(),
                folder.display()
            );
            return Err(CampaignError::Parts(why));
        }
    }
    let mut records: Vec<_> = parts
        .iter()
        .flat_map(|(folder, _, records, _)| records.iter().map(move |record| (*folder, record)))
        .collect();
    records.sort_by_key(|(_, record)| record.unit);
    for pair in records.windows(2) {
        if pair[0].1.unit.id == pair[1].1.unit.id {
            let (one, other) = (pair[0].0.display(), pair[1].0.display());
            let why = format!("{one} and {other} have the same units: they are not different shards");
            return Err(CampaignError::Parts(why));
        }
    }
    let shards: Vec<Shard> = parts.iter().map(|(_, about, ..)| about.shard).collect();
    let mut ledger = Ledger::create(out, &about)?;
    let spent: Duration = parts.iter().map(|(.., spent)| *spent).max().unwrap_or_default();
    for (folder, record) in &records {
        if let Some(name) = &record.folder {
            copy(&folder.join(name), &out.join(name))?;
        }
        ledger.record(record, spent)?;
    }
    copy(&first.join("plans"), &out.join("plans"))?;
    let records = ledger.records()?;
    for group in group(&records) {
        let has = |folder: &&PathBuf| read(folder, &group).is_some();
        if let Some(folder) = folders.iter().find(has) {
            copy(&folder_of(folder, &group), &folder_of(out, &group))?;
        }
    }
    let mut summary = Summary::new(out, &about.campaign.name, Shard::WHOLE, &records);
    for shard in Shard::missing(&shards) {
        let lost = (format!("shard {shard}"), "its folder is missing".to_owned());
        summary.failed.push(lost);
    }
    Ok(summary)
}

/// Copies a folder with everything below it; links stay links.
fn copy(from: &Path, to: &Path) -> Result<(), CampaignError> {
    let at = |source| CampaignError::Io {
        path: from.to_owned(),
        source,
    };
    let about = std::fs::symlink_metadata(from).map_err(at)?;
    if about.is_symlink() {
        let target = std::fs::read_link(from).map_err(at)?;
        return std::os::unix::fs::symlink(target, to).map_err(at);
    }
    if !about.is_dir() {
        return std::fs::copy(from, to).map(|_| ()).map_err(at);
    }
    std::fs::create_dir_all(to).map_err(at)?;
    for entry in std::fs::read_dir(from).map_err(at)? {
        let entry = entry.map_err(at)?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

//! Campaigns: many plans, both worlds, many seeds, for a night; and in the morning one answer.
//!
//! | module | what it owns |
//! |-|-|
//! | `file`, `bytes` | the campaign as a person writes it |
//! | `draw` | the units of work, in their order |
//! | `child`, `work` | a unit as a process, from its command to its record |
//! | `record`, `ledger` | what came of a unit, and the file that keeps it |
//! | `runner` | units run until the end |
//! | `retention` | room for the folders of runs |
//! | `groups`, `reproduction` | failures by signature, each with a plan that repeats it |
//! | `summary`, `notices` | the answer, for people and for machines |
//! | `merge` | shards joined |
//!
//! Invariant: whatever ends the harness, the ledger has each unit that ended once, and the campaign can be resumed. Nothing
//! that a campaign starts outlives it.

mod bytes;
mod child;
mod draw;
mod file;
mod groups;
mod ledger;
mod merge;
mod notices;
mod record;
mod reproduction;
mod retention;
mod runner;
#[cfg(test)]
mod samples;
mod summary;
mod work;

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;

use crate::systems::{Installed, System};

pub use bytes::{Bytes, BytesParseError};
pub use child::Programs;
pub use draw::{Draw, FAMILY, Unit};
pub use file::{CampaignFile, Entry, FileError, Place};
pub use groups::{Group, group};
pub use ledger::{About, LEDGER, Ledger, LedgerError};
pub use merge::merge;
pub use notices::{github, junit};
pub use record::{Failed, Figures, Record, Run, Verdict};
pub use reproduction::Reproduction;
pub use runner::{End, Progress};
pub use summary::{Finding, Summary, Totals};

use retention::Room;
use runner::Runner;
use work::Works;

/// Why a campaign has no end.
#[derive(Debug, thiserror::Error)]
pub enum CampaignError {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A file of the campaign.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A unit's task ended without a record.
    #[error("a unit of work was lost: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// Folders that cannot be joined.
    #[error("{0}")]
    Parts(String),
    /// An entry runs on real processes.
    #[error("entry {entry} runs on real processes, and there is no daemon at {path}", path = path.display())]
    NoDaemon {
        /// The entry.
        entry: String,
        /// Where the daemon should be.
        path: PathBuf,
    },
    /// A system cannot be run here.
    #[error("campaign: `{entry}`: {why}")]
    NoSystem {
        /// The entry.
        entry: String,
        /// What is missing, and what has it.
        why: String,
    },
}

/// How to run a campaign.
#[derive(Debug)]
pub struct Options {
    /// Its folder, with a ledger in it.
    pub folder: PathBuf,
    /// The programs.
    pub programs: Programs,
    /// How many units run at a time.
    pub jobs: usize,
    /// Instead of what the campaign says.
    pub budget: Option<Duration>,
    /// Instead of what the campaign says.
    pub keep: Option<Bytes>,
    /// How long a finding of real processes is made smaller, after the campaign.
    pub shrink_budget: Duration,
    /// Says true: end now.
    pub stop: watch::Receiver<bool>,
}

/// A campaign that lacks a program fails at once, not when the entry comes.
fn check_programs(entry: &Entry, programs: &Programs) -> Result<(), CampaignError> {
    let name = || entry.name.clone();
    match (&entry.system, entry.place) {
        (_, Place::Simulation) => Ok(()),
        (None, Place::Processes) if programs.has_daemon() => Ok(()),
        (None, Place::Processes) => Err(CampaignError::NoDaemon {
            entry: name(),
            path: programs.noraftd().to_owned(),
        }),
        (Some(system), Place::Processes) => {
            let lacks = |why| CampaignError::NoSystem { entry: name(), why };
            let system = System::find(system).map_err(|error| lacks(error.to_string()))?;
            let installed = Installed::of(system, programs.harness());
            installed.map(drop).map_err(|error| lacks(error.to_string()))
        }
    }
}

/// Runs the campaign of `ledger` to its end. `show` gets the state about once a second.
///
/// # Errors
///
/// When the harness or the machine fails; what a unit does wrong is in the ledger.
pub async fn run(
    mut ledger: Ledger,
    options: Options,
    show: &mut dyn FnMut(&Progress),
) -> Result<(End, Summary), CampaignError> {
    let about = ledger.about()?;
    let campaign = &about.campaign;
    let works = Works {
        folder: options.folder.clone(),
        programs: options.programs,
        shrink_budget: options.shrink_budget,
    };
    for entry in &campaign.entries {
        check_programs(entry, &works.programs)?;
    }
    works
        .write_plans(&campaign.entries)
        .map_err(|source| CampaignError::Io {
            path: options.folder.clone(),
            source,
        })?;
    let room = Room {
        folder: options.folder.clone(),
        keep: options.keep.or(campaign.keep),
    };
    room.tidy(&ledger.records()?)?;
    let mut runner = Runner {
        works: &works,
        about: &about,
        ledger: &mut ledger,
        room,
        jobs: options.jobs.max(1),
        budget: options
            .budget
            .or(campaign.budget.map(|budget| budget.as_duration())),
        stop: options.stop.clone(),
    };
    let mut end = runner.run(show).await?;
    let records = ledger.records()?;
    if end != End::Interrupted {
        let mut stop = options.stop;
        let write = reproduce(&works, campaign, &records);
        tokio::select! {
            written = write => written?,
            _ = stop.wait_for(|stop| *stop) => end = End::Interrupted,
        }
    }
    Ok((
        end,
        Summary::new(&options.folder, &campaign.name, about.shard, &records),
    ))
}

/// Writes the reproduction of each group, the most frequent first.
async fn reproduce(works: &Works, campaign: &CampaignFile, records: &[Record]) -> Result<(), CampaignError> {
    let mut groups = group(records);
    groups.sort_by_key(|group| std::cmp::Reverse(group.seeds));
    for group in groups.iter().take(GROUPS_MAX) {
        reproduction::write(works, campaign, group).await?;
    }
    Ok(())
}

/// Each takes minutes; more kinds of failures than this are one failure of the night.
const GROUPS_MAX: usize = 20;

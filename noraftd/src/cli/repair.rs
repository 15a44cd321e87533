//! `noraftd repair`: a node whose log cannot be opened goes on from another node's snapshot.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::snapshot::{Failure, load, offline_options};
use super::{complain, say};
use crate::config::Settings;
use crate::shell::exit::Exit;
use crate::store::Store;
use crate::store::disk::RealDisk;

/// Replaces the log of a stopped node by a snapshot of the same cluster.
///
/// For a data directory that `serve` refuses to open because of damage. Damage that the other nodes can make good is
/// repaired by `serve` itself; this is for the rest: a snapshot that is lost, a gap in the log. Term and vote are kept,
/// so they must be whole; where they are not, the node must be added again with an empty directory. Until it
/// has caught up with a leader, the node neither votes nor campaigns on its own. The old segments stay in the
/// directory, under names that begin with `replaced-`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Repair {
    /// A file that `noraftd snapshot save` made on a healthy node of the same cluster.
    file: PathBuf,
    #[command(flatten)]
    settings: Settings,
}

impl Repair {
    /// Repairs, or says why not.
    pub(super) fn run(self) -> Exit {
        match self.replace() {
            Ok(()) => Exit::Done,
            Err(failure) => {
                complain(&failure);
                failure.exit()
            }
        }
    }

    fn replace(self) -> Result<(), Failure> {
        let config = self.settings.check()?;
        let (_, snapshot) = load(&self.file, Some(config.cluster_id))?;
        let disk = RealDisk::open(&config.data_dir).map_err(|source| Failure::File {
            path: config.data_dir.clone(),
            doing: "opening",
            source,
        })?;
        Store::replace_log(
            Arc::new(disk),
            offline_options(&config),
            config.owner(),
            &snapshot.head,
            &mut snapshot.machine.chunks(),
        )?;
        say(format_args!(
            "{}: the log of node {} begins after entry {}; start it as usual: it catches up before it votes",
            config.data_dir.display(),
            config.id.get(),
            snapshot.head.base.position.index.get()
        ));
        Ok(())
    }
}

const EXAMPLES: &str = "\
Examples:
  On a healthy node, then on the damaged one:
    noraftd snapshot save 10.0.0.1:7601 healthy.snapshot
    noraftd repair healthy.snapshot --config node2.toml";

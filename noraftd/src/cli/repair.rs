//! `noraftd repair`: a node whose log cannot be opened goes on from another node's snapshot.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::given::Given;
use super::query::know_secrets;
use super::snapshot::{Extent, Failure, fetch, load, offline_options};
use super::tls_flags::TlsFlags;
use super::{complain, say};
use crate::config::ServeConfig;
use crate::endpoint::Endpoint;
use crate::exit::Exit;
use crate::replica::event::Snapshot;
use crate::store::Store;
use crate::store::disk::RealDisk;

/// Replaces the log of a stopped node with a snapshot of the same cluster.
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
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    file: Option<PathBuf>,
    /// The address for clients of a healthy node of the same cluster: HOST:PORT or /path of a Unix socket. Its state
    /// is fetched, as by `noraftd snapshot save`.
    #[arg(long, value_name = "ADDRESS")]
    from: Option<Endpoint>,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    tls: TlsFlags,
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
        let config = self.given.check()?;
        know_secrets(config.peers.secret_file.as_deref())?;
        self.tls.use_as(&config)?;
        let snapshot = match (&self.file, &self.from) {
            (Some(file), _) => load(file, Some(config.cluster_id))?.1,
            (None, Some(from)) => fetch_into(&config, from)?,
            (None, None) => unreachable!("the command line demands one of them"),
        };
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

/// Gets a node's state by way of a file in the data directory, where there has to be room for it anyway.
pub(super) fn fetch_into(config: &ServeConfig, from: &Endpoint) -> Result<Snapshot, Failure> {
    let path = config.data_dir.join(FETCHED);
    // What is missing in it is replicated before the node votes.
    let (_, snapshot) = fetch(from, &path, Some(config.cluster_id), Extent::Stale, None)?;
    // The state is in memory now; where this fails, a file too many is left.
    let _ = std::fs::remove_file(&path);
    Ok(snapshot)
}

const FETCHED: &str = "fetched.partial";

const EXAMPLES: &str = "\
Examples:
  On the damaged node, with the address of a healthy one:
    noraftd repair --from 10.0.0.1:7601 --config node2.toml

  By way of a file:
    noraftd snapshot save 10.0.0.1:7601 healthy.snapshot --peer-secret-file /etc/noraft.secret
    noraftd repair healthy.snapshot --config node2.toml";

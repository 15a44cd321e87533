//! `noraftd snapshot`: backups, and new clusters out of them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::{Args, Subcommand};
use noraft::NodeId;

use super::query::{QueryError, ask_for_snapshot, ask_status};
use super::{complain, say};
use crate::config::{ConfigError, ServeConfig, Settings};
use crate::record::{Base, SnapshotHead, SnapshotId, genesis_config};
use crate::replica::event;
use crate::shell::board::StatusReport;
use crate::shell::clock;
use crate::shell::endpoint::Endpoint;
use crate::shell::exit::Exit;
use crate::snapshot::read_file;
use crate::store::disk::{Disk, RealDisk};
use crate::store::{Identity, OpenError, Options, SnapshotError, SpareBy, Store, snapshot_file_name};

/// Backs up a running node, shows a backup, and makes a new cluster out of one.
///
/// A snapshot holds the whole key space as it was after one entry of the log: every write that was acknowledged
/// before `save` was started, on whichever node. Taking one does not stop the cluster.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Snapshot {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Save(Save),
    Show(Show),
    Restore(Box<Restore>),
}

/// Has a node take a snapshot, and copies it to a file.
///
/// To be run where the node runs: the file comes from its data directory. The copy is checked to the last byte
/// before it gets its name.
#[derive(Debug, Args)]
struct Save {
    /// The node's address for clients: HOST:PORT or /path of a Unix socket.
    address: Endpoint,
    /// Where to put the snapshot; must not exist.
    file: PathBuf,
}

/// Checks a snapshot file to the last byte, and says what is in it.
#[derive(Debug, Args)]
struct Show {
    /// A file that `save` made, or one of a data directory.
    file: PathBuf,
}

/// Sets up the data directory of one node of a new cluster that begins with this state.
///
/// Run it for every node of the new cluster with the same file and the same members, each with its own --id and
/// --data-dir; then start them as usual. The old cluster's nodes, votes and log are not taken over: the new one
/// must have a name of its own, or the old one must never run again.
#[derive(Debug, Args)]
struct Restore {
    /// A file that `save` made.
    file: PathBuf,
    #[command(flatten)]
    settings: Settings,
}

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error("{}: {doing}: {source}", path.display())]
    File {
        path: PathBuf,
        doing: &'static str,
        source: io::Error,
    },
    #[error("{0} took no snapshot within {TAKE_PATIENCE:?}; see its log")]
    NotTaken(Endpoint),
}

impl Failure {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Query(QueryError::Unreachable(..)) => Exit::Unavailable,
            Self::Config(_) => Exit::Config,
            Self::Snapshot(SnapshotError::Damaged { .. } | SnapshotError::Version { .. }) => Exit::Data,
            Self::Store(_) => Exit::CannotCreate,
            Self::Query(QueryError::Strange(..))
            | Self::Snapshot(SnapshotError::Disk { .. })
            | Self::File { .. }
            | Self::NotTaken(_) => Exit::Failed,
        }
    }
}

impl Snapshot {
    /// Carries out the verb.
    pub(super) fn run(self) -> Exit {
        let done = match self.verb {
            Verb::Save(save) => save.run(),
            Verb::Show(show) => show.run(),
            Verb::Restore(restore) => restore.run(),
        };
        match done {
            Ok(()) => Exit::Done,
            Err(failure) => {
                complain(&failure);
                failure.exit()
            }
        }
    }
}

impl Save {
    fn run(self) -> Result<(), Failure> {
        let report = self.take()?;
        let position = noraft::LogPosition {
            term: noraft::Term::new(report.snapshot_term),
            index: noraft::LogIndex::new(report.snapshot_index),
        };
        let source = Path::new(&report.data_dir).join(snapshot_file_name(position));
        let failed = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| Failure::File { path, doing, source }
        };
        if self.file.exists() {
            let exists = io::ErrorKind::AlreadyExists.into();
            return Err(failed("creating", &self.file)(exists));
        }
        let temporary = self.file.with_extension("partial");
        let copied = std::fs::copy(&source, &temporary)
            .map_err(failed("copying", &source))
            .and_then(|_| load(&temporary, None));
        if copied.is_err() {
            // What is not whole is nobody's backup.
            let _ = std::fs::remove_file(&temporary);
        }
        let (id, snapshot) = copied?;
        std::fs::File::open(&temporary)
            .and_then(|file| file.sync_all())
            .and_then(|()| std::fs::rename(&temporary, &self.file))
            .and_then(|()| sync_parent(&self.file))
            .map_err(failed("writing", &self.file))?;
        say(format_args!(
            "{}: {}",
            self.file.display(),
            describe(&id, &snapshot)
        ));
        Ok(())
    }

    /// Has a snapshot taken that covers everything that is committed now.
    fn take(&self) -> Result<StatusReport, Failure> {
        let wanted = ask_status(&self.address)?.0.commit_index;
        let mut asked_at = None;
        for _ in 0..TAKE_PATIENCE.as_millis() / TAKE_STEP.as_millis() {
            let (report, _) = ask_status(&self.address)?;
            if report.snapshot_index >= wanted && wanted > 0 {
                return Ok(report);
            }
            // A snapshot that was being written when this began may end too early: then another one is wanted.
            if report.applied_index >= wanted && asked_at != Some(report.snapshot_index) {
                ask_for_snapshot(&self.address)?;
                asked_at = Some(report.snapshot_index);
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "a tool that asks again has nothing else to wait for"
            )]
            thread::sleep(TAKE_STEP);
        }
        Err(Failure::NotTaken(self.address.clone()))
    }
}

impl Show {
    fn run(&self) -> Result<(), Failure> {
        let (id, snapshot) = load(&self.file, None)?;
        say(describe(&id, &snapshot));
        Ok(())
    }
}

impl Restore {
    fn run(self) -> Result<(), Failure> {
        let config = self.settings.check()?;
        let (_, snapshot) = load(&self.file, None)?;
        let unusable = |source| Failure::File {
            path: config.data_dir.clone(),
            doing: "setting up",
            source,
        };
        std::fs::create_dir_all(&config.data_dir).map_err(unusable)?;
        let disk = RealDisk::open(&config.data_dir).map_err(unusable)?;
        create(&config, Arc::new(disk), &snapshot)?;
        sync_parent(&config.data_dir).map_err(unusable)?;
        let members: Vec<u64> = config.members().map(NodeId::get).collect();
        say(format_args!(
            "{}: node {} of cluster '{}' with the members {members:?} begins with {} keys; start it as usual",
            config.data_dir.display(),
            config.id.get(),
            config.cluster,
            snapshot.machine.key_count()
        ));
        Ok(())
    }
}

fn create(config: &ServeConfig, disk: Arc<dyn Disk>, snapshot: &event::Snapshot) -> Result<(), OpenError> {
    let identity = Identity {
        owner: config.owner(),
        incarnation: clock::random_seed(),
    };
    let head = SnapshotHead {
        base: Base {
            position: snapshot.head.base.position,
            config: genesis_config(config.members()),
        },
        stamp: snapshot.head.stamp,
    };
    Store::create_from(
        disk,
        offline_options(config),
        identity,
        &head,
        &mut snapshot.machine.chunks(),
    )?;
    Ok(())
}

/// How a store works for a tool that uses it once.
pub(super) fn offline_options(config: &ServeConfig) -> Options {
    Options {
        segment_bytes: config.segment_bytes,
        spare: SpareBy::Caller,
        clock: clock::now,
        salt_seed: clock::random_seed(),
    }
}

/// Reads a snapshot file of the cluster with this id, or of any.
pub(super) fn load(path: &Path, cluster_id: Option<u64>) -> Result<(SnapshotId, event::Snapshot), Failure> {
    let failed = |source| Failure::File {
        path: path.to_owned(),
        doing: "reading",
        source,
    };
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    let disk = RealDisk::open(directory_of(path)).map_err(failed)?;
    Ok(read_file(Arc::new(disk), name, cluster_id)?)
}

fn describe(id: &SnapshotId, snapshot: &event::Snapshot) -> String {
    let config = &snapshot.head.base.config;
    let voters: Vec<u64> = config.voters.iter().map(|id| id.get()).collect();
    format!(
        "a snapshot of entry {} (term {}), {} keys, {} bytes, XXH3 {:032x}, of a cluster of the nodes {voters:?}",
        id.position.index.get(),
        id.position.term.get(),
        snapshot.machine.key_count(),
        id.bytes,
        id.hash
    )
}

fn directory_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn sync_parent(path: &Path) -> io::Result<()> {
    std::fs::File::open(directory_of(path))?.sync_all()
}

/// Writing gigabytes takes a while.
const TAKE_PATIENCE: Duration = Duration::from_secs(120);
const TAKE_STEP: Duration = Duration::from_millis(20);

const EXAMPLES: &str = "\
Examples:
  A backup of what the cluster has committed, taken on any node:
    noraftd snapshot save 127.0.0.1:7701 backup.snapshot
    noraftd snapshot show backup.snapshot

  A new cluster of three out of it (each node with its own --id and --data-dir):
    noraftd snapshot restore backup.snapshot --cluster copy --id 1 --data-dir /var/lib/copy \\
        --peer 1=10.0.0.1:7701 --peer 2=10.0.0.2:7701 --peer 3=10.0.0.3:7701";

//! `noraftd snapshot`: backups, and new clusters out of them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::{Args, Subcommand};
use noraft::{LogIndex, LogPosition, NodeId, Term};

use super::given::Given;
use super::query::{QueryError, ask_for_index, ask_for_part, ask_for_snapshot, ask_status, know_secrets};
use super::tls_flags::TlsFlags;
use super::{complain, say};
use crate::config::{ConfigError, ServeConfig};
use crate::endpoint::Endpoint;
use crate::exit::Exit;
use crate::record::{Base, SnapshotHead, SnapshotId, genesis_config};
use crate::replica::event;
use crate::secret::SecretsError;
use crate::shell::clock;
use crate::snapshot::read_file;
use crate::store::disk::{Disk, RealDisk, create_private, make_private_directory};
use crate::store::genesis;
use crate::store::{Identity, OpenError, Options, SetUp, SnapshotError, SpareBy, Store, Vacant};
use crate::tls::TlsError;

/// Backs up a running node, describes a backup, or creates a new cluster from one.
///
/// A snapshot holds the whole key space as it was after one entry of the log: every write that was acknowledged
/// before `save` was started, on whichever node; without a leader `save` refuses. Taking one does not stop the cluster.
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

/// Has a node take a snapshot, and copies it to a file, from wherever it is run.
///
/// The copy is checked to the last byte before it gets its name.
#[derive(Debug, Args)]
struct Save {
    /// The node's address for clients: HOST:PORT or /path of a Unix socket.
    address: Endpoint,
    /// The file with the peer secret, which the node wants to be proven.
    #[arg(long, value_name = "FILE")]
    peer_secret_file: Option<PathBuf>,
    #[command(flatten)]
    tls: TlsFlags,
    /// Where to put the snapshot; must not exist.
    file: PathBuf,
    /// Take what this node has, whatever the others have: writes that were acknowledged before may be missing. For a
    /// node that reaches no leader.
    #[arg(long)]
    stale: bool,
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
/// --data-dir; then start them as usual. Nothing of the old cluster's nodes, votes and log is kept: give the
/// new one a name of its own, or never run the old one again.
#[derive(Debug, Args)]
struct Restore {
    /// A file that `save` made.
    file: PathBuf,
    #[command(flatten)]
    given: Given,
}

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error(transparent)]
    Tls(#[from] TlsError),
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
    #[error("{0}")]
    Rejoin(String),
    #[error("{0}")]
    Join(String),
    #[error("{0}")]
    Recover(String),
}

impl Failure {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Query(error) => error.exit(),
            Self::Config(_) | Self::Secrets(_) | Self::Tls(_) => Exit::Config,
            Self::Snapshot(SnapshotError::Damaged { .. } | SnapshotError::Version { .. }) => Exit::Data,
            Self::Store(_) => Exit::CannotCreate,
            Self::Snapshot(SnapshotError::Disk { .. }) | Self::File { .. } | Self::NotTaken(_) => {
                Exit::Failed
            }
            Self::Rejoin(_) | Self::Join(_) => Exit::Config,
            Self::Recover(_) => Exit::Data,
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
        know_secrets(self.peer_secret_file.as_deref())?;
        self.tls.use_them()?;
        if self.file.exists() {
            let exists = io::ErrorKind::AlreadyExists.into();
            return Err(file_failure("creating", &self.file)(exists));
        }
        let temporary = self.file.with_extension("partial");
        let extent = if self.stale {
            Extent::Stale
        } else {
            Extent::Acknowledged
        };
        let (id, snapshot) = fetch(&self.address, &temporary, None, extent, None)?;
        std::fs::rename(&temporary, &self.file)
            .and_then(|()| sync_parent(&self.file))
            .map_err(file_failure("writing", &self.file))?;
        let stale = match extent {
            Extent::Acknowledged => "",
            Extent::Stale => "; STALE: writes that were acknowledged before may be missing",
        };
        say(format_args!(
            "{}: {}{stale}",
            self.file.display(),
            describe(&id, &snapshot)
        ));
        Ok(())
    }
}

/// What a snapshot has to cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Every write that was acknowledged before, on whichever node.
    Acknowledged,
    /// What the node knows to be committed.
    Stale,
}

/// Has the node at `address` take a snapshot, and gets it into the file at `path`: whole and durable, or not at all; at most
/// `rate` bytes a second.
pub(super) fn fetch(
    address: &Endpoint,
    path: &Path,
    cluster_id: Option<u64>,
    extent: Extent,
    rate: Option<u64>,
) -> Result<(SnapshotId, event::Snapshot), Failure> {
    let wanted = match extent {
        Extent::Acknowledged => ask_for_index_again(address)?,
        Extent::Stale => ask_status(address)?.0.log.commit_index,
    };
    let mut result = Err(Failure::NotTaken(address.clone()));
    for _ in 0..FETCHES_MAX {
        result = take(address, wanted)
            .and_then(|position| fetch_file(address, position, path, rate))
            .and_then(|()| load(path, cluster_id));
        match &result {
            // The node has taken another one meanwhile, and forgotten this.
            Err(Failure::Query(QueryError::Refused(..))) => {}
            Ok(_) | Err(_) => break,
        }
    }
    if result.is_err() {
        // A partial file is no backup.
        let _ = std::fs::remove_file(path);
    }
    result
}

/// Asks again while there is no leader, for as long as an election may take.
fn ask_for_index_again(address: &Endpoint) -> Result<u64, Failure> {
    let mut asked = ask_for_index(address);
    for _ in 1..INDEX_ATTEMPTS_MAX {
        // The node has waited for a leader before it refused.
        if !matches!(asked, Err(QueryError::Refused(..))) {
            break;
        }
        asked = ask_for_index(address);
    }
    Ok(asked?)
}

fn fetch_file(
    address: &Endpoint,
    position: LogPosition,
    path: &Path,
    rate: Option<u64>,
) -> Result<(), Failure> {
    let mut file = create_private(path).map_err(file_failure("creating", path))?;
    let mut offset = 0;
    loop {
        let bytes = ask_for_part(address, position, offset)?;
        if bytes.is_empty() {
            return file.sync_all().map_err(file_failure("writing", path));
        }
        file.write_all(&bytes).map_err(file_failure("writing", path))?;
        offset += bytes.len() as u64;
        if let Some(rate) = rate {
            #[expect(
                clippy::disallowed_methods,
                reason = "the network is left to the cluster meanwhile"
            )]
            thread::sleep(Duration::from_secs(1).mul_f64(bytes.len() as f64 / rate as f64));
        }
    }
}

/// Has a snapshot taken that covers the entry `wanted`; returns its position.
fn take(address: &Endpoint, wanted: u64) -> Result<LogPosition, Failure> {
    let mut asked_at = None;
    for _ in 0..TAKE_PATIENCE.as_millis() / TAKE_STEP.as_millis() {
        let (report, _) = ask_status(address)?;
        if report.directory.snapshot_index >= wanted && wanted > 0 {
            return Ok(LogPosition {
                term: Term::new(report.directory.snapshot_term),
                index: LogIndex::new(report.directory.snapshot_index),
            });
        }
        // A snapshot that was being written when this began may end too early: then another one is wanted.
        if report.log.applied_index >= wanted && asked_at != Some(report.directory.snapshot_index) {
            ask_for_snapshot(address)?;
            asked_at = Some(report.directory.snapshot_index);
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "a tool that asks again has nothing else to wait for"
        )]
        thread::sleep(TAKE_STEP);
    }
    Err(Failure::NotTaken(address.clone()))
}

fn file_failure(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Failure + use<> {
    let path = path.to_owned();
    move |source| Failure::File { path, doing, source }
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
        let config = self.given.check()?;
        let (_, snapshot) = load(&self.file, None)?;
        let unusable = |source| Failure::File {
            path: config.data_dir.clone(),
            doing: "setting up",
            source,
        };
        make_private_directory(&config.data_dir).map_err(unusable)?;
        let disk = RealDisk::open(&config.data_dir).map_err(unusable)?;
        let disk: Arc<dyn Disk> = Arc::new(disk);
        let vacant = Vacant::look(Arc::clone(&disk), SetUp::Restore)?;
        vacant.claim()?;
        // The new cluster begins with these nodes.
        genesis::save(&*disk, &config.members().collect()).map_err(unusable)?;
        sync_parent(&config.data_dir).map_err(unusable)?;
        create(&config, vacant, &snapshot)?;
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

fn create(config: &ServeConfig, vacant: Vacant, snapshot: &event::Snapshot) -> Result<(), OpenError> {
    let identity = Identity {
        owner: config.owner(),
        incarnation: clock::random_seed(),
    };
    let head = SnapshotHead {
        base: Base {
            position: snapshot.head.base.position,
            config: genesis_config(config.members()),
            chain: None,
        },
        stamp: snapshot.head.stamp,
    };
    Store::create_from(
        vacant,
        offline_options(config),
        identity,
        &head,
        &mut snapshot.machine.without_members().chunks(),
    )?;
    Ok(())
}

/// How a store works for a tool that uses it once.
pub(super) fn offline_options(config: &ServeConfig) -> Options {
    Options {
        segment_bytes: config.disk.segment_bytes,
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

pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    std::fs::File::open(directory_of(path))?.sync_all()
}

/// Each ends with the node's request timeout, a second unless it is set otherwise.
const INDEX_ATTEMPTS_MAX: u32 = 3;
/// A node that takes one snapshot after the other forgets the older ones.
const FETCHES_MAX: u32 = 5;
/// Writing gigabytes takes a while.
const TAKE_PATIENCE: Duration = Duration::from_secs(120);
const TAKE_STEP: Duration = Duration::from_millis(20);

const EXAMPLES: &str = "\
Examples:
  A backup of what the cluster has committed, taken on any node:
    noraftd snapshot save 127.0.0.1:7601 backup.snapshot --peer-secret-file /etc/noraft.secret
    noraftd snapshot show backup.snapshot

  A new cluster of three out of it (each node with its own --id and --data-dir):
    noraftd snapshot restore backup.snapshot --cluster copy --id 1 --data-dir /var/lib/copy \\
        --peer 1=10.0.0.1:7701 --peer 2=10.0.0.2:7701 --peer 3=10.0.0.3:7701";

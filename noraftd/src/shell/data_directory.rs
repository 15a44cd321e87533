//! The data directory when a node starts: made, opened and read, and this start counted in it.
//!
//! Invariant: nothing of it is believed before the store has judged it; what cannot be used is one error that names the file.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use noraft::{LogIndex, NodeId};

use super::clock;
use super::journal::Journal;
use super::loading::{Loading, Progress};
use super::signals::Signals;
use super::sockets::Listener;
use super::start_error::StartError;
use crate::config::ServeConfig;
use crate::level::Level;
use crate::local::events::Event;
use crate::protocol::peer::{Starts, TERM_END};
use crate::record::{SnapshotId, genesis_config};
use crate::recovered::Recovered;
use crate::replica::Ahead;
use crate::replica::event::Snapshot;
use crate::snapshot;
use crate::store::disk::{Disk, RealDisk, make_private_directory};
use crate::store::shadow::ShadowDisk;
use crate::store::{
    Identity, KnownPeers, OpenError, Options, SpareBy, Store, generation, genesis, start_count,
};

/// Makes the directory where it is missing, and opens it.
pub(super) fn use_directory(config: &ServeConfig, progress: &Progress) -> Result<Arc<dyn Disk>, StartError> {
    make_directory(&config.data_dir).map_err(|source| unusable(config, source))?;
    warn_of_others(&config.data_dir).map_err(|source| unusable(config, source))?;
    let disk = progress
        .expect(&config.data_dir)
        .and_then(|()| open_disk(config, progress))
        .map_err(|source| unusable(config, source))?;
    let names = disk.list().map_err(|source| unusable(config, source))?;
    if names.iter().any(|name| name == REMOVED) {
        return Err(StartError::Removed {
            directory: config.data_dir.display().to_string(),
        });
    }
    Ok(disk)
}

/// Writes down that this node was removed: it does not start again.
pub(super) fn note_removed(directory: &Path, text: &str) -> io::Result<()> {
    let disk = RealDisk::open(directory)?;
    let file = disk.create(REMOVED)?;
    file.write_at(0, &[io::IoSlice::new(text.as_bytes())])?;
    file.sync_all()?;
    disk.sync_dir()
}

/// The file that says that the node was removed.
const REMOVED: &str = "removed";

fn unusable(config: &ServeConfig, source: io::Error) -> StartError {
    StartError::Directory {
        path: config.data_dir.clone(),
        source,
    }
}

fn unusable_file(config: &ServeConfig, file: &str, source: io::Error) -> StartError {
    OpenError::Disk {
        directory: config.data_dir.display().to_string(),
        file: file.to_owned(),
        doing: "reading",
        source,
    }
    .into()
}

/// What was read of the directory.
pub(super) struct Loaded {
    pub(super) store: Store,
    pub(super) recovered: Recovered,
    pub(super) members: Option<BTreeSet<NodeId>>,
    /// Which beginning of the cluster it belongs to.
    pub(super) generation: u64,
    pub(super) snapshot: Option<(SnapshotId, Snapshot)>,
    /// What the log says of the members behind that.
    pub(super) ahead: Ahead,
}

fn load(config: &ServeConfig, disk: &Arc<dyn Disk>, progress: &Progress) -> Result<Loaded, StartError> {
    let (mut store, recovered) = open_store(config, disk)?;
    check_term(config, &recovered)?;
    let members = genesis::load(&**disk, &recovered.log)
        .map_err(|source| unusable_file(config, genesis::FILE, source))?;
    let generation =
        generation::load(&**disk).map_err(|source| unusable_file(config, generation::FILE, source))?;
    let snapshot = snapshot::restore_watched(&mut store, |bytes| {
        progress.state.fetch_add(bytes, Ordering::Relaxed);
    })?;
    let applied = snapshot
        .as_ref()
        .map_or(LogIndex::ZERO, |(_, snapshot)| snapshot.head.base.position.index);
    let ahead = snapshot::read_ahead(&store.reader(), applied, recovered.last_position().index);
    let level = snapshot.as_ref().map(|(_, snapshot)| snapshot.machine.level());
    if level > Some(Level::SUPPORTED) {
        return Err(StartError::Level {
            directory: config.data_dir.display().to_string(),
            level: level.unwrap_or_default(),
        });
    }
    Ok(Loaded {
        store,
        recovered,
        members,
        generation,
        snapshot,
        ahead,
    })
}

/// Reads the directory in another thread, and says meanwhile to clients that it does. `None` when the process is to stop:
/// reading changes nothing that a crash could not interrupt.
pub(super) async fn load_aside(
    config: &ServeConfig,
    disk: &Arc<dyn Disk>,
    loading: &Rc<Loading>,
    clients_at: &[Rc<Listener>],
    signals: &mut Signals,
) -> Result<Option<Loaded>, StartError> {
    let (done, loaded) = tokio::sync::oneshot::channel();
    let (own_config, own_disk) = (config.clone(), Arc::clone(disk));
    let own_progress = Arc::clone(loading.written());
    std::thread::Builder::new()
        .name("loading".into())
        .spawn(move || {
            // Nothing waits for it any more when the process stops.
            let _ = done.send(load(&own_config, &own_disk, &own_progress));
        })?;
    let mut answering = loading.serve(clients_at);
    let loaded = tokio::select! {
        biased;
        name = signals.stop() => {
            tracing::info!("{name}: stopping while the data directory is read");
            return Ok(None);
        }
        loaded = loaded => loaded.expect("a panic of that thread ends the process"),
    };
    answering.shutdown().await;
    loaded.map(Some)
}

/// A term that no election leads to ends elections for good: better no start than one that seems to work.
fn check_term(config: &ServeConfig, recovered: &Recovered) -> Result<(), StartError> {
    let term = recovered.hard_state.term().max(recovered.last_position().term);
    if term < TERM_END {
        return Ok(());
    }
    Err(StartError::Term {
        directory: config.data_dir.display().to_string(),
        term: term.get(),
    })
}

/// Counts this start of the node, durably and before another node hears of it.
pub(super) fn count_start(config: &ServeConfig, disk: &dyn Disk) -> Result<Option<Starts>, StartError> {
    let mark = clock::random_seed() as u32;
    let starts = start_count::count_start(disk, mark)
        .map_err(|source| unusable_file(config, start_count::FILE, source))?;
    match &starts {
        None => tracing::warn!(
            "{}: how often this node was started is not known (no room, or damage): the others do not notice if its data \
             directory is an old copy",
            start_count::FILE
        ),
        Some(starts) if starts.marks.first() != Some(&mark) => tracing::warn!(
            "{}: no room to count this start; the other nodes take this process for the one before it",
            start_count::FILE
        ),
        Some(_) => {}
    }
    Ok(starts.map(|starts| Starts {
        count: starts.count,
        marks: starts.marks,
    }))
}

/// The nodes that this node has met before.
pub(super) fn load_known_peers(config: &ServeConfig, disk: Arc<dyn Disk>) -> Result<KnownPeers, StartError> {
    let known_peers =
        KnownPeers::load(disk).map_err(|source| unusable_file(config, KnownPeers::FILE, source))?;
    if known_peers.is_lost() {
        tracing::warn!(
            "which data directories the other nodes had is damaged: this node does not notice if one of them was \
             replaced; look after the disk"
        );
    }
    Ok(known_peers)
}

/// Opens the directory, or sets it up when there is nothing in it.
fn open_store(config: &ServeConfig, disk: &Arc<dyn Disk>) -> Result<(Store, Recovered), StartError> {
    let options = Options {
        segment_bytes: config.disk.segment_bytes,
        spare: SpareBy::Thread,
        clock: clock::now,
        salt_seed: clock::random_seed(),
    };
    let owner = config.owner();
    match Store::open(Arc::clone(disk), options, owner) {
        Err(OpenError::NoStore { directory }) => {
            tracing::info!("{directory}: setting up a new node");
            let identity = Identity {
                owner,
                incarnation: clock::random_seed(),
            };
            Ok(Store::create(
                Arc::clone(disk),
                options,
                identity,
                &genesis_config(config.members()),
            )?)
        }
        opened => Ok(opened?),
    }
}

fn open_disk(config: &ServeConfig, progress: &Progress) -> io::Result<Arc<dyn Disk>> {
    let Some(options) = config.disk.shadow else {
        let scanned = Arc::clone(&progress.log);
        return Ok(Arc::new(RealDisk::open_watched(&config.data_dir, scanned)?));
    };
    tracing::warn!("a test with a shadow disk: what is not synced is lost when this process ends");
    Ok(Arc::new(ShadowDisk::open(&config.data_dir, options)?))
}

/// A directory that was made by hand, or by an earlier version, keeps its mode.
fn warn_of_others(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        tracing::warn!(
            "other users may look into the data directory {} (its mode is {mode:03o}); `chmod -R go= {0}` keeps them out",
            path.display()
        );
    }
    Ok(())
}

/// Makes the directory, and makes its name durable.
fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    make_private_directory(path)?;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::fs::File::open(parent)?.sync_all()
}

/// Logs what recovery found, and returns it for the status.
pub(super) fn log_recovery(store: &Store, journal: &Journal) -> Vec<String> {
    let lines = recovery_lines(store);
    if let Some((summary, findings)) = lines.split_first() {
        tracing::info!("{summary}");
        for finding in findings {
            let finding = finding.clone();
            journal.note(&Event::Recovered { finding });
        }
    }
    lines
}

/// What recovery found, in lines for the log and for the status.
fn recovery_lines(store: &Store) -> Vec<String> {
    let report = store.recovery_report();
    let (batches, entries, segments) = (report.batches, report.entries, report.segments);
    let summary = format!("recovered {entries} entries in {batches} batches of {segments} segments");
    let abstain = report
        .abstain
        .then(|| "abstaining until caught up with a leader".to_owned());
    [summary]
        .into_iter()
        .chain(report.findings.iter().map(ToString::to_string))
        .chain(abstain)
        .collect()
}

//! Starting a node: directory, addresses, replica; then the loop until a signal stops it.
//!
//! Invariant: nothing is promised before every address is bound and the directory is locked and read, and a client
//! that asks meanwhile hears so; what goes wrong until then is one error with its own exit code.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use noraft::NodeId;
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::JoinSet;

use super::clients::Clients;
use super::clock;
use super::descriptors;
use super::door::{self, Entrance};
use super::event_loop::EventLoop;
use super::inbox::Inbox;
use super::keyring::Keyring;
use super::loading::{Loading, Progress};
use super::node_info::{Addresses, NodeInfo};
use super::peer_line::Introduction;
use super::peer_listener::PeerListener;
use super::peers::Peers;
use super::signals::Signals;
use super::sockets::{BindError, Listener};
use super::start_error::StartError;
use super::storage::Storage;
use crate::config::{PeerAuth, ServeConfig};
use crate::endpoint::Endpoint;
use crate::exit::Exit;
use crate::level::Level;
use crate::protocol::peer::{Starts, TERM_END};
use crate::record::{SnapshotId, genesis_config};
use crate::recovered::Recovered;
use crate::replica::event::Snapshot;
use crate::replica::{Replica, ReplicaConfig, SnapshotConfig};
use crate::snapshot;
use crate::store::OpenError;
use crate::store::disk::{Disk, RealDisk, make_private_directory};
use crate::store::genesis;
use crate::store::shadow::ShadowDisk;
use crate::store::start_count;
use crate::store::{Identity, KnownPeers, Options, SpareBy, Store};

/// Runs a node until a signal stops it.
///
/// # Errors
///
/// When it cannot start.
pub fn run(config: ServeConfig) -> Result<Exit, StartError> {
    if let Some(path) = &config.time.test_clock {
        tracing::warn!(
            "a test with an injected clock: the time is what {} says",
            path.display()
        );
        let path = path.clone();
        clock::inject(&path).map_err(|source| StartError::Clock { path, source })?;
    }
    let runtime = Builder::new_current_thread()
        .enable_all()
        .thread_keep_alive(Duration::MAX)
        .build_local(LocalOptions::default())?;
    // A task, not the runtime's main future: waking that one from its own thread costs a write to an eventfd
    // and an empty epoll_wait each time.
    runtime.block_on(async {
        match tokio::task::spawn_local(serve(config)).await {
            Ok(exit) => exit,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    })
}

async fn serve(config: ServeConfig) -> Result<Exit, StartError> {
    let mut signals = Signals::listen()?;
    keep_a_thread().await?;
    let files_max = descriptors::raise_limit()?;
    let keyring = Rc::new(Keyring::open(
        config.peers.auth,
        config.peers.secret_file.clone(),
    )?);
    let progress = Arc::new(Progress::default());
    let disk = use_directory(&config, &progress)?;
    Store::check_free(Arc::clone(&disk))?;
    let (clients_at, addresses) = bind_for_clients(&config).await?;
    let peers_at = bind_for_peers(&config).await?;
    let boot = clock::random_seed();
    let loaded = load_aside(&config, &disk, progress, &clients_at, boot, &mut signals).await?;
    let Some(loaded) = loaded else {
        return Ok(Exit::Done);
    };
    let (store, recovered, snapshot) = (loaded.store, loaded.recovered, loaded.snapshot);
    let identity = store.identity();
    let payload_bytes_max = store.payload_bytes_max();
    let recovery = log_recovery(&store);
    let storage = Storage::start(store, &config.data_dir, config.disk.scrub_rate)?;
    let replica = Replica::recover(&replica_config(&config), boot, recovered, snapshot);
    let replica = Rc::new(RefCell::new(replica));

    let inbox = Rc::new(Inbox::default());
    let introduction = Introduction {
        cluster_id: config.cluster_id,
        id: config.id,
        incarnation: identity.incarnation,
        members: loaded.members.as_ref().map(genesis::hash),
        payload_bytes_max,
        starts: count_start(&config, &*disk)?,
        client_address: addresses.announced.clone(),
        level: Rc::default(),
        keyring: Rc::clone(&keyring),
    };
    let known_peers = load_known_peers(&config, disk)?;
    let (from_peers, peers) = meet_others(&config, &introduction, known_peers, peers_at, &inbox);
    let clients_max = descriptors::clients_max(files_max, config.peers.others.len())?;
    let node = NodeInfo {
        replica: Rc::clone(&replica),
        figures: storage.figures(),
        peers: Rc::clone(&peers),
        from_peers,
        keyring,
        boot,
        incarnation: identity.incarnation,
        recovery,
        payload_bytes_max,
        clients_max,
        addresses,
        config,
    };
    let node = Rc::new(node);
    let clients = Clients::new(Rc::clone(&inbox), Rc::clone(&node));
    let accepting = accept_clients(&clients, clients_at, &node.config.data_dir).await;
    announce(&node);
    let mut event_loop = EventLoop::new(replica, inbox, storage, peers, clients);
    event_loop.serve(&mut signals).await;
    leave(event_loop, accepting, &mut signals).await
}

/// Hands over, then takes leave of clients; a second signal ends it at once.
async fn leave(
    mut event_loop: EventLoop,
    mut accepting: JoinSet<()>,
    signals: &mut Signals,
) -> Result<Exit, StartError> {
    let leaving = async {
        event_loop.hand_over().await;
        accepting.shutdown().await;
        event_loop.stop().await
    };
    tokio::select! {
        biased;
        name = signals.stop() => {
            tracing::warn!("{name} again: stopping at once");
            Ok(Exit::Failed)
        }
        exit = leaving => Ok(exit),
    }
}

/// Accepts clients at their addresses, and orders at the socket in the data directory.
async fn accept_clients(clients: &Rc<Clients>, listeners: Vec<Rc<Listener>>, data_dir: &Path) -> JoinSet<()> {
    let mut accepting = JoinSet::new();
    for listener in listeners {
        let listener = Rc::into_inner(listener).expect("what answered meanwhile has ended");
        accepting.spawn_local(Rc::clone(clients).accept(listener, None));
    }
    if let Some(listener) = door::listen(data_dir).await {
        accepting.spawn_local(Rc::clone(clients).accept(listener, Some(Entrance::Admin)));
    }
    accepting
}

/// What was read of the directory.
struct Loaded {
    store: Store,
    recovered: Recovered,
    members: Option<BTreeSet<NodeId>>,
    snapshot: Option<(SnapshotId, Snapshot)>,
}

fn load(config: &ServeConfig, disk: &Arc<dyn Disk>, progress: &Progress) -> Result<Loaded, StartError> {
    let (mut store, recovered) = open_store(config, disk)?;
    check_term(config, &recovered)?;
    let members = genesis::load(&**disk, &recovered.log)
        .map_err(|source| unusable_file(config, genesis::FILE, source))?;
    let snapshot = snapshot::restore_watched(&mut store, |bytes| {
        progress.state.fetch_add(bytes, Ordering::Relaxed);
    })?;
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
        snapshot,
    })
}

/// Reads the directory in another thread, and says meanwhile to clients that it does. `None` when the process is to stop:
/// reading changes nothing that a crash could not interrupt.
async fn load_aside(
    config: &ServeConfig,
    disk: &Arc<dyn Disk>,
    progress: Arc<Progress>,
    clients_at: &[Rc<Listener>],
    boot: u64,
    signals: &mut Signals,
) -> Result<Option<Loaded>, StartError> {
    let (done, loaded) = tokio::sync::oneshot::channel();
    let (own_config, own_disk, own_progress) = (config.clone(), Arc::clone(disk), Arc::clone(&progress));
    std::thread::Builder::new()
        .name("loading".into())
        .spawn(move || {
            // Nothing waits for it any more when the process stops.
            let _ = done.send(load(&own_config, &own_disk, &own_progress));
        })?;
    let mut answering = Loading::new(config, progress, boot).serve(clients_at);
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

/// Listens to the other nodes, and begins to connect to them.
fn meet_others(
    config: &ServeConfig,
    introduction: &Introduction,
    known_peers: KnownPeers,
    listeners: Vec<Listener>,
    inbox: &Rc<Inbox>,
) -> (Rc<PeerListener>, Rc<Peers>) {
    let members = config.peers.others.keys().copied().collect();
    let from_peers = PeerListener::new(introduction.clone(), members, known_peers, Rc::clone(inbox));
    for listener in listeners {
        tokio::task::spawn_local(Rc::clone(&from_peers).accept(listener));
    }
    (
        from_peers,
        Peers::connect(introduction, &config.peers.others, inbox),
    )
}

/// Starts the thread that waits for names to be resolved and for parts of snapshots to be read, and stays: the runtime
/// panics when it needs the first one and the system has none to give.
async fn keep_a_thread() -> io::Result<()> {
    let probe = std::thread::Builder::new().spawn(|| {})?;
    if probe.join().is_err() {
        return Err(io::Error::other("a thread that does nothing failed"));
    }
    tokio::task::spawn_blocking(|| {}).await.map_err(io::Error::other)
}

/// Where clients reach this node.
fn client_address(config: &ServeConfig, listen: &[Endpoint]) -> Option<String> {
    let bound = || listen.iter().find_map(Endpoint::reachable_from_elsewhere);
    config.clients.advertise.clone().or_else(bound)
}

fn announce(node: &NodeInfo) {
    let id = node.config.id.get();
    let addresses = &node.addresses.listen;
    let addresses = addresses
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    tracing::info!(
        "node {id} of cluster '{}' serves clients on {addresses}",
        node.config.cluster
    );
}

fn replica_config(config: &ServeConfig) -> ReplicaConfig {
    ReplicaConfig {
        heartbeat_interval: config.time.heartbeat,
        election_timeout: config.time.election_timeout,
        disk_stall_max: config.time.election_timeout,
        request_timeout: config.time.request_timeout,
        snapshots: SnapshotConfig {
            log_bytes: config.disk.snapshot_log_bytes,
            bytes_per_second: config.disk.snapshot_rate,
            ..SnapshotConfig::default()
        },
        members: config.members().collect(),
        raises_level: config.auto_upgrade,
        ..ReplicaConfig::new(config.id)
    }
}

async fn bind_all(endpoints: &[Endpoint]) -> Result<Vec<Listener>, BindError> {
    let mut listeners = Vec::new();
    for endpoint in endpoints {
        listeners.push(Listener::bind(endpoint).await?);
    }
    Ok(listeners)
}

fn use_directory(config: &ServeConfig, progress: &Progress) -> Result<Arc<dyn Disk>, StartError> {
    make_directory(&config.data_dir).map_err(|source| unusable(config, source))?;
    warn_of_others(&config.data_dir).map_err(|source| unusable(config, source))?;
    progress
        .expect(&config.data_dir)
        .and_then(|()| open_disk(config, progress))
        .map_err(|source| unusable(config, source))
}

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

/// Listens for clients; returns where.
async fn bind_for_clients(config: &ServeConfig) -> Result<(Vec<Rc<Listener>>, Addresses), StartError> {
    let listeners: Vec<_> = bind_all(&config.clients.listen)
        .await?
        .into_iter()
        .map(Rc::new)
        .collect();
    let endpoints = listeners.iter().map(|listener| listener.endpoint());
    let listen = endpoints.collect::<io::Result<Vec<_>>>()?;
    let announced = client_address(config, &listen);
    Ok((listeners, Addresses { listen, announced }))
}

/// Listens for the other nodes, when there are any.
async fn bind_for_peers(config: &ServeConfig) -> Result<Vec<Listener>, StartError> {
    let is_alone = config.peers.others.is_empty();
    let listeners = bind_all(if is_alone { &[] } else { &config.peers.listen }).await?;
    check_exposure(config, &listeners)?;
    Ok(listeners)
}

/// Without proof of the secret, anyone who reaches the peer address can claim to be any node and send anything.
fn check_exposure(config: &ServeConfig, peers_at: &[Listener]) -> Result<(), StartError> {
    for listener in peers_at {
        let endpoint = listener.endpoint()?;
        match config.peers.auth {
            _ if endpoint.is_local() => {}
            PeerAuth::Require => {}
            PeerAuth::Off if !config.peers.insecure => return Err(StartError::Exposed(endpoint)),
            PeerAuth::Off => tracing::warn!(
                "--insecure-peers: {endpoint} accepts messages from anyone who reaches it, and so can lose everything; \
                 only something outside of this node can keep strangers away"
            ),
            PeerAuth::Accept => tracing::warn!(
                "--peer-auth accept: {endpoint} still accepts messages from anyone who reaches it; say `require` when every \
                 node runs with the secret"
            ),
        }
    }
    Ok(())
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
fn count_start(config: &ServeConfig, disk: &dyn Disk) -> Result<Option<Starts>, StartError> {
    let mark = clock::random_seed() as u32;
    let starts = start_count::count_start(disk, mark)
        .map_err(|source| unusable_file(config, start_count::FILE, source))?;
    if starts.is_none() {
        tracing::warn!(
            "{}: how often this node was started is not known (no room, or damage): the others do not notice if its data \
             directory is an old copy",
            start_count::FILE
        );
    }
    Ok(starts.map(|starts| Starts {
        count: starts.count,
        marks: starts.marks,
    }))
}

/// The nodes that this node has met before.
fn load_known_peers(config: &ServeConfig, disk: Arc<dyn Disk>) -> Result<KnownPeers, StartError> {
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
fn log_recovery(store: &Store) -> Vec<String> {
    let lines = recovery_lines(store);
    lines.iter().for_each(|line| tracing::info!("{line}"));
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

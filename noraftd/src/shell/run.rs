//! Starting a node: directory, addresses, replica; then the loop until a signal stops it.
//!
//! Invariant: nothing is promised before every address is bound and the directory is locked and read, and a client
//! that asks meanwhile hears so; what goes wrong until then is one error with its own exit code.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::task::JoinSet;

use super::clients::Clients;
use super::clock;
use super::data_directory::{count_start, load_aside, load_known_peers, log_recovery, use_directory};
use super::descriptors;
use super::door::{self, Entrance};
use super::event_loop::EventLoop;
use super::http::Http;
use super::inbox::Inbox;
use super::journal::Journal;
use super::keyring::Keyring;
use super::loading::{Loading, Progress};
use super::membership::Membership;
use super::node_info::{Addresses, NodeInfo, Observed};
use super::peer_line::Introduction;
use super::peer_listener::PeerListener;
use super::peers::Peers;
use super::places::Places;
use super::signals::Signals;
use super::sockets::{BindError, Listener};
use super::start_error::StartError;
use super::storage::Storage;
use super::tls::Tls;
use crate::config::{PeerAuth, ServeConfig};
use crate::endpoint::Endpoint;
use crate::exit::Exit;
use crate::local::events::Event;
use crate::replica::{Replica, ReplicaConfig, SnapshotConfig};
use crate::store::{KnownPeers, Store, genesis};
use crate::tls::TlsMode;

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
    let keyring = open_keyring(&config)?;
    let tls = Tls::open(config.tls.clone())?;
    let progress = Arc::new(Progress::default());
    let disk = use_directory(&config, &progress)?;
    Store::check_free(Arc::clone(&disk))?;
    let (clients_at, addresses) = bind_for_clients(&config).await?;
    let peers_at = bind_for_peers(&config).await?;
    let boot = clock::random_seed();
    let loading = Loading::new(&config, progress, boot, Rc::clone(&tls));
    let http = serve_http(&config, &loading).await?;
    let loaded = load_aside(&config, &disk, &loading, &clients_at, &mut signals).await?;
    let Some(loaded) = loaded else {
        return Ok(Exit::Done);
    };
    let (store, recovered, snapshot) = (loaded.store, loaded.recovered, loaded.snapshot);
    let (identity, payload_bytes_max) = (store.identity(), store.payload_bytes_max());
    let journal = Journal::default();
    let recovery = log_recovery(&store, &journal);
    let storage = Storage::start(store, &config.data_dir, config.disk.scrub_rate, &journal)?;
    let mut replica = Replica::recover(&replica_config(&config), boot, recovered, snapshot);
    replica.look_ahead(loaded.ahead);
    let replica = Rc::new(RefCell::new(replica));

    let inbox = Rc::new(Inbox::default());
    let introduction = Introduction {
        cluster_id: config.cluster_id,
        id: config.id,
        incarnation: identity.incarnation,
        members: loaded.members.as_ref().map(genesis::hash),
        generation: loaded.generation,
        payload_bytes_max,
        starts: count_start(&config, &*disk)?,
        client_address: addresses.announced.clone(),
        level: Rc::default(),
        places: Places::new(config.peers.via.clone()),
        keyring: Rc::clone(&keyring),
        tls: Rc::clone(&tls),
    };
    let known_peers = load_known_peers(&config, disk)?;
    let (from_peers, peers) = meet_others(&config, &introduction, known_peers, peers_at, &inbox);
    let clients_max = descriptors::clients_max(files_max, config.peers.others.len(), http.is_some())?;
    let node = Rc::new(NodeInfo {
        replica: Rc::clone(&replica),
        figures: storage.figures(),
        peers: Rc::clone(&peers),
        from_peers,
        keyring,
        tls,
        boot,
        incarnation: identity.incarnation,
        generation: loaded.generation,
        recovery,
        payload_bytes_max,
        clients_max,
        addresses,
        config,
        journal,
        observed: Observed::default(),
    });
    let membership = Membership::new(&node, &introduction.places, &inbox);
    let clients = Clients::new(Rc::clone(&inbox), Rc::clone(&node));
    let accepting = open(&node, &clients, clients_at, http.as_deref()).await;
    let mut event_loop = EventLoop::new(replica, inbox, storage, peers, clients, membership);
    event_loop.serve(&mut signals).await;
    leave(event_loop, accepting, &mut signals).await
}

fn open_keyring(config: &ServeConfig) -> Result<Rc<Keyring>, StartError> {
    let (mode, file) = (config.peers.auth, config.peers.secret_file.clone());
    Ok(Rc::new(Keyring::open(mode, file)?))
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

/// Serves from now on, and says so.
async fn open(
    node: &NodeInfo,
    clients: &Rc<Clients>,
    listeners: Vec<Rc<Listener>>,
    http: Option<&Http>,
) -> JoinSet<()> {
    let accepting = accept_clients(clients, listeners, &node.config.data_dir).await;
    if let Some(http) = http {
        http.runs(Rc::clone(clients));
    }
    tokio::task::spawn_local(Rc::clone(&node.tls).watch());
    announce(node);
    accepting
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
    let cluster = &node.config.cluster;
    let text = format!("node {id} of cluster '{cluster}' serves clients on {addresses}");
    node.journal.note(&Event::Started { text });
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

/// Answers over HTTP from now on, when it has an address for that.
async fn serve_http(config: &ServeConfig, loading: &Rc<Loading>) -> Result<Option<Rc<Http>>, StartError> {
    let Some(endpoint) = &config.clients.http else {
        tracing::info!("no --http address was given: metrics, /livez and /readyz are not served");
        return Ok(None);
    };
    let listener = Listener::bind(endpoint).await?;
    tracing::info!(
        "metrics, /livez and /readyz are served on http://{}",
        listener.endpoint()?
    );
    let http = Http::new(config.data_dir.clone(), Rc::clone(loading));
    tokio::task::spawn_local(Rc::clone(&http).accept(listener));
    Ok(Some(http))
}

/// Listens for the other nodes, when it has an address for them.
async fn bind_for_peers(config: &ServeConfig) -> Result<Vec<Listener>, StartError> {
    let listeners = bind_all(&config.peers.listen).await?;
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
            // Only nodes get in: as good as a secret.
            PeerAuth::Off | PeerAuth::Accept if config.tls.peers == TlsMode::Require => {}
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

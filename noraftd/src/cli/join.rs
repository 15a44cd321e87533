//! `noraftd serve --join`: a new machine becomes a member.
//!
//! The directory gets an incarnation, durably, before any node is asked. The request carries it, so that however often it is asked,
//! the cluster has one new member. The state comes from the node that was asked, and covers the entry with which this one
//! joined: so it knows the members, and where they are. A new id has promised nothing, so nothing can be broken by it.
//!
//! Invariant: a directory whose setting up was interrupted is opened by nothing but the same verb, run again.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use noraft::NodeId;

use super::query::{QueryError, ask_status, ask_to_change_members, know_secrets};
use super::rejoin::claim_of;
use super::snapshot::{Extent, Failure, fetch, offline_options, sync_parent};
use super::tls_flags::TlsFlags;
use crate::config::{ServeConfig, Settings};
use crate::endpoint::Endpoint;
use crate::level::Level;
use crate::replica::event::Snapshot;
use crate::shell::clock;
use crate::store::disk::{Disk, RealDisk, make_private_directory};
use crate::store::{Identity, OpenError, Owner, SetUp, Store, Vacant, generation, joining};

/// The settings with the id that the data directory has, where they name none.
///
/// # Errors
///
/// When the directory cannot be read.
pub(super) fn with_known_id(settings: Settings) -> Result<Settings, Failure> {
    let Some(path) = settings
        .data_dir()
        .filter(|path| path.is_dir() && !settings.has_id())
    else {
        return Ok(settings);
    };
    let unusable = |source| Failure::File {
        path: path.to_owned(),
        doing: "reading",
        source,
    };
    let disk = RealDisk::open(path).map_err(unusable)?;
    let known = joining::node_of(&disk).map_err(unusable)?;
    Ok(match known {
        Some(id) => settings.with_id(id),
        None => settings,
    })
}

/// Has the cluster of the nodes at `addresses` take this machine in, unless its directory is that of a member already.
///
/// # Errors
///
/// When that is not possible, or was not within [`ATTEMPTS`].
pub(super) fn set_up(
    settings: Settings,
    addresses: &[Endpoint],
    stays: bool,
    tls: &TlsFlags,
) -> Result<Settings, Failure> {
    // Which id it will be is not known, and matters to no other setting.
    let wanted = settings.has_id();
    let config = settings.clone().with_id(PROVISIONAL).check()?;
    let unusable = |source| Failure::File {
        path: config.data_dir.clone(),
        doing: "setting up",
        source,
    };
    make_private_directory(&config.data_dir).map_err(unusable)?;
    let disk = Arc::new(RealDisk::open(&config.data_dir).map_err(unusable)?);
    let vacant = match Vacant::look(Arc::clone(&disk) as Arc<dyn Disk>, SetUp::Join) {
        Err(OpenError::Exists { .. }) => {
            tracing::info!("--join is ignored: the data directory is that of a member already");
            return with_known_id(settings);
        }
        looked => looked?,
    };
    let mut request = Request {
        id: if wanted { config.id.get() } else { 0 },
        incarnation: 0,
        peer: peer_address(&config)?,
        client: client_address(&config),
        stays,
    };
    know_secrets(config.peers.secret_file.as_deref())?;
    tls.use_as(&config)?;
    request.incarnation = joining::incarnation(&*disk, clock::random_seed()).map_err(unusable)?;
    vacant.claim()?;
    sync_parent(&config.data_dir).map_err(unusable)?;
    let (Joined { id, generation }, from) = ask_all(&config, addresses, &request)?;
    tracing::info!("joins cluster '{}' as node {}", config.cluster, id.get());
    let snapshot = fetch_state(&config, from)?;
    if generation != 0 {
        generation::save(&*disk, generation).map_err(unusable)?;
    }
    let identity = Identity {
        owner: Owner {
            cluster_id: config.cluster_id,
            node_id: id,
        },
        incarnation: request.incarnation,
    };
    let options = offline_options(&config);
    Store::create_from(
        vacant,
        options,
        identity,
        &snapshot.head,
        &mut snapshot.machine.chunks(),
    )?;
    Ok(settings.with_id(id))
}

/// A state in which every member has the directory that `from` knows it by. A member that was set up again a moment ago is
/// in older states with the one that it lost; the new node would turn it away, and hear nothing while it leads.
fn fetch_state(config: &ServeConfig, from: &Endpoint) -> Result<Snapshot, Failure> {
    let path = config.data_dir.join(FETCHED);
    let rate = Some(config.disk.snapshot_rate);
    for _ in 0..ATTEMPTS {
        let (_, snapshot) = fetch(from, &path, Some(config.cluster_id), Extent::Acknowledged, rate)?;
        // The state is in memory now; where this fails, a file too many is left.
        let _ = std::fs::remove_file(&path);
        let (report, _) = ask_status(from)?;
        let claim = claim_of(&report);
        let replaced = claim.and_then(|claim| claim.contradicts(snapshot.machine.members().directories()));
        let Some(replaced) = replaced else {
            return Ok(snapshot);
        };
        let id = replaced.get();
        tracing::info!("node {id} was set up again, and the state does not have that yet: asking again");
        pause();
    }
    Err(Failure::Join(format!(
        "{from} gives no state in which the data directories of all members are those that it knows; try again"
    )))
}

#[expect(
    clippy::disallowed_methods,
    reason = "nothing else happens until the cluster has taken it in"
)]
fn pause() {
    thread::sleep(PAUSE);
}

/// What the cluster said.
struct Joined {
    id: NodeId,
    generation: u64,
}

/// What is asked for.
struct Request {
    /// The id that was reserved for it; 0 for a new one.
    id: u64,
    incarnation: u64,
    peer: String,
    client: String,
    stays: bool,
}

fn peer_address(config: &ServeConfig) -> Result<String, Failure> {
    if !config.peers.others.is_empty() {
        let text = "--peer begins a cluster, and --join joins one: the cluster knows where its members are";
        return Err(Failure::Join(text.to_owned()));
    }
    let address = config.peers.advertise.as_ref();
    address.map(ToString::to_string).ok_or_else(|| {
        let text = "the other nodes need an address of this one: give --peer-listen, and --peer-advertise if they reach it \
                    elsewhere";
        Failure::Join(text.to_owned())
    })
}

fn client_address(config: &ServeConfig) -> String {
    let listen = &config.clients.listen;
    let reachable = || listen.iter().find_map(Endpoint::reachable_from_elsewhere);
    let address = config.clients.advertise.clone().or_else(reachable);
    address.unwrap_or_else(|| "-".to_owned())
}

/// Asks one after the other, and again; gives the id, and the node that gave it.
fn ask_all<'a>(
    config: &ServeConfig,
    addresses: &'a [Endpoint],
    request: &Request,
) -> Result<(Joined, &'a Endpoint), Failure> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        for address in addresses {
            match ask(config, address, request) {
                Ok(joined) => return Ok((joined, address)),
                Err(Failure::Query(error)) if passes(&error) => {
                    tracing::warn!("{error}; trying again");
                    last = Some(error);
                }
                Err(failure) => return Err(failure),
            }
        }
        pause();
    }
    Err(last.map_or_else(
        || Failure::Join("no address was given".to_owned()),
        Failure::Query,
    ))
}

/// True when the same request may be granted a little later. An indefinite answer is one of these: asked again, it is the same
/// join.
fn passes(error: &QueryError) -> bool {
    match error {
        QueryError::Unreachable(..) | QueryError::Strange(..) => true,
        QueryError::Tls(..) => false,
        QueryError::Refused(_, text) => !text.starts_with("ERR") && !text.starts_with("NOAUTH"),
    }
}

fn ask(config: &ServeConfig, address: &Endpoint, request: &Request) -> Result<Joined, Failure> {
    let (report, _) = ask_status(address)?;
    if report.cluster != config.cluster {
        return Err(Failure::Join(format!(
            "{address} belongs to cluster '{}', this machine is to join '{}'",
            report.cluster, config.cluster
        )));
    }
    let words = [
        "JOIN",
        &request.id.to_string(),
        &format!("{:016x}", request.incarnation),
        &request.peer,
        &request.client,
        if request.stays { "1" } else { "0" },
        &Level::SUPPORTED.to_string(),
    ];
    let id = ask_to_change_members(address, &words)?;
    let id = u64::try_from(id).ok().filter(|id| *id > 0).map(NodeId::new);
    let id = id.ok_or_else(|| Failure::Join(format!("{address} gives no id")))?;
    let generation = report.generation();
    Ok(Joined { id, generation })
}

const FETCHED: &str = "fetched.partial";
/// Half a minute: an election, and a node that starts, take less.
const ATTEMPTS: u32 = 60;
const PAUSE: Duration = Duration::from_millis(500);
/// The id while none is known.
const PROVISIONAL: NodeId = NodeId::new(u64::MAX);

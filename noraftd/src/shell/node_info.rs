//! What this node reports about itself, gathered from its parts.
//!
//! Invariant: reading never changes anything.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use noraft::NodeId;

use super::clock;
use super::figures::Figures;
use super::journal::Journal;
use super::keyring::Keyring;
use super::peer_listener::PeerListener;
use super::peers::Peers;
use super::tls::Tls;
use crate::config::ServeConfig;
use crate::endpoint::Endpoint;
use crate::level::Level;
use crate::local::alarms::Alarms;
use crate::local::events::EventsReport;
use crate::local::facts::{ClientAddress, ClientFacts, ProcessFacts, ServerFacts};
use crate::local::figures::LoopFigures;
use crate::local::status::{
    ConnectionReport, DirectoryReport, HealthReport, LogReport, ProcessReport, StatusReport, ViewReport,
};
use crate::log;
use crate::protocol::command::Request;
use crate::protocol::resp::Reply;
use crate::replica::Replica;
use crate::replica::event::Status;

/// How many clients there are, and what they did since the start.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientCounts {
    /// Connections.
    pub(super) connected: u64,
    /// Connections accepted since the start.
    pub(super) accepted: u64,
    /// Commands answered since the start.
    pub(super) answered: u64,
    /// Requests under way.
    pub(super) under_way: u64,
}

/// Where everything is to be found.
pub(super) struct NodeInfo {
    pub(super) config: ServeConfig,
    pub(super) replica: Rc<RefCell<Replica>>,
    pub(super) figures: std::sync::Arc<Figures>,
    pub(super) peers: Rc<Peers>,
    pub(super) from_peers: Rc<PeerListener>,
    pub(super) keyring: Rc<Keyring>,
    pub(super) tls: Rc<Tls>,
    pub(super) boot: u64,
    pub(super) incarnation: u64,
    /// Which beginning of the cluster its directory belongs to.
    pub(super) generation: u64,
    pub(super) recovery: Vec<String>,
    /// Most bytes of one command.
    pub(super) payload_bytes_max: usize,
    /// Connections of clients at once.
    pub(super) clients_max: u64,
    /// Where clients reach this node.
    pub(super) addresses: Addresses,
    /// What has happened.
    pub(super) journal: Journal,
    /// What changes while it runs.
    pub(super) observed: Observed,
}

/// What is noted of the node while it runs, for those who watch.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// What is wrong, or was.
    pub(super) alarms: RefCell<Alarms>,
    /// What the loop counts.
    pub(super) loops: LoopFigures,
    /// True from the moment at which the node begins to stop.
    pub(super) is_leaving: Cell<bool>,
}

/// Where clients reach this node.
pub(super) struct Addresses {
    /// As bound.
    pub(super) listen: Vec<Endpoint>,
    /// As it announces it to the others.
    pub(super) announced: Option<String>,
}

impl NodeInfo {
    /// What local commands are answered from.
    pub(super) fn facts(&self, clients: ClientCounts) -> (Status, ServerFacts) {
        let replica = self.replica.borrow();
        let facts = ServerFacts {
            process: ProcessFacts {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                id: std::process::id(),
                boot: self.boot,
                uptime_seconds: self.uptime_ms() / 1000,
                unix_micros: clock::unix_micros(),
            },
            cluster: self.config.cluster.clone(),
            cluster_id: self.config.cluster_id,
            incarnation: self.incarnation,
            clients: ClientFacts {
                connected: clients.connected,
                most: self.clients_max,
                accepted: clients.accepted,
                answered: clients.answered,
            },
            keys: replica.machine().key_count() as u64,
            expiring_keys: replica.machine().expiring_count() as u64,
            tcp_port: self.tcp_port().unwrap_or(0),
            unix_socket: self.unix_socket().unwrap_or_default(),
            log_level: log::level().to_string(),
            loading: None,
            addresses: self.client_addresses(),
            connected: self.peers.connected(),
            alarms: self.alarm_names(),
            resources: None,
        };
        (replica.status(), facts)
    }

    /// The alarms that are raised, and those that are over and not cleared.
    fn alarm_names(&self) -> [Vec<String>; 2] {
        let (raised, over): (Vec<_>, Vec<_>) = self
            .observed
            .alarms
            .borrow()
            .report()
            .into_iter()
            .partition(|alarm| alarm.raised);
        [raised, over].map(|alarms| alarms.into_iter().map(|alarm| alarm.alarm).collect())
    }

    fn client_addresses(&self) -> BTreeMap<NodeId, ClientAddress> {
        let replica = self.replica.borrow();
        let written = replica.members().iter().map(|row| row.id);
        let all: BTreeSet<NodeId> = match replica.members().is_empty() {
            true => self.config.members().collect(),
            false => written.collect(),
        };
        let known = |id| Some((id, self.client_address(id)?));
        all.into_iter().filter_map(known).collect()
    }

    /// Where clients reach a node, if it has said so, or the membership table says it.
    pub(super) fn client_address(&self, id: NodeId) -> Option<ClientAddress> {
        let address = match id == self.config.id {
            true => self.addresses.announced.clone(),
            false => self.peers.client_address(id),
        };
        ClientAddress::parse(&address?)
    }

    /// Refuses what no segment of this node could hold.
    pub(super) fn check_size(&self, request: &Request) -> Result<(), Reply> {
        let (bytes, most) = (request.body.len(), self.payload_bytes_max);
        if bytes <= most {
            return Ok(());
        }
        Err(Reply::Error(format!(
            "ERR a command of {bytes} bytes does not fit a log segment ({most} at most); raise segment_bytes on every node"
        )))
    }

    /// True while this node leads and its disk takes nothing: a write would only wait.
    pub(super) fn is_stuck_leader(&self) -> bool {
        self.figures.is_full() && self.replica.borrow().status().role.is_leader()
    }

    /// Reads secrets, certificates and keys again, and ends the connections that rest on a secret that is gone.
    pub(super) fn reload(&self) {
        let reloaded = self.tls.reload();
        let has_tls = !matches!(reloaded, Ok(false));
        match reloaded {
            Ok(false) => {}
            Ok(true) => tracing::info!(
                "SIGHUP: certificates and keys were read again; they count from the next connection on"
            ),
            Err(error) => tracing::warn!("SIGHUP: certificates and keys stay as they were: {error}"),
        }
        match self.keyring.reload() {
            Ok(None) if has_tls => {}
            Ok(None) => tracing::info!(
                "SIGHUP: there is nothing to read again without --peer-secret-file or --tls-cert"
            ),
            Ok(Some(count)) => {
                let ended = self.peers.drop_outdated() + self.from_peers.drop_outdated();
                tracing::info!(
                    "SIGHUP: {count} peer secrets are in force; {ended} connections were proven with another one and are made again"
                );
            }
            Err(error) => tracing::warn!("SIGHUP: the peer secrets stay as they were: {error}"),
        }
    }

    /// The answer to `NORAFT.STATUS`.
    pub(super) fn status_json(&self, clients: ClientCounts) -> String {
        serde_json::to_string(&self.report(clients)).expect("a report is plain data")
    }

    /// The same, as data.
    pub(super) fn report(&self, clients: ClientCounts) -> StatusReport {
        let status = self.replica.borrow().status();
        StatusReport {
            process: ProcessReport {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                process_id: std::process::id(),
                uptime_ms: self.uptime_ms(),
            },
            cluster: self.config.cluster.clone(),
            id: status.id.get(),
            incarnation: format!("{:016x}", self.incarnation),
            met: self.from_peers.met(),
            generation: (self.generation != 0).then(|| format!("{:016x}", self.generation)),
            view: ViewReport {
                role: role_name(&status).to_owned(),
                loading: None,
                term: status.term,
                leader: status.leader.map(NodeId::get),
                level: status.level.get(),
                level_supported: Level::SUPPORTED.get(),
                voters: status.voters.iter().map(|id| id.get()).collect(),
                new_voters: status.new_voters.iter().map(|id| id.get()).collect(),
            },
            log: LogReport {
                commit_index: status.log.commit_index.get(),
                applied_index: status.log.applied_index.get(),
                durable_index: status.log.durable_index.get(),
                last_index: status.log.last_position.index.get(),
                last_term: status.log.last_position.term.get(),
                applied_stamp_ms: status.log.applied_stamp.as_millis(),
            },
            match_indexes: status
                .followers
                .match_indexes
                .iter()
                .map(|(id, index)| (id.get(), index.get()))
                .collect(),
            directory: DirectoryReport {
                data_dir: self.config.data_dir.display().to_string(),
                base_index: status.log.base_index.get(),
                snapshot_index: status
                    .log
                    .snapshot
                    .map_or(0, |snapshot| snapshot.position.index.get()),
                snapshot_term: status
                    .log
                    .snapshot
                    .map_or(0, |snapshot| snapshot.position.term.get()),
                snapshot_bytes: status.log.snapshot.map_or(0, |snapshot| snapshot.bytes),
            },
            health: HealthReport {
                abstaining: status.elections.abstaining,
                lost_majority: status.elections.lost_majority,
                disk_too_slow: status.elections.disk_too_slow,
                holes: status.damage.holes,
                repaired: status.damage.repaired,
                needs_snapshot: status.damage.needs_snapshot,
                divergence: status.damage.divergence.map(|divergence| divergence.to_string()),
            },
            alarms: self.observed.alarms.borrow().report(),
            recovery: self.recovery.clone(),
            storage: self.figures.report(clock::now()),
            connections: ConnectionReport {
                clients: clients.connected,
                requests_under_way: clients.under_way,
                peer_auth: self.config.peers.auth.name().to_owned(),
                tls: self.config.tls.clients.name().to_owned(),
                peer_tls: self.config.tls.peers.name().to_owned(),
                peers: self.peers.report(),
            },
        }
    }

    /// The answer to `NORAFT.EVENTS`: the newest `most`.
    pub(super) fn events_json(&self, most: usize) -> String {
        let (before, events) = self.journal.newest(most);
        let report = EventsReport {
            cluster: self.config.cluster.clone(),
            id: self.config.id.get(),
            before,
            events,
        };
        serde_json::to_string(&report).expect("a report is plain data")
    }

    fn uptime_ms(&self) -> u64 {
        clock::now().as_nanos() / 1_000_000
    }

    fn tcp_port(&self) -> Option<u16> {
        self.addresses.listen.iter().find_map(|endpoint| match endpoint {
            Endpoint::Tcp(address) => address.rsplit_once(':')?.1.parse().ok(),
            Endpoint::Unix(_) => None,
        })
    }

    fn unix_socket(&self) -> Option<String> {
        self.addresses.listen.iter().find_map(|endpoint| match endpoint {
            Endpoint::Tcp(_) => None,
            Endpoint::Unix(path) => Some(path.display().to_string()),
        })
    }
}

fn role_name(status: &Status) -> &'static str {
    if status.role.is_leader() {
        "leader"
    } else if status.role.is_candidate() {
        "candidate"
    } else {
        "follower"
    }
}

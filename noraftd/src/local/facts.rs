//! What answers are made of: the server that answers, and the words for it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use noraft::NodeId;

use crate::protocol::resp::Reply;
use crate::replica::event::Status;

/// Where clients reach a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientAddress {
    /// A host name or address.
    pub host: String,
    /// A TCP port; zero when it has none.
    pub port: u16,
}

/// What only the shell knows about the process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerFacts {
    /// The process.
    pub process: ProcessFacts,
    /// The cluster's name.
    pub cluster: String,
    /// The cluster's id.
    pub cluster_id: u64,
    /// This node's data directory (its incarnation).
    pub incarnation: u64,
    /// Its clients.
    pub clients: ClientFacts,
    /// Keys in the state machine.
    pub keys: u64,
    /// Those of them that go at some time.
    pub expiring_keys: u64,
    /// TCP port for clients, zero for none.
    pub tcp_port: u16,
    /// Unix socket for clients, empty for none.
    pub unix_socket: String,
    /// What the node logs.
    pub log_level: String,
    /// While the node reads its directory: bytes that were read, and all of them.
    pub loading: Option<(u64, u64)>,
    /// Where clients reach each node, as far as this node knows.
    pub addresses: BTreeMap<NodeId, ClientAddress>,
    /// The other nodes that this one has a connection to.
    pub connected: BTreeSet<NodeId>,
    /// The alarms that are raised, and those that are over and not cleared.
    pub alarms: [Vec<String>; 2],
    /// What the process takes of the machine, where it was asked for.
    pub resources: Option<Resources>,
}

/// Which process answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessFacts {
    /// This program's version.
    pub version: String,
    /// The process id.
    pub id: u32,
    /// The `boot` number: distinguishes runs of the process.
    pub boot: u64,
    /// Seconds since the process started.
    pub uptime_seconds: u64,
    /// Wall clock, in microseconds since the Unix epoch.
    pub unix_micros: u64,
}

/// How many clients there are, and were since the process started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientFacts {
    /// Open connections.
    pub connected: u64,
    /// Most connections at once.
    pub most: u64,
    /// Connections accepted since the start.
    pub accepted: u64,
    /// Commands answered since the start.
    pub answered: u64,
}

/// What a process takes of its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resources {
    /// Memory of its own: what it allocated, and its stacks.
    pub memory_bytes: u64,
    /// Memory in all, with mapped files.
    pub memory_rss_bytes: u64,
    /// The most that ever was.
    pub memory_peak_bytes: u64,
    /// What the machine has.
    pub system_memory_bytes: u64,
    /// Processor time in microseconds, in the kernel and outside.
    pub cpu_micros: (u64, u64),
    /// The same, of child processes that have ended.
    pub cpu_children_micros: (u64, u64),
}

impl ClientAddress {
    /// Reads HOST:PORT; an IPv6 address in brackets loses them, as Redis shows it.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        Some(Self {
            host: bare.unwrap_or(host).to_owned(),
            port: port.parse().ok()?,
        })
    }

    /// What is said of a node whose address is not known; no real port is zero.
    pub(super) fn unknown() -> Self {
        Self {
            host: "?".to_owned(),
            port: 0,
        }
    }
}

/// The followers that a leader hears: of others it knows what they had, not that they are there.
pub(super) fn followers(status: &Status) -> impl Iterator<Item = (NodeId, u64)> + '_ {
    let known = status.followers.match_indexes.iter();
    known
        .filter(|(id, _)| status.followers.heard.contains(id))
        .map(|(id, index)| (*id, index.get()))
}

/// Where clients reach `id`, when it has said so.
pub(super) fn address(id: NodeId, facts: &ServerFacts) -> ClientAddress {
    facts
        .addresses
        .get(&id)
        .cloned()
        .unwrap_or_else(ClientAddress::unknown)
}

pub(super) fn bulk(text: impl Into<Bytes>) -> Reply {
    Reply::Bulk(text.into())
}

/// A count or index as RESP writes it; beyond 2^63 it stays there.
pub(super) fn integer(n: u64) -> Reply {
    Reply::Integer(i64::try_from(n).unwrap_or(i64::MAX))
}

/// The Redis version whose behaviour clients may expect; some refuse servers that name none.
pub const REDIS_VERSION: &str = "7.2.0";

/// How this server calls itself.
pub(super) const SERVER_NAME: &str = "noraftd";

pub(super) const MICROS_PER_SECOND: u64 = 1_000_000;

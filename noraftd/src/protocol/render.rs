//! Answers to the commands that a node answers itself, given its status and the facts of its server.

use std::collections::BTreeMap;

use noraft::NodeId;

use crate::protocol::command::Section;
use crate::protocol::resp::Reply;
use crate::replica::event::Status;

/// The Redis version whose behaviour clients may expect; some refuse servers that name none.
pub const REDIS_VERSION: &str = "7.2.0";

/// Where clients reach a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAddress {
    /// A host name or address.
    pub host: String,
    /// A TCP port; zero when it has none.
    pub port: u16,
}

/// What only the shell knows about the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// This program's version.
    pub version: String,
    /// The process id.
    pub process_id: u32,
    /// The `boot` number: tells runs of the process apart.
    pub boot: u64,
    /// The cluster's id.
    pub cluster_id: u64,
    /// This node's data directory (its incarnation).
    pub incarnation: u64,
    /// Seconds since the process started.
    pub uptime_seconds: u64,
    /// Wall clock, in microseconds since the Unix epoch.
    pub unix_micros: u64,
    /// Open client connections.
    pub connected_clients: u64,
    /// Most client connections at once.
    pub clients_max: u64,
    /// Connections accepted since the start.
    pub connections_received: u64,
    /// Commands answered since the start.
    pub commands_processed: u64,
    /// Keys in the state machine.
    pub keys: u64,
    /// TCP port for clients, zero for none.
    pub tcp_port: u16,
    /// Unix socket for clients, empty for none.
    pub unix_socket: String,
    /// Where clients reach each node, as far as this node knows.
    pub addresses: BTreeMap<NodeId, ClientAddress>,
}

/// `INFO`: the named sections, all of them when none is named.
pub fn render_info(sections: &[Section], status: &Status, facts: &ServerFacts) -> Reply {
    let _ = (sections, status, facts);
    todo!()
}

/// `ROLE`: `master`, its index and the others'; or `slave`, the leader's address, the link and its index.
pub fn render_role(status: &Status, facts: &ServerFacts) -> Reply {
    let _ = (status, facts);
    todo!()
}

/// `TIME`: seconds and microseconds.
pub fn render_time(facts: &ServerFacts) -> Reply {
    let _ = facts;
    todo!()
}

//! The cluster and its clients, as a plan says them.

use serde::{Deserialize, Serialize};

use super::error::{PlanError, require};
use super::network::PeerNetwork;
use super::power::PowerTier;
use super::span::Span;

/// The processes under test.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterPlan {
    /// How many nodes.
    pub nodes: usize,
    /// The leader's heartbeat interval.
    pub heartbeat: Span,
    /// The election timeout.
    pub election: Span,
    /// The size of a log segment in KiB; a small one is rolled over often.
    pub segment_kib: u64,
    /// How power cuts are made; when absent, with the shadow store if the plan has power cuts. In that tier
    /// every SIGKILL is a power cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power: Option<PowerTier>,
    /// What is between the nodes.
    #[serde(skip_serializing_if = "PeerNetwork::is_default")]
    pub network: PeerNetwork,
}

impl Default for ClusterPlan {
    fn default() -> Self {
        Self {
            nodes: 3,
            heartbeat: Span::from_millis(50),
            election: Span::from_millis(300),
            segment_kib: 4096,
            power: None,
            network: PeerNetwork::default(),
        }
    }
}

impl ClusterPlan {
    pub(super) fn validate(&self) -> Result<(), PlanError> {
        require((1..=NODES_MAX).contains(&self.nodes), "cluster.nodes", || {
            format!("must be 1 to {NODES_MAX}, not {}", self.nodes)
        })?;
        require(!self.heartbeat.is_zero(), "cluster.heartbeat", || {
            "must not be zero".to_owned()
        })?;
        require(self.heartbeat < self.election, "cluster.election", || {
            format!("must be longer than the heartbeat of {}", self.heartbeat)
        })?;
        let (low, high) = (SEGMENT_KIB_MIN, SEGMENT_KIB_MAX);
        require(
            (low..=high).contains(&self.segment_kib),
            "cluster.segment_kib",
            || format!("must be {low} to {high}, not {}", self.segment_kib),
        )
    }
}

/// The clients.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientsPlan {
    /// How many, each with one operation at a time.
    pub count: usize,
    /// How many of them only read. A client that writes to an isolated node waits for its answer; one that
    /// only reads keeps asking, and notices when such a node still answers.
    pub readers: usize,
    /// How many more that do not wait for answers: each appends to a list of its own and reads it in turn, and
    /// what it sees has to be in the order of its connection.
    pub pipelines: usize,
    /// Of a thousand of their reads, those of a list that another one of them appends to: what they see may not be older than
    /// the read. Only in the simulation.
    pub elsewhere_permille: u64,
    /// How many more that ask for anything, with arguments at their edges; each answer has to be what a second
    /// implementation of the commands says. Only in the simulation.
    pub commands: usize,
    /// How many more that read what their nodes have (`READONLY`), each within a bound that it draws: what they see may not be older
    /// than that, and may not go back. Only in the simulation.
    pub stale: usize,
    /// How many more that move amounts between accounts, each time in a block of commands that depends on what was read (`WATCH`, `MULTI`):
    /// what all accounts hold together may not change. The leader raises the level for them. Only in the simulation, and not
    /// beside `commands`.
    pub transactions: usize,
    /// How many more that ask for each thing in a session (`NORAFT.ONCE`), by way of any node, after any error, until it is answered: it has to be
    /// done once. The leader raises the level for them. Only in the simulation, and not beside `commands`.
    pub retries: usize,
    /// Whether the clients of all commands ask for keys that go at some time, too; then the leader raises the level of the cluster. Only in the simulation.
    pub expiry: bool,
    /// Operations a second of all clients together; 0 is no limit.
    pub rate: u64,
    /// How long a client waits for a reply before it records the outcome as unknown.
    pub timeout: Span,
    /// How long a client rests after an error: an idle moment is cheaper to check than another unknown.
    pub pause_after_error: Span,
}

impl Default for ClientsPlan {
    fn default() -> Self {
        Self {
            count: 10,
            readers: 0,
            pipelines: 0,
            elsewhere_permille: 0,
            commands: 0,
            stale: 0,
            transactions: 0,
            retries: 0,
            expiry: false,
            rate: 0,
            timeout: Span::from_millis(1500),
            pause_after_error: Span::from_millis(50),
        }
    }
}

impl ClientsPlan {
    pub(super) fn validate(&self) -> Result<(), PlanError> {
        require((1..=CLIENTS_MAX).contains(&self.count), "clients.count", || {
            format!("must be 1 to {CLIENTS_MAX}, not {}", self.count)
        })?;
        require(
            self.readers < self.count || self.readers == 0,
            "clients.readers",
            || format!("must leave one of {} clients to write", self.count),
        )?;
        require(self.pipelines <= CLIENTS_MAX, "clients.pipelines", || {
            format!("must be at most {CLIENTS_MAX}, not {}", self.pipelines)
        })?;
        require(
            self.elsewhere_permille <= 1000,
            "clients.elsewhere_permille",
            || "must be at most 1000".to_owned(),
        )?;
        require(self.commands <= CLIENTS_MAX, "clients.commands", || {
            format!("must be at most {CLIENTS_MAX}, not {}", self.commands)
        })?;
        require(self.transactions <= CLIENTS_MAX, "clients.transactions", || {
            format!("must be at most {CLIENTS_MAX}, not {}", self.transactions)
        })?;
        require(self.retries <= CLIENTS_MAX, "clients.retries", || {
            format!("must be at most {CLIENTS_MAX}, not {}", self.retries)
        })?;
        for (key, count) in [
            ("clients.transactions", self.transactions),
            ("clients.retries", self.retries),
        ] {
            require(count == 0 || self.commands == 0, key, || {
                "cannot be beside `commands`".to_owned()
            })?;
        }
        require(self.stale <= CLIENTS_MAX, "clients.stale", || {
            format!("must be at most {CLIENTS_MAX}, not {}", self.stale)
        })?;
        require(!self.timeout.is_zero(), "clients.timeout", || {
            "must not be zero".to_owned()
        })
    }
}

/// Each pair of nodes costs two proxies; Raft clusters are 3 to 7.
const NODES_MAX: usize = 9;
/// What the daemon accepts.
const SEGMENT_KIB_MIN: u64 = 256;
const SEGMENT_KIB_MAX: u64 = 1 << 20;
/// Each client is a task and a connection of one process.
const CLIENTS_MAX: usize = 1000;

//! A node's settings: flags and a TOML file, merged and checked.
//!
//! Invariant: a [`ServeConfig`] that exists is valid. A flag wins over the file; a field that neither
//! names has its default; every refusal names the field.

mod check;
mod check_tls;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use noraft::NodeId;

use crate::endpoint::Endpoint;
use crate::log::LogConfig;
use crate::store::Owner;
use crate::store::shadow::ShadowOptions;
use crate::tls::TlsConfig;

pub use self::settings::Settings;

/// Why settings are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {0}: {1}")]
    Unreadable(PathBuf, String),
    /// The file is no TOML, or names what does not exist; the reason has several lines and shows the place.
    #[error("the configuration file {0} is wrong:\n{1}")]
    Malformed(PathBuf, String),
    /// A field has to be given.
    #[error("{0} is missing: give --{flag} or '{0}' in the file", flag = .0.replace('_', "-"))]
    Missing(&'static str),
    /// A field's value cannot be used.
    #[error("{field}: {reason}")]
    Invalid {
        /// The field, as the file names it.
        field: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
}

/// How one node runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeConfig {
    /// This node.
    pub id: NodeId,
    /// The cluster's name.
    pub cluster: String,
    /// What the name is on the wire and on disk ([`cluster_id`]).
    pub cluster_id: u64,
    /// Where the log lives.
    pub data_dir: PathBuf,
    /// How it meets clients.
    pub clients: ClientConfig,
    /// How it meets the other nodes.
    pub peers: PeerConfig,
    /// How it encrypts what it says to both.
    pub tls: TlsConfig,
    /// How long it waits for what.
    pub time: TimeConfig,
    /// What it does with its disk.
    pub disk: DiskConfig,
    /// Whether the level rises as soon as every member supports a higher one.
    pub auto_upgrade: bool,
    /// What to log, and how.
    pub log: LogConfig,
}

/// How a node meets clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConfig {
    /// Addresses for clients.
    pub listen: Vec<Endpoint>,
    /// The address for HTTP.
    pub http: Option<Endpoint>,
    /// Where clients reach this node; when absent, the first address of `listen` that says it.
    pub advertise: Option<String>,
    /// Whether clients may remove every key at once.
    pub allow_flush: bool,
}

/// How a node meets the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerConfig {
    /// Addresses for the other nodes; none in a cluster that is to stay one node.
    pub listen: Vec<Endpoint>,
    /// Where the other nodes reach this one, as far as it knows.
    pub advertise: Option<Endpoint>,
    /// Every other member.
    pub others: BTreeMap<NodeId, Endpoint>,
    /// Where to connect to in place of an address; only tests want that.
    pub via: BTreeMap<Endpoint, Endpoint>,
    /// The file with the secret that the nodes share.
    pub secret_file: Option<PathBuf>,
    /// What other nodes have to prove. Anything but [`PeerAuth::Off`] comes with a secret.
    pub auth: PeerAuth,
    /// Other machines may reach a node that demands no proof.
    pub insecure: bool,
}

/// How long a node waits for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeConfig {
    /// Time between a leader's heartbeats.
    pub heartbeat: Duration,
    /// How long a follower waits for its leader.
    pub election_timeout: Duration,
    /// When a request is answered at the latest.
    pub request_timeout: Duration,
    /// The file that says what its clocks show; only tests want that.
    pub test_clock: Option<PathBuf>,
}

/// What a node does with its disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskConfig {
    /// Size of a new log segment.
    pub segment_bytes: u64,
    /// Bytes of entries after which a snapshot is taken.
    pub snapshot_log_bytes: u64,
    /// Bytes of a snapshot that are sent in a second.
    pub snapshot_rate: u64,
    /// Bytes of the log that are read again in a second.
    pub scrub_rate: u64,
    /// How to lose what is not synced; only tests want that.
    pub shadow: Option<ShadowOptions>,
}

/// What a node demands of the other nodes, and does itself. Rolling a cluster over goes through `Accept`: each node
/// in turn from `Off` (or a release without secrets) to `Accept`, then each in turn to `Require`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerAuth {
    /// Proves nothing, and takes nodes that prove nothing.
    Off,
    /// Proves itself to those that ask, asks those that offer it, and takes the others as they are.
    Accept,
    /// Takes only nodes that have proven themselves, and proves itself to all.
    Require,
}

impl PeerAuth {
    /// As the setting has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Accept => "accept",
            Self::Require => "require",
        }
    }
}

impl ServeConfig {
    /// Whose directory it must be.
    pub fn owner(&self) -> Owner {
        Owner {
            cluster_id: self.cluster_id,
            node_id: self.id,
        }
    }

    /// Every member, this node included.
    pub fn members(&self) -> impl Iterator<Item = NodeId> {
        self.peers.others.keys().copied().chain([self.id])
    }
}

/// What a cluster's name is on the wire and on disk: its 64-bit FNV-1a hash. It never changes.
pub fn cluster_id(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

//! What a user gives: flags, or the fields of a TOML file.

use std::path::{Path, PathBuf};

use noraft::NodeId;
use serde::Deserialize;

use super::ConfigError;

/// The settings as given by the user: on the command line, or in a file (same names, `_` for `-`).
///
/// One flat list, as the file is, whose mistakes are shown with their places; [`ServeConfig`](super::ServeConfig) has what
/// is valid by concept. Only this folder reads or writes the fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// This node's number, from 1 up; each member has its own, permanently [default: the one that the data directory has]
    #[arg(long, value_name = "N")]
    pub(super) id: Option<u64>,
    /// The cluster's name; nodes with another name are refused [default: noraft]
    #[arg(long, value_name = "NAME")]
    pub(super) cluster: Option<String>,
    /// The directory that holds this node's log. Created when it is missing.
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// An address for clients: HOST:PORT or /path of a Unix socket. Repeatable [default: 127.0.0.1:7601]
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Vec<String>,
    /// Where clients reach this node, HOST:PORT, as ROLE and INFO of all nodes say it [default: the first --listen
    /// address with a port, unless it is a wildcard]
    #[arg(long, value_name = "ADDR")]
    pub(super) advertise: Option<String>,
    /// An address for HTTP: metrics for Prometheus, /livez, /readyz and /status. It changes nothing and asks for no password
    /// [default: none]
    #[arg(long, value_name = "ADDR")]
    pub(super) http: Option<String>,
    /// An address for the other nodes. Repeatable [default: this node's own --peer address]
    #[arg(long, value_name = "ADDR")]
    pub(super) peer_listen: Vec<String>,
    /// Where the other nodes reach this node, if that is not where it listens [default: its own --peer address, or the first
    /// --peer-listen address, unless it is a wildcard]
    #[arg(long, value_name = "ADDR")]
    pub(super) peer_advertise: Option<String>,
    /// A member of a cluster that begins, and how to reach it. One for each member; this node may be among them. Ignored once
    /// the members are written down in the log, from level 1 on
    #[arg(long = "peer", value_name = "ID=ADDR")]
    pub(super) peers: Vec<String>,
    /// A file with the secret that all nodes share, at least 16 bytes; with a second line while it is being replaced. Nodes
    /// and tools prove that they know it. Read again at SIGHUP
    #[arg(long, value_name = "FILE", help_heading = "Security")]
    pub(super) peer_secret_file: Option<PathBuf>,
    /// What other nodes have to prove: off (nothing), accept (proof is used where possible, while a cluster is switched
    /// over) or require [default: require with a secret, off without]
    #[arg(long, value_name = "MODE", help_heading = "Security")]
    pub(super) peer_auth: Option<String>,
    /// Accept nodes from other machines although nothing proves who they are. Anyone who reaches the port owns the cluster
    #[arg(long, help_heading = "Security")]
    pub(super) insecure_peers: bool,
    /// This node's certificate, in PEM, followed by those that lead to its CA: for clients, and for the other nodes. Read again
    /// at SIGHUP, and when the file changes
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub(super) tls_cert: Option<PathBuf>,
    /// The key of --tls-cert, in PEM
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub(super) tls_key: Option<PathBuf>,
    /// Whether clients speak TLS at HOST:PORT: off, accept (with or without, while clients are switched over) or require
    /// [default: require with a certificate, off without]
    #[arg(long, value_name = "MODE", help_heading = "TLS")]
    pub(super) tls_mode: Option<String>,
    /// The certificate of a CA, in PEM: clients have to show a certificate that it has signed
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub(super) client_ca: Option<PathBuf>,
    /// Whether nodes speak TLS with each other: off, accept (with where possible, while a cluster is switched over) or
    /// require [default: require with --peer-ca, off without]
    #[arg(long, value_name = "MODE", help_heading = "TLS")]
    pub(super) peer_tls_mode: Option<String>,
    /// The certificate of the CA, in PEM, that has signed the certificates of all nodes
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub(super) peer_ca: Option<PathBuf>,
    /// A name in the certificates of nodes: a DNS name, or a URI. A certificate of --peer-ca without any of these is not that
    /// of a node. Repeatable
    #[arg(long, value_name = "NAME", help_heading = "TLS")]
    pub(super) peer_allowed: Vec<String>,
    /// Let clients remove every key with FLUSHALL or FLUSHDB, from level 1 of the cluster on
    #[arg(long, help_heading = "Testing")]
    pub(super) allow_flush: bool,
    /// Raise the level of the cluster as soon as every member supports a higher one, as `noraftd upgrade` does. Then no
    /// earlier version can be started again
    #[arg(long)]
    pub(super) auto_upgrade: bool,
    /// Time between a leader's heartbeats [default: 50ms]
    #[arg(long, value_name = "TIME")]
    pub(super) heartbeat: Option<String>,
    /// A follower that hears no leader for this long campaigns [default: 500ms]
    #[arg(long, value_name = "TIME")]
    pub(super) election_timeout: Option<String>,
    /// Every request is answered after at most this long [default: 1s]
    #[arg(long, value_name = "TIME")]
    pub(super) request_timeout: Option<String>,
    /// Bytes of one log segment: 256KiB to 1GiB [default: 64MiB]
    #[arg(long, value_name = "SIZE")]
    pub(super) segment_bytes: Option<String>,
    /// Take a snapshot after this many bytes of entries, or as many as the last one has: 64KiB to 1GiB
    /// [default: 64MiB]
    #[arg(long, value_name = "SIZE")]
    pub(super) snapshot_log_bytes: Option<String>,
    /// Bytes of a snapshot sent to a lagging node in a second: 64KiB to 16GiB [default: 128MiB]
    #[arg(long, value_name = "SIZE")]
    pub(super) snapshot_rate: Option<String>,
    /// Bytes of the log read again in a second, to find damage while others can repair it; 0 to never: 0 to 1GiB
    /// [default: 4MiB]
    #[arg(long, value_name = "SIZE")]
    pub(super) scrub_rate: Option<String>,
    /// A testing aid: connect to the second address where another member is said to be at the first. Repeatable
    #[arg(long, value_name = "ADDR=ADDR", help_heading = "Testing")]
    pub(super) peer_via: Vec<String>,
    /// What to log on stderr: error, warn, info, debug, trace or off; CONFIG SET loglevel changes it while the node runs
    /// [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub(super) log: Option<String>,
    /// How a line of the log is written: text, or json with ids and reasons in fields of their own [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub(super) log_format: Option<String>,
    /// A testing aid: whatever is not synced is lost when the process ends, SIGKILL included, as at a power cut.
    /// SPEC is a seed, or a list such as seed=7,sync=2ms,fail-sync=40 (slower syncs; the 40th fails)
    #[arg(long, value_name = "SPEC", help_heading = "Testing")]
    pub(super) shadow_disk: Option<String>,
    /// A testing aid: this node's clocks, wall and monotonic, show what FILE says, from moment to moment. The process that
    /// writes FILE sets them, lets them run at another rate, or stops them
    #[arg(long, value_name = "FILE", help_heading = "Testing")]
    pub(super) test_clock: Option<PathBuf>,
}

impl Settings {
    /// Of a node alone.
    #[cfg(test)]
    pub(crate) fn minimal() -> Self {
        Self {
            id: Some(1),
            data_dir: Some("/d".into()),
            ..Self::default()
        }
    }

    /// Reads settings from a TOML file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is no TOML, or names an unknown field.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable(path.into(), error.to_string()))?;
        toml::from_str(&text)
            .map_err(|error| ConfigError::Malformed(path.into(), error.to_string().trim_end().to_owned()))
    }

    /// The data directory, if it was given.
    pub fn data_dir(&self) -> Option<&Path> {
        self.data_dir.as_deref()
    }

    /// True when the id was given.
    pub fn has_id(&self) -> bool {
        self.id.is_some()
    }

    /// The same, for this node, unless they name one.
    #[must_use]
    pub fn with_id(self, id: NodeId) -> Self {
        Self {
            id: self.id.or(Some(id.get())),
            ..self
        }
    }

    /// These settings, and `other`'s where these say nothing.
    pub fn or(self, other: Self) -> Self {
        Self {
            id: self.id.or(other.id),
            cluster: self.cluster.or(other.cluster),
            data_dir: self.data_dir.or(other.data_dir),
            listen: first_given(self.listen, other.listen),
            advertise: self.advertise.or(other.advertise),
            http: self.http.or(other.http),
            peer_listen: first_given(self.peer_listen, other.peer_listen),
            peer_advertise: self.peer_advertise.or(other.peer_advertise),
            peers: first_given(self.peers, other.peers),
            peer_secret_file: self.peer_secret_file.or(other.peer_secret_file),
            peer_auth: self.peer_auth.or(other.peer_auth),
            insecure_peers: self.insecure_peers || other.insecure_peers,
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            tls_mode: self.tls_mode.or(other.tls_mode),
            client_ca: self.client_ca.or(other.client_ca),
            peer_tls_mode: self.peer_tls_mode.or(other.peer_tls_mode),
            peer_ca: self.peer_ca.or(other.peer_ca),
            peer_allowed: first_given(self.peer_allowed, other.peer_allowed),
            allow_flush: self.allow_flush || other.allow_flush,
            auto_upgrade: self.auto_upgrade || other.auto_upgrade,
            heartbeat: self.heartbeat.or(other.heartbeat),
            election_timeout: self.election_timeout.or(other.election_timeout),
            request_timeout: self.request_timeout.or(other.request_timeout),
            segment_bytes: self.segment_bytes.or(other.segment_bytes),
            snapshot_log_bytes: self.snapshot_log_bytes.or(other.snapshot_log_bytes),
            snapshot_rate: self.snapshot_rate.or(other.snapshot_rate),
            scrub_rate: self.scrub_rate.or(other.scrub_rate),
            peer_via: first_given(self.peer_via, other.peer_via),
            log: self.log.or(other.log),
            log_format: self.log_format.or(other.log_format),
            shadow_disk: self.shadow_disk.or(other.shadow_disk),
            test_clock: self.test_clock.or(other.test_clock),
        }
    }
}

pub(super) fn first_given<T>(one: Vec<T>, other: Vec<T>) -> Vec<T> {
    if one.is_empty() { other } else { one }
}

//! A node's settings: flags and a TOML file, merged and checked.
//!
//! Invariant: a [`ServeConfig`] that exists is valid. A flag wins over the file; a field that neither
//! names has its default; every refusal names the field.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use noraft::NodeId;
use serde::Deserialize;
use tracing::level_filters::LevelFilter;

use crate::endpoint::Endpoint;
use crate::protocol::peer::is_client_address;
use crate::record::MEMBERS_MAX;
use crate::store::shadow::{ShadowOptions, ShadowOptionsError};
use crate::store::{Options, Owner};
use crate::units::{parse_size, parse_time};

/// The settings as given by the user: on the command line, or in a file (same names, `_` for `-`).
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// This node's number, from 1 up; each member has its own, permanently.
    #[arg(long, value_name = "N")]
    pub id: Option<u64>,
    /// The cluster's name; nodes with another name are refused [default: noraft]
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// The directory that holds this node's log. Created when it is missing.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// An address for clients: HOST:PORT or /path of a Unix socket. Repeatable [default: 127.0.0.1:7601]
    #[arg(long, value_name = "ADDR")]
    pub listen: Vec<String>,
    /// Where clients reach this node, HOST:PORT, as ROLE and INFO of all nodes say it [default: the first --listen
    /// address with a port, unless it is a wildcard]
    #[arg(long, value_name = "ADDR")]
    pub advertise: Option<String>,
    /// An address for the other nodes. Repeatable [default: this node's own --peer address]
    #[arg(long, value_name = "ADDR")]
    pub peer_listen: Vec<String>,
    /// A member and how to reach it. One for each member; this node may be among them.
    #[arg(long = "peer", value_name = "ID=ADDR")]
    pub peers: Vec<String>,
    /// A file with the secret that all nodes share, at least 16 bytes; with a second line while it is being replaced. Nodes
    /// and tools prove that they know it. Read again at SIGHUP
    #[arg(long, value_name = "FILE", help_heading = "Security")]
    pub peer_secret_file: Option<PathBuf>,
    /// What other nodes have to prove: off (nothing), accept (proof is used where possible, while a cluster is switched
    /// over) or require [default: require with a secret, off without]
    #[arg(long, value_name = "MODE", help_heading = "Security")]
    pub peer_auth: Option<String>,
    /// Accept nodes from other machines although nothing proves who they are. Anyone who reaches the port owns the cluster
    #[arg(long, help_heading = "Security")]
    pub insecure_peers: bool,
    /// Let clients remove every key with FLUSHALL or FLUSHDB. Every node has to run a version that knows this flag
    #[arg(long, help_heading = "Testing")]
    pub allow_flush: bool,
    /// Time between a leader's heartbeats [default: 50ms]
    #[arg(long, value_name = "TIME")]
    pub heartbeat: Option<String>,
    /// A follower that hears no leader for this long campaigns [default: 500ms]
    #[arg(long, value_name = "TIME")]
    pub election_timeout: Option<String>,
    /// Every request is answered after at most this long [default: 1s]
    #[arg(long, value_name = "TIME")]
    pub request_timeout: Option<String>,
    /// Bytes of one log segment: 256KiB to 1GiB [default: 64MiB]
    #[arg(long, value_name = "SIZE")]
    pub segment_bytes: Option<String>,
    /// Take a snapshot after this many bytes of entries, or as many as the last one has: 64KiB to 1GiB
    /// [default: 64MiB]
    #[arg(long, value_name = "SIZE")]
    pub snapshot_log_bytes: Option<String>,
    /// Bytes of a snapshot sent to a lagging node in a second: 64KiB to 16GiB [default: 128MiB]
    #[arg(long, value_name = "SIZE")]
    pub snapshot_rate: Option<String>,
    /// Bytes of the log read again in a second, to find damage while others can repair it; 0 to never: 0 to 1GiB
    /// [default: 4MiB]
    #[arg(long, value_name = "SIZE")]
    pub scrub_rate: Option<String>,
    /// What to log on stderr: error, warn, info, debug, trace or off [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
    /// A testing aid: whatever is not synced is lost when the process ends, SIGKILL included, as at a power cut.
    /// SPEC is a seed, or a list such as seed=7,sync=2ms,fail-sync=40 (slower syncs; the 40th fails)
    #[arg(long, value_name = "SPEC", help_heading = "Testing")]
    pub shadow_disk: Option<String>,
}

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
    /// Addresses for clients.
    pub listen: Vec<Endpoint>,
    /// Where clients reach this node; when absent, the first address of `listen` that says it.
    pub advertise: Option<String>,
    /// Addresses for the other nodes; none in a cluster of one.
    pub peer_listen: Vec<Endpoint>,
    /// Every other member.
    pub peers: BTreeMap<NodeId, Endpoint>,
    /// The file with the secret that the nodes share.
    pub peer_secret_file: Option<PathBuf>,
    /// What other nodes have to prove. Anything but [`PeerAuth::Off`] comes with a secret.
    pub peer_auth: PeerAuth,
    /// Other machines may reach a node that demands no proof.
    pub insecure_peers: bool,
    /// Whether clients may remove every key at once.
    pub allow_flush: bool,
    /// Time between a leader's heartbeats.
    pub heartbeat: Duration,
    /// How long a follower waits for its leader.
    pub election_timeout: Duration,
    /// When a request is answered at the latest.
    pub request_timeout: Duration,
    /// Size of a new log segment.
    pub segment_bytes: u64,
    /// Bytes of entries after which a snapshot is taken.
    pub snapshot_log_bytes: u64,
    /// Bytes of a snapshot that are sent in a second.
    pub snapshot_rate: u64,
    /// Bytes of the log that are read again in a second.
    pub scrub_rate: u64,
    /// What to log.
    pub log: LevelFilter,
    /// How to lose what is not synced; only tests want that.
    pub shadow_disk: Option<ShadowOptions>,
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
        self.peers.keys().copied().chain([self.id])
    }
}

impl Settings {
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

    /// These settings, and `other`'s where these say nothing.
    pub fn or(self, other: Self) -> Self {
        Self {
            id: self.id.or(other.id),
            cluster: self.cluster.or(other.cluster),
            data_dir: self.data_dir.or(other.data_dir),
            listen: first_given(self.listen, other.listen),
            advertise: self.advertise.or(other.advertise),
            peer_listen: first_given(self.peer_listen, other.peer_listen),
            peers: first_given(self.peers, other.peers),
            peer_secret_file: self.peer_secret_file.or(other.peer_secret_file),
            peer_auth: self.peer_auth.or(other.peer_auth),
            insecure_peers: self.insecure_peers || other.insecure_peers,
            allow_flush: self.allow_flush || other.allow_flush,
            heartbeat: self.heartbeat.or(other.heartbeat),
            election_timeout: self.election_timeout.or(other.election_timeout),
            request_timeout: self.request_timeout.or(other.request_timeout),
            segment_bytes: self.segment_bytes.or(other.segment_bytes),
            snapshot_log_bytes: self.snapshot_log_bytes.or(other.snapshot_log_bytes),
            snapshot_rate: self.snapshot_rate.or(other.snapshot_rate),
            scrub_rate: self.scrub_rate.or(other.scrub_rate),
            log: self.log.or(other.log),
            shadow_disk: self.shadow_disk.or(other.shadow_disk),
        }
    }

    /// The configuration that these settings describe.
    ///
    /// # Errors
    ///
    /// Names the first field that is missing or wrong.
    pub fn check(self) -> Result<ServeConfig, ConfigError> {
        let id = check_id("id", self.id.ok_or(ConfigError::Missing("id"))?)?;
        let data_dir = self.data_dir.ok_or(ConfigError::Missing("data_dir"))?;
        let cluster = check_cluster(self.cluster)?;
        let mut peers = check_peers(&self.peers)?;
        let own = peers.remove(&id);
        let listen = first_given(self.listen, vec![LISTEN_DEFAULT.to_owned()]);
        let given = check_endpoints("peer_listen", &self.peer_listen)?;
        let peer_listen = first_given(given, own.into_iter().collect());
        if peer_listen.is_empty() && !peers.is_empty() {
            return Err(ConfigError::Missing("peer_listen"));
        }
        let heartbeat = check_time("heartbeat", self.heartbeat, HEARTBEAT_DEFAULT)?;
        let election_timeout = check_time("election_timeout", self.election_timeout, ELECTION_DEFAULT)?;
        if election_timeout < 2 * heartbeat {
            let reason = format!("{election_timeout:?} is less than two heartbeats of {heartbeat:?}");
            return Err(invalid("election_timeout", reason));
        }
        Ok(ServeConfig {
            id,
            cluster_id: cluster_id(&cluster),
            cluster,
            data_dir,
            listen: check_endpoints("listen", &listen)?,
            advertise: check_advertise(self.advertise)?,
            peer_listen,
            peers,
            peer_auth: check_peer_auth(self.peer_auth.as_deref(), self.peer_secret_file.is_some())?,
            peer_secret_file: self.peer_secret_file,
            insecure_peers: self.insecure_peers,
            allow_flush: self.allow_flush,
            heartbeat,
            election_timeout,
            request_timeout: check_time("request_timeout", self.request_timeout, REQUEST_DEFAULT)?,
            segment_bytes: check_size(
                "segment_bytes",
                self.segment_bytes,
                SEGMENT_BYTES_DEFAULT,
                SEGMENT_BYTES,
            )?
            .next_multiple_of(PAGE_BYTES),
            snapshot_log_bytes: check_size(
                "snapshot_log_bytes",
                self.snapshot_log_bytes,
                SNAPSHOT_LOG_BYTES_DEFAULT,
                SNAPSHOT_LOG_BYTES,
            )?,
            snapshot_rate: check_size(
                "snapshot_rate",
                self.snapshot_rate,
                SNAPSHOT_RATE_DEFAULT,
                SNAPSHOT_RATE,
            )?,
            scrub_rate: check_size("scrub_rate", self.scrub_rate, SCRUB_RATE_DEFAULT, SCRUB_RATE)?,
            log: check_log(self.log.as_deref())?,
            shadow_disk: check_shadow_disk(self.shadow_disk.as_deref())?,
        })
    }
}

/// What a cluster's name is on the wire and on disk: its 64-bit FNV-1a hash. It never changes.
pub fn cluster_id(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

fn first_given<T>(one: Vec<T>, other: Vec<T>) -> Vec<T> {
    if one.is_empty() { other } else { one }
}

fn invalid(field: &'static str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Invalid {
        field,
        reason: reason.into(),
    }
}

fn check_id(field: &'static str, id: u64) -> Result<NodeId, ConfigError> {
    if id == 0 {
        return Err(invalid(field, "node ids count from 1"));
    }
    Ok(NodeId::new(id))
}

fn check_cluster(name: Option<String>) -> Result<String, ConfigError> {
    let name = name.unwrap_or_else(|| CLUSTER_DEFAULT.to_owned());
    if name.is_empty() || name.len() > CLUSTER_BYTES_MAX || name.chars().any(char::is_control) {
        let reason = format!("a name has 1 to {CLUSTER_BYTES_MAX} bytes, none of them a control character");
        return Err(invalid("cluster", reason));
    }
    Ok(name)
}

fn check_endpoints(field: &'static str, texts: &[String]) -> Result<Vec<Endpoint>, ConfigError> {
    texts
        .iter()
        .map(|text| text.parse().map_err(|error| invalid(field, format!("{error}"))))
        .collect()
}

fn check_advertise(address: Option<String>) -> Result<Option<String>, ConfigError> {
    match address {
        Some(address) if !is_client_address(&address) => {
            let reason = format!("'{address}' is not HOST:PORT (as in 10.0.0.1:7601)");
            Err(invalid("advertise", reason))
        }
        address => Ok(address),
    }
}

fn check_peers(texts: &[String]) -> Result<BTreeMap<NodeId, Endpoint>, ConfigError> {
    let mut peers = BTreeMap::new();
    for text in texts {
        let (id, address) = text.split_once('=').ok_or_else(|| {
            invalid(
                "peers",
                format!("'{text}' is not ID=ADDR (as in 2=10.0.0.2:7701)"),
            )
        })?;
        let id = id
            .trim()
            .parse()
            .map_err(|_| invalid("peers", format!("'{id}' is no node id")))?;
        let id = check_id("peers", id)?;
        let endpoint: Endpoint = address
            .trim()
            .parse()
            .map_err(|error| invalid("peers", format!("{error}")))?;
        if peers.insert(id, endpoint).is_some() {
            return Err(invalid("peers", format!("node {} is named twice", id.get())));
        }
    }
    if peers.len() > MEMBERS_MAX {
        return Err(invalid(
            "peers",
            format!("a cluster has at most {MEMBERS_MAX} members"),
        ));
    }
    Ok(peers)
}

fn check_peer_auth(text: Option<&str>, has_secret: bool) -> Result<PeerAuth, ConfigError> {
    let mode = match text {
        None if has_secret => PeerAuth::Require,
        None | Some("off") => PeerAuth::Off,
        Some("accept") => PeerAuth::Accept,
        Some("require") => PeerAuth::Require,
        Some(text) => {
            let reason = format!("'{text}' is none of off, accept, require");
            return Err(invalid("peer_auth", reason));
        }
    };
    if mode != PeerAuth::Off && !has_secret {
        let reason = format!("'{}' needs a secret: give peer_secret_file", mode.name());
        return Err(invalid("peer_auth", reason));
    }
    Ok(mode)
}

fn check_time(field: &'static str, text: Option<String>, default: Duration) -> Result<Duration, ConfigError> {
    let Some(text) = text else { return Ok(default) };
    let time =
        parse_time(&text).ok_or_else(|| invalid(field, format!("'{text}' is no time (as in 50ms or 2s)")))?;
    if time < TIME_MIN || time > TIME_MAX {
        return Err(invalid(
            field,
            format!("{time:?} is not between {TIME_MIN:?} and {TIME_MAX:?}"),
        ));
    }
    Ok(time)
}

fn check_size(
    field: &'static str,
    text: Option<String>,
    default: u64,
    range: RangeInclusive<u64>,
) -> Result<u64, ConfigError> {
    let Some(text) = text else { return Ok(default) };
    let bytes = parse_size(&text).ok_or_else(|| {
        invalid(
            field,
            format!("'{text}' is no size (as in 65536, 256KiB or 64MiB)"),
        )
    })?;
    if !range.contains(&bytes) {
        let reason = format!("{bytes} is not between {} and {}", range.start(), range.end());
        return Err(invalid(field, reason));
    }
    Ok(bytes)
}

fn check_log(level: Option<&str>) -> Result<LevelFilter, ConfigError> {
    let Some(level) = level else {
        return Ok(LevelFilter::INFO);
    };
    let unknown = || {
        invalid(
            "log",
            format!("'{level}' is none of error, warn, info, debug, trace, off"),
        )
    };
    level.parse().map_err(|_| unknown())
}

fn check_shadow_disk(text: Option<&str>) -> Result<Option<ShadowOptions>, ConfigError> {
    let parse = |text: &str| {
        text.parse()
            .map_err(|error: ShadowOptionsError| invalid("shadow_disk", error.to_string()))
    };
    text.map(parse).transpose()
}

/// Where a node listens for clients unless it is configured otherwise.
const LISTEN_DEFAULT: &str = "127.0.0.1:7601";
const CLUSTER_DEFAULT: &str = "noraft";
/// A name is for people; this many bytes fit into a log line.
const CLUSTER_BYTES_MAX: usize = 128;
const HEARTBEAT_DEFAULT: Duration = Duration::from_millis(50);
const ELECTION_DEFAULT: Duration = Duration::from_millis(500);
const REQUEST_DEFAULT: Duration = Duration::from_secs(1);
/// The runtime's timers tick in milliseconds.
const TIME_MIN: Duration = Duration::from_millis(2);
/// A longer one is a mistake of units.
const TIME_MAX: Duration = Duration::from_secs(600);
const SEGMENT_BYTES_DEFAULT: u64 = Options::SEGMENT_BYTES;
/// Smaller, and a roll costs more than it saves; larger, and the disk is held for what is not written yet.
const SEGMENT_BYTES: RangeInclusive<u64> = 256 << 10..=1 << 30;
const SNAPSHOT_LOG_BYTES_DEFAULT: u64 = 64 << 20;
/// Smaller, and the node writes snapshots all the time; larger, and a restart reads for seconds.
const SNAPSHOT_LOG_BYTES: RangeInclusive<u64> = 64 << 10..=1 << 30;
const SNAPSHOT_RATE_DEFAULT: u64 = 128 << 20;
const SNAPSHOT_RATE: RangeInclusive<u64> = 64 << 10..=16 << 30;
/// A disk of a terabyte is read in three days; the load is not noticeable.
const SCRUB_RATE_DEFAULT: u64 = 4 << 20;
const SCRUB_RATE: RangeInclusive<u64> = 0..=1 << 30;
/// Segments are whole pages.
const PAGE_BYTES: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn minimal() -> Settings {
        Settings {
            id: Some(1),
            data_dir: Some("/d".into()),
            ..Settings::default()
        }
    }

    fn refusal(settings: Settings) -> String {
        settings.check().expect_err("refused").to_string()
    }

    #[test]
    fn a_node_alone_needs_an_id_and_a_directory() {
        let config = minimal().check().expect("enough");
        assert_eq!(config.listen, [Endpoint::Tcp(LISTEN_DEFAULT.into())]);
        assert_eq!(config.members().collect::<Vec<_>>(), [NodeId::new(1)]);
        assert_eq!(
            (config.heartbeat, config.election_timeout),
            (HEARTBEAT_DEFAULT, ELECTION_DEFAULT)
        );
        assert_eq!(
            refusal(Settings::default()),
            "id is missing: give --id or 'id' in the file"
        );
        let no_dir = Settings {
            id: Some(1),
            ..Settings::default()
        };
        assert_eq!(
            refusal(no_dir),
            "data_dir is missing: give --data-dir or 'data_dir' in the file"
        );
    }

    #[test]
    fn the_members_may_include_this_node_or_not() {
        let all = ["1=h:1", "2=h:2", "3=unix:/3"].map(String::from);
        let with = Settings {
            peers: all.to_vec(),
            ..minimal()
        }
        .check()
        .expect("with itself");
        let others = Settings {
            peers: all[1..].to_vec(),
            peer_listen: vec!["h:1".into()],
            ..minimal()
        };
        let without = others.check().expect("without itself");
        assert_eq!(with, without);
        assert_eq!(with.peer_listen, [Endpoint::Tcp("h:1".into())]);
        let nowhere = Settings {
            peers: all[1..].to_vec(),
            ..minimal()
        };
        assert!(refusal(nowhere).starts_with("peer_listen is missing"));
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("node.toml");
        std::fs::write(
            &path,
            "id = 2\ndata_dir = '/f'\nlisten = ['h:9']\nheartbeat = '20ms'",
        )
        .expect("written");
        let config = minimal()
            .or(Settings::from_file(&path).expect("good"))
            .check()
            .expect("good");
        assert_eq!((config.id.get(), config.data_dir), (1, "/d".into()));
        assert_eq!(
            (config.listen, config.heartbeat),
            (vec![Endpoint::Tcp("h:9".into())], Duration::from_millis(20))
        );
    }

    #[test]
    fn a_file_with_a_mistake_is_refused_and_the_place_is_shown() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("node.toml");
        for text in ["id = 'one'", "hartbeat = '1s'", "[", "id = -1"] {
            std::fs::write(&path, text).expect("written");
            let error = Settings::from_file(&path).expect_err(text).to_string();
            assert!(
                error.starts_with(&format!("the configuration file {} is wrong", path.display())),
                "{error}"
            );
            let (place, text_at) = (error.lines().nth(1), error.lines().nth(3));
            assert!(
                place.is_some_and(|line| line.contains("at line 1, column")),
                "{error}"
            );
            assert!(
                text_at.is_some_and(|line| line == format!("1 | {text}")),
                "{error}"
            );
        }
        let missing = Settings::from_file(&dir.path().join("none"))
            .expect_err("missing")
            .to_string();
        assert!(
            missing.starts_with("cannot read the configuration file"),
            "{missing}"
        );
    }

    #[test]
    fn every_wrong_value_names_its_field() {
        let cases = [
            ("id", "id = 0"),
            ("cluster", "cluster = ''"),
            ("cluster", "cluster = \"a\\nb\""),
            ("listen", "listen = ['nowhere']"),
            ("peer_listen", "peer_listen = ['x']"),
            ("peers", "peers = ['2']"),
            ("peers", "peers = ['two=h:1']"),
            ("peers", "peers = ['0=h:1']"),
            ("peers", "peers = ['2=h']"),
            ("peers", "peers = ['2=h:1', '2=h:2']"),
            ("heartbeat", "heartbeat = '50'"),
            ("heartbeat", "heartbeat = '1ms'"),
            ("election_timeout", "election_timeout = '99ms'"),
            ("request_timeout", "request_timeout = '1h'"),
            ("segment_bytes", "segment_bytes = '1KiB'"),
            ("segment_bytes", "segment_bytes = '99999999999GiB'"),
            ("segment_bytes", "segment_bytes = '64 megabytes'"),
            ("log", "log = 'loud'"),
        ];
        for (field, text) in cases {
            let settings: Settings = toml::from_str(text).expect(text);
            let error = refusal(settings.or(minimal()));
            assert!(error.starts_with(&format!("{field}: ")), "{text}: {error}");
        }
    }

    #[test]
    fn an_odd_segment_size_is_rounded_up() {
        let odd = Settings {
            segment_bytes: Some("300001".into()),
            ..minimal()
        }
        .check()
        .expect("rounded up");
        assert_eq!(odd.segment_bytes % PAGE_BYTES, 0);
    }

    #[test]
    fn a_cluster_id_never_changes() {
        assert_eq!(cluster_id(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(cluster_id("a"), 0xaf63_dc4c_8601_ec8c);
    }
}

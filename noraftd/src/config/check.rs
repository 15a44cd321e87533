//! From what a user gave to what is valid; defaults and limits are here.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use noraft::NodeId;

use super::settings::{Settings, first_given};
use super::{
    ClientConfig, ConfigError, DiskConfig, PeerAuth, PeerConfig, ServeConfig, TimeConfig, cluster_id,
};
use crate::endpoint::Endpoint;
use crate::log::{LogConfig, LogFormat};
use crate::protocol::peer::is_client_address;
use crate::record::MEMBERS_MAX;
use crate::replica::{ReplicaConfig, SnapshotConfig};
use crate::store::Options;
use crate::store::shadow::{ShadowOptions, ShadowOptionsError};
use crate::units::{parse_size, parse_time};

impl Settings {
    /// The configuration that these settings describe.
    ///
    /// # Errors
    ///
    /// Names the first field that is missing or wrong.
    pub fn check(self) -> Result<ServeConfig, ConfigError> {
        let tls = self.check_tls()?;
        let id = check_id("id", self.id.ok_or(ConfigError::Missing("id"))?)?;
        let data_dir = self.data_dir.ok_or(ConfigError::Missing("data_dir"))?;
        let cluster = check_cluster(self.cluster)?;
        let mut peers = check_peers("peers", &self.peers)?;
        let own = peers.remove(&id);
        let listen = first_given(self.listen, vec![LISTEN_DEFAULT.to_owned()]);
        let given = check_endpoints("peer_listen", &self.peer_listen)?;
        let advertise = check_peer_advertise(self.peer_advertise, own.as_ref(), &given)?;
        let peer_listen = first_given(given, own.into_iter().collect());
        if peer_listen.is_empty() && !peers.is_empty() {
            return Err(ConfigError::Missing("peer_listen"));
        }
        Ok(ServeConfig {
            id,
            cluster_id: cluster_id(&cluster),
            cluster,
            data_dir,
            time: TimeConfig {
                test_clock: self.test_clock,
                ..check_times(self.heartbeat, self.election_timeout, self.request_timeout)?
            },
            clients: ClientConfig {
                listen: check_endpoints("listen", &listen)?,
                http: check_http(self.http)?,
                advertise: check_advertise(self.advertise)?,
                allow_flush: self.allow_flush,
            },
            peers: PeerConfig {
                listen: peer_listen,
                advertise,
                others: peers,
                via: check_via(&self.peer_via)?,
                auth: check_peer_auth(self.peer_auth.as_deref(), self.peer_secret_file.is_some())?,
                secret_file: self.peer_secret_file,
                insecure: self.insecure_peers,
            },
            tls,
            disk: DiskConfig {
                segment_bytes: SEGMENT_BYTES
                    .check(self.segment_bytes)?
                    .next_multiple_of(PAGE_BYTES),
                snapshot_log_bytes: SNAPSHOT_LOG_BYTES.check(self.snapshot_log_bytes)?,
                snapshot_rate: SNAPSHOT_RATE.check(self.snapshot_rate)?,
                scrub_rate: SCRUB_RATE.check(self.scrub_rate)?,
                shadow: check_shadow_disk(self.shadow_disk.as_deref())?,
            },
            auto_upgrade: self.auto_upgrade,
            log: check_log(self.log.as_deref(), self.log_format.as_deref())?,
        })
    }
}

/// Before the other settings are checked.
impl Settings {
    /// What to log, and how, as far as it was given and is valid.
    pub fn log_config(&self) -> LogConfig {
        let (level, format) = (self.log.as_deref(), self.log_format.as_deref());
        check_log(level, format).unwrap_or_default()
    }
}

fn check_times(
    heartbeat: Option<String>,
    election_timeout: Option<String>,
    request_timeout: Option<String>,
) -> Result<TimeConfig, ConfigError> {
    let heartbeat = check_time("heartbeat", heartbeat, HEARTBEAT_DEFAULT)?;
    let election_timeout = check_time("election_timeout", election_timeout, ELECTION_DEFAULT)?;
    if election_timeout < 2 * heartbeat {
        let reason = format!("{election_timeout:?} is less than two heartbeats of {heartbeat:?}");
        return Err(invalid("election_timeout", reason));
    }
    Ok(TimeConfig {
        heartbeat,
        election_timeout,
        request_timeout: check_time("request_timeout", request_timeout, REQUEST_DEFAULT)?,
        test_clock: None,
    })
}

pub(super) fn invalid(field: &'static str, reason: impl Into<String>) -> ConfigError {
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

fn check_http(address: Option<String>) -> Result<Option<Endpoint>, ConfigError> {
    let endpoint = check_endpoints("http", address.as_slice())?.pop();
    match endpoint {
        Some(Endpoint::Unix(path)) => {
            let reason = format!("{} is no TCP address (as in 127.0.0.1:7801)", path.display());
            Err(invalid("http", reason))
        }
        endpoint => Ok(endpoint),
    }
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

/// Where the others reach the node: where it says so, or else where it was to be reached from the beginning, or listens.
fn check_peer_advertise(
    given: Option<String>,
    own: Option<&Endpoint>,
    listen: &[Endpoint],
) -> Result<Option<Endpoint>, ConfigError> {
    if let Some(text) = given {
        return Ok(check_endpoints("peer_advertise", &[text])?.pop());
    }
    let is_reachable =
        |at: &&Endpoint| matches!(at, Endpoint::Unix(_)) || at.reachable_from_elsewhere().is_some();
    Ok(own.or_else(|| listen.iter().find(is_reachable)).cloned())
}

fn check_via(texts: &[String]) -> Result<BTreeMap<Endpoint, Endpoint>, ConfigError> {
    let bad = |reason: String| invalid("peer_via", reason);
    let parse = |text: &str| -> Result<Endpoint, ConfigError> {
        text.trim().parse().map_err(|error| bad(format!("{error}")))
    };
    let mut via = BTreeMap::new();
    for text in texts {
        let (said, dialled) = text.split_once('=').ok_or_else(|| {
            bad(format!(
                "'{text}' is not ADDR=ADDR (as in 10.0.0.2:7701=127.0.0.1:9)"
            ))
        })?;
        if via.insert(parse(said)?, parse(dialled)?).is_some() {
            return Err(bad(format!("'{said}' is named twice")));
        }
    }
    Ok(via)
}

fn check_peers(field: &'static str, texts: &[String]) -> Result<BTreeMap<NodeId, Endpoint>, ConfigError> {
    let mut peers = BTreeMap::new();
    for text in texts {
        let (id, address) = text
            .split_once('=')
            .ok_or_else(|| invalid(field, format!("'{text}' is not ID=ADDR (as in 2=10.0.0.2:7701)")))?;
        let id = id
            .trim()
            .parse()
            .map_err(|_| invalid(field, format!("'{id}' is no node id")))?;
        let id = check_id(field, id)?;
        let endpoint: Endpoint = address
            .trim()
            .parse()
            .map_err(|error| invalid(field, format!("{error}")))?;
        if peers.insert(id, endpoint).is_some() {
            return Err(invalid(field, format!("node {} is named twice", id.get())));
        }
    }
    if peers.len() > MEMBERS_MAX {
        return Err(invalid(
            field,
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

/// A setting that is a number of bytes.
struct Size {
    field: &'static str,
    default: u64,
    range: RangeInclusive<u64>,
}

impl Size {
    fn check(&self, text: Option<String>) -> Result<u64, ConfigError> {
        let Some(text) = text else { return Ok(self.default) };
        let bytes = parse_size(&text).ok_or_else(|| {
            invalid(
                self.field,
                format!("'{text}' is no size (as in 65536, 256KiB or 64MiB)"),
            )
        })?;
        if !self.range.contains(&bytes) {
            let (min, max) = (self.range.start(), self.range.end());
            return Err(invalid(
                self.field,
                format!("{bytes} is not between {min} and {max}"),
            ));
        }
        Ok(bytes)
    }
}

fn check_log(level: Option<&str>, format: Option<&str>) -> Result<LogConfig, ConfigError> {
    let default = LogConfig::default();
    let unknown = |level: &str| {
        let reason = format!("'{level}' is none of error, warn, info, debug, trace, off");
        invalid("log", reason)
    };
    let parse = |level: &str| level.parse().map_err(|_| unknown(level));
    Ok(LogConfig {
        level: level.map_or(Ok(default.level), parse)?,
        format: match format {
            None => default.format,
            Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(other) => return Err(invalid("log_format", format!("'{other}' is none of text, json"))),
        },
    })
}

fn check_shadow_disk(text: Option<&str>) -> Result<Option<ShadowOptions>, ConfigError> {
    let parse = |text: &str| {
        text.parse()
            .map_err(|error: ShadowOptionsError| invalid("shadow_disk", error.to_string()))
    };
    text.map(parse).transpose()
}

/// Where a node listens for clients unless it is configured otherwise.
pub(super) const LISTEN_DEFAULT: &str = "127.0.0.1:7601";
const CLUSTER_DEFAULT: &str = "noraft";
/// A name is for people; this many bytes fit into a log line.
const CLUSTER_BYTES_MAX: usize = 128;
pub(super) const HEARTBEAT_DEFAULT: Duration = ReplicaConfig::HEARTBEAT;
pub(super) const ELECTION_DEFAULT: Duration = ReplicaConfig::ELECTION_TIMEOUT;
const REQUEST_DEFAULT: Duration = ReplicaConfig::REQUEST_TIMEOUT;
/// The runtime's timers tick in milliseconds.
const TIME_MIN: Duration = Duration::from_millis(2);
/// A longer one is a mistake of units.
const TIME_MAX: Duration = Duration::from_secs(600);
/// Smaller, and a roll costs more than it saves; larger, and the disk is held for what is not written yet.
const SEGMENT_BYTES: Size = Size {
    field: "segment_bytes",
    default: Options::SEGMENT_BYTES,
    range: 256 << 10..=1 << 30,
};
/// Smaller, and the node writes snapshots all the time; larger, and a restart reads for seconds.
const SNAPSHOT_LOG_BYTES: Size = Size {
    field: "snapshot_log_bytes",
    default: SnapshotConfig::LOG_BYTES,
    range: 64 << 10..=1 << 30,
};
const SNAPSHOT_RATE: Size = Size {
    field: "snapshot_rate",
    default: SnapshotConfig::BYTES_PER_SECOND,
    range: 64 << 10..=16 << 30,
};
/// A disk of a terabyte is read in three days; the load is not noticeable.
const SCRUB_RATE: Size = Size {
    field: "scrub_rate",
    default: 4 << 20,
    range: 0..=1 << 30,
};
/// Segments are whole pages.
pub(super) const PAGE_BYTES: u64 = 4096;

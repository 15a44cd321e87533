//! How a replica behaves.

use std::collections::BTreeSet;
use std::time::Duration;

use noraft::NodeId;

use crate::level::Level;

/// How a replica behaves; every limit has its reason beside it.
#[derive(Debug, Clone)]
pub struct ReplicaConfig {
    /// This node.
    pub id: NodeId,
    /// Every node of the cluster, this one among them: the nodes that may be made voters.
    pub members: BTreeSet<NodeId>,
    /// Time between a leader's heartbeats. A tenth of the election timeout tolerates several lost ones.
    pub heartbeat_interval: Duration,
    /// A follower that hears no leader for this long, or up to twice as long (drawn at random, Raft 9.3),
    /// campaigns. A leader that hears no majority for this long steps down.
    pub election_timeout: Duration,
    /// A leader whose sync has not returned for this long stops its heartbeats.
    pub disk_stall_max: Duration,
    /// Every request is answered after at most this long.
    pub request_timeout: Duration,
    /// How much may be under way.
    pub limits: Limits,
    /// When snapshots are taken, and how they are sent.
    pub snapshots: SnapshotConfig,
    /// The highest level that this node supports.
    pub level: Level,
    /// Whether this node, while it leads, raises the level as soon as every member supports a higher one.
    pub raises_level: bool,
}

/// How much may be under way in a replica.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of payload in one batch: bounds the latency of one sync.
    pub batch_bytes_max: usize,
    /// Payload bytes sent to one peer and not yet acknowledged: what a slow peer may cost in memory.
    pub in_flight_bytes_max: usize,
    /// Messages sent to one peer and not yet acknowledged.
    pub in_flight_messages_max: usize,
    /// Payload bytes kept in memory for slow peers; older entries are read from the log.
    pub payload_cache_bytes_max: usize,
    /// Requests of clients and followers that may wait here at once.
    pub requests_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_bytes_max: 4 << 20,
            in_flight_bytes_max: 16 << 20,
            in_flight_messages_max: 64,
            payload_cache_bytes_max: 8 << 20,
            requests_max: 65_536,
        }
    }
}

/// When a replica takes snapshots, and how it sends them.
#[derive(Debug, Clone)]
pub struct SnapshotConfig {
    /// Bytes of entries after which a snapshot is taken (or as many as the last snapshot has, if that is more:
    /// then the disk writes at most about twice what clients do).
    pub log_bytes: u64,
    /// Bytes of a snapshot sent at once: what one lost message costs.
    pub chunk_bytes: usize,
    /// How fast snapshots are sent: the rest of the network is for commits.
    pub bytes_per_second: u64,
}

impl SnapshotConfig {
    /// [`Self::log_bytes`] unless something else is asked for.
    pub const LOG_BYTES: u64 = 64 << 20;
    /// [`Self::bytes_per_second`] unless something else is asked for.
    pub const BYTES_PER_SECOND: u64 = 128 << 20;
}

impl Default for SnapshotConfig {
    fn default() -> Self {
        Self {
            log_bytes: Self::LOG_BYTES,
            chunk_bytes: 1 << 20,
            bytes_per_second: Self::BYTES_PER_SECOND,
        }
    }
}

impl ReplicaConfig {
    /// [`Self::heartbeat_interval`] unless something else is asked for.
    pub const HEARTBEAT: Duration = Duration::from_millis(50);
    /// [`Self::election_timeout`], likewise.
    pub const ELECTION_TIMEOUT: Duration = Duration::from_millis(500);
    /// [`Self::request_timeout`], likewise.
    pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

    /// The defaults for node `id` in a cluster of its own.
    pub fn new(id: NodeId) -> Self {
        Self {
            id,
            members: BTreeSet::from([id]),
            heartbeat_interval: Self::HEARTBEAT,
            election_timeout: Self::ELECTION_TIMEOUT,
            disk_stall_max: Self::ELECTION_TIMEOUT,
            request_timeout: Self::REQUEST_TIMEOUT,
            limits: Limits::default(),
            snapshots: SnapshotConfig::default(),
            level: Level::SUPPORTED,
            raises_level: false,
        }
    }
}

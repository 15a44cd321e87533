//! What `NORAFT.STATUS` answers, as data: the daemon writes it, `noraftd status` and the tests read it.
//!
//! Invariant: the JSON only ever gains fields.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The answer to `NORAFT.STATUS`, in JSON: one flat object, whatever the groups here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// The process.
    #[serde(flatten)]
    pub process: ProcessReport,
    /// The cluster's name.
    pub cluster: String,
    /// This node.
    pub id: u64,
    /// Names the data directory.
    pub incarnation: String,
    /// The data directory of each other node that this one has met.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub met: BTreeMap<u64, String>,
    /// Where the cluster was begun again with `noraftd recover`: which beginning it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<String>,
    /// Which part this node has in the cluster, as far as it knows.
    #[serde(flatten)]
    pub view: ViewReport,
    /// How far its log is.
    #[serde(flatten)]
    pub log: LogReport,
    /// For a leader: the last index known to be durable on each other member.
    pub match_indexes: BTreeMap<u64, u64>,
    /// What is on its disk.
    #[serde(flatten)]
    pub directory: DirectoryReport,
    /// What keeps it from its full part.
    #[serde(flatten)]
    pub health: HealthReport,
    /// What is wrong, or was since it was last cleared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<AlarmReport>,
    /// What recovery found when the directory was opened.
    pub recovery: Vec<String>,
    /// The disk.
    pub storage: StorageReport,
    /// Its connections.
    #[serde(flatten)]
    pub connections: ConnectionReport,
}

impl StatusReport {
    /// Which beginning of the cluster it is; 0 for the first.
    pub fn generation(&self) -> u64 {
        let written = self.generation.as_deref();
        written
            .and_then(|hex| u64::from_str_radix(hex, 16).ok())
            .unwrap_or(0)
    }
}

/// The process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessReport {
    /// The program's version.
    pub version: String,
    /// The process id.
    pub process_id: u32,
    /// Milliseconds since the process started.
    pub uptime_ms: u64,
}

/// Which part this node has in the cluster, as far as it knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewReport {
    /// `leader`, `candidate` or `follower`; `loading` while the node reads its directory, and knows nothing else yet.
    pub role: String,
    /// While it does: how far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loading: Option<LoadingReport>,
    /// The current term.
    pub term: u64,
    /// The leader of the current term, when known.
    pub leader: Option<u64>,
    /// The level of the cluster, as far as this node has applied the log.
    #[serde(default)]
    pub level: u8,
    /// The highest level that this node's version supports.
    #[serde(default)]
    pub level_supported: u8,
    /// The voters of the configuration in force.
    pub voters: Vec<u64>,
    /// While the voters are being changed: those after the change.
    #[serde(default)]
    pub new_voters: Vec<u64>,
}

/// How far its log is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogReport {
    /// Highest index known to be committed.
    pub commit_index: u64,
    /// Highest index applied.
    pub applied_index: u64,
    /// Highest index durable here.
    pub durable_index: u64,
    /// Index of the last entry of the log.
    pub last_index: u64,
    /// Term of the last entry of the log.
    pub last_term: u64,
    /// Wall clock of the last entry applied, in milliseconds since the Unix epoch.
    pub applied_stamp_ms: u64,
}

/// What is on its disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryReport {
    /// Where the node keeps everything.
    pub data_dir: String,
    /// The log begins after this entry.
    pub base_index: u64,
    /// The last entry in the newest snapshot on this node's disk; zero while there is none.
    pub snapshot_index: u64,
    /// The term of that entry.
    pub snapshot_term: u64,
    /// The bytes of that snapshot.
    pub snapshot_bytes: u64,
}

/// What keeps it from its full part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthReport {
    /// True while the node neither votes nor campaigns, because its tail was ambiguous.
    pub abstaining: bool,
    /// True when no leader can be elected, because a majority of the nodes is known to have lost entries.
    #[serde(default)]
    pub lost_majority: bool,
    /// True while the disk syncs too slowly for the election timeout.
    #[serde(default)]
    pub disk_too_slow: bool,
    /// Entries of the log that are damaged on this node's disk and not repaired yet.
    #[serde(default)]
    pub holes: u64,
    /// Entries that were damaged, and are durable here again.
    #[serde(default)]
    pub repaired: u64,
    /// True while only a snapshot can repair what is damaged.
    #[serde(default)]
    pub needs_snapshot: bool,
    /// Where nodes hold different things, in words; absent while they agree.
    #[serde(default)]
    pub divergence: Option<String>,
}

/// Something that is wrong, or was since an operator cleared it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmReport {
    /// Which alarm; the runbook has a page of this name.
    pub alarm: String,
    /// True while its condition holds; an alarm that is over stays until it is cleared.
    pub raised: bool,
    /// What is wrong, or was.
    pub detail: String,
    /// When it was raised, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// When its condition ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
}

/// Its connections.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionReport {
    /// Connections of clients.
    pub clients: u64,
    /// Requests of clients under way.
    pub requests_under_way: u64,
    /// What other nodes have to prove: `off`, `accept` or `require`.
    #[serde(default)]
    pub peer_auth: String,
    /// Whether clients speak TLS: `off`, `accept` or `require`.
    #[serde(default)]
    pub tls: String,
    /// Whether nodes do.
    #[serde(default)]
    pub peer_tls: String,
    /// The other members, as this node reaches them.
    pub peers: Vec<PeerReport>,
}

/// How far a node is that still reads its directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadingReport {
    /// Bytes of log and snapshots in the directory.
    pub total_bytes: u64,
    /// Those that were read.
    pub read_bytes: u64,
}

impl std::fmt::Display for LoadingReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [read, total] = [self.read_bytes, self.total_bytes].map(|bytes| bytes.div_ceil(1 << 20));
        write!(f, "{read} of {total} MiB")
    }
}

/// What the storage thread did since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageReport {
    /// Batches made durable.
    pub batches: u64,
    /// Entries in them.
    pub entries: u64,
    /// How long the last batch took, in microseconds.
    pub last_sync_us: u64,
    /// How long the slowest batch took, in microseconds.
    pub max_sync_us: u64,
    /// True while a batch waits because the disk is full.
    pub disk_full: bool,
    /// The entry that the scrub reads next.
    #[serde(default)]
    pub scrub_index: u64,
    /// How often the scrub has read the whole log.
    #[serde(default)]
    pub scrub_passes: u64,
    /// Damaged entries that the scrub has found.
    #[serde(default)]
    pub scrub_found: u64,
    /// Milliseconds since the last batch, when there was one.
    pub last_sync_age_ms: Option<u64>,
}

/// How this node reaches another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerReport {
    /// The other node.
    pub id: u64,
    /// Its address.
    pub address: String,
    /// True while this node is connected to it.
    pub connected: bool,
    /// The highest level that it supports, while this node is connected to it.
    #[serde(default)]
    pub level_supported: Option<u8>,
    /// True when both have proven on this connection that they know the secret.
    #[serde(default)]
    pub proven: bool,
    /// True when this connection is encrypted, and both have shown the certificates of nodes.
    #[serde(default)]
    pub encrypted: bool,
    /// Messages dropped because it was not connected, or too slow.
    pub dropped: u64,
    /// Why the last attempt to connect failed, while not connected.
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_is_flat_and_its_fields_keep_their_order() {
        let report = StatusReport {
            id: 1,
            match_indexes: BTreeMap::from([(2, 9)]),
            ..StatusReport::default()
        };
        let json = serde_json::to_string(&report).expect("plain data");
        assert_eq!(
            json,
            r#"{"version":"","process_id":0,"uptime_ms":0,"cluster":"","id":1,"incarnation":"","role":"","term":0,"#.to_owned()
                + r#""leader":null,"level":0,"level_supported":0,"voters":[],"new_voters":[],"commit_index":0,"applied_index":0,"durable_index":0,"#
                + r#""last_index":0,"last_term":0,"applied_stamp_ms":0,"match_indexes":{"2":9},"data_dir":"","#
                + r#""base_index":0,"snapshot_index":0,"snapshot_term":0,"snapshot_bytes":0,"abstaining":false,"#
                + r#""lost_majority":false,"disk_too_slow":false,"holes":0,"repaired":0,"needs_snapshot":false,"#
                + r#""divergence":null,"recovery":[],"storage":{"batches":0,"entries":0,"last_sync_us":0,"max_sync_us":0,"#
                + r#""disk_full":false,"scrub_index":0,"scrub_passes":0,"scrub_found":0,"last_sync_age_ms":null},"#
                + r#""clients":0,"requests_under_way":0,"peer_auth":"","tls":"","peer_tls":"","peers":[]}"#
        );
        let read: StatusReport = serde_json::from_str(&json).expect("its own words");
        assert_eq!(read, report);
    }
}

//! What `NORAFT.VITALS` answers, as data: how a node is set, what its machine gives it, how its disk and its clock fare. `noraftd doctor`
//! compares it.
//!
//! Invariant: the JSON only ever gains fields; a field that an earlier version does not say is zero or empty, which is judged as not known.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The answer to `NORAFT.VITALS`, in JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VitalsReport {
    /// The node.
    pub id: u64,
    /// The settings that should be those of all nodes, as they are written.
    pub settings: BTreeMap<String, String>,
    /// How long a follower waits for its leader, in milliseconds.
    pub election_timeout_ms: u64,
    /// Bytes of one segment of the log.
    pub segment_bytes: u64,
    /// The wall clock, in milliseconds since the Unix epoch.
    pub wall_ms: u64,
    /// How far that is ahead of the clock of the log.
    pub clock_offset_ms: i64,
    /// Files that the process has open.
    pub files_open: u64,
    /// Files that it may have open.
    pub files_max: u64,
    /// Bytes of the file system that its directory is on.
    pub disk_total_bytes: u64,
    /// Bytes of it that are free for this process.
    pub disk_free_bytes: u64,
    /// The disk.
    pub syncs: SyncReport,
}

/// How long batches took on the disk, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncReport {
    /// How many there were.
    pub count: u64,
    /// Half of them took no longer, in microseconds. Quantiles are powers of two, up to twice what they stand for.
    pub p50_us: u64,
    /// 99 of 100 took no longer.
    pub p99_us: u64,
    /// The slowest.
    pub slowest_us: u64,
    /// How long the batch that is not durable yet has been on its way; zero when there is none.
    pub in_flight_us: u64,
}

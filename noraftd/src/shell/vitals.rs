//! How this node is set, what its machine gives it, how its disk and its clock fare: what `NORAFT.VITALS` answers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::clock;
use super::node_info::NodeInfo;
use crate::local::figures::ProcessFigures;
use crate::local::vitals::{SyncReport, VitalsReport};

impl NodeInfo {
    /// The answer to `NORAFT.VITALS`, with what the system said of the process.
    pub(super) fn vitals_json(&self, process: &ProcessFigures) -> String {
        serde_json::to_string(&self.vitals(process)).expect("a report is plain data")
    }

    fn vitals(&self, process: &ProcessFigures) -> VitalsReport {
        VitalsReport {
            id: self.config.id.get(),
            settings: self.shared_settings(),
            election_timeout_ms: millis(self.config.time.election_timeout),
            segment_bytes: self.config.disk.segment_bytes,
            wall_ms: clock::wall().as_millis(),
            clock_offset_ms: self.replica.borrow().clock_offset_ms(clock::wall()),
            files_open: process.files.0,
            files_max: process.files.1,
            disk_total_bytes: process.disk.0,
            disk_free_bytes: process.disk.1,
            syncs: self.syncs(),
        }
    }

    /// What all nodes should have alike, by the names of the settings file.
    fn shared_settings(&self) -> BTreeMap<String, String> {
        let (time, disk) = (&self.config.time, &self.config.disk);
        let settings = [
            ("heartbeat", format!("{:?}", time.heartbeat)),
            ("election_timeout", format!("{:?}", time.election_timeout)),
            ("request_timeout", format!("{:?}", time.request_timeout)),
            ("segment_bytes", disk.segment_bytes.to_string()),
            ("snapshot_log_bytes", disk.snapshot_log_bytes.to_string()),
            ("peer_auth", self.config.peers.auth.name().to_owned()),
            ("tls_mode", self.config.tls.clients.name().to_owned()),
            ("peer_tls_mode", self.config.tls.peers.name().to_owned()),
        ];
        settings.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn syncs(&self) -> SyncReport {
        let now = clock::now();
        let (syncs, slowest_us) = (&self.figures.syncs, self.figures.report(now).max_sync_us);
        let quantile = |permille| {
            syncs
                .quantile(permille)
                .map_or(slowest_us, micros)
                .min(slowest_us)
        };
        SyncReport {
            count: syncs.count(),
            p50_us: quantile(500),
            p99_us: quantile(990),
            slowest_us,
            in_flight_us: micros(self.figures.in_flight(now)),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

//! What the command line says of a run.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::system::System;

/// Drives noraftd, etcd-server and redis-server with the same load and compares them.
#[derive(Debug, Parser)]
#[command(name = "daemon")]
pub(crate) struct Options {
    /// Rounds; a figure is the median of all rounds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Seconds that a workload is measured for in a round, after a short warm-up.
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// Numbers of clients for the un-pipelined writes.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) clients: Vec<u32>,
    /// The systems to run; without it, every one that is installed.
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<System>,
    /// How often the leader is killed; 0 leaves failover out.
    #[arg(long, default_value_t = 10)]
    pub(crate) failovers: u32,
    /// How many of noraftd's other nodes have a slow disk while its leader is killed.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub(crate) slow_disks: u8,
    /// Milliseconds in which such a disk answers once.
    #[arg(long, value_name = "MILLIS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(10..=10_000))]
    pub(crate) slow_sync: u64,
    /// The daemon; without it, the one that `cargo build --profile dist` left.
    #[arg(long, value_name = "PATH")]
    pub(crate) noraftd: Option<PathBuf>,
    /// A prototype of the bare data path, taken as another peer: `PATH leader|follower PORT DIR MODE [PEER_PORT...]`.
    #[arg(long, value_name = "PATH")]
    pub(crate) ceiling: Option<PathBuf>,
    /// The mode that the prototype is started in.
    #[arg(long, value_name = "MODE", default_value = "inline")]
    pub(crate) ceiling_mode: String,
    /// Where the servers keep their data for the time of the run; by default beside the build's output.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// The report; by default results/bench/daemon.md.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// True when `system` is to run.
    pub(crate) fn wants(&self, system: System) -> bool {
        self.only.is_empty() || self.only.contains(&system)
    }

    /// How many disks of `system` are slow while its leader is killed, and how slow. Only noraftd's can be made so.
    pub(crate) fn slow_disks_of(&self, system: System) -> (usize, Duration) {
        let disks = if system == System::Noraftd {
            self.slow_disks
        } else {
            0
        };
        (usize::from(disks), Duration::from_millis(self.slow_sync))
    }

    /// How long a workload is measured in a round.
    pub(crate) fn measured(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if (SECONDS_MIN..=SECONDS_MAX).contains(&seconds) {
        Ok(seconds)
    } else {
        Err(format!("not between {SECONDS_MIN} and {SECONDS_MAX}"))
    }
}

/// Shorter than this, CPU time (counted in hundredths of a second) says nothing.
const SECONDS_MIN: f64 = 0.2;

/// Every latency of a round is kept in memory.
const SECONDS_MAX: f64 = 60.0;

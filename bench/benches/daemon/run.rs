//! A whole run: start everything, fill it, measure, kill leaders, report.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use crate::clock::now;
use crate::deployment::Deployment;
use crate::disk::sync_micros;
use crate::facts;
use crate::failover::Failover;
use crate::first_write::first_write;
use crate::launch::Installed;
use crate::load::fill;
use crate::options::Options;
use crate::process::Memory;
use crate::report;
use crate::rounds::Rounds;
use crate::system::System;

/// Everything a run found out.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The machine, in a sentence.
    pub(crate) machine: String,
    /// Microseconds of one sync of 4 KiB.
    pub(crate) sync_micros: f64,
    /// Systems that ran.
    pub(crate) installed: Vec<Installed>,
    /// Systems that did not, and why.
    pub(crate) left_out: Vec<String>,
    /// Start, memory and failover of each system.
    pub(crate) lives: BTreeMap<System, Life>,
    /// Throughput and latency.
    pub(crate) rounds: Rounds,
}

/// What is not load.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// From the start of all processes with empty directories to the first acknowledged write.
    pub(crate) start: Vec<Duration>,
    /// Before the first write but those that showed that it runs.
    pub(crate) memory_idle: Memory,
    /// After [`FILL_WRITES`] writes.
    pub(crate) memory_filled: Memory,
    /// Kills of the leader, for those who elect one.
    pub(crate) failover: Option<Failover>,
}

/// Runs the benchmark and writes its report.
pub(crate) async fn run(options: &Options) -> Result<(), String> {
    let dir = work_dir(options)?;
    let mut findings = Findings {
        machine: facts::machine(dir.path()),
        sync_micros: sync_micros(dir.path()).map_err(|error| format!("{}: {error}", dir.path().display()))?,
        ..Findings::default()
    };
    let mut deployments = start_all(options, dir.path(), &mut findings).await?;
    findings.rounds = Rounds::run(options, &mut deployments).await;
    for deployment in &mut deployments {
        kill_leaders(options, deployment, &mut findings).await;
    }
    drop(deployments);
    let text = report::render(&findings, options);
    println!("{text}");
    let out = options.out.clone().unwrap_or_else(report_path);
    write_report(&out, &text).map_err(|error| format!("{}: {error}", out.display()))
}

async fn start_all(
    options: &Options,
    dir: &Path,
    findings: &mut Findings,
) -> Result<Vec<Deployment>, String> {
    let mut deployments = Vec::new();
    let mut ports = Vec::new();
    for system in System::ALL.into_iter().filter(|system| options.wants(*system)) {
        let installed = match Installed::find(system, options) {
            Ok(installed) => installed,
            Err(reason) => {
                eprintln!("bench: {} is left out: {reason}", system.name());
                findings.left_out.push(format!("{}: {reason}", system.name()));
                continue;
            }
        };
        let mut life = Life::default();
        deployments.push(start_one(&installed, dir, &mut ports, &mut life).await?);
        findings.lives.insert(system, life);
        findings.installed.push(installed);
    }
    if deployments.is_empty() {
        return Err("there is nothing to run".to_owned());
    }
    Ok(deployments)
}

/// Starts a system several times with empty directories, keeps the last one and fills it.
async fn start_one(
    installed: &Installed,
    dir: &Path,
    ports: &mut Vec<u16>,
    life: &mut Life,
) -> Result<Deployment, String> {
    let name = installed.system.name();
    let mut running = None;
    for _ in 0..starts(installed.system) {
        drop(running.take());
        let start = now();
        let mut deployment = Deployment::start(installed, dir, ports)?;
        let first = first_write(
            installed.system.protocol(),
            &deployment.addresses(),
            start,
            START_MAX,
        )
        .await;
        deployment.check_alive()?;
        life.start
            .push(first.map_err(|error| format!("{name} does not start: {error}"))?);
        running = Some(deployment);
    }
    let mut deployment = running.expect("a system is started at least once");
    deployment.leader().await?;
    sleep(SETTLE).await;
    life.memory_idle = deployment.memory()?;
    let start = now();
    fill(&mut deployment, FILL_WRITES).await?;
    eprintln!(
        "bench: {name} {}: {FILL_WRITES} writes in {:.1?}",
        installed.version,
        start.elapsed()
    );
    life.memory_filled = deployment.memory()?;
    Ok(deployment)
}

/// The prototype writes its whole log at its start: there is nothing to learn from that.
const fn starts(system: System) -> usize {
    match system {
        System::Noraftd | System::Etcd | System::Redis => 3,
        System::Ceiling => 1,
    }
}

async fn kill_leaders(options: &Options, deployment: &mut Deployment, findings: &mut Findings) {
    if !deployment.system.is_consensus() || options.failovers == 0 {
        return;
    }
    let name = deployment.system.name();
    eprintln!("bench: {name}: killing the leader {} times", options.failovers);
    let slow_disks = options.slow_disks_of(deployment.system);
    let mut failover = Failover::default();
    for number in 1..=options.failovers {
        if let Err(error) = failover.try_once(deployment, slow_disks).await {
            let remark = format!("{name}, kill {number} of the leader: {error}");
            eprintln!("bench: {remark}");
            findings.rounds.remarks.push(remark);
            break;
        }
    }
    if let Some(life) = findings.lives.get_mut(&deployment.system) {
        life.failover = Some(failover);
    }
}

/// A directory for all servers; it goes when it is dropped.
fn work_dir(options: &Options) -> Result<tempfile::TempDir, String> {
    let root = options.dir.clone().unwrap_or_else(build_dir);
    tempfile::Builder::new()
        .prefix("bench-daemon-")
        .tempdir_in(&root)
        .map_err(|error| format!("{}: {error}", root.display()))
}

/// Beside the build's output: a real disk, where a temporary directory may be in memory.
fn build_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

fn report_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/bench/daemon.md")
}

fn write_report(out: &Path, text: &str) -> std::io::Result<()> {
    if let Some(dir) = out.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(out, text)
}

/// Writes before the first round: every key ten times.
pub(crate) const FILL_WRITES: u32 = 100_000;

/// No system takes this long to start.
const START_MAX: Duration = Duration::from_secs(60);

/// After a start, caches and connections come to rest.
const SETTLE: Duration = Duration::from_millis(500);

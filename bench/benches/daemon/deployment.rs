//! A system's nodes and the directory they live in.
//!
//! Invariant: dropping it kills the processes first and removes the directory then.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use harness::cluster::SlowDisk;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::clock::now;
use crate::launch::{Installed, Launch};
use crate::process::{Memory, Process};
use crate::system::System;
use crate::wire::{CallError, Client};

/// A running system.
#[derive(Debug)]
pub(crate) struct Deployment {
    /// Which one.
    pub(crate) system: System,
    nodes: Vec<Node>,
    _dir: TempDir,
}

#[derive(Debug)]
struct Node {
    launch: Launch,
    process: Option<Process>,
}

impl Deployment {
    /// Starts all nodes at once, with empty directories below `root`; does not wait for them.
    pub(crate) fn start(installed: &Installed, root: &Path, taken: &mut Vec<u16>) -> Result<Self, String> {
        let dir = tempfile::Builder::new()
            .prefix(installed.system.name())
            .tempdir_in(root)
            .map_err(|error| format!("{}: {error}", root.display()))?;
        let launches = installed.launches(dir.path(), taken)?;
        let nodes = launches.into_iter().map(|launch| Node {
            launch,
            process: None,
        });
        let mut deployment = Self {
            system: installed.system,
            nodes: nodes.collect(),
            _dir: dir,
        };
        (0..deployment.nodes.len()).try_for_each(|at| deployment.start_node(at))?;
        Ok(deployment)
    }

    /// Starts a node that is not running.
    pub(crate) fn start_node(&mut self, at: usize) -> Result<(), String> {
        let node = &mut self.nodes[at];
        assert!(node.process.is_none(), "node {at} runs already");
        let process = Process::start(&node.launch.start)
            .map_err(|error| format!("{}: {error}", node.launch.start.program.display()))?;
        node.process = Some(process);
        Ok(())
    }

    /// Kills a running node with SIGKILL.
    pub(crate) fn kill_node(&mut self, at: usize) -> Result<(), String> {
        let process = self.nodes[at].process.take().expect("the node runs");
        process.kill().map_err(|error| format!("SIGKILL: {error}"))
    }

    /// Slows the disk of a running node down, until what is returned is dropped.
    pub(crate) fn slow_disk(&self, at: usize, interval: Duration) -> Result<SlowDisk, String> {
        let process = self.nodes[at].process.as_ref().expect("the node runs");
        let pid = i32::try_from(process.id()).map_err(|error| error.to_string())?;
        SlowDisk::begin(pid, interval).map_err(|error| format!("node {at}: {error}"))
    }

    /// Where node `at` serves clients.
    pub(crate) fn address(&self, at: usize) -> SocketAddr {
        self.nodes[at].launch.clients
    }

    /// Where clients may go: to every node, or to the only one that takes them.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let open = if self.system.is_consensus() {
            self.nodes.len()
        } else {
            1
        };
        (0..open).map(|at| self.address(at)).collect()
    }

    /// Fails, with the end of its log, when a node has ended that was not killed.
    pub(crate) fn check_alive(&mut self) -> Result<(), String> {
        for node in &mut self.nodes {
            let ended = match &mut node.process {
                Some(process) => process.ended().map_err(|error| error.to_string())?,
                None => None,
            };
            if let Some(how) = ended {
                let log =
                    fs::read_to_string(&node.launch.start.log).unwrap_or_else(|error| error.to_string());
                return Err(format!(
                    "a node of {} ended ({how}): {}",
                    self.system.name(),
                    last_lines(&log)
                ));
            }
        }
        Ok(())
    }

    /// Waits until a node says that it leads; its place.
    pub(crate) async fn leader(&mut self) -> Result<usize, String> {
        if !self.system.is_consensus() {
            return Ok(0);
        }
        let give_up = now() + LEADER_WAIT_MAX;
        loop {
            let mut last_error = None;
            for at in 0..self.nodes.len() {
                match self.leads(at).await {
                    Ok(true) => return Ok(at),
                    Ok(false) => {}
                    Err(error) => last_error = Some(error),
                }
            }
            self.check_alive()?;
            if now() > give_up {
                return Err(format!(
                    "{} has no leader (last error: {last_error:?})",
                    self.system.name()
                ));
            }
            sleep(ASK_AGAIN).await;
        }
    }

    async fn leads(&self, at: usize) -> Result<bool, CallError> {
        let ask = async {
            let mut client = Client::connect(self.system.protocol(), self.address(at)).await?;
            client.leads().await
        };
        let silent = |_| CallError::Broken(format!("no answer in {ASK_TIMEOUT:?}"));
        timeout(ASK_TIMEOUT, ask).await.map_err(silent)?
    }

    /// CPU time of all nodes that run.
    pub(crate) fn cpu(&self) -> Result<Duration, String> {
        self.processes()
            .map(|process| process.cpu().map_err(|error| error.to_string()))
            .sum()
    }

    /// The memory of the node that holds the most.
    pub(crate) fn memory(&self) -> Result<Memory, String> {
        let each: Result<Vec<Memory>, _> = self.processes().map(Process::memory).collect();
        let each = each.map_err(|error| error.to_string())?;
        let largest = each.into_iter().max_by_key(|memory| memory.resident);
        Ok(largest.expect("a system has nodes"))
    }

    fn processes(&self) -> impl Iterator<Item = &Process> {
        self.nodes.iter().filter_map(|node| node.process.as_ref())
    }
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join(" | ")
}

/// A leader is elected within a few election timeouts, or something is wrong.
const LEADER_WAIT_MAX: Duration = Duration::from_secs(15);

const ASK_TIMEOUT: Duration = Duration::from_millis(500);
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// Lines of a log that an error shows.
const LOG_LINES: usize = 5;

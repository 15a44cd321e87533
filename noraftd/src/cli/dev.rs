//! `noraftd dev`: a cluster on this machine, to try things out.
//!
//! Invariant: the nodes are ordinary `noraftd serve` processes; none outlives this one, and a temporary
//! directory does not outlive them.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::channel;
use std::time::Duration;

use clap::Args;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::query::ask_status;
use super::{complain, say};
use crate::shell::endpoint::Endpoint;
use crate::shell::exit::Exit;

/// Runs a cluster of several nodes on this machine until Ctrl-C.
///
/// Without --dir, the nodes keep their data in a temporary directory that is removed at the end.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Dev {
    /// How many nodes.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=15))]
    nodes: u16,
    /// Where the nodes keep their data; a directory used before goes on where it was.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Node 1 serves clients on this port, node 2 on the next one, and so on.
    #[arg(long, value_name = "PORT", default_value_t = 7701, value_parser = clap::value_parser!(u16).range(1..=65_000))]
    port_base: u16,
    /// What the nodes log: error, warn, info, debug, trace or off.
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log: String,
}

impl Dev {
    /// Runs the cluster.
    pub(super) fn run(self) -> Exit {
        match self.try_run() {
            Ok(exit) => exit,
            Err(error) => {
                complain(error);
                Exit::CannotCreate
            }
        }
    }

    fn try_run(self) -> io::Result<Exit> {
        // Waited for below, one by one; the nodes unblock them again.
        let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGCHLD]);
        signals.thread_block()?;
        let home = Home::make(self.dir.as_deref())?;
        let mut cluster = Cluster {
            nodes: Vec::new(),
            is_stopping: false,
            exit: Exit::Done,
        };
        for id in 1..=self.nodes {
            match self.start_node(id, home.path()) {
                Ok(child) => cluster.nodes.push(Node {
                    id,
                    child: Some(child),
                }),
                Err(error) => {
                    cluster.stop(Exit::Software);
                    complain(format_args!("cannot start node {id}: {error}"));
                    break;
                }
            }
        }
        if !cluster.is_stopping {
            self.introduce(&home, &cluster);
            self.announce_leader();
        }
        cluster.watch(&signals)?;
        Ok(cluster.exit)
    }

    fn start_node(&self, id: u16, dir: &Path) -> io::Result<Child> {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(std::env::current_exe()?);
        // Relative to `dir`: the path of a Unix socket has to be short.
        command
            .current_dir(dir)
            .args(["serve", "--cluster", "dev", "--log", &self.log]);
        command.args(["--id", &id.to_string(), "--data-dir", &format!("node-{id}")]);
        command.args([
            "--listen",
            &self.client_address(id),
            "--listen",
            &format!("unix:client-{id}.sock"),
        ]);
        for peer in 1..=self.nodes {
            command.args(["--peer", &format!("{peer}=unix:peer-{peer}.sock")]);
        }
        command.args(["--parent", &std::process::id().to_string()]);
        // A group of its own: Ctrl-C reaches this process, which then stops the nodes in order.
        command.process_group(0).spawn()
    }

    fn client_address(&self, id: u16) -> String {
        format!("127.0.0.1:{}", self.port_base + id - 1)
    }

    fn introduce(&self, home: &Home, cluster: &Cluster) {
        let fate = if home.is_temporary() {
            " (removed at the end)"
        } else {
            ""
        };
        say(format_args!(
            "{} nodes in {}{fate}",
            self.nodes,
            home.path().display()
        ));
        for node in &cluster.nodes {
            let (id, pid) = (node.id, node.child.as_ref().map_or(0, Child::id));
            let socket = home.path().join(format!("client-{id}.sock"));
            say(format_args!(
                "  node {id}: {}  {}  pid {pid}",
                self.client_address(id),
                socket.display()
            ));
        }
    }

    /// Waits for a leader, beside the signals, and then tells how to connect.
    fn announce_leader(&self) {
        let addresses: Vec<String> = (1..=self.nodes).map(|id| self.client_address(id)).collect();
        let port = self.port_base;
        std::thread::spawn(move || {
            let leader = wait_for_leader(&addresses);
            say(format_args!(
                "node {leader} leads; every node takes every command:"
            ));
            say(format_args!("  redis-cli -p {port} set greeting hello"));
            say(format_args!("  redis-cli -p {port} get greeting"));
            say(format_args!("  noraftd status 127.0.0.1:{port}"));
            say("Ctrl-C stops all nodes.");
        });
    }
}

/// Waits until every node serves and knows the leader.
fn wait_for_leader(addresses: &[String]) -> u64 {
    // Nobody sends on it: it only lets time pass.
    let (_keep, pause) = channel::<()>();
    loop {
        let leaders: Option<Vec<u64>> = addresses.iter().map(|address| leader_at(address)).collect();
        if let Some([first, others @ ..]) = leaders.as_deref()
            && others.iter().all(|leader| leader == first)
        {
            return *first;
        }
        let _ = pause.recv_timeout(ASK_PAUSE);
    }
}

fn leader_at(address: &str) -> Option<u64> {
    let endpoint: Endpoint = address.parse().expect("an address and a port");
    ask_status(&endpoint).ok()?.0.leader
}

/// Where the nodes keep their data.
enum Home {
    Temporary(TempDir),
    Given(PathBuf),
}

impl Home {
    fn make(dir: Option<&Path>) -> io::Result<Self> {
        let Some(dir) = dir else {
            return Ok(Self::Temporary(
                tempfile::Builder::new().prefix("noraft-dev-").tempdir()?,
            ));
        };
        let naming = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", dir.display()));
        std::fs::create_dir_all(dir).map_err(naming)?;
        Ok(Self::Given(dir.canonicalize().map_err(naming)?))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Given(dir) => dir,
        }
    }

    fn is_temporary(&self) -> bool {
        matches!(self, Self::Temporary(_))
    }
}

/// The nodes and how it will end.
struct Cluster {
    nodes: Vec<Node>,
    is_stopping: bool,
    exit: Exit,
}

/// One node's process, until it has ended.
struct Node {
    id: u16,
    child: Option<Child>,
}

impl Cluster {
    /// Waits until every node has ended.
    fn watch(&mut self, signals: &SigSet) -> io::Result<()> {
        self.reap()?;
        while self.nodes.iter().any(|node| node.child.is_some()) {
            match signals.wait()? {
                Signal::SIGCHLD => self.reap()?,
                _ if self.is_stopping => self.signal_all(Signal::SIGKILL),
                _ => self.stop(Exit::Done),
            }
        }
        Ok(())
    }

    /// Looks which nodes have ended, and says so.
    fn reap(&mut self) -> io::Result<()> {
        let mut failure = None;
        for node in &mut self.nodes {
            let Some(child) = &mut node.child else { continue };
            let Some(status) = child.try_wait()? else { continue };
            node.child = None;
            if !self.is_stopping {
                complain(format_args!("node {} ended: {status}", node.id));
            }
            failure = failure.or_else(|| failure_of(status));
        }
        if let Some(exit) = failure
            && !self.is_stopping
        {
            self.stop(exit);
        }
        Ok(())
    }

    fn stop(&mut self, exit: Exit) {
        self.exit = exit;
        self.is_stopping = true;
        self.signal_all(Signal::SIGTERM);
    }

    fn signal_all(&self, signal: Signal) {
        for child in self.nodes.iter().filter_map(|node| node.child.as_ref()) {
            let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id fits"));
            // It fails only for a process that has ended.
            let _ = kill(pid, signal);
        }
    }
}

/// A node that gave up says why and takes the cluster with it; one that was killed is an experiment.
fn failure_of(status: ExitStatus) -> Option<Exit> {
    let code = status.code()?;
    let known = [
        Exit::Usage,
        Exit::Data,
        Exit::Unavailable,
        Exit::CannotCreate,
        Exit::Disk,
        Exit::InUse,
        Exit::Config,
    ];
    (code != 0).then(|| {
        known
            .into_iter()
            .find(|exit| *exit as i32 == code)
            .unwrap_or(Exit::Software)
    })
}

/// How often the nodes are asked for their leader.
const ASK_PAUSE: Duration = Duration::from_millis(50);

const EXAMPLES: &str = "\
Examples:
  noraftd dev                           three nodes on ports 7701 to 7703
  noraftd dev --nodes 5 --port-base 9000
  noraftd dev --dir ./cluster           keeps the data for the next time

While it runs, kill a node by its pid and watch the others elect a new leader.";

//! `noraftd dev`: a cluster on this machine, to try things out.
//!
//! Invariant: the nodes are ordinary `noraftd serve` processes; none outlives this one, and a temporary
//! directory does not outlive them. What is announced is this cluster's: a port that another process has ends it before.

mod control;
mod nodes;

use std::io::{self, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use clap::{Args, Subcommand};
use nix::sys::signal::{SigSet, Signal};
use tempfile::TempDir;
use tracing::level_filters::LevelFilter;

use self::control::Control;
use self::nodes::{Nodes, Recipe};
use super::query::ask_status;
use super::{complain, say};
use crate::endpoint::Endpoint;
use crate::exit::Exit;
use crate::secret::to_hex;
use crate::shell::clock::random_bytes;

/// Runs a cluster of several nodes on this machine until Ctrl-C.
///
/// Without --dir, the nodes keep their data in a temporary directory that is removed at the end. What they log comes
/// here, each line with the node's name before it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Dev {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// How many nodes.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=15))]
    nodes: u16,
    /// Where the nodes keep their data; a directory used before goes on where it was.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Node 1 serves clients on this port, node 2 on the next one, and so on.
    #[arg(long, value_name = "PORT", default_value_t = PORT_BASE, value_parser = port_base())]
    port_base: u16,
    /// What the nodes log: error, warn, info, debug, trace or off.
    #[arg(long, value_name = "LEVEL", default_value = "warn", value_parser = level)]
    log: String,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Start(Start),
}

/// Starts a node of a running `noraftd dev` again, after it was killed.
#[derive(Debug, Args)]
struct Start {
    /// Which node, from 1.
    node: u16,
    /// The --port-base of the running `noraftd dev`.
    #[arg(long, value_name = "PORT", default_value_t = PORT_BASE, value_parser = port_base())]
    port_base: u16,
}

fn port_base() -> clap::builder::RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..=65_000)
}

/// One refusal here instead of one from each node.
fn level(text: &str) -> Result<String, String> {
    match text.parse::<LevelFilter>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("expected error, warn, info, debug, trace or off".to_owned()),
    }
}

impl Dev {
    /// Runs the cluster, or has a running one start a node.
    pub(super) fn run(self) -> Exit {
        if let Some(Verb::Start(start)) = self.verb {
            return match control::ask_to_start(start.port_base, start.node) {
                Ok(said) => {
                    say(said);
                    Exit::Done
                }
                Err(error) => {
                    complain(&error);
                    error.exit()
                }
            };
        }
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
        let control = match self.take_ports() {
            Ok(control) => control,
            Err(error) => {
                complain(error);
                return Ok(Exit::Unavailable);
            }
        };
        let home = Home::make(self.dir.as_deref())?;
        make_secret(home.path())?;
        let nodes = Arc::new(Nodes::new(Recipe {
            count: self.nodes,
            dir: home.path().to_owned(),
            port_base: self.port_base,
            log: self.log.clone(),
        }));
        for id in 1..=self.nodes {
            if let Err(error) = nodes.start(id) {
                complain(format_args!("cannot start node {id}: {error}"));
                nodes.stop(Exit::Software);
                break;
            }
        }
        if !nodes.is_stopping() {
            self.introduce(&home, &nodes);
            self.announce_leader(Arc::clone(&nodes));
            control.serve(Arc::clone(&nodes));
        }
        nodes.watch(&signals)
    }

    /// Makes sure that no other process has the ports: what answered there would be mistaken for this cluster.
    fn take_ports(&self) -> io::Result<Control> {
        let other = |what: String| io::Error::new(io::ErrorKind::AddrInUse, what);
        let base = self.port_base;
        let control = Control::bind(base).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => other(format!(
                "another `noraftd dev` runs with --port-base {base}: give this one another"
            )),
            _ => error,
        })?;
        for id in 1..=self.nodes {
            let address = nodes::client_address(base, id);
            TcpListener::bind(&address).map_err(|error| {
                other(format!(
                    "node {id} cannot have {address}: {error}; give another --port-base"
                ))
            })?;
        }
        Ok(control)
    }

    fn introduce(&self, home: &Home, nodes: &Nodes) {
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
        let secret = home.path().join(SECRET_FILE);
        say(format_args!(
            "  their secret, for verbs that give orders: --peer-secret-file {}",
            secret.display()
        ));
        for (id, pid) in nodes.running() {
            let socket = home.path().join(format!("client-{id}.sock"));
            say(format_args!(
                "  node {id}: {}  {}  pid {pid}",
                nodes::client_address(self.port_base, id),
                socket.display()
            ));
        }
    }

    /// Waits for a leader, in parallel with the signals, and then prints how to connect.
    fn announce_leader(&self, nodes: Arc<Nodes>) {
        let port = self.port_base;
        let start_again = if port == PORT_BASE {
            "noraftd dev start N".to_owned()
        } else {
            format!("noraftd dev start N --port-base {port}")
        };
        std::thread::spawn(move || {
            let Some(leader) = wait_for_leader(&nodes, port) else {
                return;
            };
            say(format_args!(
                "node {leader} leads; every node takes every command:"
            ));
            say(format_args!("  redis-cli -p {port} set greeting hello"));
            say(format_args!("  redis-cli -p {port} get greeting"));
            say(format_args!("  noraftd status 127.0.0.1:{port}"));
            say(format_args!(
                "`kill PID` ends a node, `{start_again}` starts it again. Ctrl-C stops all nodes."
            ));
        });
    }
}

/// Waits until every node that runs serves and knows the leader; `None` when the cluster is being stopped.
fn wait_for_leader(nodes: &Nodes, port_base: u16) -> Option<u64> {
    // Nothing is ever sent on it: it only lets time pass.
    let (_keep, pause) = channel::<()>();
    while !nodes.is_stopping() {
        let running = nodes.running();
        let leaders: Option<Vec<u64>> = running
            .iter()
            .map(|(id, pid)| leader_at(&nodes::client_address(port_base, *id), *pid))
            .collect();
        if let Some([first, others @ ..]) = leaders.as_deref()
            && others.iter().all(|leader| leader == first)
        {
            return Some(*first);
        }
        let _ = pause.recv_timeout(ASK_PAUSE);
    }
    None
}

/// The leader that the process `pid` knows, if it is that one that answers there.
fn leader_at(address: &str, pid: u32) -> Option<u64> {
    let endpoint: Endpoint = address.parse().expect("an address and a port");
    let (report, _) = ask_status(&endpoint).ok()?;
    report.view.leader.filter(|_| report.process.process_id == pid)
}

/// Makes the cluster a secret, unless it has one of before. A temporary file is readable by its user only.
fn make_secret(dir: &Path) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    writeln!(file, "{}", to_hex(&random_bytes::<32>()))?;
    match file.persist_noclobber(dir.join(SECRET_FILE)) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
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

/// What the nodes prove to each other, in the cluster's directory.
const SECRET_FILE: &str = "peer.secret";
/// Where `serve` listens for clients when it is not given an address.
const PORT_BASE: u16 = 7601;
/// How often the nodes are asked for their leader.
const ASK_PAUSE: Duration = Duration::from_millis(50);

const EXAMPLES: &str = "\
Examples:
  noraftd dev                           three nodes on ports 7601 to 7603
  noraftd dev start 2                   start node 2 again, after it was killed
  noraftd dev --nodes 5 --port-base 9000
  noraftd dev --dir ./cluster           keeps the data for the next time

While it runs, kill a node by its pid and watch the others elect a new leader.";

//! A network namespace a node, and this process between them as their router.
//!
//! ```text
//!   n1: eth0 10.0.1.2 --- n1 10.0.1.1  +---------+  10.0.3.1 n3 --- eth0 10.0.3.2 :n3
//!   n2: eth0 10.0.2.2 --- n2 10.0.2.1  | harness |
//!                                      +---------+
//! ```
//!
//! What a node sends to another one is forwarded here, where the packet filter has its rules (see [`rules`]); what clients send comes
//! from here, and no rule is about it. Nodes know each other by their own addresses, so it is their TCP that meets lost and refused packets.
//!
//! Invariant: no namespace, interface or table has a name outside of this process. The namespaces of the nodes are held by open files and
//! by the daemons in them, which die with this process; so the kernel removes all of it, whatever ended the harness, and two
//! runs cannot meet.

mod enter;
mod rules;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, unshare};
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

pub use enter::{TRIAL_VERB, try_out};
pub(super) use enter::{entered, own_network};
use rules::{Rules, Treatment, base_script, read_counters};

use super::link::{CutId, LinkStats};
use crate::plan::{CutMode, LinkEffect};

/// The namespaces of a cluster.
#[derive(Debug)]
pub(super) struct Namespaces {
    nodes: BTreeMap<u64, File>,
    /// What the packet filter does.
    rules: Mutex<Rules>,
}

impl Namespaces {
    /// Makes a namespace for each of `nodes`. This process must have a network of its own.
    ///
    /// # Errors
    ///
    /// What a program that it takes, or the kernel, said.
    pub(super) async fn lay(nodes: &[u64]) -> Result<Self, String> {
        let mut namespaces = Self {
            nodes: BTreeMap::new(),
            rules: Mutex::default(),
        };
        nft(&["-f", "-"], &base_script(nodes)).await?;
        for node in nodes {
            namespaces.nodes.insert(*node, namespace(*node)?);
        }
        Ok(namespaces)
    }

    /// Where `node` is.
    pub(super) fn host(node: u64) -> IpAddr {
        IpAddr::V4(host(node))
    }

    /// Names the namespace of `node` to a child of this process.
    pub(super) fn path(&self, node: u64) -> Option<PathBuf> {
        let file = self.nodes.get(&node)?;
        Some(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into())
    }

    /// Cuts every link of `pairs`, under one name.
    pub(super) async fn cut(&self, id: CutId, mode: CutMode, pairs: &[(u64, u64)]) -> Result<(), String> {
        self.change(|rules| rules.add(id, Treatment::of_cut(mode), pairs))
            .await
    }

    /// Puts every link of `pairs` into trouble, under one name; how bad it is, is drawn by `seed`.
    pub(super) async fn trouble(
        &self,
        id: CutId,
        (effect, seed): (LinkEffect, u64),
        pairs: &[(u64, u64)],
    ) -> Result<(), String> {
        let treatment = Treatment::of_effect(effect, seed);
        let treatment = treatment.ok_or_else(|| format!("{} takes proxies", effect.name()))?;
        self.change(|rules| rules.add(id, treatment, pairs)).await
    }

    /// Ends the cut or trouble `id`.
    pub(super) async fn heal(&self, id: CutId) -> Result<(), String> {
        self.change(|rules| rules.remove(id)).await
    }

    /// Ends every cut and trouble.
    pub(super) async fn heal_all(&self) -> Result<(), String> {
        self.change(Rules::clear).await
    }

    /// What the packet filter did on the links of `pairs`, by its own counters.
    pub(super) async fn stats(&self, pairs: &[(u64, u64)]) -> Result<LinkStats, String> {
        let counters = read_counters(&nft(&["-j", "list", "counters"], "").await?)?;
        let of_pairs = pairs.iter().filter_map(|pair| counters.get(pair));
        Ok(of_pairs.fold(LinkStats::default(), |sum, link| sum + *link))
    }

    /// What is remembered is what the kernel has: a change that it refuses is none.
    async fn change(&self, change: impl FnOnce(&mut Rules)) -> Result<(), String> {
        let mut rules = self.rules.lock().await;
        let mut changed = rules.clone();
        change(&mut changed);
        nft(&["-f", "-"], &changed.script()).await?;
        *rules = changed;
        Ok(())
    }
}

impl Drop for Namespaces {
    /// Takes the interfaces away at once, and with them their other ends: a later cluster of this process has the same names.
    fn drop(&mut self) {
        let script: String = self
            .nodes
            .keys()
            .map(|node| format!("link del n{node}\n"))
            .collect();
        // One that is not there need not go, and all of it goes with this process.
        let _ = ip(&["-force"], &script);
    }
}

/// Makes a namespace with an interface, whose other end is here.
fn namespace(node: u64) -> Result<File, String> {
    // A thread can leave the network of its process; what it starts is where it is.
    let made = std::thread::spawn(move || -> Result<File, String> {
        unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| format!("a namespace for n{node}: {errno}"))?;
        let namespace = File::open("/proc/thread-self/ns/net").map_err(|error| error.to_string())?;
        ip(&[], &inner_script(node, std::process::id()))?;
        Ok(namespace)
    });
    let namespace = made
        .join()
        .map_err(|_| format!("a namespace for n{node}: its maker panicked"))??;
    ip(&[], &outer_script(node))?;
    Ok(namespace)
}

fn inner_script(node: u64, router: u32) -> String {
    format!(
        "link set lo up\n\
         link add eth0 type veth peer name n{node} netns {router}\n\
         addr add {}/24 dev eth0\n\
         link set eth0 up\n\
         route add default via {}\n",
        host(node),
        gateway(node)
    )
}

fn outer_script(node: u64) -> String {
    format!("addr add {}/24 dev n{node}\nlink set n{node} up\n", gateway(node))
}

fn host(node: u64) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, subnet(node), 2)
}

fn gateway(node: u64) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, subnet(node), 1)
}

fn subnet(node: u64) -> u8 {
    u8::try_from(node).expect("a cluster has at most nine nodes")
}

/// Runs a script of `ip`.
fn ip(flags: &[&str], script: &str) -> Result<(), String> {
    let mut command = tool("ip");
    command.args(flags).args(["-batch", "-"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut run = || {
        let mut child = command.spawn()?;
        let written = child
            .stdin
            .take()
            .map(|mut stdin| stdin.write_all(script.as_bytes()));
        let output = child.wait_with_output()?;
        // One that ends before it has read everything says why.
        written.filter(|_| output.status.success()).transpose()?;
        Ok(output)
    };
    answer_of("ip", run()).map(|_| ())
}

/// Runs a command or a script of `nft`, which carries out all of a script or nothing.
async fn nft(arguments: &[&str], script: &str) -> Result<String, String> {
    let mut command = tokio::process::Command::from(tool("nft"));
    command.args(arguments).kill_on_drop(true);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let run = async {
        let mut child = command.spawn()?;
        let written = match child.stdin.take() {
            Some(mut stdin) => stdin.write_all(script.as_bytes()).await,
            None => Ok(()),
        };
        let output = child.wait_with_output().await?;
        if output.status.success() {
            written?;
        }
        Ok(output)
    };
    answer_of("nft", run.await)
}

fn answer_of(name: &str, ran: std::io::Result<std::process::Output>) -> Result<String, String> {
    let output = ran.map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{name}: {}",
        said.lines().next().unwrap_or("failed").trim()
    ))
}

/// A program for administrators, which need not be where everybody's programs are.
fn tool(name: &str) -> Command {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    let mut command = Command::new(name);
    command.env("PATH", path);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_and_its_router_are_at_the_two_ends_of_one_cable() {
        assert_eq!(
            inner_script(3, 77),
            "link set lo up\nlink add eth0 type veth peer name n3 netns 77\naddr add 10.0.3.2/24 dev eth0\nlink set eth0 up\n\
             route add default via 10.0.3.1\n"
        );
        assert_eq!(outer_script(3), "addr add 10.0.3.1/24 dev n3\nlink set n3 up\n");
        assert_eq!(Namespaces::host(3).to_string(), "10.0.3.2");
    }

    #[test]
    fn a_program_that_is_not_there_says_its_name() {
        let missing = Command::new("no-such-program").output();
        let said = answer_of("nft", missing).unwrap_err();
        assert!(said.starts_with("nft: No such file"), "{said}");
        let failed = Command::new("sh")
            .args(["-c", "echo no table >&2; exit 1"])
            .output();
        assert_eq!(answer_of("nft", failed), Err("nft: no table".to_owned()));
    }
}

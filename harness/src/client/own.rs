//! noraftd's own words: what a node says about itself (`PING`, `INFO`, `NORAFT.STATUS`), and the orders that it takes.
//!
//! Invariant: a probe never takes longer than its patience, and a node that does not answer is `None`, not
//! an error: it may be down on purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use noraftd::local::members::MembersReport;
use noraftd::secret::{Secret, Secrets, from_hex, to_hex};
use noraftd::shell::clock::system_now;
use noraftd::time::Instant;
use serde::Deserialize;

use super::{CallError, Client, NodeView, Reply};

/// Who votes, as a node knows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct VoterView {
    /// The voters of the configuration in force.
    pub voters: BTreeSet<u64>,
    /// While they are being changed: those after the change.
    #[serde(default)]
    pub new_voters: BTreeSet<u64>,
}

/// What a node says that it misses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Health {
    /// It neither votes nor campaigns, because it may have lost something.
    #[serde(default)]
    pub abstaining: bool,
    /// Entries that are damaged on its disk.
    #[serde(default)]
    pub holes: u64,
    /// Only a snapshot can repair what is damaged.
    #[serde(default)]
    pub needs_snapshot: bool,
    /// What it found when it started: how much, and then each damage.
    #[serde(default)]
    pub recovery: Vec<String>,
}

impl Health {
    /// Whether it misses nothing.
    pub fn is_whole(&self) -> bool {
        !self.abstaining && self.holes == 0 && !self.needs_snapshot
    }
}

/// What the node at `address` says that it misses; `None` when it does not answer in time, or does not know yet.
pub async fn health(address: SocketAddr, patience: Duration) -> Option<Health> {
    let said = status(address, patience).await?;
    let is_loading = said.get("loading").is_some_and(|loading| !loading.is_null());
    if is_loading {
        return None;
    }
    serde_json::from_value(said).ok()
}

/// What a node has on its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Stored {
    /// The last entry in its newest snapshot; zero while there is none.
    pub snapshot_index: u64,
    /// The last entry that is no longer in its log.
    pub base_index: u64,
}

/// What the node at `address` has on its disk; `None` when it does not answer in time.
pub async fn stored(address: SocketAddr, patience: Duration) -> Option<Stored> {
    serde_json::from_value(status(address, patience).await?).ok()
}

async fn status(address: SocketAddr, patience: Duration) -> Option<serde_json::Value> {
    let ask = async {
        let mut client = Client::connect(address, patience).await?;
        client.call(&["NORAFT.STATUS"], patience).await
    };
    let said: Result<Reply, CallError> = tokio::time::timeout(patience, ask).await.ok()?;
    serde_json::from_str(said.ok()?.text()?).ok()
}

/// What time it is, as a node says.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// When it was asked, by the system's clock.
    pub asked: Instant,
    /// When it had answered.
    pub answered: Instant,
    /// How long it has been running, by its monotonic clock.
    pub uptime: Duration,
    /// Microseconds since the Unix epoch, by its wall clock.
    pub wall_micros: u64,
}

/// What time it is, as the node at `address` says; `None` when it does not answer in time.
pub async fn times(address: SocketAddr, patience: Duration) -> Option<Times> {
    #[derive(Deserialize)]
    struct Said {
        uptime_ms: u64,
    }
    let ask = async {
        let mut client = Client::connect(address, patience).await.ok()?;
        let asked = system_now();
        let status = client.call(&["NORAFT.STATUS"], patience).await.ok()?;
        let info = client.call(&["INFO"], patience).await.ok()?;
        let answered = system_now();
        let Said { uptime_ms } = serde_json::from_str(status.text()?).ok()?;
        let wall = info
            .text()?
            .lines()
            .find_map(|line| line.strip_prefix("server_time_usec:"))?;
        Some(Times {
            asked,
            answered,
            uptime: Duration::from_millis(uptime_ms),
            wall_micros: wall.trim().parse().ok()?,
        })
    };
    tokio::time::timeout(patience, ask).await.ok()?
}

/// Who votes, as the node at `address` knows it; `None` when it does not answer in time.
pub async fn voters(address: SocketAddr, patience: Duration) -> Option<VoterView> {
    serde_json::from_value(status(address, patience).await?).ok()
}

/// The members, as the node at `address` knows them; `None` when it does not answer in time, or knows of no table.
pub async fn members(address: SocketAddr, patience: Duration) -> Option<MembersReport> {
    let ask = async {
        let mut client = Client::connect(address, patience).await?;
        client.call(&["NORAFT.MEMBERS"], patience).await
    };
    let said: Result<Reply, CallError> = tokio::time::timeout(patience, ask).await.ok()?;
    serde_json::from_str(said.ok()?.text()?).ok()
}

/// The id of the node at `address`; `None` when it does not answer in time.
pub async fn id(address: SocketAddr, patience: Duration) -> Option<u64> {
    status(address, patience).await?.get("id")?.as_u64()
}

/// Where a node takes orders, and what proves to it that it is an operator who gives them.
#[derive(Debug, Clone, Copy)]
pub struct Orders<'a> {
    /// Where it serves clients.
    pub address: SocketAddr,
    /// Without them it takes orders from its own machine.
    pub secrets: Option<&'a Secrets>,
}

impl Orders<'_> {
    /// Has the leader make `voters` the voters; `Ok` when they are.
    ///
    /// # Errors
    ///
    /// What it says instead.
    pub async fn set_voters(self, voters: &BTreeSet<u64>, patience: Duration) -> Result<(), CallError> {
        let ids = voters.iter().map(u64::to_string);
        let words: Vec<String> = std::iter::once("NORAFT.VOTERS".to_owned()).chain(ids).collect();
        self.give_for_status(&words, patience).await
    }

    /// Has the leader hand over to `to`, or to any other voter; the node that leads then.
    ///
    /// # Errors
    ///
    /// What it says instead.
    pub async fn transfer(self, to: Option<u64>, patience: Duration) -> Result<u64, CallError> {
        let to = to.map(|id| id.to_string());
        let words: Vec<String> = std::iter::once("NORAFT.TRANSFER".to_owned()).chain(to).collect();
        match self.give(&words, patience).await? {
            Reply::Integer(leader) => Ok(leader.unsigned_abs()),
            other => Err(CallError::Malformed(format!("it says {other:?}"))),
        }
    }

    /// Has the node take a snapshot soon; its status shows when it exists.
    ///
    /// # Errors
    ///
    /// What it says instead.
    pub async fn take_snapshot(self, patience: Duration) -> Result<(), CallError> {
        self.give_for_status(&["NORAFT.SNAPSHOT".to_owned()], patience)
            .await
    }

    async fn give_for_status(self, words: &[String], patience: Duration) -> Result<(), CallError> {
        match self.give(words, patience).await? {
            Reply::Status(_) => Ok(()),
            other => Err(CallError::Malformed(format!("it says {other:?}"))),
        }
    }

    async fn give(self, words: &[String], patience: Duration) -> Result<Reply, CallError> {
        let mut client = Client::connect(self.address, patience).await?;
        for secret in self.secrets.into_iter().flat_map(Secrets::iter) {
            if prove(&mut client, secret, patience).await? {
                break;
            }
        }
        client.call(words, patience).await
    }
}

/// Answers the node's challenge; false where it has none, as a program of the first release, or where the secret is another one.
async fn prove(client: &mut Client, secret: &Secret, patience: Duration) -> Result<bool, CallError> {
    let challenge = match client.ask(&["NORAFT.AUTH"], patience).await? {
        Reply::Bulk(hex) => std::str::from_utf8(&hex).ok().and_then(from_hex),
        Reply::Error(_) => return Ok(false),
        _ => None,
    };
    let challenge = challenge.ok_or_else(|| CallError::Malformed("its challenge is none".to_owned()))?;
    let proof = to_hex(&secret.admin_proof(&challenge));
    let said = client.ask(&["NORAFT.AUTH", proof.as_str()], patience).await?;
    Ok(matches!(said, Reply::Status(_)))
}

/// Whether the node at `address` answers at all.
pub async fn answers(address: SocketAddr, patience: Duration) -> bool {
    let ping = async {
        let mut client = Client::connect(address, patience).await?;
        client.call(&["PING"], patience).await
    };
    ping.await == Ok(Reply::Status("PONG".to_owned()))
}

/// The node's view of itself; `None` when it does not answer in time.
pub async fn view(address: SocketAddr, patience: Duration) -> Option<NodeView> {
    let ask = async {
        let mut client = Client::connect(address, patience).await?;
        client.call(&["INFO"], patience).await
    };
    let said: Result<Reply, CallError> = tokio::time::timeout(patience, ask).await.ok()?;
    NodeView::parse(said.ok()?.text()?)
}

impl NodeView {
    /// Reads the answer to `INFO`: lines of `name:value`. `None` also for a node that reads its directory: it does not know yet.
    pub fn parse(info: &str) -> Option<Self> {
        let fields: BTreeMap<&str, &str> = info
            .lines()
            .filter_map(|line| line.trim().split_once(':'))
            .collect();
        if fields.get(LOADING) == Some(&"1") {
            return None;
        }
        let number = |name: &str| fields.get(name)?.parse().ok();
        Some(Self {
            leads: matches!(*fields.get(ROLE)?, "master" | "leader"),
            term: number(TERM)?,
            commit_index: number(COMMIT_INDEX)?,
            applied_index: number(APPLIED_INDEX)?,
            // A node of the first release does not compare.
            divergence: fields
                .get(DIVERGENCE)
                .filter(|said| **said != NO_DIVERGENCE)
                .map(ToString::to_string),
        })
    }
}

const LOADING: &str = "loading";
const ROLE: &str = "role";
const TERM: &str = "raft_term";
const COMMIT_INDEX: &str = "raft_commit_index";
const APPLIED_INDEX: &str = "raft_applied_index";
const DIVERGENCE: &str = "raft_divergence";
const NO_DIVERGENCE: &str = "none";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_is_read_whatever_else_it_says() {
        let info = "# Replication\r\nrole:master\r\nraft_term:3\r\nraft_commit_index:9\r\n\
                    raft_applied_index:8\r\nother:x:y\r\n";
        let view = NodeView {
            leads: true,
            term: 3,
            commit_index: 9,
            applied_index: 8,
            divergence: None,
        };
        assert_eq!(NodeView::parse(info), Some(view.clone()));
        let none = format!("{info}raft_divergence:none\r\n");
        assert_eq!(NodeView::parse(&none), Some(view.clone()));
        let here = format!("{info}raft_divergence:here,7\r\n");
        let divergence = Some("here,7".to_owned());
        assert_eq!(NodeView::parse(&here), Some(NodeView { divergence, ..view }));
        assert_eq!(NodeView::parse("role:master\r\n"), None);
        assert_eq!(
            NodeView::parse(&format!("loading:0\r\n{info}")).map(|view| view.term),
            Some(3)
        );
        assert_eq!(NodeView::parse(&format!("loading:1\r\n{info}")), None);
    }
}

//! The links between the nodes of a cluster, whatever is between them: proxies, or a namespace a node.
//!
//! Invariant: what cannot be done to a link says so; a cut that is in force was put in force, and one that is healed is gone.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use noraftd::protocol::peer::Lane;

use super::address::Addresses;
use super::link::{CutId, LinkStats};
use super::namespaces::{Namespaces, entered, own_network};
use super::proxy::Proxies;
use crate::plan::{CutMode, LANES, LinkEffect, PeerNetwork, Plan};

/// Every directed link of a cluster.
#[derive(Debug)]
pub struct Network {
    between: Between,
    /// Why it is not a namespace a node, when that would have been tried.
    instead: Option<String>,
}

#[derive(Debug)]
enum Between {
    Proxies(Addresses, Proxies),
    Namespaces(Namespaces),
}

/// Gives this process what the network of `plan` takes, if that is possible. Call it before any other thread is started.
/// `harness` is the program.
pub(super) fn prepare(plan: &Plan, harness: &Path) {
    let is_wanted = plan.cluster.network != PeerNetwork::Proxies && plan.needs_proxies().is_none();
    if is_wanted {
        own_network(harness);
    }
}

impl Network {
    /// The network that `plan` wants between `nodes`.
    ///
    /// # Errors
    ///
    /// When it cannot be had.
    pub(super) async fn lay(plan: &Plan, nodes: &[u64]) -> io::Result<Self> {
        let instead = match plan.cluster.network {
            PeerNetwork::Proxies => None,
            PeerNetwork::Namespaces | PeerNetwork::Auto => {
                let refused = plan.needs_proxies().map_or_else(entered, Err);
                match refused {
                    Ok(()) => return Self::namespaces(nodes).await.map_err(io::Error::other),
                    Err(why) if plan.cluster.network == PeerNetwork::Namespaces => {
                        let otherwise = "`network = \"auto\"`, or `--network auto`, uses proxies then";
                        return Err(io::Error::other(format!("not possible here: {why}; {otherwise}")));
                    }
                    Err(why) => Some(why),
                }
            }
        };
        let addresses = Addresses::find(u64::from(std::process::id()), nodes.len())?;
        let peers: Vec<(u64, SocketAddr)> = nodes.iter().map(|id| (*id, addresses.peer(*id))).collect();
        let proxies = Proxies::start(addresses.proxies(), &peers).await?;
        Ok(Self {
            between: Between::Proxies(addresses, proxies),
            instead,
        })
    }

    async fn namespaces(nodes: &[u64]) -> Result<Self, String> {
        Ok(Self {
            between: Between::Namespaces(Namespaces::lay(nodes).await?),
            instead: None,
        })
    }

    /// What it is, and why not another, in a phrase.
    pub fn about(&self) -> String {
        match (&self.between, &self.instead) {
            (Between::Namespaces(_), _) => "a network namespace a node".to_owned(),
            (Between::Proxies(..), None) => "a proxy a directed link".to_owned(),
            (Between::Proxies(..), Some(why)) => {
                format!("a proxy a directed link, for a namespace a node is not possible: {why}")
            }
        }
    }

    /// Where clients reach `node`.
    pub fn client(&self, node: u64) -> SocketAddr {
        match &self.between {
            Between::Proxies(addresses, _) => addresses.client(node),
            Between::Namespaces(_) => Namespaces::client(node),
        }
    }

    /// Where `node` listens for other nodes.
    pub fn peer(&self, node: u64) -> SocketAddr {
        match &self.between {
            Between::Proxies(addresses, _) => addresses.peer(node),
            Between::Namespaces(_) => Namespaces::peer(node),
        }
    }

    /// Where `from` finds `to`.
    ///
    /// # Panics
    ///
    /// When there is no such pair of nodes.
    pub fn address(&self, from: u64, to: u64) -> SocketAddr {
        match &self.between {
            Between::Proxies(_, proxies) => proxies.address(from, to),
            Between::Namespaces(_) => Namespaces::peer(to),
        }
    }

    /// The network namespace that `node` has to be started in, if not ours.
    pub fn namespace(&self, node: u64) -> Option<PathBuf> {
        match &self.between {
            Between::Proxies(..) => None,
            Between::Namespaces(namespaces) => namespaces.path(node),
        }
    }

    /// The proxies, for what is done to single frames.
    pub fn proxies(&self) -> Option<&Proxies> {
        match &self.between {
            Between::Proxies(_, proxies) => Some(proxies),
            Between::Namespaces(_) => None,
        }
    }

    /// Cuts every link of `pairs` for connections of these lanes, under one name.
    ///
    /// # Errors
    ///
    /// When that is not possible; then nothing is cut.
    pub async fn cut(
        &self,
        id: CutId,
        mode: CutMode,
        lanes: &'static [Lane],
        pairs: &[(u64, u64)],
    ) -> Result<(), String> {
        match &self.between {
            Between::Proxies(_, proxies) => proxies.cut_lanes(id, mode, lanes, pairs),
            Between::Namespaces(namespaces) => {
                all_lanes(lanes)?;
                namespaces.cut(id, mode, pairs).await?;
            }
        }
        Ok(())
    }

    /// Puts every link of `pairs` into trouble, under one name, for connections of these lanes; what it does is drawn by a seed.
    ///
    /// # Errors
    ///
    /// When that is not possible; then they are in none.
    pub async fn trouble(
        &self,
        id: CutId,
        effect: (LinkEffect, u64),
        lanes: &'static [Lane],
        pairs: &[(u64, u64)],
    ) -> Result<(), String> {
        match &self.between {
            Between::Proxies(_, proxies) => proxies.trouble(id, effect, lanes, pairs),
            Between::Namespaces(namespaces) => {
                all_lanes(lanes)?;
                namespaces.trouble(id, effect, pairs).await?;
            }
        }
        Ok(())
    }

    /// Ends the cut or trouble `id` on every link.
    ///
    /// # Errors
    ///
    /// When it is still in force.
    pub async fn heal(&self, id: CutId) -> Result<(), String> {
        match &self.between {
            Between::Proxies(_, proxies) => {
                proxies.heal(id);
                Ok(())
            }
            Between::Namespaces(namespaces) => namespaces.heal(id).await,
        }
    }

    /// Ends every cut and trouble on every link.
    ///
    /// # Errors
    ///
    /// When they are still in force.
    pub async fn heal_all(&self) -> Result<(), String> {
        match &self.between {
            Between::Proxies(_, proxies) => {
                proxies.heal_all();
                Ok(())
            }
            Between::Namespaces(namespaces) => namespaces.heal_all().await,
        }
    }

    /// The sum of what the links of `pairs` did.
    ///
    /// # Errors
    ///
    /// When that cannot be read.
    pub async fn stats(&self, pairs: &[(u64, u64)]) -> Result<LinkStats, String> {
        match &self.between {
            Between::Proxies(_, proxies) => Ok(proxies.stats(pairs)),
            Between::Namespaces(namespaces) => namespaces.stats(pairs).await,
        }
    }

    /// How long to wait before [`Network::stats`] is looked at again.
    pub fn look_after(&self) -> Duration {
        match &self.between {
            Between::Proxies(..) => LOOK_AT_PROXIES,
            Between::Namespaces(_) => LOOK_AT_FILTER,
        }
    }
}

fn all_lanes(lanes: &[Lane]) -> Result<(), String> {
    if lanes.len() == LANES.len() {
        return Ok(());
    }
    Err("only proxies can tell the two connections of a pair apart".to_owned())
}

/// Heartbeats are tens of milliseconds apart.
const LOOK_AT_PROXIES: Duration = Duration::from_millis(5);
/// A look starts a program.
const LOOK_AT_FILTER: Duration = Duration::from_millis(50);

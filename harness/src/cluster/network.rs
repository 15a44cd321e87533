//! The links between the nodes of a cluster, whatever is between them: proxies, a namespace a node, or a network elsewhere.
//!
//! Invariant: what cannot be done to a link says so; a cut that is in force was put in force, and one that is healed is gone.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use noraftd::protocol::peer::Lane;

use super::address::{Addresses, Ports};
use super::elsewhere::Elsewhere;
use super::link::{CutId, LinkStats};
use super::namespaces::{Namespaces, entered, own_network};
use super::proxy::Proxies;
use super::remote::Remote;
use crate::client::Door;
use crate::plan::{CutMode, LANES, LinkEffect, PeerNetwork, Plan};
use crate::systems::Links;

/// Every directed link of a cluster.
#[derive(Debug)]
pub struct Network {
    between: Between,
    ports: Ports,
    /// Why it is not a namespace a node, when that would have been tried.
    instead: Option<String>,
}

#[derive(Debug)]
enum Between {
    /// None where nodes connect to each other directly.
    Proxies(Addresses, Option<Proxies>),
    Namespaces(Namespaces),
    Elsewhere(Remote),
}

/// Whether this process has a network of its own, in which nodes can have a namespace each; or why not.
///
/// # Errors
///
/// The reason.
pub fn can_have_namespaces() -> Result<(), String> {
    entered()
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
    pub(super) async fn lay(plan: &Plan, nodes: &[u64], ports: Ports, links: Links) -> io::Result<Self> {
        let instead = match plan.cluster.network {
            PeerNetwork::Proxies => None,
            PeerNetwork::Namespaces | PeerNetwork::Auto => {
                let refused = plan.needs_proxies().map_or_else(entered, Err);
                match refused {
                    Ok(()) => return Self::namespaces(nodes, ports).await.map_err(io::Error::other),
                    Err(why) if plan.cluster.network == PeerNetwork::Namespaces => {
                        let otherwise = "`network = \"auto\"`, or `--network auto`, uses proxies then";
                        return Err(io::Error::other(format!("not possible here: {why}; {otherwise}")));
                    }
                    Err(why) => Some(why),
                }
            }
        };
        let addresses = Addresses::find(u64::from(std::process::id()), nodes.len(), &ports)?;
        let proxies = match (links, ports.peer) {
            (Links::Proxies, Some(port)) => {
                let places = |id: &u64| {
                    let (id, host) = (*id, addresses.host(*id));
                    [Some(port), ports.moved]
                        .into_iter()
                        .flatten()
                        .map(move |port| (id, SocketAddr::new(host, port)))
                };
                let places: Vec<(u64, SocketAddr)> = nodes.iter().flat_map(places).collect();
                Some(Proxies::start(addresses.proxies(), &places).await?)
            }
            (_, _) => None,
        };
        Ok(Self {
            between: Between::Proxies(addresses, proxies),
            ports,
            instead,
        })
    }

    /// The network of a cluster that runs elsewhere.
    pub(super) fn elsewhere(nodes: Vec<(u64, IpAddr, Arc<Elsewhere>)>, ports: Ports) -> Self {
        Self {
            between: Between::Elsewhere(Remote::new(nodes)),
            ports,
            instead: None,
        }
    }

    async fn namespaces(nodes: &[u64], ports: Ports) -> Result<Self, String> {
        Ok(Self {
            between: Between::Namespaces(Namespaces::lay(nodes).await?),
            ports,
            instead: None,
        })
    }

    /// What it is, and why not another, in a phrase.
    pub fn about(&self) -> String {
        match (&self.between, &self.instead) {
            (Between::Namespaces(_), _) => "a network namespace a node".to_owned(),
            (Between::Elsewhere(_), _) => "a network elsewhere".to_owned(),
            (Between::Proxies(_, None), _) => {
                "loopback, on which nodes connect to each other directly".to_owned()
            }
            (Between::Proxies(..), None) => "a proxy a directed link".to_owned(),
            (Between::Proxies(..), Some(why)) => {
                format!("a proxy a directed link, for a namespace a node is not possible: {why}")
            }
        }
    }

    /// The address of `node`.
    ///
    /// # Panics
    ///
    /// When there is no such node.
    pub fn host(&self, node: u64) -> IpAddr {
        match &self.between {
            Between::Proxies(addresses, _) => addresses.host(node),
            Between::Namespaces(_) => Namespaces::host(node),
            Between::Elsewhere(remote) => remote.host(node),
        }
    }

    /// Where clients reach `node`.
    pub fn client(&self, node: u64) -> SocketAddr {
        SocketAddr::new(self.host(node), self.ports.client)
    }

    /// Where clients of `node` find everything that they need.
    pub fn door(&self, node: u64) -> Door {
        self.ports.door(node, self.host(node))
    }

    /// Where `node` listens for other nodes.
    pub fn peer(&self, node: u64) -> SocketAddr {
        SocketAddr::new(self.host(node), self.ports.peer.unwrap_or(self.ports.client))
    }

    /// Where `node` listens for other nodes at first, and where once it has moved.
    pub(super) fn places(&self, node: u64) -> Vec<SocketAddr> {
        let moved = self
            .ports
            .moved
            .map(|port| SocketAddr::new(self.host(node), port));
        std::iter::once(self.peer(node)).chain(moved).collect()
    }

    /// For each place where other nodes listen, what `from` has to connect to instead.
    pub(super) fn ways(&self, from: u64) -> Vec<(SocketAddr, SocketAddr)> {
        let proxies = self.proxies().into_iter();
        proxies.flat_map(|proxies| proxies.ways(from)).collect()
    }

    /// Where `from` finds `to`.
    ///
    /// # Panics
    ///
    /// When there is no such pair of nodes.
    pub fn address(&self, from: u64, to: u64) -> SocketAddr {
        match &self.between {
            Between::Proxies(_, Some(proxies)) => proxies.address(from, to),
            Between::Proxies(_, None) | Between::Namespaces(_) | Between::Elsewhere(_) => self.peer(to),
        }
    }

    /// The network namespace that `node` has to be started in, if not ours.
    pub fn namespace(&self, node: u64) -> Option<PathBuf> {
        match &self.between {
            Between::Proxies(..) | Between::Elsewhere(_) => None,
            Between::Namespaces(namespaces) => namespaces.path(node),
        }
    }

    /// The proxies, for what is done to single frames.
    pub fn proxies(&self) -> Option<&Proxies> {
        match &self.between {
            Between::Proxies(_, proxies) => proxies.as_ref(),
            Between::Namespaces(_) | Between::Elsewhere(_) => None,
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
            Between::Proxies(_, proxies) => present(proxies.as_ref())?.cut_lanes(id, mode, lanes, pairs),
            Between::Namespaces(namespaces) => {
                all_lanes(lanes)?;
                namespaces.cut(id, mode, pairs).await?;
            }
            Between::Elsewhere(remote) => {
                all_lanes(lanes)?;
                remote.cut(id, pairs).await?;
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
            Between::Proxies(_, proxies) => present(proxies.as_ref())?.trouble(id, effect, lanes, pairs),
            Between::Namespaces(namespaces) => {
                all_lanes(lanes)?;
                namespaces.trouble(id, effect, pairs).await?;
            }
            Between::Elsewhere(_) => return Err("there is no command for it".to_owned()),
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
                proxies.iter().for_each(|proxies| proxies.heal(id));
                Ok(())
            }
            Between::Namespaces(namespaces) => namespaces.heal(id).await,
            Between::Elsewhere(remote) => remote.heal(id).await,
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
                proxies.iter().for_each(Proxies::heal_all);
                Ok(())
            }
            Between::Namespaces(namespaces) => namespaces.heal_all().await,
            Between::Elsewhere(remote) => remote.heal_all().await,
        }
    }

    /// The sum of what the links of `pairs` did.
    ///
    /// # Errors
    ///
    /// When that cannot be read.
    pub async fn stats(&self, pairs: &[(u64, u64)]) -> Result<LinkStats, String> {
        match &self.between {
            Between::Proxies(_, proxies) => Ok(present(proxies.as_ref())?.stats(pairs)),
            Between::Namespaces(namespaces) => namespaces.stats(pairs).await,
            Between::Elsewhere(remote) => Ok(remote.stats(pairs)),
        }
    }

    /// How long to wait before [`Network::stats`] is looked at again.
    pub fn look_after(&self) -> Duration {
        match &self.between {
            Between::Proxies(..) | Between::Elsewhere(_) => LOOK_AT_PROXIES,
            Between::Namespaces(_) => LOOK_AT_FILTER,
        }
    }
}

fn present(proxies: Option<&Proxies>) -> Result<&Proxies, String> {
    proxies.ok_or_else(|| "nodes connect to each other directly".to_owned())
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

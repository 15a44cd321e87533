//! Loopback addresses of a run.
//!
//! Invariant: the addresses of two runs on one machine do not meet. Every run takes a random /24 of
//! 127.0.0.0/8 (RFC 1122, 3.2.1.3: all of it is loopback), where no outgoing connection ever takes a port;
//! so a port stays free while its node is down.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use noraftd::prng::Prng;

use super::programs::Subject;
use crate::client::Door;

/// The addresses of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Addresses {
    network: [u8; 2],
}

impl Addresses {
    /// Finds a /24 in which `nodes` nodes can listen on all of `ports`. `entropy` only spreads runs apart: it decides nothing.
    ///
    /// # Errors
    ///
    /// When several random networks are all taken, or loopback is not to be had.
    pub(super) fn find(entropy: u64, nodes: usize, ports: &Ports) -> io::Result<Self> {
        let mut prng = Prng::new(entropy);
        let mut failure = None;
        for _ in 0..ATTEMPTS {
            let network = [prng.between(1, 254) as u8, prng.between(0, 254) as u8];
            let addresses = Self { network };
            match addresses.probe(nodes, ports) {
                Ok(()) => return Ok(addresses),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| io::Error::other("no attempt was made")))
    }

    /// Where the proxies listen.
    pub(super) fn proxies(self) -> IpAddr {
        self.host(PROXY_HOST)
    }

    /// Where `last` is: a node, or the proxies.
    pub(super) fn host(self, last: u64) -> IpAddr {
        let [second, third] = self.network;
        let last = u8::try_from(last).expect("a cluster has fewer nodes than a /24 has addresses");
        IpAddr::V4(Ipv4Addr::new(127, second, third, last))
    }

    fn probe(self, nodes: usize, ports: &Ports) -> io::Result<()> {
        for node in 1..=nodes as u64 {
            for port in ports.all() {
                TcpListener::bind(SocketAddr::new(self.host(node), port))?;
            }
        }
        Ok(())
    }
}

/// The ports of a node. All nodes have the same, each on an address of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ports {
    /// Where clients reach it.
    pub(super) client: u16,
    /// Where nodes reach it, if that is a port of its own.
    pub(super) peer: Option<u16>,
    /// Where nodes reach it after it has moved, if it can.
    pub(super) moved: Option<u16>,
    /// Where its Sentinel answers, if it has one.
    pub(super) sentinel: Option<u16>,
    /// Others.
    pub(super) others: Vec<u16>,
}

impl Ports {
    /// Those of the nodes of `subject`.
    pub(super) fn of(subject: &Subject) -> Self {
        let Subject::System(installed) = subject else {
            return Self {
                client: CLIENT_PORT,
                peer: Some(PEER_PORT),
                moved: Some(MOVED_PORT),
                sentinel: None,
                others: Vec::new(),
            };
        };
        let ports = &installed.system.ports;
        Self {
            client: installed.system.client_port(),
            peer: ports.get("peer").copied(),
            moved: None,
            sentinel: ports.get("sentinel").copied(),
            others: ports.values().copied().collect(),
        }
    }

    /// Where clients of the node at `host` find everything that they need.
    pub(super) fn door(&self, node: u64, host: IpAddr) -> Door {
        Door {
            node,
            address: SocketAddr::new(host, self.client),
            sentinel: self.sentinel.map(|port| SocketAddr::new(host, port)),
        }
    }

    fn all(&self) -> BTreeSet<u16> {
        let named = [Some(self.client), self.peer, self.moved, self.sentinel];
        named
            .into_iter()
            .flatten()
            .chain(self.others.iter().copied())
            .collect()
    }
}

const CLIENT_PORT: u16 = 7601;
const PEER_PORT: u16 = 7701;
const MOVED_PORT: u16 = 7702;
const PROXY_HOST: u64 = 200;
/// There are 64,770 networks: even two collisions in a row would be a sign of something else.
const ATTEMPTS: usize = 16;

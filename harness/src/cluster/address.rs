//! Loopback addresses of a run.
//!
//! Invariant: the addresses of two runs on one machine do not meet. Every run takes a random /24 of
//! 127.0.0.0/8 (RFC 1122, 3.2.1.3: all of it is loopback), where no outgoing connection ever takes a port;
//! so a port stays free while its node is down.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use noraftd::prng::Prng;

/// The addresses of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Addresses {
    network: [u8; 2],
}

impl Addresses {
    /// Finds a /24 in which `nodes` nodes can listen. `entropy` only spreads runs apart: it decides nothing.
    ///
    /// # Errors
    ///
    /// When several random networks are all taken, or loopback is not to be had.
    pub(super) fn find(entropy: u64, nodes: usize) -> io::Result<Self> {
        let mut prng = Prng::new(entropy);
        let mut failure = None;
        for _ in 0..ATTEMPTS {
            let network = [prng.between(1, 254) as u8, prng.between(0, 254) as u8];
            let addresses = Self { network };
            match addresses.probe(nodes) {
                Ok(()) => return Ok(addresses),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| io::Error::other("no attempt was made")))
    }

    /// Where clients reach `node`.
    pub(super) fn client(self, node: u64) -> SocketAddr {
        SocketAddr::new(self.host(node), CLIENT_PORT)
    }

    /// Where the proxies reach `node`.
    pub(super) fn peer(self, node: u64) -> SocketAddr {
        SocketAddr::new(self.host(node), PEER_PORT)
    }

    /// Where the proxies listen.
    pub(super) fn proxies(self) -> IpAddr {
        self.host(PROXY_HOST)
    }

    fn host(self, last: u64) -> IpAddr {
        let [second, third] = self.network;
        let last = u8::try_from(last).expect("a cluster has fewer nodes than a /24 has addresses");
        IpAddr::V4(Ipv4Addr::new(127, second, third, last))
    }

    fn probe(self, nodes: usize) -> io::Result<()> {
        for node in 1..=nodes as u64 {
            for address in [self.client(node), self.peer(node)] {
                TcpListener::bind(address)?;
            }
        }
        Ok(())
    }
}

/// Where clients reach a node.
pub(super) const CLIENT_PORT: u16 = 7601;
/// Where nodes reach a node.
pub(super) const PEER_PORT: u16 = 7701;
const PROXY_HOST: u64 = 200;
/// There are 64,770 networks: even two collisions in a row would be a sign of something else.
const ATTEMPTS: usize = 16;

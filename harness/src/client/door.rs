//! Where a node is reached.

use std::net::SocketAddr;

/// Where a node is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    /// Which node.
    pub node: u64,
    /// Where it serves clients.
    pub address: SocketAddr,
    /// Where its Sentinel answers, if it has one.
    pub sentinel: Option<SocketAddr>,
}

//! A request that has not been answered: its origin, in which place of its connection, until when.

use noraft::NodeId;

use crate::protocol::command::Request;
use crate::time::Instant;

use super::event::{ConnectionId, RequestId};

/// When a request came, and over which connection of a client of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) arrival: u64,
    pub(super) connection: Option<ConnectionId>,
}

/// Where the request came from, and so where the answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Client(RequestId),
    Peer { node: NodeId, boot: u64, id: u64 },
}

/// A request that has not been answered.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) origin: Origin,
    pub(super) turn: Turn,
    pub(super) request: Request,
    pub(super) deadline: Instant,
    /// It is to be answered from this node's state, and no other's.
    pub(super) stays: bool,
}

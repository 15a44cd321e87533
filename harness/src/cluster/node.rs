//! One node of a cluster, and what it is in it.
//!
//! Invariant: a node that no seat was given is the member of its own number, for the length of the run.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use noraftd::secret::Secrets;

use super::clock::TestClock;
use super::node_process::NodeProcess;
use super::power::Ground;
use super::seat::{REMOVED, Seat, Standing};
use crate::client::Door;
use crate::client::own::Orders;

/// One node.
#[derive(Debug)]
pub struct Node {
    /// Its number, from 1: that of its machine. As a member it may have another id ([`Standing`]).
    pub id: u64,
    /// Where clients reach it.
    pub door: Door,
    /// What runs of it. Start it with [`super::Cluster::launch`].
    pub process: NodeProcess,
    /// What its data directory is on.
    pub ground: Ground,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// Its clocks, where the plan sets them.
    pub clock: Option<TestClock>,
    /// What proves to it that it is an operator who orders something, where it has a secret.
    pub secrets: Option<Arc<Secrets>>,
    /// What it is in the cluster, where members may come and go.
    pub(super) seat: Option<Seat>,
}

impl Node {
    /// Where it takes orders.
    pub fn orders(&self) -> Orders<'_> {
        Orders {
            address: self.door.address,
            secrets: self.secrets.as_deref(),
        }
    }

    /// What it is in the cluster.
    pub fn standing(&self) -> Standing {
        self.seat
            .as_ref()
            .map_or(Standing::Member(self.id), Seat::standing)
    }

    /// Whether it is a member that votes, or may be made one that does.
    pub fn is_member(&self) -> bool {
        self.member_id().is_some()
    }

    /// Its id as a member.
    pub fn member_id(&self) -> Option<u64> {
        match self.standing() {
            Standing::Member(id) => Some(id),
            Standing::Spare | Standing::Joining | Standing::Leaving(_) => None,
        }
    }

    /// Whether it was removed, has heard so, and has ended because of it.
    pub fn is_gone(&self) -> bool {
        let leaves = matches!(self.standing(), Standing::Leaving(_));
        leaves && self.process.is_down() && self.process.exit_code() == Some(REMOVED)
    }

    /// Whether its process is to run.
    pub fn has_part(&self) -> bool {
        self.standing() != Standing::Spare && !self.is_gone()
    }

    /// Makes it something else, which shows at its next start.
    pub fn become_one(&self, standing: Standing) {
        if let Some(seat) = &self.seat {
            seat.become_one(&self.process, standing);
        }
    }

    /// It is to join by way of `others` when it is started next; where it `waits`, as one that is made a voter on an order only.
    pub fn join(&self, others: Vec<SocketAddr>, waits: bool) {
        if let Some(seat) = &self.seat {
            seat.join(&self.process, others, waits);
        }
    }

    /// Whether it is started as one of those that begin the cluster, or is of a system whose nodes all are.
    pub fn is_founder(&self) -> bool {
        self.seat.as_ref().is_none_or(Seat::is_founder)
    }

    /// It listens for other nodes at another place from its next start on.
    pub fn move_on(&self) {
        if let Some(seat) = &self.seat {
            seat.move_on(&self.process);
        }
    }

    /// Where other nodes are to find it.
    pub fn place(&self) -> Option<SocketAddr> {
        self.seat.as_ref().and_then(Seat::place)
    }

    /// Whether it has moved, and was not started again since.
    pub fn has_to_start(&self) -> bool {
        self.seat.as_ref().is_some_and(Seat::has_to_start)
    }
}

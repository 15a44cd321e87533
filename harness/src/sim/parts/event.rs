//! What can happen in the simulated world, by the part that it happens to.
//!
//! Invariant: an event that is meant for one process of a node, or one connection of a link, names it: nothing happens
//! to the next one.

use noraft::{LogIndex, LogPosition};
use noraftd::protocol::command::Request;
use noraftd::protocol::peer::PeerMessage;
use noraftd::protocol::resp::Reply;

use super::members::Order;

/// Something that happens at its time.
#[derive(Debug)]
pub(crate) enum Event {
    /// To a process of a node, unless that process is gone.
    Node {
        node: usize,
        life: u64,
        event: NodeEvent,
    },
    /// To a link, unless the connection it is about is gone.
    Link {
        link: usize,
        epoch: u64,
        event: LinkEvent,
    },
    /// To a client.
    Client { client: usize, event: ClientEvent },
    /// To a lane of the nemesis.
    Lane { lane: usize, event: LaneEvent },
    /// To the run as a whole.
    Run(RunEvent),
}

/// Something that happens to a running process.
#[derive(Debug)]
pub(crate) enum NodeEvent {
    /// It handles what has arrived.
    Round,
    /// Its own deadline may have come.
    Wake { at: u64 },
    /// It learns that its connection to another node has ended.
    Disconnect { peer: usize },
    /// Its disk has done the first of its jobs.
    DiskDone,
    /// Its disk has done the first of the jobs for its snapshots.
    SnapshotDone,
    /// Its disk has done the first of the jobs for its votes.
    VoteDone,
    /// A full disk is tried again.
    DiskRetry,
    /// Its disk has read entries.
    FetchDone {
        from: LogIndex,
        to: LogIndex,
        bytes_max: usize,
    },
    /// Its disk has read a part of a snapshot.
    SnapshotRead {
        position: LogPosition,
        offset: u64,
        bytes_max: usize,
    },
    /// The driver of its disk wants to do something by itself.
    DiskDue { at: u64 },
    /// It reads a part of its log again.
    Scrub,
    /// It is gone, having only just begun.
    Stumble,
    /// Requests of a client that does not wait for answers arrive.
    Pipelined {
        connection: u64,
        requests: Vec<(u64, Request)>,
    },
    /// Reads of a client of `READONLY` arrive.
    StaleReads {
        connection: u64,
        requests: Vec<(u64, Request)>,
    },
}

/// Something that happens to a connection between nodes.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// A message arrives at its end.
    Deliver(Box<PeerMessage>),
    /// A frame arrives with flipped bits.
    Garbled,
    /// It is made.
    Connect,
}

/// Something that happens to a client. A turn is one operation of it.
#[derive(Debug)]
pub(crate) enum ClientEvent {
    /// It begins its next operation.
    Next { turn: u64 },
    /// Its request arrives at its node, if that is still the same process.
    Request { turn: u64, life: u64 },
    /// A reply arrives.
    Answer { turn: u64, reply: Box<Reply> },
    /// Its connection breaks.
    Lost { turn: u64 },
    /// It may have waited long enough.
    GiveUp,
}

/// Something that happens to a lane of the nemesis.
#[derive(Debug)]
pub(crate) enum LaneEvent {
    /// It begins its next fault.
    Begin,
    /// Its fault ends.
    End { decision: u64 },
    /// Links that flap change.
    Flip { decision: u64 },
}

/// Something that belongs to no process, link, client or lane.
#[derive(Debug)]
pub(crate) enum RunEvent {
    /// A process is started.
    Start { node: usize, attempt: u64 },
    /// The operator sets a node up again that lost its directory.
    Rejoin { node: usize },
    /// A second process with a copy of a node's directory says hello.
    TwinCalls { node: usize },
    /// The nodes are stopped that are no voters any more, since the change of that number was answered.
    StopRemoved { request: u64 },
    /// A node that was stopped for that comes back.
    Return { node: usize },
    /// Nothing was heard of a request about members.
    OrderIsLate { request: u64 },
    /// It is asked for again.
    Ask { order: Box<Order> },
    /// A machine goes on to join.
    Joins { machine: usize, lane: usize },
    /// A client that does not wait for answers sends its next requests.
    Burst { pipeline: usize },
    /// A client that asks for anything asks for the next few things.
    Commands { client: usize },
    /// A client of `READONLY` reads a few things.
    ReadStale { reader: usize },
    /// A client that moves amounts between accounts may begin.
    Transact { client: usize },
    /// A client that asks for each thing until it is answered may go on.
    Retry { client: usize },
    /// A leader is cut off as it rises.
    BeginCoup { node: usize },
    /// It is heard again.
    EndCoup { node: usize },
    /// From now on, other numbers are drawn.
    Branch { seed: u64 },
    /// States are compared.
    Compare,
    /// The disturbed part of the run is over.
    Calm,
    /// The end of the run is looked at again.
    Settle,
    /// Who drives the world from outside looks at it.
    Look,
}

impl Event {
    /// Something that happens to the process of `node` with this number.
    pub(crate) fn node(node: usize, life: u64, event: NodeEvent) -> Self {
        Self::Node { node, life, event }
    }

    /// Something that happens to the connection of `link` with this number.
    pub(crate) fn link(link: usize, epoch: u64, event: LinkEvent) -> Self {
        Self::Link { link, epoch, event }
    }

    /// Something that happens to a client.
    pub(crate) fn client(client: usize, event: ClientEvent) -> Self {
        Self::Client { client, event }
    }

    /// Something that happens to a lane of the nemesis.
    pub(crate) fn lane(lane: usize, event: LaneEvent) -> Self {
        Self::Lane { lane, event }
    }
}

//! The way to the other nodes: one connection to each, dialled here and used in this direction only.
//!
//! Invariant: what is sent may be lost, never altered; how much waits for one peer is bounded, and what
//! exceeds the bound is dropped and counted (Raft repeats what matters). So is what goes to a node of which this one has
//! no address: who votes stands in the log, which knows nothing of this node's settings. The replica hears of each new
//! connection before any message goes over it. Since each direction has its own connection, a fault in
//! one direction stays in that direction.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use noraft::NodeId;
use tokio::io::AsyncReadExt;

use super::backoff::Backoff;
use super::board::PeerReport;
use super::clock;
use super::complaints::Complaints;
use super::endpoint::{Endpoint, ReadHalf, Stream};
use super::inbox::Inbox;
use super::outgoing::Outgoing;
use super::read_buffer::ReadBuffer;
use crate::protocol::peer::{Extensions, Features, Hello, PeerError, PeerFrame, PeerMessage, Reject};
use crate::replica::event::Input;

/// Bytes that may wait for one peer: several times what the replica keeps in flight to it.
pub(super) const QUEUE_BYTES_MAX: usize = 64 << 20;

/// How this node introduces itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Introduction {
    pub(super) cluster_id: u64,
    pub(super) id: NodeId,
    pub(super) incarnation: u64,
}

/// The other nodes, as this one reaches them.
#[derive(Debug)]
pub(super) struct Peers {
    links: BTreeMap<NodeId, Rc<Link>>,
    dirty: RefCell<Vec<Rc<Link>>>,
    /// Voters without an address here, and the messages to each that were dropped.
    unknown: RefCell<BTreeMap<NodeId, u64>>,
}

/// The connection to one node, whether it stands or not.
#[derive(Debug)]
struct Link {
    peer: NodeId,
    address: Endpoint,
    introduction: Introduction,
    outgoing: RefCell<Option<Rc<Outgoing>>>,
    /// What the node at the other end of `outgoing` understands.
    features: Cell<Features>,
    is_dirty: Cell<bool>,
    dropped: Cell<u64>,
    error: RefCell<Option<String>>,
    /// Attempts since the last connection.
    failures: Cell<u64>,
    complaints: Complaints,
}

impl Peers {
    /// Begins to connect to `members`, for as long as the process lives.
    pub(super) fn connect(
        introduction: Introduction,
        members: &BTreeMap<NodeId, Endpoint>,
        inbox: &Rc<Inbox>,
    ) -> Rc<Self> {
        let mut links = BTreeMap::new();
        for (peer, address) in members {
            let link = Rc::new(Link::new(introduction, *peer, address.clone()));
            tokio::task::spawn_local(Rc::clone(&link).keep_connected(Rc::clone(inbox)));
            links.insert(*peer, link);
        }
        Rc::new(Self {
            links,
            dirty: RefCell::default(),
            unknown: RefCell::default(),
        })
    }

    /// Queues a message; it leaves with the next [`Self::flush`], or never.
    pub(super) fn send(&self, to: NodeId, message: &PeerMessage) {
        let Some(link) = self.links.get(&to) else {
            if let Some(dropped) = self.unknown.borrow_mut().get_mut(&to) {
                *dropped += 1;
            }
            return;
        };
        if link.send(message) && !link.is_dirty.replace(true) {
            self.dirty.borrow_mut().push(Rc::clone(link));
        }
    }

    /// Sends what was queued since the last call: one write for each peer.
    pub(super) fn flush(&self) {
        for link in self.dirty.borrow_mut().drain(..) {
            link.is_dirty.set(false);
            if let Some(outgoing) = link.outgoing.borrow().as_ref() {
                outgoing.flush();
            }
        }
    }

    /// Says so when the configuration in force, of which `others` are the other nodes, has one that this node was given
    /// no address of.
    pub(super) fn notice_unknown(&self, others: impl Iterator<Item = NodeId>) {
        let now: BTreeSet<NodeId> = others.filter(|id| !self.links.contains_key(id)).collect();
        let mut unknown = self.unknown.borrow_mut();
        unknown.retain(|id, _| now.contains(id));
        for id in now {
            unknown.entry(id).or_insert_with(|| {
                tracing::warn!("node {} is a voter: {}", id.get(), no_address(id));
                0
            });
        }
    }

    /// How each of them is reached.
    pub(super) fn report(&self) -> Vec<PeerReport> {
        let unknown = self.unknown.borrow();
        let unreachable = unknown.iter().map(|(id, dropped)| PeerReport {
            id: id.get(),
            address: UNKNOWN_ADDRESS.to_owned(),
            connected: false,
            dropped: *dropped,
            error: Some(no_address(*id)),
        });
        let reachable = self.links.values().map(|link| link.report());
        reachable.chain(unreachable).collect()
    }
}

impl Link {
    fn new(introduction: Introduction, peer: NodeId, address: Endpoint) -> Self {
        Self {
            peer,
            address,
            introduction,
            outgoing: RefCell::default(),
            features: Cell::default(),
            is_dirty: Cell::default(),
            dropped: Cell::default(),
            error: RefCell::default(),
            failures: Cell::default(),
            complaints: Complaints::default(),
        }
    }

    /// True when the message is on its way.
    fn send(&self, message: &PeerMessage) -> bool {
        let outgoing = self.outgoing.borrow();
        let open = outgoing
            .as_ref()
            .filter(|outgoing| !outgoing.is_closed() && outgoing.len() < QUEUE_BYTES_MAX);
        match open {
            Some(outgoing) => {
                outgoing.append(|out| message.encode(self.introduction.cluster_id, self.features.get(), out));
            }
            None => self.dropped.set(self.dropped.get() + 1),
        }
        open.is_some()
    }

    fn report(&self) -> PeerReport {
        PeerReport {
            id: self.peer.get(),
            address: self.address.to_string(),
            connected: self.outgoing.borrow().is_some(),
            dropped: self.dropped.get(),
            error: self.error.borrow().clone(),
        }
    }

    async fn keep_connected(self: Rc<Self>, inbox: Rc<Inbox>) {
        let mut backoff = Backoff::new(clock::random_seed());
        loop {
            match tokio::time::timeout(DIAL_TIMEOUT, self.dial()).await {
                Ok(Ok((outgoing, read, features))) => {
                    backoff.reset();
                    self.features.set(features);
                    self.stay(outgoing, read, &inbox).await;
                }
                Ok(Err(error)) => self.note_failure(error.to_string(), error.is_mistake()),
                Err(_) => self.note_failure(format!("no answer within {DIAL_TIMEOUT:?}"), false),
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }

    async fn dial(&self) -> Result<(Rc<Outgoing>, ReadHalf, Features), DialError> {
        let stream = Stream::connect(&self.address).await?;
        stream.give_up_after(SILENCE_MAX)?;
        let (mut read, write) = stream.into_split();
        let outgoing = Outgoing::new(write);
        let hello = PeerFrame::Hello(Hello {
            cluster_id: self.introduction.cluster_id,
            from: self.introduction.id,
            to: self.peer,
            incarnation: self.introduction.incarnation,
            extensions: Extensions::ours(),
        });
        outgoing.append(|out| hello.encode(self.introduction.cluster_id, Features::NONE, out));
        outgoing.flush();
        let features = self.await_consent(&mut read).await?;
        Ok((outgoing, read, features))
    }

    /// What the other node understands, once it has consented.
    async fn await_consent(&self, read: &mut ReadHalf) -> Result<Features, DialError> {
        let mut buffer = ReadBuffer::default();
        loop {
            match PeerFrame::decode(self.introduction.cluster_id, &mut buffer.bytes)? {
                Some(PeerFrame::HelloReply(reply)) if reply.from == self.peer => {
                    return Ok(reply.extensions.features);
                }
                Some(PeerFrame::HelloReply(reply)) => return Err(DialError::Stranger(reply.from.get())),
                Some(PeerFrame::Reject(reject)) => return Err(DialError::Rejected(reject)),
                Some(PeerFrame::Hello(_) | PeerFrame::Message(_)) => return Err(DialError::OutOfTurn),
                None if buffer.bytes.len() > ANSWER_BYTES_MAX => return Err(DialError::OutOfTurn),
                None => {}
            }
            if buffer.read(read).await? == 0 {
                return Err(DialError::Closed);
            }
        }
    }

    /// Uses the connection until it ends.
    async fn stay(&self, outgoing: Rc<Outgoing>, mut read: ReadHalf, inbox: &Inbox) {
        tracing::info!("connected to node {} at {}", self.peer.get(), self.address);
        self.error.replace(None);
        self.failures.set(0);
        self.complaints.forget();
        self.outgoing.replace(Some(Rc::clone(&outgoing)));
        inbox.push(Input::Connected {
            peer: self.peer,
            features: self.features.get(),
        });
        // The other side says nothing more on this connection: whatever comes is its end.
        let _ = read.read_buf(&mut BytesMut::with_capacity(1)).await;
        self.outgoing.replace(None);
        outgoing.close();
        inbox.push(Input::Disconnected { peer: self.peer });
        self.note_failure("the connection ended".to_owned(), true);
    }

    /// A node that starts beside others finds them missing for a moment: only what lasts is worth a line.
    fn note_failure(&self, error: String, at_once: bool) {
        self.failures.set(self.failures.get() + 1);
        if at_once || self.failures.get() >= FAILURES_WORTH_A_LINE {
            self.complaints
                .complain(&format!("node {} at {}: {error}", self.peer.get(), self.address));
        }
        self.error.replace(Some(error));
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Frame(#[from] PeerError),
    #[error("refuses this node: {0}")]
    Rejected(Reject),
    #[error("is node {0}: check the addresses of the members")]
    Stranger(u64),
    #[error("does not answer as a noraftd node does")]
    OutOfTurn,
    #[error("closed the connection without an answer")]
    Closed,
}

impl DialError {
    /// True when trying again cannot help: somebody has to correct something.
    fn is_mistake(&self) -> bool {
        match self {
            Self::Io(_) | Self::Closed => false,
            Self::Frame(_) | Self::Rejected(_) | Self::Stranger(_) | Self::OutOfTurn => true,
        }
    }
}

fn no_address(id: NodeId) -> String {
    let id = id.get();
    format!("this node was given no address of it and cannot reach it; start it with --peer {id}=HOST:PORT")
}

const UNKNOWN_ADDRESS: &str = "an unknown address";
/// With the pauses between attempts, about two seconds.
const FAILURES_WORTH_A_LINE: u64 = 25;
/// A connection and its greeting take at most this long.
const DIAL_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection whose bytes are not acknowledged for this long is replaced: TCP's own repetitions come
/// ever more rarely, for minutes after the network has healed.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// An answer to a greeting is small.
const ANSWER_BYTES_MAX: usize = 4 << 10;

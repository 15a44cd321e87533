//! The way from the other nodes: accepts their connections, verifies who they are, and hands over what
//! they say.
//!
//! Invariant: a message reaches the replica only over a connection whose first frame named this cluster,
//! this node, a member, and the data directory that this member had when it was first met (`store/met.rs`). One
//! connection for each member: a new one ends the old one.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use noraft::NodeId;

use super::complaints::Complaints;
use super::descriptors::STRANGERS;
use super::endpoint::{Listener, ReadHalf, Stream};
use super::inbox::Inbox;
use super::outgoing::Outgoing;
use super::peers::Introduction;
use super::read_buffer::ReadBuffer;
use crate::protocol::frame::{self, FrameError};
use crate::protocol::peer::{
    Extensions, Features, Hello, HelloReply, PeerError, PeerFrame, PeerMessage, Reject,
};
use crate::replica::event::Input;
use crate::store::Met;

/// Accepts the other nodes.
pub(super) struct PeerListener {
    introduction: Introduction,
    members: BTreeSet<NodeId>,
    /// Most bytes of one payload that this node's segments hold.
    payload_bytes_max: usize,
    inbox: Rc<Inbox>,
    /// The data directory that each member had when it was first met.
    met: RefCell<Met>,
    /// The connection that each member uses now, and what that member understands.
    current: RefCell<BTreeMap<NodeId, (Rc<Outgoing>, Features)>>,
    open: Cell<usize>,
    complaints: Complaints,
}

impl PeerListener {
    /// Nobody has come yet.
    pub(super) fn new(
        introduction: Introduction,
        members: BTreeSet<NodeId>,
        payload_bytes_max: usize,
        met: Met,
        inbox: Rc<Inbox>,
    ) -> Rc<Self> {
        Rc::new(Self {
            introduction,
            members,
            payload_bytes_max,
            inbox,
            met: RefCell::new(met),
            current: RefCell::default(),
            open: Cell::default(),
            complaints: Complaints::default(),
        })
    }

    /// Accepts nodes, for ever.
    pub(super) async fn accept(self: Rc<Self>, listener: Listener) {
        loop {
            match listener.accept().await {
                Ok(stream) if self.strangers() < STRANGERS => {
                    tokio::task::spawn_local(Rc::clone(&self).receive(stream));
                }
                Ok(_) => self
                    .complaints
                    .complain("too many connections from nodes: one is refused"),
                Err(error) => {
                    self.complaints
                        .complain(&format!("cannot accept a node: {error}"));
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Connections from nobody knows whom yet.
    fn strangers(&self) -> u64 {
        self.open.get().saturating_sub(self.current.borrow().len()) as u64
    }

    async fn receive(self: Rc<Self>, stream: Stream) {
        self.open.set(self.open.get() + 1);
        let name = stream.peer_name();
        let (mut read, write) = stream.into_split();
        let outgoing = Outgoing::new(write);
        if let Err(error) = self.listen(&mut read, &outgoing).await {
            self.complaints
                .complain(&format!("a connection from {name} is closed: {error}"));
        }
        outgoing.close();
        self.open.set(self.open.get() - 1);
    }

    /// Verifies who it is and hands over messages, until the connection ends.
    async fn listen(&self, read: &mut ReadHalf, outgoing: &Rc<Outgoing>) -> Result<(), PeerFault> {
        let mut buffer = ReadBuffer::default();
        let greeting = tokio::time::timeout(HELLO_TIMEOUT, self.await_hello(read, &mut buffer)).await;
        let hello = match greeting.map_err(|_| PeerFault::Silent)? {
            Ok(hello) => hello,
            Err(fault) => return Err(self.turn_away(fault, outgoing)),
        };
        let reply = PeerFrame::HelloReply(HelloReply {
            from: self.introduction.id,
            incarnation: self.introduction.incarnation,
            extensions: Extensions::ours(),
        });
        self.say(&reply, outgoing);
        let new = (Rc::clone(outgoing), hello.extensions.features);
        if let Some((old, _)) = self.current.borrow_mut().insert(hello.from, new) {
            old.close();
        }
        self.hand_over(hello.from, read, &mut buffer).await
    }

    async fn await_hello(&self, read: &mut ReadHalf, buffer: &mut ReadBuffer) -> Result<Hello, PeerFault> {
        loop {
            match PeerFrame::decode(self.introduction.cluster_id, &mut buffer.bytes)? {
                Some(PeerFrame::Hello(hello)) => return self.verify(hello),
                Some(_) => return Err(PeerFault::OutOfTurn),
                None if buffer.bytes.len() > HELLO_BYTES_MAX => return Err(PeerFault::OutOfTurn),
                None => {}
            }
            if buffer.read(read).await? == 0 {
                return Err(PeerFault::Silent);
            }
        }
    }

    fn verify(&self, hello: Hello) -> Result<Hello, PeerFault> {
        let Introduction { cluster_id, id, .. } = self.introduction;
        let reject = |reject| {
            Err(PeerFault::Rejected {
                from: hello.from.get(),
                reject,
            })
        };
        if hello.cluster_id != cluster_id {
            return reject(Reject::Cluster { expected: cluster_id });
        }
        if hello.to != id {
            return reject(Reject::Node { actual: id });
        }
        if !self.members.contains(&hello.from) {
            return reject(Reject::NotMember);
        }
        let met = self.met.borrow().get(hello.from);
        match met {
            Some(expected) if hello.incarnation != expected => reject(Reject::Incarnation { expected }),
            Some(_) => Ok(hello),
            // Once for each node, so the loop may wait for the disk.
            None => {
                self.met.borrow_mut().admit(hello.from, hello.incarnation)?;
                Ok(hello)
            }
        }
    }

    /// Accepts another data directory of a member from now on, and the one it had no more. Durable when this returns.
    pub(super) fn readmit(&self, node: NodeId, incarnation: u64) -> Result<(), String> {
        if !self.members.contains(&node) {
            return Err(format!(
                "node {} is not another member of this cluster",
                node.get()
            ));
        }
        let admitted = self.met.borrow_mut().admit(node, incarnation);
        admitted.map_err(|error| format!("cannot write it down: {error}"))?;
        if let Some((old, _)) = self.current.borrow_mut().remove(&node) {
            old.close();
        }
        tracing::warn!(
            "node {} begins again, with the data directory {incarnation:016x}",
            node.get()
        );
        Ok(())
    }

    async fn hand_over(
        &self,
        from: NodeId,
        read: &mut ReadHalf,
        buffer: &mut ReadBuffer,
    ) -> Result<(), PeerFault> {
        loop {
            match PeerFrame::decode(self.introduction.cluster_id, &mut buffer.bytes)? {
                Some(PeerFrame::Message(message)) => {
                    self.check_size(&message)?;
                    self.inbox.push(Input::Peer { from, message });
                }
                Some(_) => return Err(PeerFault::OutOfTurn),
                None => {
                    if buffer.read(read).await? == 0 {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// A payload that no segment of this node holds must not reach the log: the disk would refuse the batch.
    fn check_size(&self, message: &PeerMessage) -> Result<(), PeerFault> {
        let largest = match message {
            PeerMessage::Append { records, .. } | PeerMessage::Repair { records, .. } => {
                records.iter().map(|record| record.payload.len()).max()
            }
            PeerMessage::Forward { request, .. } => Some(request.body.len()),
            PeerMessage::RequestVote { .. }
            | PeerMessage::Vote { .. }
            | PeerMessage::PreVote { .. }
            | PeerMessage::PreVoted { .. }
            | PeerMessage::Appended { .. }
            | PeerMessage::Forwarded { .. }
            | PeerMessage::SnapshotChunk { .. }
            | PeerMessage::SnapshotReply { .. }
            | PeerMessage::RepairRequest { .. } => None,
        };
        match largest.filter(|bytes| *bytes > self.payload_bytes_max) {
            Some(bytes) => Err(PeerFault::Oversize {
                bytes,
                most: self.payload_bytes_max,
            }),
            None => Ok(()),
        }
    }

    /// Tells the other side why, when there is a word for it.
    fn turn_away(&self, fault: PeerFault, outgoing: &Rc<Outgoing>) -> PeerFault {
        let reject = match &fault {
            PeerFault::Rejected { reject, .. } => Some(*reject),
            PeerFault::Frame(PeerError::Cluster { expected, .. }) => {
                Some(Reject::Cluster { expected: *expected })
            }
            PeerFault::Frame(PeerError::Frame(FrameError::Version { .. })) => Some(Reject::Version {
                supported: frame::VERSION,
            }),
            PeerFault::Frame(_) | PeerFault::Io(_) => None,
            PeerFault::Silent | PeerFault::OutOfTurn | PeerFault::Oversize { .. } => None,
        };
        if let Some(reject) = reject {
            self.say(&PeerFrame::Reject(reject), outgoing);
        }
        fault
    }

    fn say(&self, frame: &PeerFrame, outgoing: &Rc<Outgoing>) {
        outgoing.append(|out| frame.encode(self.introduction.cluster_id, Features::NONE, out));
        outgoing.flush();
    }
}

/// Why a connection from a node is closed.
#[derive(Debug, thiserror::Error)]
enum PeerFault {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Frame(#[from] PeerError),
    #[error("node {from} is refused: {reject}")]
    Rejected { from: u64, reject: Reject },
    #[error("it did not introduce itself")]
    Silent,
    #[error("it does not speak as a noraftd node does")]
    OutOfTurn,
    #[error(
        "an entry of {bytes} bytes does not fit a log segment here ({most} at most): every node needs the same segment_bytes"
    )]
    Oversize { bytes: usize, most: usize },
}

/// An introduction comes at once, or it was not a node.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// An introduction is small.
const HELLO_BYTES_MAX: usize = 4 << 10;
/// When no file descriptor is left, one may be free again after this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

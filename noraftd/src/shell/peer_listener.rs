//! The way from the other nodes: accepts their connections, verifies their identity, and hands over what
//! they say.
//!
//! Invariant: a message reaches the replica only over a connection whose first frame was admitted (`admission.rs`);
//! where proof is required, only sealed by a node that knows the secret. One connection of each lane for each member: a
//! new one ends the old one.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use noraft::{NodeId, Term};

use super::descriptors::STRANGERS;
use super::inbox::Inbox;
use super::keyring::Keyring;
use super::outgoing::Outgoing;
use super::peer_line::{HearError, Introduction, hear};
use super::rate_limited_warning::RateLimitedWarning;
use super::read_buffer::ReadBuffer;
use super::sockets::{Listener, ReadHalf, Stream};
use super::tls::{Entered, NoEntry};
use super::unfinished::Unfinished;
use crate::admission::{Admission, NotAdmitted, NotReadmitted, Refusal, Roll};
use crate::config::PeerAuth;
use crate::level::Level;
use crate::protocol::frame::FrameError;
use crate::protocol::peer::{
    Challenge, Features, Hello, HelloReply, Lane, PeerError, PeerFrame, PeerMessage, Reject, TermFault,
};
use crate::protocol::seal::{Seal, SessionKeys};
use crate::replica::event::Input;
use crate::secret::Secret;
use crate::store::KnownPeers;

/// Accepts the other nodes.
pub(super) struct PeerListener {
    introduction: Introduction,
    admission: RefCell<Admission>,
    inbox: Rc<Inbox>,
    /// The connection that each member uses now.
    current: RefCell<BTreeMap<(NodeId, Lane), Current>>,
    /// This node's term, as of the last round of the event loop.
    term: Cell<Term>,
    /// Connections that have not introduced themselves yet, the oldest first.
    strangers: Rc<Unfinished>,
    warnings: RateLimitedWarning,
}

/// A connection that a member uses.
struct Current {
    outgoing: Rc<Outgoing>,
    /// What it was proven with; `None` when it was not.
    secret: Option<Secret>,
}

/// Which node has connected, and how to read what it says.
struct Caller {
    id: NodeId,
    lane: Lane,
    sealed: Option<(Seal, Secret)>,
}

impl PeerListener {
    /// No node has connected yet.
    pub(super) fn new(
        introduction: Introduction,
        members: BTreeSet<NodeId>,
        known_peers: KnownPeers,
        inbox: Rc<Inbox>,
    ) -> Rc<Self> {
        let admission = Admission::new(
            introduction.owner(),
            introduction.settings(),
            members,
            known_peers,
        );
        Rc::new(Self {
            introduction,
            admission: RefCell::new(admission),
            inbox,
            current: RefCell::default(),
            term: Cell::new(Term::ZERO),
            strangers: Unfinished::new(STRANGERS as usize),
            warnings: RateLimitedWarning::default(),
        })
    }

    /// Accepts nodes until it is dropped.
    pub(super) async fn accept(self: Rc<Self>, listener: Listener) {
        loop {
            match listener.accept().await {
                Ok(stream) => {
                    tokio::task::spawn_local(Rc::clone(&self).receive(stream));
                }
                Err(error) => {
                    self.warnings.warn(&format!("cannot accept a node: {error}"));
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// This level is in force from now on.
    pub(super) fn note_level(&self, level: Level) {
        if self.introduction.level.replace(level) < level {
            self.admission.borrow_mut().note_level(level);
        }
    }

    /// These are the members from now on. Those that are gone are not heard any more, and hear why when they come again.
    pub(super) fn note_roll(&self, roll: Roll) {
        for gone in &roll.gone {
            self.hang_up(*gone);
        }
        self.admission.borrow_mut().note_roll(roll);
    }

    /// The data directory that this member had when it was met.
    pub(super) fn incarnation_of(&self, member: NodeId) -> Option<u64> {
        let known = self.admission.borrow().known(member);
        known.map(|known| known.incarnation)
    }

    /// The data directory of each node that was met, as the status says it.
    pub(super) fn met(&self) -> BTreeMap<u64, String> {
        let met = self.admission.borrow().met().into_iter();
        met.map(|(id, incarnation)| (id.get(), format!("{incarnation:016x}")))
            .collect()
    }

    fn hang_up(&self, node: NodeId) {
        for lane in [Lane::First, Lane::Urgent] {
            if let Some(old) = self.current.borrow_mut().remove(&(node, lane)) {
                old.outgoing.close();
            }
        }
    }

    /// This node's term is this from now on.
    pub(super) fn note_term(&self, term: Term) {
        self.term.set(term);
    }

    /// Ends the connections that were proven with a secret that is no longer in force; returns how many.
    pub(super) fn drop_outdated(&self) -> usize {
        let mut current = self.current.borrow_mut();
        let before = current.len();
        current.retain(|_, connection| {
            let secret = connection.secret.as_ref();
            let is_good = secret.is_none_or(|secret| self.keyring().contains(secret));
            if !is_good {
                connection.outgoing.close();
            }
            is_good
        });
        before - current.len()
    }

    fn keyring(&self) -> &Keyring {
        &self.introduction.keyring
    }

    async fn receive(self: Rc<Self>, stream: Stream) {
        let (host, name) = (stream.peer_host(), stream.peer_name());
        if let Err(fault) = self.listen(stream).await {
            let matter = format!("{host} {}", fault.matter());
            let text = format!("a connection from {name} is closed: {fault}");
            self.warnings.warn_about(&matter, &text);
        }
    }

    /// Verifies which node it is and hands over messages, until the connection ends.
    async fn listen(&self, stream: Stream) -> Result<(), PeerFault> {
        let (beginning, is_crowded) = self.strangers.begin();
        if is_crowded {
            // A node says at once which it is, and those that do not must not keep it out.
            self.warnings
                .warn("too many connections that do not say who they are: the oldest is closed");
        }
        let mut buffer = ReadBuffer::default();
        let meeting = tokio::time::timeout(HELLO_TIMEOUT, self.meet(stream, &mut buffer));
        let met = tokio::select! {
            met = meeting => met.map_err(|_| PeerFault::Silent)??,
            () = beginning.is_over() => return Err(PeerFault::Silent),
        };
        drop(beginning);
        let (caller, mut read, outgoing) = met;
        let new = Current {
            outgoing: Rc::clone(&outgoing),
            secret: caller.sealed.as_ref().map(|(_, secret)| secret.clone()),
        };
        if let Some(old) = self.current.borrow_mut().insert((caller.id, caller.lane), new) {
            old.outgoing.close();
        }
        let handed_over = self.hand_over(caller, &mut read, &mut buffer).await;
        outgoing.close();
        handed_over
    }

    /// Lets it in, and learns which node it is.
    async fn meet(
        &self,
        stream: Stream,
        buffer: &mut ReadBuffer,
    ) -> Result<(Caller, ReadHalf, Rc<Outgoing>), PeerFault> {
        let Entered { mut read, write, .. } = self.introduction.tls.take_peer(stream).await?;
        let outgoing = Outgoing::new(write);
        match self.greet(&mut read, buffer, &outgoing).await {
            Ok(caller) => Ok((caller, read, outgoing)),
            Err(fault) => {
                let fault = self.turn_away(fault, &outgoing);
                outgoing.close();
                Err(fault)
            }
        }
    }

    /// Lets the other side introduce itself, and prove what it has to; consents.
    async fn greet(
        &self,
        read: &mut ReadHalf,
        buffer: &mut ReadBuffer,
        outgoing: &Rc<Outgoing>,
    ) -> Result<Caller, PeerFault> {
        let (frame, bytes) = hear(read, buffer, HELLO_BYTES_MAX)
            .await?
            .ok_or(PeerFault::Silent)?;
        let PeerFrame::Hello(hello) = PeerFrame::parse(self.introduction.cluster_id, frame)? else {
            return Err(PeerFault::OutOfTurn);
        };
        self.admission.borrow().verify(&hello)?;
        let proven = match (self.keyring().mode(), hello.extensions.nonce) {
            (PeerAuth::Off, _) | (PeerAuth::Accept, None) => None,
            (PeerAuth::Require, None) => {
                return Err(Refusal::of(&hello, Reject::Unproven, "it does not prove itself").into());
            }
            (PeerAuth::Accept | PeerAuth::Require, Some(_)) => {
                Some(self.challenge(&hello, &bytes, read, buffer, outgoing).await?)
            }
        };
        let admitted = self.admission.borrow_mut().admit(&hello);
        if let (Err(NotAdmitted::Refused(refusal)), Some((_, keys))) = (&admitted, &proven)
            && refusal.reject == Reject::Removed
        {
            // It ends a node: so it has to come from one that knows the secret.
            let reject = PeerFrame::Reject(Reject::Removed);
            outgoing.append(|out| keys.to_caller().append(out, |out| self.encode(&reject, out)));
            outgoing.flush();
            return Err(PeerFault::Removed(hello.from.get()));
        }
        admitted?;
        if let Some(address) = &hello.extensions.peer_address {
            self.introduction.places.hear(hello.from, address);
        }
        let reply = PeerFrame::HelloReply(HelloReply {
            from: self.introduction.id,
            incarnation: self.introduction.incarnation,
            extensions: self.introduction.extensions(),
        });
        let Some((secret, keys)) = proven else {
            self.say(&reply, outgoing);
            return Ok(Caller {
                id: hello.from,
                lane: hello.extensions.lane,
                sealed: None,
            });
        };
        outgoing.append(|out| keys.to_caller().append(out, |out| self.encode(&reply, out)));
        outgoing.flush();
        Ok(Caller {
            id: hello.from,
            lane: hello.extensions.lane,
            sealed: Some((keys.to_acceptor(), secret)),
        })
    }

    /// Has the caller prove that it knows a secret.
    async fn challenge(
        &self,
        hello: &Hello,
        bytes: &[u8],
        read: &mut ReadHalf,
        buffer: &mut ReadBuffer,
        outgoing: &Rc<Outgoing>,
    ) -> Result<(Secret, SessionKeys), PeerFault> {
        let mut challenge = BytesMut::new();
        let nonce = super::clock::random_bytes();
        self.encode(&PeerFrame::Challenge(Challenge { nonce }), &mut challenge);
        outgoing.append(|out| out.extend_from_slice(&challenge));
        outgoing.flush();
        let (frame, _) = hear(read, buffer, HELLO_BYTES_MAX)
            .await?
            .ok_or(PeerFault::Silent)?;
        let PeerFrame::Proof(proof) = PeerFrame::parse(self.introduction.cluster_id, frame)? else {
            return Err(PeerFault::OutOfTurn);
        };
        let mut known = None;
        // All are compared, whatever the first one gave: the time reveals nothing.
        for (secret, keys) in self.keyring().keys(bytes, &challenge) {
            let is_proven = proof
                .proofs
                .iter()
                .fold(false, |found, proof| found | keys.is_proof(proof));
            known = known.or(is_proven.then_some((secret, keys)));
        }
        known.ok_or_else(|| {
            let detail = "it does not know a secret that this node knows";
            Refusal::of(hello, Reject::Secret, detail).into()
        })
    }

    /// Accepts another data directory of a member from now on, and the one it had no more. Durable when this returns.
    pub(super) fn readmit(&self, node: NodeId, incarnation: u64) -> Result<(), NotReadmitted> {
        self.admission.borrow_mut().readmit(node, incarnation)?;
        self.hang_up(node);
        tracing::warn!(
            "node {} begins again, with the data directory {incarnation:016x}",
            node.get()
        );
        Ok(())
    }

    async fn hand_over(
        &self,
        mut caller: Caller,
        read: &mut ReadHalf,
        buffer: &mut ReadBuffer,
    ) -> Result<(), PeerFault> {
        loop {
            let cluster_id = self.introduction.cluster_id;
            let decoded = match &mut caller.sealed {
                Some((seal, _)) => PeerFrame::decode_sealed(cluster_id, seal, &mut buffer.bytes),
                None => PeerFrame::decode(cluster_id, &mut buffer.bytes),
            };
            match decoded? {
                Some(PeerFrame::Message(message)) => {
                    self.check_size(&message)?;
                    message.check_terms(self.term.get())?;
                    self.inbox.push(Input::Peer {
                        from: caller.id,
                        message,
                    });
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
            | PeerMessage::Pulse { .. }
            | PeerMessage::Pulsed { .. }
            | PeerMessage::TimeoutNow { .. }
            | PeerMessage::RepairRequest { .. }
            | PeerMessage::Compare { .. }
            | PeerMessage::Compared { .. } => None,
        };
        let most = self.introduction.payload_bytes_max;
        match largest.filter(|bytes| *bytes > most) {
            Some(bytes) => Err(PeerFault::Oversize { bytes, most }),
            None => Ok(()),
        }
    }

    /// Sends the other side the reason, when there is a word for it.
    fn turn_away(&self, fault: PeerFault, outgoing: &Rc<Outgoing>) -> PeerFault {
        let reject = match &fault {
            PeerFault::Refused(refusal) => Some(refusal.reject),
            PeerFault::Frame(PeerError::Cluster { .. }) => Some(Reject::Cluster),
            PeerFault::Frame(PeerError::Frame(FrameError::Version { .. })) => Some(Reject::Version),
            PeerFault::Frame(_) | PeerFault::Io(_) | PeerFault::Term(_) | PeerFault::NoEntry(_) => None,
            PeerFault::Silent | PeerFault::OutOfTurn | PeerFault::Oversize { .. } | PeerFault::Removed(_) => {
                None
            }
        };
        if let Some(reject) = reject {
            self.say(&PeerFrame::Reject(reject), outgoing);
        }
        fault
    }

    fn say(&self, frame: &PeerFrame, outgoing: &Rc<Outgoing>) {
        outgoing.append(|out| self.encode(frame, out));
        outgoing.flush();
    }

    fn encode(&self, frame: &PeerFrame, out: &mut BytesMut) {
        frame.encode(self.introduction.cluster_id, Features::NONE, out);
    }
}

/// Why a connection from a node is closed.
#[derive(Debug, thiserror::Error)]
enum PeerFault {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    NoEntry(#[from] NoEntry),
    #[error(transparent)]
    Frame(#[from] PeerError),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Term(#[from] TermFault),
    #[error("node {0} was removed from the cluster")]
    Removed(u64),
    #[error("it did not introduce itself")]
    Silent,
    #[error("it does not speak as a noraftd node does")]
    OutOfTurn,
    #[error(
        "an entry of {bytes} bytes does not fit a log segment here ({most} at most): every node needs the same segment_bytes"
    )]
    Oversize { bytes: usize, most: usize },
}

impl PeerFault {
    /// What it is about, without what is different each time.
    fn matter(&self) -> String {
        match self {
            Self::Refused(Refusal { from, reject, .. }) => format!("{from} {reject}"),
            Self::Io(error) => error.kind().to_string(),
            Self::NoEntry(error) => error.to_string(),
            Self::Removed(node) => format!("{node} is gone"),
            Self::Frame(_) | Self::Term(_) | Self::Silent | Self::OutOfTurn | Self::Oversize { .. } => {
                format!("{:?}", std::mem::discriminant(self))
            }
        }
    }
}

impl From<NotAdmitted> for PeerFault {
    fn from(reason: NotAdmitted) -> Self {
        match reason {
            NotAdmitted::Refused(refusal) => Self::Refused(refusal),
            NotAdmitted::Disk(error) => Self::Io(error),
        }
    }
}

impl From<HearError> for PeerFault {
    fn from(error: HearError) -> Self {
        match error {
            HearError::Io(error) => Self::Io(error),
            HearError::Frame(error) => Self::Frame(error),
            HearError::TooLong => Self::OutOfTurn,
        }
    }
}

/// An introduction comes at once, or it was not a node.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// An introduction is small.
const HELLO_BYTES_MAX: usize = 4 << 10;
/// When no file descriptor is left, one may be free again after this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

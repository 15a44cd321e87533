//! One connection to another node: how it begins, and frames on their way out.
//!
//! Invariant: a line that exists leads to the node that was meant, of this cluster, with the same settings; and, where
//! proof is required, to a node that knows the secret and had nothing forged between it and this one.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use noraft::NodeId;

use super::keyring::Keyring;
use super::outgoing::Outgoing;
use super::places::Places;
use super::read_buffer::ReadBuffer;
use super::sockets::{ReadHalf, Stream};
use super::tls::Tls;
use crate::admission::{Unfit, check_reply};
use crate::endpoint::Endpoint;
use crate::level::Level;
use crate::protocol::frame::{self, Frame};
use crate::protocol::peer::{
    Extensions, Features, Hello, HelloReply, Lane, PeerError, PeerFrame, PeerMessage, ProofOfSecret, Reject,
    SharedSettings, Starts,
};
use crate::protocol::seal::Seal;
use crate::secret::Secret;
use crate::store::Owner;

/// How this node introduces itself.
#[derive(Debug, Clone)]
pub(super) struct Introduction {
    pub(super) cluster_id: u64,
    pub(super) id: NodeId,
    pub(super) incarnation: u64,
    /// A hash of the nodes that the cluster began with, when this node knows them.
    pub(super) members: Option<u64>,
    /// Which beginning of the cluster its directory belongs to.
    pub(super) generation: u64,
    /// Most bytes of one payload that this node's segments hold.
    pub(super) payload_bytes_max: usize,
    /// Which process of the node this is; `None` when the directory does not say how often it was started.
    pub(super) starts: Option<Starts>,
    /// Where clients reach this node, when it knows.
    pub(super) client_address: Option<String>,
    /// The level in force, as far as this node knows.
    pub(super) level: Rc<Cell<Level>>,
    pub(super) places: Rc<Places>,
    pub(super) keyring: Rc<Keyring>,
    pub(super) tls: Rc<Tls>,
}

impl Introduction {
    /// Which node of which cluster it is.
    pub(super) fn owner(&self) -> Owner {
        Owner {
            cluster_id: self.cluster_id,
            node_id: self.id,
        }
    }

    /// What has to be equal on every node.
    pub(super) fn settings(&self) -> SharedSettings {
        SharedSettings {
            members: self.members,
            payload_bytes_max: Some(self.payload_bytes_max as u64),
            generation: self.generation,
        }
    }

    /// What it says of itself beyond version 1 of the protocol.
    pub(super) fn extensions(&self) -> Extensions {
        let says_more = self.level.get() >= Level::FLUSH;
        Extensions {
            peer_address: self.places.own().filter(|_| says_more),
            version: says_more.then(|| env!("CARGO_PKG_VERSION").to_owned()),
            starts: self.starts.clone(),
            client_address: self.client_address.clone(),
            ..Extensions::ours(self.settings())
        }
    }
}

/// An established connection.
#[derive(Debug)]
pub(super) struct PeerLine {
    cluster_id: u64,
    pub(super) outgoing: Rc<Outgoing>,
    /// What the other node understands.
    pub(super) features: Features,
    /// Where clients reach the other node, when it has said so.
    pub(super) client_address: Option<String>,
    /// The other node's version, when it has said so.
    pub(super) version: Option<String>,
    /// Over TLS, to a node by its certificate.
    pub(super) is_encrypted: bool,
    /// Seals what leaves, and the secret that it follows from; `None` where nothing was proven.
    sealed: Option<(RefCell<Seal>, Secret)>,
}

impl PeerLine {
    /// Queues a message.
    pub(super) fn append(&self, message: &PeerMessage) {
        let encode = |out: &mut BytesMut| message.encode(self.cluster_id, self.features, out);
        self.outgoing.append(|out| match &self.sealed {
            Some((seal, _)) => seal.borrow_mut().append(out, encode),
            None => encode(out),
        });
    }

    /// True when the node at its other end understands the message.
    pub(super) fn takes(&self, message: &PeerMessage) -> bool {
        self.features.has(message.needs())
    }

    /// True when either side has proven that it knows the secret.
    pub(super) fn is_proven(&self) -> bool {
        self.sealed.is_some()
    }

    /// True unless it was proven with a secret that is not in force any more.
    pub(super) fn is_still_good(&self, keyring: &Keyring) -> bool {
        let secret = self.sealed.as_ref().map(|(_, secret)| secret);
        secret.is_none_or(|secret| keyring.contains(secret))
    }
}

/// Connects to `peer` at `address`, for what belongs on `lane`.
///
/// # Errors
///
/// When there is no connection, or it is not one to use.
pub(super) async fn dial(
    introduction: &Introduction,
    peer: NodeId,
    address: &Endpoint,
    lane: Lane,
) -> Result<(PeerLine, ReadHalf), DialError> {
    let prepare = |stream: &Stream| stream.give_up_after(SILENCE_MAX);
    let reached = introduction.tls.reach_peer(address, prepare).await?;
    let is_encrypted = reached.is_encrypted;
    let mut greeting = Greeting {
        introduction,
        peer,
        lane,
        outgoing: Outgoing::new(reached.write),
        read: reached.read,
        buffer: ReadBuffer::default(),
        client_address: None,
        version: None,
    };
    let (features, sealed) = greeting.exchange().await?;
    let line = PeerLine {
        cluster_id: introduction.cluster_id,
        outgoing: greeting.outgoing,
        features,
        client_address: greeting.client_address,
        version: greeting.version,
        is_encrypted,
        sealed: sealed.map(|(seal, secret)| (RefCell::new(seal), secret)),
    };
    Ok((line, greeting.read))
}

/// A connection that begins.
struct Greeting<'a> {
    introduction: &'a Introduction,
    peer: NodeId,
    lane: Lane,
    outgoing: Rc<Outgoing>,
    read: ReadHalf,
    buffer: ReadBuffer,
    client_address: Option<String>,
    version: Option<String>,
}

impl Greeting<'_> {
    async fn exchange(&mut self) -> Result<(Features, Option<(Seal, Secret)>), DialError> {
        let nonce = self.introduction.keyring.offer();
        let hello = self.say(&PeerFrame::Hello(Hello {
            cluster_id: self.introduction.cluster_id,
            from: self.introduction.id,
            to: self.peer,
            incarnation: self.introduction.incarnation,
            extensions: Extensions {
                nonce,
                ..self.introduction.extensions().on(self.lane)
            },
        }));
        let (answer, bytes) = self.hear().await?;
        match self.parse(answer)? {
            PeerFrame::Challenge(_) if nonce.is_some() => {
                let (features, seal, secret) = self.prove(&hello, &bytes).await?;
                Ok((features, Some((seal, secret))))
            }
            PeerFrame::HelloReply(_) if self.introduction.keyring.requires_proof() => {
                Err(DialError::Unproven)
            }
            PeerFrame::HelloReply(reply) => Ok((self.check(&reply)?, None)),
            // Without a secret every answer is believed.
            PeerFrame::Reject(Reject::Removed) if nonce.is_none() => Err(DialError::Removed),
            PeerFrame::Reject(reject) => Err(DialError::Rejected(reject)),
            PeerFrame::Challenge(_) | PeerFrame::Hello(_) => Err(DialError::OutOfTurn),
            PeerFrame::Proof(_) | PeerFrame::Message(_) => Err(DialError::OutOfTurn),
        }
    }

    /// Answers the challenge, and has the other side prove the same.
    async fn prove(&mut self, hello: &[u8], challenge: &[u8]) -> Result<(Features, Seal, Secret), DialError> {
        let all_keys = self.introduction.keyring.keys(hello, challenge);
        let proofs = all_keys.iter().map(|(_, keys)| keys.proof).collect();
        self.say(&PeerFrame::Proof(ProofOfSecret { proofs }));
        let (mut answer, _) = self.hear().await?;
        for (secret, keys) in all_keys {
            if keys.to_caller().open(&mut answer).is_ok() {
                return match self.parse(answer)? {
                    PeerFrame::HelloReply(reply) => Ok((self.check(&reply)?, keys.to_acceptor(), secret)),
                    PeerFrame::Reject(Reject::Removed) => Err(DialError::Removed),
                    PeerFrame::Reject(reject) => Err(DialError::Rejected(reject)),
                    PeerFrame::Hello(_) | PeerFrame::Challenge(_) => Err(DialError::OutOfTurn),
                    PeerFrame::Proof(_) | PeerFrame::Message(_) => Err(DialError::OutOfTurn),
                };
            }
        }
        // A rejection needs no seal: an attacker who can forge it can cut the connection as well.
        match self.parse(answer) {
            Ok(PeerFrame::Reject(reject)) => Err(DialError::Rejected(reject)),
            Ok(_) | Err(_) => Err(DialError::Unproven),
        }
    }

    /// The other node's consent, once it is the right one with the right settings.
    fn check(&mut self, reply: &HelloReply) -> Result<Features, DialError> {
        let level = self.introduction.level.get();
        check_reply(self.peer, self.introduction.settings(), level, reply)?;
        self.client_address.clone_from(&reply.extensions.client_address);
        self.version.clone_from(&reply.extensions.version);
        Ok(reply.extensions.features)
    }

    fn parse(&self, frame: Frame) -> Result<PeerFrame, DialError> {
        Ok(PeerFrame::parse(self.introduction.cluster_id, frame)?)
    }

    /// Says it, and gives its bytes.
    fn say(&self, frame: &PeerFrame) -> BytesMut {
        let mut bytes = BytesMut::new();
        frame.encode(self.introduction.cluster_id, Features::NONE, &mut bytes);
        self.outgoing.append(|out| out.extend_from_slice(&bytes));
        self.outgoing.flush();
        bytes
    }

    /// The next frame, and its bytes.
    async fn hear(&mut self) -> Result<(Frame, BytesMut), DialError> {
        hear(&mut self.read, &mut self.buffer, ANSWER_BYTES_MAX)
            .await?
            .ok_or(DialError::Closed)
    }
}

/// The next frame of a greeting, and its bytes; `None` when the connection ends before it is whole.
///
/// # Errors
///
/// When it is none, or a long one: a greeting is small, and comes from a stranger.
pub(super) async fn hear(
    read: &mut ReadHalf,
    buffer: &mut ReadBuffer,
    bytes_max: usize,
) -> Result<Option<(Frame, BytesMut)>, HearError> {
    loop {
        if frame::whole_bytes(&buffer.bytes).map_err(PeerError::Frame)? > bytes_max {
            return Err(HearError::TooLong);
        }
        let mut bytes = buffer.bytes.clone();
        if let Some(frame) = frame::decode(&mut buffer.bytes).map_err(PeerError::Frame)? {
            bytes.truncate(bytes.len() - buffer.bytes.len());
            return Ok(Some((frame, bytes)));
        }
        if buffer.read(read).await? == 0 {
            return Ok(None);
        }
    }
}

/// Why there is no next frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum HearError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Frame(#[from] PeerError),
    #[error("it does not speak as a noraftd node does")]
    TooLong,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Frame(#[from] PeerError),
    #[error("refuses this node: {0}")]
    Rejected(Reject),
    #[error("says that this node was removed from the cluster")]
    Removed,
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error("does not prove that it knows the secret: --peer-auth require takes no other node")]
    Unproven,
    #[error("does not answer as a noraftd node does")]
    OutOfTurn,
    #[error("closed the connection without an answer")]
    Closed,
}

impl From<HearError> for DialError {
    fn from(error: HearError) -> Self {
        match error {
            HearError::Io(error) => Self::Io(error),
            HearError::Frame(error) => Self::Frame(error),
            HearError::TooLong => Self::OutOfTurn,
        }
    }
}

impl DialError {
    /// True when trying again cannot help: an operator has to correct something.
    pub(super) fn is_mistake(&self) -> bool {
        match self {
            Self::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
            Self::Closed => false,
            Self::Frame(_) | Self::Rejected(_) | Self::Unfit(_) | Self::OutOfTurn => true,
            Self::Unproven | Self::Removed => true,
        }
    }
}

/// A connection whose bytes are not acknowledged for this long is replaced: TCP's own repetitions come
/// ever more rarely, for minutes after the network has healed.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// An answer to a greeting is small.
const ANSWER_BYTES_MAX: usize = 4 << 10;

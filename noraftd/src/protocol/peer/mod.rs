//! What nodes say to each other: the kinds of frames and their bodies.
//!
//! In the order of their fields, all numbers little-endian; a position is a term and an index (u64 each), a
//! flag is one byte 0 or 1; nothing may follow.
//!
//! | kind | frame | body |
//! |-|-|-|
//! | 1 | hello | from u64, to u64, incarnation u64, extensions (length u32, bytes: `extensions.rs`) |
//! | 2 | hello reply | from u64, incarnation u64, extensions (length u32, bytes: `extensions.rs`) |
//! | 3 | reject | reason u8 ([`Reject`]) and a number u64: for settings which of them, for a level which it is, else 0 |
//! | 4 | challenge | nonce, 32 bytes |
//! | 5 | proof | 1 or 2 proofs of 16 bytes, one a secret that the caller knows |
//! | 16 | RequestVote | term u64, last position, unanimous flag |
//! | 17 | vote | term u64, granted flag |
//! | 18 | AppendEntries | term u64, commit index u64, prev position, round u64, last index u64, records (`record_codec.rs`) |
//! | 19 | append reply | term u64, generation u64, last position, round u64 |
//! | 20 | pre-vote | term u64, last position |
//! | 21 | pre-vote reply | term u64, granted flag, abstaining byte (0: no; 1: its log may lack an entry; 2: it lost some for certain) |
//! | 22 | forward | id u64, boot u64, term u64, the command (rest of the body) |
//! | 23 | forwarded | id u64, boot u64, outcome (`outcome_codec.rs`) |
//! | 24 | repair request | count u32, positions |
//! | 25 | repair | base index u64, count u32, for each record its index u64 and the record as in 18 |
//! | 26 | pre-vote | as 20, then canvass u64 (not 0), abstaining byte; to nodes with [`Features::CANVASS`] |
//! | 27 | pre-vote reply | as 21, then canvass u64 (not 0); to nodes with [`Features::CANVASS`] |
//! | 28 | AppendEntries, with a chain | the chain u64, then as 18; only to nodes with [`Features::CHAIN`] |
//! | 29 | compare | asks flag, count u32, prints (`prints_codec.rs`); only to nodes with [`Features::DIGEST`] |
//! | 30 | compared | count u32, prints; only to nodes with [`Features::DIGEST`] |
//! | 32 | snapshot chunk | term u64, position, bytes of the file u64, its hash u128, offset u64, the bytes (rest of the body) |
//! | 33 | snapshot reply | term u64, position, bytes received u64 |
//! | 34 | snapshot chunk, with a chain | the chain u64, then as 32; only to nodes with [`Features::CHAIN`] |
//! | 36 | pulse | term u64, number u64, last index u64; to nodes with the feature `URGENT` |
//! | 37 | pulse reply | term u64, number u64 |
//! | 38 | timeout now | term u64, last position; only to nodes with [`Features::TRANSFER`] |
//!
//! A connection begins with a hello, and either its reply, or, when both sides know a secret: challenge, proof, and
//! the reply as the first sealed frame (`../seal.rs`); then every frame is sealed. A rejection may take the place of
//! challenge and reply, and reveals nothing but its kind: not even the cluster, whose id is 0 in its header.
//!
//! Invariant: what decodes is fit for the replica as it is; whatever is not valid in itself stops here.

mod codec;
mod extensions;
mod greeting_codec;
pub(crate) mod outcome_codec;
mod position_codec;
mod prints_codec;
mod record_codec;
mod repair_codec;
mod snapshot_codec;
mod terms;

use bytes::Bytes;
use noraft::{LogIndex, LogPosition, NodeId, Term};

pub use self::extensions::{
    Differences, Extensions, Features, Lane, SharedSettings, Starts, is_client_address,
};
pub use self::terms::{TERM_END, TERM_LEAP_MAX, TermFault};

use crate::level::Level;
use crate::protocol::command::Request;
use crate::protocol::outcome::Outcome;
use crate::record::{Abstain, Record, SnapshotId};
use crate::secret::{Nonce, Proof};

/// One message from node to node. The sender is known from the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerMessage {
    /// RequestVote (Raft 5.2).
    RequestVote {
        /// The candidate's term.
        term: Term,
        /// The candidate's last entry.
        last_position: LogPosition,
        /// True when every voter granted the pre-vote: then abstaining nodes vote too.
        unanimous: bool,
    },
    /// The answer to a vote request.
    Vote {
        /// The voter's term.
        term: Term,
        /// Whether the vote was given.
        granted: bool,
    },
    /// AppendEntries (Raft 5.3), with the payloads.
    Append {
        /// The leader's term.
        term: Term,
        /// The leader's commit index.
        commit_index: LogIndex,
        /// The position before the first record.
        prev: LogPosition,
        /// The chain of the leader's log at `prev` (see [`crate::chain`]), where it is known.
        chain: Option<u64>,
        /// Consecutive entries after `prev`; none is a heartbeat or a probe.
        records: Vec<Record>,
        /// Counts the leader's AppendEntries of this term; echoed in the reply.
        round: u64,
        /// The leader's last index when it sent this: an abstaining node is safe once it has that much.
        last_index: LogIndex,
    },
    /// The answer to AppendEntries: the follower's tail.
    Appended {
        /// The follower's term.
        term: Term,
        /// The follower's generation (see the core).
        generation: u64,
        /// The follower's last entry, durable.
        last_position: LogPosition,
        /// The highest round of this term that the follower had handled; zero for none.
        round: u64,
    },
    /// Would you vote for me? (Raft thesis 9.6.) Changes nothing at the receiver.
    PreVote {
        /// The term the sender would campaign in.
        term: Term,
        /// The sender's last entry.
        last_position: LogPosition,
        /// Which of the sender's canvasses this is; zero from a node that does not count them.
        canvass: u64,
        /// Whether the sender may have forgotten what it acknowledged; assumed of a node that does not say.
        abstain: Abstain,
    },
    /// The answer to a pre-vote.
    PreVoted {
        /// The term that was asked about when granted; the refuser's own term otherwise.
        term: Term,
        /// Whether the vote would be given.
        granted: bool,
        /// Unless it is [`Abstain::No`], the grant counts only if all voters grant.
        abstain: Abstain,
        /// The canvass that is answered; zero from a node that does not count them, or to one.
        canvass: u64,
    },
    /// A client's request, passed on to the leader.
    Forward {
        /// The sender's name for the request; never reused by a process; `boot` distinguishes processes.
        id: u64,
        /// A random number drawn at the sender's start.
        boot: u64,
        /// The term in which the receiver is believed to lead. The receiver accepts each (boot, id) of a
        /// term of its own at most once, so a duplicated frame never appends twice.
        term: Term,
        /// The request.
        request: Request,
    },
    /// The leader's answer to a forwarded request.
    Forwarded {
        /// The request's name.
        id: u64,
        /// The `boot` of the request.
        boot: u64,
        /// What is known about its outcome.
        outcome: Outcome,
    },
    /// The sender has lost these entries to damage, and asks which nodes have them.
    RepairRequest {
        /// Which entries, by rising index; at most [`REPAIR_POSITIONS_MAX`].
        positions: Vec<LogPosition>,
    },
    /// Entries that were asked for, as far as the sender has them intact.
    Repair {
        /// The sender's log begins after this index: what lies before is in its snapshot.
        base: LogIndex,
        /// The entries, by rising index; at most [`REPAIR_POSITIONS_MAX`].
        records: Vec<Record>,
    },
    /// What the sender holds at some places, to be compared.
    Compare {
        /// True when the receiver is to say what it holds there, equal or not; else only what differs.
        asks: bool,
        /// At most [`PRINTS_MAX`].
        prints: Vec<Print>,
    },
    /// What the sender holds where it was asked, or holds something else.
    Compared {
        /// At most [`PRINTS_MAX`].
        prints: Vec<Print>,
    },
    /// A part of a snapshot, for a follower whose log ends before the leader's begins (Raft 7).
    SnapshotChunk {
        /// The leader's term.
        term: Term,
        /// The snapshot.
        snapshot: SnapshotId,
        /// The chain of the leader's log up to there, where it is known.
        chain: Option<u64>,
        /// Where in the file the bytes belong.
        offset: u64,
        /// Some of the file, at least one byte.
        bytes: Bytes,
    },
    /// How much of a snapshot the follower has.
    SnapshotReply {
        /// The follower's term.
        term: Term,
        /// The snapshot.
        position: LogPosition,
        /// Bytes of the file that it has from the beginning on; all when it needs no more.
        next: u64,
    },
    /// The sender leads this term. It may overtake AppendEntries, so it says nothing about the log.
    Pulse {
        /// The leader's term.
        term: Term,
        /// Counts the pulses of this term.
        pulse: u64,
        /// The leader's last index when it sent this: an abstaining node is safe once it has that much.
        last_index: LogIndex,
    },
    /// The sender follows the leader of this term, or knows a later one than that of the pulse.
    Pulsed {
        /// The sender's term.
        term: Term,
        /// The pulse that is answered; zero when it was of an earlier term.
        pulse: u64,
    },
    /// The sender leads this term, and wants the receiver to campaign at once (Raft thesis 3.10).
    TimeoutNow {
        /// The leader's term.
        term: Term,
        /// The leader's last entry, which is committed, and the receiver's.
        last_position: LogPosition,
    },
}

impl PeerMessage {
    /// The lanes that this goes over, when the second one is open or not. What must not wait behind payloads takes the
    /// second; votes take both, for they are small, may come twice, and one lane may be dead without a word.
    pub fn lanes(&self, is_urgent_open: bool) -> &'static [Lane] {
        match self {
            Self::RequestVote { .. }
            | Self::Vote { .. }
            | Self::PreVote { .. }
            | Self::PreVoted { .. }
            | Self::TimeoutNow { .. }
                if is_urgent_open =>
            {
                &[Lane::Urgent, Lane::First]
            }
            Self::Pulse { .. } | Self::Pulsed { .. } if is_urgent_open => &[Lane::Urgent],
            Self::RequestVote { .. }
            | Self::Vote { .. }
            | Self::PreVote { .. }
            | Self::PreVoted { .. }
            | Self::TimeoutNow { .. }
            | Self::Pulse { .. }
            | Self::Pulsed { .. } => &[Lane::First],
            Self::Append { .. }
            | Self::Appended { .. }
            | Self::Forward { .. }
            | Self::Forwarded { .. }
            | Self::RepairRequest { .. }
            | Self::Repair { .. }
            | Self::SnapshotChunk { .. }
            | Self::SnapshotReply { .. }
            | Self::Compare { .. }
            | Self::Compared { .. } => &[Lane::First],
        }
    }

    /// What a node has to understand to be sent this.
    pub fn needs(&self) -> Features {
        match self {
            Self::Pulse { .. } | Self::Pulsed { .. } => Features::URGENT,
            Self::Compare { .. } | Self::Compared { .. } => Features::DIGEST,
            Self::TimeoutNow { .. } => Features::TRANSFER,
            Self::RequestVote { .. }
            | Self::Vote { .. }
            | Self::PreVote { .. }
            | Self::PreVoted { .. }
            | Self::Append { .. }
            | Self::Appended { .. }
            | Self::Forward { .. }
            | Self::Forwarded { .. }
            | Self::RepairRequest { .. }
            | Self::Repair { .. }
            | Self::SnapshotChunk { .. }
            | Self::SnapshotReply { .. } => Features::NONE,
        }
    }
}

/// What a node holds at one place of the log: nodes that hold the same have the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Print {
    /// The place.
    pub position: LogPosition,
    /// The number of the log's content up to there (see [`crate::chain`]), if the log holds the position.
    pub chain: Option<u64>,
    /// The digest of the state after that entry, if it was applied and the digest is remembered.
    pub digest: Option<u64>,
}

/// The first frame on a connection between nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The cluster that the sender belongs to.
    pub cluster_id: u64,
    /// The sender.
    pub from: NodeId,
    /// The node that the sender believes it talks to.
    pub to: NodeId,
    /// The sender's data directory (see `store.md`, incarnation).
    pub incarnation: u64,
    /// What the sender says beyond version 1.
    pub extensions: Extensions,
}

/// The acceptor's consent to a [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelloReply {
    /// The acceptor.
    pub from: NodeId,
    /// The acceptor's data directory.
    pub incarnation: u64,
    /// What the acceptor says beyond version 1.
    pub extensions: Extensions,
}

/// The acceptor's part of the mutual challenge, in answer to a [`Hello`] with a nonce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The acceptor's nonce.
    pub nonce: Nonce,
}

/// The caller's answer to a [`Challenge`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofOfSecret {
    /// One for each secret that the caller knows, at most [`SECRETS_MAX`](crate::secret::SECRETS_MAX).
    pub proofs: Vec<Proof>,
}

/// Why a connection between nodes is refused; sent before closing it. A stranger reads it: it says what kind of
/// thing is wrong, and the log of the rejecting node says the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// The two belong to different clusters.
    #[error("it belongs to another cluster (`cluster` differs)")]
    Cluster,
    /// The sender meant another node.
    #[error("it is not the node that was meant: check the addresses of the members")]
    Node,
    /// The rejecting node does not speak the sender's version.
    #[error("it does not speak this version of the peer protocol")]
    Version,
    /// The sender is not a member as far as the rejecting node knows.
    #[error("this node is not a member of its cluster")]
    NotMember,
    /// The sender's data directory is not the one that is on record for its node id.
    #[error(
        "this node's data directory was replaced: it forgot what it voted; put the directory aside and set the node \
         up with `noraftd rejoin`"
    )]
    Incarnation,
    /// The rejecting node has met a later process with the sender's data directory, or another one of the same number.
    #[error(
        "this node's data directory is an old copy, or a second process has the same: it may have forgotten what it voted; \
         stop this node, put the directory aside and set the node up with `noraftd rejoin`"
    )]
    OldCopy,
    /// The sender did not offer to prove that it knows the secret.
    #[error("it demands proof of the secret: give this node --peer-secret-file")]
    Unproven,
    /// The sender does not know the secret.
    #[error("it knows another secret: --peer-secret-file differs")]
    Secret,
    /// The sender does not support the level that is in force.
    #[error(
        "the cluster is at level {0}, which this node's version does not support: start a later version of noraftd"
    )]
    Level(Level),
    /// The sender was removed from the cluster.
    #[error("this node was removed from the cluster")]
    Removed,
    /// The sender does not speak TLS, and the rejecting node requires it.
    #[error(
        "it takes nodes with TLS only: give this node --tls-cert, --tls-key, --peer-ca and --peer-allowed"
    )]
    Tls,
    /// Settings that have to be equal are not.
    #[error("settings that every node has to share differ: {0}")]
    Settings(Differences),
}

/// Everything that a connection between nodes carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerFrame {
    /// The connecting node's first frame.
    Hello(Hello),
    /// The acceptor's consent.
    HelloReply(HelloReply),
    /// The acceptor's last frame.
    Reject(Reject),
    /// The acceptor's question.
    Challenge(Challenge),
    /// The connecting node's answer to it.
    Proof(ProofOfSecret),
    /// Anything after that.
    Message(PeerMessage),
}

/// Why bytes from another node are not accepted. The connection cannot be used any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The frame is not one for us.
    #[error(transparent)]
    Frame(#[from] super::frame::FrameError),
    /// The sender belongs to another cluster.
    #[error("the sender belongs to cluster {found:016x}, not {expected:016x}")]
    Cluster {
        /// Our cluster.
        expected: u64,
        /// The sender's.
        found: u64,
    },
    /// The body is not what its kind says.
    #[error("a peer frame is malformed: {0}")]
    Malformed(&'static str),
}

/// Most records of one AppendEntries: bounds what one message makes a follower hold.
pub const RECORDS_MAX: usize = 1 << 16;

/// Most entries that one message asks for, or brings, to repair a log.
pub const REPAIR_POSITIONS_MAX: usize = 256;

/// Most prints in one message: what one node remembers, twice over.
pub const PRINTS_MAX: usize = 128;

/// Bytes that a record adds to an AppendEntries besides its payload; for code that fills a frame up to
/// [`FRAME_BODY_BYTES_MAX`](super::frame::FRAME_BODY_BYTES_MAX).
pub const RECORD_OVERHEAD_BYTES: usize = record_codec::RECORD_HEADER_BYTES;

/// Bytes of an AppendEntries without records.
pub const APPEND_OVERHEAD_BYTES: usize = 60;

/// Most bytes of a hello's extensions: the first frame comes from a stranger.
pub const EXTENSIONS_BYTES_MAX: usize = 1 << 10;

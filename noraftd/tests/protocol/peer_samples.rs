//! Frames and messages of every kind, for the tests of what is sent between nodes.

use bytes::{Bytes, BytesMut};
use noraft::{LogIndex, LogPosition, NodeId, Term};
use noraftd::level::Level;
use noraftd::protocol::outcome::{Doubt, Outcome, Refusal};
use noraftd::protocol::peer::{
    Challenge, Differences, Extensions, Features, Hello, HelloReply, Lane, PeerError, PeerFrame, PeerMessage,
    Print, ProofOfSecret, Reject, SharedSettings, Starts,
};
use noraftd::protocol::resp::{Double, Reply, STATUSES};
use noraftd::record::{Abstain, Record, RecordKind, SnapshotId, encode_config, genesis_config};
use noraftd::time::Stamp;

use super::support::request;

pub(crate) const CLUSTER: u64 = 0x1122_3344_5566_7788;

pub(crate) fn position(term: u64, index: u64) -> LogPosition {
    LogPosition {
        term: Term::new(term),
        index: LogIndex::new(index),
    }
}

pub(crate) fn record(term: u64, index: u64, kind: RecordKind, payload: Bytes) -> Record {
    Record::new(
        position(term, index),
        kind,
        Stamp::from_millis(1_000 + index),
        payload,
    )
}

pub(crate) fn encoded(frame: &PeerFrame) -> BytesMut {
    let mut out = BytesMut::new();
    frame.encode(CLUSTER, Features::SUPPORTED, &mut out);
    out
}

pub(crate) fn decoded(mut bytes: BytesMut) -> Result<Option<PeerFrame>, PeerError> {
    PeerFrame::decode(CLUSTER, &mut bytes)
}

pub(crate) fn append(records: Vec<Record>) -> PeerMessage {
    let (term, commit_index) = (Term::new(5), LogIndex::new(2));
    PeerMessage::Append {
        term,
        commit_index,
        prev: position(3, 2),
        chain: None,
        records,
        round: 9,
        last_index: LogIndex::new(8),
    }
}

pub(crate) fn records() -> Vec<Record> {
    let config = encode_config(&genesis_config([1, 2, 3].map(NodeId::new)));
    vec![
        record(3, 3, RecordKind::Command, request("SET k v").body),
        record(5, 4, RecordKind::Term, Bytes::new()),
        record(5, 5, RecordKind::Config, config),
        record(5, 6, RecordKind::Command, Bytes::from_static(b"not a command")),
    ]
}

/// One of each frame, and more of those with variants.
pub(crate) fn frames() -> Vec<PeerFrame> {
    let mut frames = greetings();
    frames.extend(messages().into_iter().map(PeerFrame::Message));
    let forwarded = |outcome| PeerMessage::Forwarded {
        id: 1,
        boot: 2,
        outcome,
    };
    frames.extend(outcomes().into_iter().map(forwarded).map(PeerFrame::Message));
    frames.extend(repair_messages().into_iter().map(PeerFrame::Message));
    frames.extend(counted_messages().into_iter().map(PeerFrame::Message));
    frames.extend(comparisons().into_iter().map(PeerFrame::Message));
    frames
}

fn greetings() -> Vec<PeerFrame> {
    let hello = Hello {
        cluster_id: CLUSTER,
        from: NodeId::new(1),
        to: NodeId::new(2),
        incarnation: 3,
        extensions: Extensions {
            peer_address: None,
            version: None,
            features: Features::CHAIN.with(Features::URGENT),
            nonce: Some([7; 32]),
            settings: SharedSettings {
                members: Some(8),
                payload_bytes_max: Some(9),
                generation: 0,
            },
            starts: None,
            client_address: Some("10.0.0.1:7601".to_owned()),
            lane: Lane::Urgent,
        },
    };
    let reply = HelloReply {
        from: NodeId::new(2),
        incarnation: 4,
        extensions: Extensions::default(),
    };
    let rejects = [
        Reject::Cluster,
        Reject::Node,
        Reject::Version,
        Reject::NotMember,
        Reject::Incarnation,
        Reject::OldCopy,
        Reject::Unproven,
        Reject::Secret,
        Reject::Settings(differences()),
    ];
    let challenge = Challenge { nonce: [5; 32] };
    let proofs = [vec![[1; 16]], vec![[1; 16], [2; 16]]];
    let mut counting = hello.clone();
    counting.extensions.starts = Some(Starts {
        count: 300,
        marks: vec![6, 5],
    });
    let mut frames = vec![PeerFrame::Hello(hello), PeerFrame::HelloReply(reply)];
    frames.push(PeerFrame::Hello(counting.clone()));
    frames.extend(rejects.map(PeerFrame::Reject));
    frames.push(PeerFrame::Challenge(challenge));
    frames.extend(proofs.map(|proofs| PeerFrame::Proof(ProofOfSecret { proofs })));
    counting.extensions.features = Features::TRANSFER.at(Level::new(1));
    frames.push(PeerFrame::Hello(counting));
    frames.push(PeerFrame::Reject(Reject::Level(Level::new(1))));
    frames.push(PeerFrame::Reject(Reject::Removed));
    frames.push(PeerFrame::Reject(Reject::Tls));
    frames
}

fn differences() -> Differences {
    let settings = |members| SharedSettings {
        members: Some(members),
        payload_bytes_max: Some(members),
        generation: 0,
    };
    settings(1).differences(settings(2))
}

/// The message with what a node of the first release does not know.
pub(crate) fn chained(mut message: PeerMessage) -> PeerMessage {
    match &mut message {
        PeerMessage::Append { chain, .. } | PeerMessage::SnapshotChunk { chain, .. } => {
            *chain = Some(0x0807_0605_0403_0201);
        }
        other => panic!("{other:?} carries no chain"),
    }
    message
}

pub(crate) fn chunk() -> PeerMessage {
    PeerMessage::SnapshotChunk {
        term: Term::new(5),
        snapshot: snapshot(),
        chain: None,
        offset: 4,
        bytes: Bytes::from_static(b"some"),
    }
}

fn prints() -> Vec<Print> {
    let print = |index, chain, digest| Print {
        position: position(4, index),
        chain,
        digest,
    };
    vec![
        print(7, Some(1), Some(2)),
        print(64, None, Some(u64::MAX)),
        print(3, Some(0), None),
    ]
}

fn comparisons() -> Vec<PeerMessage> {
    vec![
        chained(append(records())),
        chained(chunk()),
        PeerMessage::Compare {
            asks: true,
            prints: prints(),
        },
        PeerMessage::Compared { prints: Vec::new() },
    ]
}

pub(crate) fn snapshot() -> SnapshotId {
    SnapshotId {
        position: position(4, 7),
        bytes: 10,
        hash: 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10,
    }
}

fn messages() -> Vec<PeerMessage> {
    let (term, last_position) = (Term::new(5), position(4, 7));
    vec![
        PeerMessage::RequestVote {
            term,
            last_position,
            unanimous: true,
        },
        PeerMessage::Vote { term, granted: true },
        append(vec![]),
        append(records()),
        PeerMessage::Appended {
            term,
            generation: 2,
            last_position,
            round: 9,
        },
        PeerMessage::PreVote {
            term,
            last_position,
            canvass: 0,
            abstain: Abstain::Tail,
        },
        chunk(),
        PeerMessage::SnapshotReply {
            term,
            position: last_position,
            next: 8,
        },
        PeerMessage::Pulse {
            term,
            pulse: 11,
            last_index: last_position.index,
        },
        PeerMessage::Pulsed { term, pulse: 11 },
        PeerMessage::TimeoutNow { term, last_position },
        PeerMessage::PreVoted {
            term,
            granted: false,
            abstain: Abstain::Tail,
            canvass: 0,
        },
        PeerMessage::Forward {
            id: 1,
            boot: 2,
            term,
            request: request("XADD s * f v"),
        },
        PeerMessage::Forward {
            id: 1,
            boot: 2,
            term,
            request: request("GET k"),
        },
    ]
}

/// Pre-votes that name their canvass.
pub(crate) fn counted_messages() -> Vec<PeerMessage> {
    let (term, last_position) = (Term::new(5), position(4, 7));
    vec![
        PeerMessage::PreVote {
            term,
            last_position,
            canvass: 1 << 40,
            abstain: Abstain::Loss,
        },
        PeerMessage::PreVoted {
            term,
            granted: true,
            abstain: Abstain::Tail,
            canvass: u64::MAX,
        },
    ]
}

fn repair_messages() -> Vec<PeerMessage> {
    vec![
        PeerMessage::RepairRequest {
            positions: Vec::new(),
        },
        PeerMessage::RepairRequest {
            positions: vec![position(1, 2), position(1, 7), position(4, u64::MAX)],
        },
        PeerMessage::Repair {
            base: LogIndex::new(3),
            records: Vec::new(),
        },
        PeerMessage::Repair {
            base: LogIndex::ZERO,
            records: vec![
                record(1, 1, RecordKind::Term, Bytes::new()),
                record(1, 9, RecordKind::Command, Bytes::from_static(b"nine")),
                record(
                    3,
                    10,
                    RecordKind::Config,
                    encode_config(&genesis_config([NodeId::new(1)])),
                ),
            ],
        },
    ]
}

fn outcomes() -> Vec<Outcome> {
    let nested = Reply::Array(vec![
        Reply::Null,
        Reply::NullArray,
        Reply::Integer(-1),
        Reply::Status("OK"),
    ]);
    let mut outcomes = vec![
        Outcome::Done(Reply::Pairs(vec![(
            Reply::Bulk(Bytes::from_static(b"s")),
            nested,
        )])),
        Outcome::Done(Reply::Error("WRONGTYPE x".into())),
        Outcome::Done(Reply::Map(vec![])),
    ];
    outcomes.extend(STATUSES.map(|status| Outcome::Done(Reply::Status(status))));
    outcomes.extend(Refusal::ALL.map(Outcome::Refused));
    outcomes.extend(Doubt::ALL.map(Outcome::Indefinite));
    let row = (Reply::Bulk(Bytes::from_static(b"f")), Reply::Null);
    outcomes.push(Outcome::Done(Reply::Rows(vec![row])));
    outcomes.push(Outcome::Done(Reply::Set(vec![Reply::Integer(1)])));
    let number = Double::new(-1.5).expect("it is a number");
    outcomes.push(Outcome::Done(Reply::Double(number)));
    outcomes.push(Outcome::Done(Reply::Line("PONG".into())));
    outcomes
}

//! Peer frames: what is sent arrives, and what is not valid in itself goes no further.

use bytes::{BufMut, Bytes, BytesMut};
use noraft::{LogPosition, Term};
use noraftd::prng::Prng;
use noraftd::protocol::command::{Class, Request};
use noraftd::protocol::frame::{self, FrameError};
use noraftd::protocol::peer::{
    APPEND_OVERHEAD_BYTES, Features, PeerError, PeerFrame, PeerMessage, RECORD_OVERHEAD_BYTES,
    REPAIR_POSITIONS_MAX, Reject,
};
use noraftd::record::{Abstain, RecordKind};

use super::peer_samples::{
    CLUSTER, append, chained, chunk, counted_messages, decoded, encoded, frames, position, record, records,
    snapshot,
};
use super::support::{random_args, random_bytes, request};

/// A node that is turned away reads these bytes, and knows no more than before.
#[test]
fn a_rejection_reveals_only_its_kind() {
    for reject in [
        Reject::Cluster,
        Reject::Node,
        Reject::Version,
        Reject::Incarnation,
        Reject::OldCopy,
        Reject::Secret,
        Reject::Tls,
    ] {
        let bytes = encoded(&PeerFrame::Reject(reject));
        assert_eq!(bytes[8..16], [0; 8], "the header names no cluster");
        assert_eq!(bytes[21..], [0; 8], "{reject:?}: the kind is followed by nothing");
    }
}

#[test]
fn a_node_of_the_first_release_is_sent_what_it_knows() {
    for message in [append(records()), chunk()] {
        let encode = |message: &PeerMessage, features| {
            let mut out = BytesMut::new();
            message.encode(CLUSTER, features, &mut out);
            out
        };
        let old = encode(&message, Features::NONE);
        assert_eq!(encode(&chained(message.clone()), Features::NONE), old);
        assert_ne!(encode(&chained(message.clone()), Features::CHAIN), old);
        assert_eq!(
            encode(&message, Features::CHAIN),
            old,
            "a chain that is not known"
        );
    }
}

#[test]
fn prints_with_numbers_that_are_not_known_are_refused() {
    let compared = |flags: u8, chain: u64, digest: u64| {
        let mut out = BytesMut::new();
        frame::encode(30, CLUSTER, &mut out, |out| {
            out.extend_from_slice(&1_u32.to_le_bytes());
            for part in [4_u64, 7] {
                out.extend_from_slice(&part.to_le_bytes());
            }
            out.extend_from_slice(&[flags]);
            for part in [chain, digest] {
                out.extend_from_slice(&part.to_le_bytes());
            }
        });
        decoded(out)
    };
    assert!(compared(3, 1, 2).is_ok() && compared(0, 0, 0).is_ok() && compared(2, 0, 2).is_ok());
    for (flags, chain, digest) in [(0, 1, 0), (0, 0, 2), (1, 1, 2), (2, 1, 2), (4, 1, 2)] {
        let refused = compared(flags, chain, digest);
        assert!(
            matches!(refused, Err(PeerError::Malformed(_))),
            "flags {flags}: {refused:?}"
        );
    }
}

#[test]
fn a_chunk_outside_of_its_snapshot_is_refused() {
    for (offset, bytes) in [(7, &b"some"[..]), (10, b"x"), (u64::MAX, b"x"), (3, b"")] {
        let chunk = PeerMessage::SnapshotChunk {
            term: Term::new(5),
            snapshot: snapshot(),
            chain: None,
            offset,
            bytes: Bytes::from_static(bytes),
        };
        let refused = decoded(encoded(&PeerFrame::Message(chunk)));
        assert!(
            matches!(refused, Err(PeerError::Malformed(_))),
            "{offset}: {refused:?}"
        );
    }
}

/// A node of the first release is asked, and answered, as nodes of that release do it.
#[test]
fn pre_votes_name_their_canvass_only_to_nodes_that_count_them() {
    let (term, last_position) = (Term::new(5), position(4, 7));
    let as_read = [
        PeerMessage::PreVote {
            term,
            last_position,
            canvass: 0,
            abstain: Abstain::Tail,
        },
        PeerMessage::PreVoted {
            term,
            granted: true,
            abstain: Abstain::Tail,
            canvass: 0,
        },
    ];
    for (message, expected) in counted_messages().into_iter().zip(as_read) {
        let mut out = BytesMut::new();
        message.encode(CLUSTER, Features::NONE, &mut out);
        assert_eq!(decoded(out), Ok(Some(PeerFrame::Message(expected))));
    }
}

#[test]
fn repairs_out_of_order_or_damaged_are_refused() {
    let request = |positions: &[(u64, u64)]| {
        forged(24, |out| {
            out.put_u32_le(positions.len() as u32);
            for (term, index) in positions {
                out.put_u64_le(*term);
                out.put_u64_le(*index);
            }
        })
    };
    assert!(request(&[(1, 2), (1, 3)]).is_ok());
    for wrong in [
        &[(1, 3), (1, 2)][..],
        &[(1, 2), (1, 2)],
        &[(2, 1), (1, 2)],
        &[(0, 0)],
    ] {
        assert!(
            matches!(request(wrong), Err(PeerError::Malformed(_))),
            "{wrong:?}"
        );
    }
    let too_many: Vec<(u64, u64)> = (1..=REPAIR_POSITIONS_MAX as u64 + 1)
        .map(|index| (1, index))
        .collect();
    assert!(matches!(request(&too_many), Err(PeerError::Malformed(_))));
    let repair = |index: u64, crc: u32| {
        forged(25, |out| {
            out.put_u64_le(0);
            out.put_u32_le(1);
            out.put_u64_le(index);
            out.put_u64_le(1);
            out.put_u8(3);
            out.put_u64_le(5);
            out.put_u32_le(crc);
            out.put_u32_le(4);
            out.extend_from_slice(b"nine");
        })
    };
    let crc = crc32fast::hash(b"nine");
    assert!(repair(9, crc).is_ok());
    assert!(matches!(repair(9, crc ^ 1), Err(PeerError::Malformed(_))));
    assert!(matches!(repair(0, crc), Err(PeerError::Malformed(_))));
}

#[test]
fn every_frame_arrives_as_it_was_sent() {
    let mut stream = BytesMut::new();
    for frame in frames() {
        assert_eq!(decoded(encoded(&frame)), Ok(Some(frame.clone())));
        frame.encode(CLUSTER, Features::SUPPORTED, &mut stream);
    }
    let (mut arrived, mut buffer) = (Vec::new(), BytesMut::new());
    for chunk in stream.chunks(7) {
        buffer.extend_from_slice(chunk);
        while let Some(frame) = PeerFrame::decode(CLUSTER, &mut buffer).unwrap() {
            arrived.push(frame);
        }
    }
    assert_eq!(arrived, frames());
}

#[test]
fn frames_have_the_documented_bytes() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let text: String = frames()
        .iter()
        .map(|frame| format!("{frame:?}\n  {}\n", hex(&encoded(frame))))
        .collect();
    insta::assert_snapshot!(text);
}

#[test]
fn another_cluster_is_recognized_and_only_a_reject_comes_through() {
    for frame in frames() {
        let other = PeerFrame::decode(7, &mut encoded(&frame));
        match frame {
            PeerFrame::Reject(_) => assert_eq!(other, Ok(Some(frame))),
            PeerFrame::Hello(_)
            | PeerFrame::HelloReply(_)
            | PeerFrame::Challenge(_)
            | PeerFrame::Proof(_)
            | PeerFrame::Message(_) => {
                assert_eq!(
                    other,
                    Err(PeerError::Cluster {
                        expected: 7,
                        found: CLUSTER
                    })
                );
            }
        }
    }
}

#[test]
fn another_version_is_reported_before_anything_else() {
    let mut bytes = BytesMut::from(&[0xff, 0xff, 0xff, 0xff, 2][..]);
    bytes.extend_from_slice(&[0; 15]);
    assert_eq!(
        decoded(bytes),
        Err(PeerError::Frame(FrameError::Version { found: 2 }))
    );
}

#[test]
fn a_size_beyond_the_limit_is_not_waited_for() {
    let mut bytes = BytesMut::from(&[0xff, 0xff, 0xff, 0xff, 1][..]);
    bytes.extend_from_slice(&[0; 15]);
    assert_eq!(
        decoded(bytes),
        Err(PeerError::Frame(FrameError::Oversize {
            bytes: u32::MAX as usize
        }))
    );
}

/// A frame of `kind` whose body `write` appends, with a right crc.
fn forged(kind: u8, write: impl FnOnce(&mut BytesMut)) -> Result<Option<PeerFrame>, PeerError> {
    let mut out = BytesMut::new();
    frame::encode(kind, CLUSTER, &mut out, write);
    decoded(out)
}

fn forged_append(
    prev: LogPosition,
    count: u32,
    records: &[(u64, u8, u32, &[u8])],
) -> Result<Option<PeerFrame>, PeerError> {
    forged(18, |out| {
        for n in [5, 2, prev.term.get(), prev.index.get(), 9, 8] {
            out.put_u64_le(n);
        }
        out.put_u32_le(count);
        for (term, kind, crc, payload) in records {
            out.put_u64_le(*term);
            out.put_u8(*kind);
            out.put_u64_le(1_000);
            out.put_u32_le(*crc);
            out.put_u32_le(payload.len() as u32);
            out.extend_from_slice(payload);
        }
    })
}

#[test]
fn appends_that_no_leader_sends_are_refused() {
    let prev = position(3, 2);
    let crc = crc32fast::hash(b"x");
    let refused = |text| Err(PeerError::Malformed(text));
    assert!(forged_append(prev, 1, &[(5, 3, crc, b"x")]).is_ok());
    assert_eq!(
        forged_append(prev, 1, &[(2, 3, crc, b"x")]),
        refused("terms decrease from entry to entry")
    );
    let decreasing: [(u64, u8, u32, &[u8]); 2] = [(5, 3, crc, b"x"), (4, 3, crc, b"x")];
    assert_eq!(
        forged_append(prev, 2, &decreasing),
        refused("terms decrease from entry to entry")
    );
    assert_eq!(
        forged_append(prev, 1, &[(6, 3, crc, b"x")]),
        refused("an entry's term exceeds the message's")
    );
    assert_eq!(
        forged_append(position(6, 2), 0, &[]),
        refused("an entry's term exceeds the message's")
    );
    assert_eq!(
        forged_append(prev, 1, &[(5, 3, crc ^ 1, b"x")]),
        refused("a payload does not have its crc")
    );
    assert_eq!(
        forged_append(prev, 1, &[(5, 1, crc, b"x")]),
        refused("the first entry of a term has a payload")
    );
    assert_eq!(
        forged_append(prev, 1, &[(5, 2, crc, b"x")]),
        refused("a configuration does not parse")
    );
    assert_eq!(
        forged_append(prev, 1, &[(5, 4, crc, b"x")]),
        refused("a record's kind is unknown")
    );
    assert_eq!(
        forged_append(prev, 2, &[(5, 3, crc, b"x")]),
        refused("it ends too early")
    );
    assert_eq!(
        forged_append(prev, 0, &[(5, 3, crc, b"x")]),
        refused("bytes are left over")
    );
    assert_eq!(forged_append(prev, u32::MAX, &[]), refused("too many records"));
    assert_eq!(
        forged_append(position(3, u64::MAX), 1, &[(5, 3, crc, b"x")]),
        refused("the index space ends")
    );
}

#[test]
fn forwarded_requests_and_outcomes_are_verified() {
    let refused = |text| Err(PeerError::Malformed(text));
    let name = [0; 16];
    let name_and_term = [0; 24];
    let forward = |body: &[u8]| {
        forged(22, |out| {
            out.extend_from_slice(&[&name_and_term[..], body].concat())
        })
    };
    assert_eq!(forward(b"\x01\x63"), refused("the command does not decode"));
    match forward(&request("GET k").body) {
        Ok(Some(PeerFrame::Message(PeerMessage::Forward {
            request: Request { class, .. },
            ..
        }))) => {
            assert_eq!(class, Class::Read);
        }
        other => panic!("{other:?}"),
    }
    let outcome = |body: &[u8]| forged(23, |out| out.extend_from_slice(&[&name[..], body].concat()));
    let bad = || refused("the outcome does not decode");
    assert_eq!(outcome(&[3]), bad());
    assert_eq!(outcome(&[1, 99]), bad());
    assert_eq!(outcome(&[0, 0, 99]), bad());
    assert_eq!(outcome(&[0, 1, 1, 0, 0, 0, 0xff]), bad());
    assert_eq!(outcome(&[0, 6, 0xff, 0xff, 0xff, 0xff]), bad());
    let deep = [6, 1, 0, 0, 0].repeat(9);
    assert_eq!(outcome(&[&[0], &deep[..], &[4]].concat()), bad());
    let wide = [&[0, 6, 1, 0, 16, 0][..], &vec![4; (1 << 20) + 1]].concat();
    assert_eq!(outcome(&wide), bad());
    assert_eq!(forged(99, |_| ()), refused("the kind is unknown"));
}

#[test]
fn noise_behind_a_right_crc_never_panics() {
    let samples = frames();
    for seed in 0..5_000 {
        let mut prng = Prng::new(seed);
        let bytes = encoded(prng.choose(&samples).unwrap());
        let kind = if prng.chance(1, 10) {
            prng.below(30) as u8
        } else {
            bytes[5]
        };
        let mut body = bytes[frame::HEADER_BYTES..].to_vec();
        for _ in 0..prng.below(4) {
            let at = prng.below(body.len().max(1) as u64) as usize;
            if let Some(byte) = body.get_mut(at) {
                *byte = prng.next_u64() as u8;
            }
        }
        body.truncate(body.len() - prng.below(3).min(body.len() as u64) as usize);
        match forged(kind, |out| out.extend_from_slice(&body)) {
            // What is skipped in them need not come again: unknown tags, and numbers that are ignored.
            Ok(Some(PeerFrame::Hello(_) | PeerFrame::HelloReply(_) | PeerFrame::Reject(_))) => {}
            Ok(Some(frame)) => {
                let again = encoded(&frame);
                assert_eq!(
                    again[frame::HEADER_BYTES..],
                    body[..],
                    "seed {seed}: one frame has one encoding"
                );
            }
            Ok(None) => panic!("seed {seed}: the frame is whole"),
            Err(_) => {}
        }
        let mut noise = BytesMut::from(&random_bytes(&mut prng, 60)[..]);
        let _ = PeerFrame::decode(CLUSTER, &mut noise);
    }
}

#[test]
fn random_requests_survive_forwarding() {
    for seed in 0..500 {
        let mut prng = Prng::new(seed);
        let args = random_args(&mut prng);
        let Ok(noraftd::protocol::command::Parsed::Replicated(request)) =
            noraftd::protocol::command::parse(args)
        else {
            continue;
        };
        let frame = PeerFrame::Message(PeerMessage::Forward {
            id: prng.next_u64(),
            boot: prng.next_u64(),
            term: Term::new(prng.next_u64()),
            request,
        });
        assert_eq!(decoded(encoded(&frame)), Ok(Some(frame)), "seed {seed}");
    }
}

#[test]
fn the_overheads_are_what_they_are_said_to_be() {
    let empty = encoded(&PeerFrame::Message(chained(append(vec![])))).len() - frame::HEADER_BYTES;
    assert_eq!(empty, APPEND_OVERHEAD_BYTES);
    let payloads: usize = records().iter().map(|record| record.payload.len()).sum();
    let full = encoded(&PeerFrame::Message(chained(append(records())))).len() - frame::HEADER_BYTES;
    assert_eq!(
        full,
        APPEND_OVERHEAD_BYTES + records().len() * RECORD_OVERHEAD_BYTES + payloads
    );
}

#[test]
#[should_panic(expected = "records are consecutive")]
fn a_gap_is_never_sent() {
    encoded(&PeerFrame::Message(append(vec![record(
        5,
        9,
        RecordKind::Term,
        Bytes::new(),
    )])));
}

//! Bytes that rot in the memory of their sender, before a frame is made of them: the frame's own checksum is right.
//!
//! Invariant: of an entry only the payload rots, for that is what travels with a checksum of its own.

use bytes::{Bytes, BytesMut};
use noraftd::prng::Prng;
use noraftd::protocol::peer::PeerMessage;
use noraftd::record::Record;

/// `message` with a flipped bit in an entry or in a part of a snapshot; `None` when it carries neither.
pub(crate) fn rotten(message: &PeerMessage, prng: &mut Prng) -> Option<PeerMessage> {
    let mut message = message.clone();
    match &mut message {
        PeerMessage::Append { records, .. } | PeerMessage::Repair { records, .. } => {
            rot_one(records, prng)?;
        }
        PeerMessage::SnapshotChunk { bytes, .. } => *bytes = flipped(bytes, prng)?,
        PeerMessage::RequestVote { .. }
        | PeerMessage::Vote { .. }
        | PeerMessage::Appended { .. }
        | PeerMessage::PreVote { .. }
        | PeerMessage::PreVoted { .. }
        | PeerMessage::Forward { .. }
        | PeerMessage::Forwarded { .. }
        | PeerMessage::RepairRequest { .. }
        | PeerMessage::Compare { .. }
        | PeerMessage::Compared { .. }
        | PeerMessage::SnapshotReply { .. }
        | PeerMessage::Pulse { .. }
        | PeerMessage::Pulsed { .. }
        | PeerMessage::TimeoutNow { .. } => return None,
    }
    Some(message)
}

fn rot_one(records: &mut [Record], prng: &mut Prng) -> Option<()> {
    let filled = records.iter_mut().filter(|record| !record.payload.is_empty());
    let mut filled: Vec<&mut Record> = filled.collect();
    let at = prng.below(filled.len() as u64) as usize;
    let record = filled.get_mut(at)?;
    record.payload = flipped(&record.payload, prng)?;
    Some(())
}

fn flipped(bytes: &[u8], prng: &mut Prng) -> Option<Bytes> {
    let mut changed = BytesMut::from(bytes);
    let at = prng.below(bytes.len() as u64) as usize;
    *changed.get_mut(at)? ^= 1 << prng.below(8);
    Some(changed.freeze())
}

#[cfg(test)]
mod tests {
    use noraft::{LogIndex, LogPosition, Term};
    use noraftd::protocol::peer::{Features, PeerError, PeerFrame};
    use noraftd::record::{RecordKind, SnapshotId};
    use noraftd::time::Stamp;

    use super::*;

    fn position(index: u64) -> LogPosition {
        LogPosition::new(Term::new(1), LogIndex::new(index))
    }

    fn append(payloads: &[&'static [u8]]) -> PeerMessage {
        let record = |(index, payload): (u64, &&'static [u8])| {
            let payload = Bytes::from_static(payload);
            Record::new(position(index), RecordKind::Command, Stamp::default(), payload)
        };
        PeerMessage::Append {
            term: Term::new(1),
            commit_index: LogIndex::ZERO,
            prev: position(0),
            chain: None,
            records: (1..).zip(payloads).map(record).collect(),
            round: 1,
            last_index: LogIndex::new(3),
        }
    }

    #[test]
    fn a_rotten_entry_in_a_whole_frame_is_refused_for_its_own_checksum() {
        let prng = &mut Prng::new(1);
        let whole = append(&[b"one", b"", b"three"]);
        for _ in 0..50 {
            let rotten = rotten(&whole, prng).expect("it carries entries");
            let mut bytes = BytesMut::new();
            rotten.encode(1, Features::SUPPORTED, &mut bytes);
            let error = PeerFrame::decode(1, &mut bytes).unwrap_err();
            assert_eq!(error, PeerError::Malformed("a payload does not have its crc"));
        }
        assert_eq!(rotten(&append(&[]), prng), None, "there is nothing to rot");
        assert_eq!(rotten(&append(&[b""]), prng), None);
    }

    #[test]
    fn one_bit_of_a_part_of_a_snapshot_rots() {
        let prng = &mut Prng::new(2);
        let bytes = Bytes::from_static(b"a part");
        let id = SnapshotId {
            position: position(3),
            bytes: 6,
            hash: 0,
        };
        let chunk = |bytes: &Bytes| PeerMessage::SnapshotChunk {
            term: Term::new(1),
            snapshot: id,
            chain: None,
            offset: 0,
            bytes: bytes.clone(),
        };
        for _ in 0..50 {
            let Some(PeerMessage::SnapshotChunk { bytes: after, .. }) = rotten(&chunk(&bytes), prng) else {
                panic!("it stays what it is");
            };
            let changed: u32 = bytes
                .iter()
                .zip(&after)
                .map(|(one, other)| (one ^ other).count_ones())
                .sum();
            assert_eq!((after.len(), changed), (bytes.len(), 1));
        }
    }
}

//! Encoding and decoding of peer frames, and of messages; the formats are tabled in `mod.rs`.

use bytes::{BufMut, Bytes, BytesMut};
use noraft::{LogIndex, LogPosition, Term};

use super::greeting_codec::{KIND_CHALLENGE, KIND_HELLO, KIND_HELLO_REPLY, KIND_PROOF, KIND_REJECT};
use super::outcome_codec::{read_outcome, write_outcome};
use super::position_codec::{read_position, write_position};
use super::prints_codec::{read_compare, read_compared, write_prints};
use super::record_codec::{CUT, read_records, write_records};
use super::repair_codec::{read_repair, read_repair_request, write_positions, write_repair};
use super::snapshot_codec::{read_chunk, write_id};
use super::{
    Challenge, Features, Hello, HelloReply, PeerError, PeerFrame, PeerMessage, ProofOfSecret, Reject,
};
use crate::protocol::command::Request;
use crate::protocol::frame::{self, Frame};
use crate::protocol::read::Reader;
use crate::protocol::seal::Seal;
use crate::record::Abstain;

impl PeerFrame {
    /// Takes the next whole frame from the front of `buffer`; `None` when more bytes are needed.
    ///
    /// # Errors
    ///
    /// When the bytes are not a valid frame of `cluster_id`. A [`Reject`] is taken from any cluster.
    pub fn decode(cluster_id: u64, buffer: &mut BytesMut) -> Result<Option<Self>, PeerError> {
        match frame::decode(buffer)? {
            Some(frame) => Self::parse(cluster_id, frame).map(Some),
            None => Ok(None),
        }
    }

    /// As [`Self::decode`], where frames have to be sealed.
    ///
    /// # Errors
    ///
    /// When the bytes are not the frame that was sealed next.
    pub fn decode_sealed(
        cluster_id: u64,
        seal: &mut Seal,
        buffer: &mut BytesMut,
    ) -> Result<Option<Self>, PeerError> {
        let Some(mut frame) = frame::decode(buffer)? else {
            return Ok(None);
        };
        seal.open(&mut frame)?;
        Self::parse(cluster_id, frame).map(Some)
    }

    /// What the frame says.
    ///
    /// # Errors
    ///
    /// When it is not of `cluster_id` (a [`Reject`] is taken from any), or malformed.
    pub fn parse(cluster_id: u64, frame: Frame) -> Result<Self, PeerError> {
        if frame.cluster_id != cluster_id && frame.kind != KIND_REJECT {
            return Err(PeerError::Cluster {
                expected: cluster_id,
                found: frame.cluster_id,
            });
        }
        let mut reader = Reader::new(&frame.body);
        let decoded = decode_body(&frame, &mut reader).map_err(PeerError::Malformed)?;
        reader.end().ok_or(PeerError::Malformed("bytes are left over"))?;
        Ok(decoded)
    }

    /// Appends the frame to `out`, for a node that understands `features`.
    pub fn encode(&self, cluster_id: u64, features: Features, out: &mut BytesMut) {
        match self {
            Self::Hello(hello) => hello.encode(out),
            Self::HelloReply(reply) => reply.encode(cluster_id, out),
            Self::Reject(reject) => reject.encode(out),
            Self::Challenge(challenge) => challenge.encode(cluster_id, out),
            Self::Proof(proof) => proof.encode(cluster_id, out),
            Self::Message(message) => message.encode(cluster_id, features, out),
        }
    }
}

impl PeerMessage {
    /// Appends the message's frame to `out`, in the form that a node with `features` understands. A message
    /// that such a node knows in no form is not made for it.
    ///
    /// # Panics
    ///
    /// When the message exceeds [`FRAME_BODY_BYTES_MAX`](frame::FRAME_BODY_BYTES_MAX) or its records are not
    /// consecutive: the code that builds a message ensures both.
    pub fn encode(&self, cluster_id: u64, features: Features, out: &mut BytesMut) {
        let kind = self.kind(features);
        match self.chained_kind().filter(|_| features.has(Features::CHAIN)) {
            Some((chained, chain)) => frame::encode(chained, cluster_id, out, |out| {
                out.put_u64_le(chain);
                self.write_body(kind, out);
            }),
            None => frame::encode(kind, cluster_id, out, |out| self.write_body(kind, out)),
        }
    }

    /// The kind of a message that carries a chain, and the chain, which comes first.
    fn chained_kind(&self) -> Option<(u8, u64)> {
        match self {
            Self::Append { chain, .. } => chain.map(|chain| (28, chain)),
            Self::SnapshotChunk { chain, .. } => chain.map(|chain| (34, chain)),
            Self::RequestVote { .. }
            | Self::Vote { .. }
            | Self::Appended { .. }
            | Self::PreVote { .. }
            | Self::PreVoted { .. }
            | Self::Forward { .. }
            | Self::Forwarded { .. }
            | Self::RepairRequest { .. }
            | Self::Repair { .. }
            | Self::Compare { .. }
            | Self::Compared { .. }
            | Self::Pulse { .. }
            | Self::Pulsed { .. }
            | Self::TimeoutNow { .. }
            | Self::SnapshotReply { .. } => None,
        }
    }

    fn kind(&self, features: Features) -> u8 {
        let counts = features.has(Features::CANVASS);
        match self {
            Self::RequestVote { .. } => 16,
            Self::Vote { .. } => 17,
            Self::Append { .. } => 18,
            Self::Appended { .. } => 19,
            Self::PreVote { canvass, .. } if counts && *canvass != 0 => KIND_COUNTED_PRE_VOTE,
            Self::PreVote { .. } => 20,
            Self::PreVoted { canvass, .. } if counts && *canvass != 0 => KIND_COUNTED_PRE_VOTED,
            Self::PreVoted { .. } => 21,
            Self::Forward { .. } => 22,
            Self::Forwarded { .. } => 23,
            Self::RepairRequest { .. } => 24,
            Self::Repair { .. } => 25,
            Self::Compare { .. } => 29,
            Self::Compared { .. } => 30,
            Self::SnapshotChunk { .. } => 32,
            Self::SnapshotReply { .. } => 33,
            Self::Pulse { .. } => 36,
            Self::Pulsed { .. } => 37,
            Self::TimeoutNow { .. } => 38,
        }
    }

    fn write_body(&self, kind: u8, out: &mut BytesMut) {
        match self {
            Self::RequestVote {
                term,
                last_position,
                unanimous,
            } => {
                out.put_u64_le(term.get());
                write_position(*last_position, out);
                out.put_u8(u8::from(*unanimous));
            }
            Self::PreVote {
                term,
                last_position,
                canvass,
                abstain,
            } => {
                out.put_u64_le(term.get());
                write_position(*last_position, out);
                if kind == KIND_COUNTED_PRE_VOTE {
                    out.put_u64_le(*canvass);
                    out.put_u8(*abstain as u8);
                }
            }
            Self::TimeoutNow { term, last_position } => write_timeout_now(*term, *last_position, out),
            Self::Vote { term, granted } => {
                out.put_u64_le(term.get());
                out.put_u8(u8::from(*granted));
            }
            Self::PreVoted {
                term,
                granted,
                abstain,
                canvass,
            } => {
                out.put_u64_le(term.get());
                out.put_u8(u8::from(*granted));
                out.put_u8(*abstain as u8);
                if kind == KIND_COUNTED_PRE_VOTED {
                    out.put_u64_le(*canvass);
                }
            }
            Self::Append { .. } | Self::Appended { .. } => self.write_append(out),
            Self::Forward {
                id,
                boot,
                term,
                request,
            } => {
                out.put_u64_le(*id);
                out.put_u64_le(*boot);
                out.put_u64_le(term.get());
                out.extend_from_slice(&request.body);
            }
            Self::Forwarded { id, boot, outcome } => {
                out.put_u64_le(*id);
                out.put_u64_le(*boot);
                write_outcome(outcome, out);
            }
            Self::RepairRequest { positions } => write_positions(positions, out),
            Self::Repair { base, records } => write_repair(*base, records, out),
            Self::Compare { asks, prints } => {
                out.put_u8(u8::from(*asks));
                write_prints(prints, out);
            }
            Self::Compared { prints } => write_prints(prints, out),
            Self::SnapshotChunk { .. } | Self::SnapshotReply { .. } => self.write_snapshot(out),
            Self::Pulse { .. } | Self::Pulsed { .. } => self.write_pulse(out),
        }
    }

    fn write_pulse(&self, out: &mut BytesMut) {
        let (Self::Pulse { term, pulse, .. } | Self::Pulsed { term, pulse }) = self else {
            unreachable!("only pulses and their answers come here, not {self:?}");
        };
        out.put_u64_le(term.get());
        out.put_u64_le(*pulse);
        if let Self::Pulse { last_index, .. } = self {
            out.put_u64_le(last_index.get());
        }
    }

    fn write_append(&self, out: &mut BytesMut) {
        match self {
            Self::Append {
                term,
                commit_index,
                prev,
                records,
                round,
                last_index,
                chain: _,
            } => {
                out.put_u64_le(term.get());
                out.put_u64_le(commit_index.get());
                write_position(*prev, out);
                out.put_u64_le(*round);
                out.put_u64_le(last_index.get());
                write_records(*prev, records, out);
            }
            Self::Appended {
                term,
                generation,
                last_position,
                round,
            } => {
                out.put_u64_le(term.get());
                out.put_u64_le(*generation);
                write_position(*last_position, out);
                out.put_u64_le(*round);
            }
            other => unreachable!("only AppendEntries and its reply come here, not {other:?}"),
        }
    }

    fn write_snapshot(&self, out: &mut BytesMut) {
        match self {
            Self::SnapshotChunk {
                term,
                snapshot,
                offset,
                bytes,
                chain: _,
            } => {
                out.put_u64_le(term.get());
                write_id(snapshot, out);
                out.put_u64_le(*offset);
                out.extend_from_slice(bytes);
            }
            Self::SnapshotReply { term, position, next } => {
                out.put_u64_le(term.get());
                write_position(*position, out);
                out.put_u64_le(*next);
            }
            other => unreachable!("only messages about snapshots come here, not {other:?}"),
        }
    }
}

fn write_timeout_now(term: Term, last_position: LogPosition, out: &mut BytesMut) {
    out.put_u64_le(term.get());
    write_position(last_position, out);
}

fn decode_body(frame: &Frame, reader: &mut Reader<'_>) -> Result<PeerFrame, &'static str> {
    match frame.kind {
        KIND_HELLO => Hello::read(reader, frame).map(PeerFrame::Hello),
        KIND_HELLO_REPLY => HelloReply::read(reader).map(PeerFrame::HelloReply),
        KIND_REJECT => Reject::read(reader)
            .map(PeerFrame::Reject)
            .ok_or("the reason is unknown"),
        KIND_CHALLENGE => Challenge::read(reader).map(PeerFrame::Challenge).ok_or(CUT),
        KIND_PROOF => ProofOfSecret::read(reader).map(PeerFrame::Proof).ok_or(CUT),
        18 => read_append(reader, &frame.body, None).map(PeerFrame::Message),
        28 => {
            let chain = reader.u64().ok_or(CUT)?;
            read_append(reader, &frame.body, Some(chain)).map(PeerFrame::Message)
        }
        22 => read_forward(reader, &frame.body).map(PeerFrame::Message),
        23 => read_forwarded(reader, &frame.body).map(PeerFrame::Message),
        24 => read_repair_request(reader).map(PeerFrame::Message),
        25 => read_repair(reader, &frame.body).map(PeerFrame::Message),
        29 => read_compare(reader).map(PeerFrame::Message),
        30 => read_compared(reader).map(PeerFrame::Message),
        32 => read_chunk(reader, &frame.body, None).map(PeerFrame::Message),
        34 => {
            let chain = reader.u64().ok_or(CUT)?;
            read_chunk(reader, &frame.body, Some(chain)).map(PeerFrame::Message)
        }
        kind @ (16 | 17 | 19 | 20 | 21 | 26 | 27 | 33 | 36 | 37 | 38) => {
            read_fixed(kind, reader).map(PeerFrame::Message).ok_or(CUT)
        }
        _ => Err("the kind is unknown"),
    }
}

/// Messages of a fixed size.
fn read_fixed(kind: u8, reader: &mut Reader<'_>) -> Option<PeerMessage> {
    let term = Term::new(reader.u64()?);
    Some(match kind {
        16 => PeerMessage::RequestVote {
            term,
            last_position: read_position(reader)?,
            unanimous: reader.bool()?,
        },
        17 => PeerMessage::Vote {
            term,
            granted: reader.bool()?,
        },
        19 => PeerMessage::Appended {
            term,
            generation: reader.u64()?,
            last_position: read_position(reader)?,
            round: reader.u64()?,
        },
        20 => PeerMessage::PreVote {
            term,
            last_position: read_position(reader)?,
            canvass: 0,
            abstain: Abstain::Tail,
        },
        KIND_COUNTED_PRE_VOTE => PeerMessage::PreVote {
            term,
            last_position: read_position(reader)?,
            canvass: read_canvass(reader)?,
            abstain: read_abstain(reader)?,
        },
        21 => PeerMessage::PreVoted {
            term,
            granted: reader.bool()?,
            abstain: read_abstain(reader)?,
            canvass: 0,
        },
        KIND_COUNTED_PRE_VOTED => PeerMessage::PreVoted {
            term,
            granted: reader.bool()?,
            abstain: read_abstain(reader)?,
            canvass: read_canvass(reader)?,
        },
        33 => PeerMessage::SnapshotReply {
            term,
            position: read_position(reader)?,
            next: reader.u64()?,
        },
        36 => PeerMessage::Pulse {
            term,
            pulse: reader.u64()?,
            last_index: LogIndex::new(reader.u64()?),
        },
        37 => PeerMessage::Pulsed {
            term,
            pulse: reader.u64()?,
        },
        38 => PeerMessage::TimeoutNow {
            term,
            last_position: read_position(reader)?,
        },
        _ => return None,
    })
}

fn read_append(
    reader: &mut Reader<'_>,
    body: &Bytes,
    chain: Option<u64>,
) -> Result<PeerMessage, &'static str> {
    let term = Term::new(reader.u64().ok_or(CUT)?);
    let commit_index = LogIndex::new(reader.u64().ok_or(CUT)?);
    let prev = read_position(reader).ok_or(CUT)?;
    let round = reader.u64().ok_or(CUT)?;
    let last_index = LogIndex::new(reader.u64().ok_or(CUT)?);
    let records = read_records(reader, body, prev, term)?;
    Ok(PeerMessage::Append {
        term,
        commit_index,
        prev,
        chain,
        records,
        round,
        last_index,
    })
}

fn read_forward(reader: &mut Reader<'_>, body: &Bytes) -> Result<PeerMessage, &'static str> {
    let (id, boot) = (reader.u64().ok_or(CUT)?, reader.u64().ok_or(CUT)?);
    let term = Term::new(reader.u64().ok_or(CUT)?);
    let command = reader.take(reader.rest().len()).ok_or(CUT)?;
    let request = Request::decode_checked(body.slice_ref(command)).ok_or("the command does not decode")?;
    Ok(PeerMessage::Forward {
        id,
        boot,
        term,
        request,
    })
}

fn read_forwarded(reader: &mut Reader<'_>, body: &Bytes) -> Result<PeerMessage, &'static str> {
    let (id, boot) = (reader.u64().ok_or(CUT)?, reader.u64().ok_or(CUT)?);
    let outcome = read_outcome(reader, body).ok_or("the outcome does not decode")?;
    Ok(PeerMessage::Forwarded { id, boot, outcome })
}

fn read_canvass(reader: &mut Reader<'_>) -> Option<u64> {
    reader.u64().filter(|canvass| *canvass != 0)
}

fn read_abstain(reader: &mut Reader<'_>) -> Option<Abstain> {
    Abstain::from_byte(reader.u8()?)
}

const KIND_COUNTED_PRE_VOTE: u8 = 26;
const KIND_COUNTED_PRE_VOTED: u8 = 27;

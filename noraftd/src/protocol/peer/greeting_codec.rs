//! Greetings, proofs and rejections: the frames before the first message.

use bytes::{BufMut, BytesMut};
use noraft::NodeId;

use super::record_codec::CUT;
use super::{Challenge, Differences, Extensions, Hello, HelloReply, ProofOfSecret, Reject};
use crate::level::Level;
use crate::protocol::frame::{self, Frame};
use crate::protocol::read::Reader;
use crate::secret::{NONCE_BYTES, PROOF_BYTES, SECRETS_MAX};

impl Hello {
    /// Appends the frame to `out`, under the hello's own cluster id.
    pub fn encode(&self, out: &mut BytesMut) {
        frame::encode(KIND_HELLO, self.cluster_id, out, |out| {
            out.put_u64_le(self.from.get());
            out.put_u64_le(self.to.get());
            out.put_u64_le(self.incarnation);
            self.extensions.write(out);
        });
    }

    pub(super) fn read(reader: &mut Reader<'_>, frame: &Frame) -> Result<Self, &'static str> {
        Ok(Self {
            cluster_id: frame.cluster_id,
            from: NodeId::new(reader.u64().ok_or(CUT)?),
            to: NodeId::new(reader.u64().ok_or(CUT)?),
            incarnation: reader.u64().ok_or(CUT)?,
            extensions: Extensions::read(reader)?,
        })
    }
}

impl HelloReply {
    /// Appends the frame to `out`.
    pub fn encode(&self, cluster_id: u64, out: &mut BytesMut) {
        frame::encode(KIND_HELLO_REPLY, cluster_id, out, |out| {
            out.put_u64_le(self.from.get());
            out.put_u64_le(self.incarnation);
            self.extensions.write(out);
        });
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, &'static str> {
        Ok(Self {
            from: NodeId::new(reader.u64().ok_or(CUT)?),
            incarnation: reader.u64().ok_or(CUT)?,
            extensions: Extensions::read(reader)?,
        })
    }
}

impl Challenge {
    /// Appends the frame to `out`.
    pub fn encode(&self, cluster_id: u64, out: &mut BytesMut) {
        frame::encode(KIND_CHALLENGE, cluster_id, out, |out| {
            out.extend_from_slice(&self.nonce);
        });
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let nonce = reader.take(NONCE_BYTES)?.try_into().ok()?;
        Some(Self { nonce })
    }
}

impl ProofOfSecret {
    /// Appends the frame to `out`.
    pub fn encode(&self, cluster_id: u64, out: &mut BytesMut) {
        frame::encode(KIND_PROOF, cluster_id, out, |out| {
            self.proofs.iter().for_each(|proof| out.extend_from_slice(proof));
        });
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut proofs = Vec::with_capacity(SECRETS_MAX);
        while proofs.is_empty() || (reader.end().is_none() && proofs.len() < SECRETS_MAX) {
            proofs.push(reader.take(PROOF_BYTES)?.try_into().ok()?);
        }
        Some(Self { proofs })
    }
}

impl Reject {
    /// Appends the frame to `out`, under no cluster's id.
    pub fn encode(&self, out: &mut BytesMut) {
        let (reason, number) = match *self {
            Self::Cluster => (1, 0),
            Self::Node => (2, 0),
            Self::Version => (3, 0),
            Self::NotMember => (4, 0),
            Self::Incarnation => (5, 0),
            Self::Unproven => (6, 0),
            Self::Secret => (7, 0),
            Self::Settings(Differences(which)) => (8, which),
            // Only a node that says how often it was started gets to hear it, and such a node knows it.
            Self::OldCopy => (9, 0),
            Self::Level(level) => (10, u64::from(level.get())),
            // Only a node that was in a membership table gets to hear it.
            Self::Removed => (11, 0),
            // A node that knows no TLS takes it for a faulty answer, which it says.
            Self::Tls => (12, 0),
        };
        frame::encode(KIND_REJECT, NO_CLUSTER, out, |out| {
            out.put_u8(reason);
            out.put_u64_le(number);
        });
    }

    /// A node of the first release sends numbers that must be ignored.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (reason, number) = (reader.u8()?, reader.u64()?);
        match reason {
            1 => Some(Self::Cluster),
            2 => Some(Self::Node),
            3 => Some(Self::Version),
            4 => Some(Self::NotMember),
            5 => Some(Self::Incarnation),
            6 => Some(Self::Unproven),
            7 => Some(Self::Secret),
            8 => Some(Self::Settings(Differences(number))),
            9 => Some(Self::OldCopy),
            10 => Some(Self::Level(Level::new(u8::try_from(number).ok()?))),
            11 => Some(Self::Removed),
            12 => Some(Self::Tls),
            _ => None,
        }
    }
}

pub(super) const KIND_HELLO: u8 = 1;
pub(super) const KIND_HELLO_REPLY: u8 = 2;
pub(super) const KIND_REJECT: u8 = 3;
pub(super) const KIND_CHALLENGE: u8 = 4;
pub(super) const KIND_PROOF: u8 = 5;
/// The cluster id of a rejection: the right one is not for strangers.
const NO_CLUSTER: u64 = 0;

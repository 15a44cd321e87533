//! What can be asked.

use bytes::Bytes;

use super::connection::Expected;
use super::entries::{After, NewEntry, Range};
use super::times::{Time, When as Until};

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Something about keys.
    Keys(Request),
    /// Something about what the connection does as one: the command, in lower case, and its keys.
    Transaction(&'static str, Vec<Bytes>),
    /// Something about the connection or the server, and what is expected of the answer.
    Connection(Expected),
}

/// A request about keys.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field is what the synopsis of its command names")]
pub enum Request {
    /// `SET key value [NX | XX | IFEQ expected] [GET]`
    Set(Set),
    /// `DEL key...`
    Delete(Vec<Bytes>),
    /// `MSET key value...`
    SetMany(Vec<(Bytes, Bytes)>),
    /// `INCRBY key delta`, and its kin.
    Add { key: Bytes, delta: i64 },
    /// `APPEND key suffix`
    Append { key: Bytes, suffix: Bytes },
    /// `XADD`
    AddEntry(NewEntry),
    /// Something about when a key goes, or that came with it.
    Timed { key: Bytes, time: Time },
    /// `GET key`
    Get(Bytes),
    /// `EXISTS key...`
    CountExisting(Vec<Bytes>),
    /// `MGET key...`
    GetMany(Vec<Bytes>),
    /// `STRLEN key`
    Length(Bytes),
    /// `TYPE key`
    TypeOf(Bytes),
    /// `XLEN key`
    StreamLength(Bytes),
    /// `XRANGE` and `XREVRANGE`
    Range(Range),
    /// `XREAD [COUNT count] STREAMS key... id...`
    ReadStreams {
        count: Option<u64>,
        streams: Vec<(Bytes, After)>,
    },
}

/// `SET`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Which key.
    pub key: Bytes,
    /// Its new value.
    pub value: Bytes,
    /// On which condition.
    pub when: When,
    /// The answer is the old value.
    pub get: bool,
    /// When the key goes.
    pub until: Until,
}

/// When `SET` sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// Always.
    Any,
    /// `NX`
    Absent,
    /// `XX`
    Present,
    /// `IFEQ`, as Redis 8.4 and Valkey 8.1 have it.
    Holds(Bytes),
}

impl Request {
    /// True when it may change a key.
    pub fn writes(&self) -> bool {
        match self {
            Self::Set(_)
            | Self::Delete(_)
            | Self::SetMany(_)
            | Self::Add { .. }
            | Self::Append { .. }
            | Self::AddEntry(_) => true,
            Self::Timed { time, .. } => time.writes(),
            Self::Get(_)
            | Self::CountExisting(_)
            | Self::GetMany(_)
            | Self::Length(_)
            | Self::TypeOf(_)
            | Self::StreamLength(_)
            | Self::Range(_)
            | Self::ReadStreams { .. } => false,
        }
    }
}

//! RESP2 and RESP3 (redis.io, "Redis serialization protocol specification"): the values of replies.
//!
//! `request.rs` parses what clients send, `encode.rs` writes what they get, `value.rs` reads it back.
//! Invariant: every parser is incremental, has a named limit for everything it stores, and never panics.

mod decimal;
mod double;
mod encode;
mod inline;
pub(crate) mod number;
mod request;
mod value;

use bytes::Bytes;

pub use decimal::Decimal;
pub use double::Double;
pub use request::{
    ARGS_MAX, BULK_BYTES_MAX, COMMAND_BYTES_MAX, INLINE_BYTES_MAX, ProtocolError, RequestParser,
    SKIPPED_ARGS_MAX, SKIPPED_BYTES_MAX, TooLarge,
};
pub use value::{
    VALUE_BULK_BYTES_MAX, VALUE_DEPTH_MAX, VALUE_ELEMENTS_MAX, VALUE_LINE_BYTES_MAX, Value, ValueDecoder,
    ValueError,
};

/// Which RESP a connection speaks; every connection starts with version 2 (`HELLO` changes it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RespVersion {
    /// RESP2.
    #[default]
    V2,
    /// RESP3.
    V3,
}

impl RespVersion {
    /// The number that `HELLO` names it by.
    pub const fn number(self) -> i64 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

/// A reply value, independent of the protocol version it will be written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`: a short status. One of [`STATUSES`] when it is to travel between nodes.
    Status(&'static str),
    /// `+text`: a status that a script made.
    Line(String),
    /// `-CODE message`.
    Error(String),
    /// `:1`
    Integer(i64),
    /// A number with a fraction: a string in RESP2.
    Double(Double),
    /// `$3\r\nabc`
    Bulk(Bytes),
    /// No value: `$-1` in RESP2, `_` in RESP3.
    Null,
    /// No array: `*-1` in RESP2, `_` in RESP3.
    NullArray,
    /// An array.
    Array(Vec<Reply>),
    /// Things without an order: an array in RESP2, a set in RESP3.
    Set(Vec<Reply>),
    /// Key and value pairs: a flat array in RESP2, a map in RESP3.
    Map(Vec<(Reply, Reply)>),
    /// Key and value pairs: an array of two-element arrays in RESP2 (as `XREAD` answers), a map in RESP3.
    Pairs(Vec<(Reply, Reply)>),
    /// Things with what belongs to each: a flat array in RESP2, an array of two-element arrays in RESP3.
    Rows(Vec<(Reply, Reply)>),
    /// What a client hears of without having asked: an array in RESP2, a push in RESP3. Never travels between nodes.
    Push(Vec<Reply>),
    /// One after the other, as `SUBSCRIBE` answers once for each channel. Never travels between nodes.
    Several(Vec<Reply>),
}

impl Reply {
    /// About the bytes that it takes, here and on its way.
    pub fn weight(&self) -> usize {
        let pair = |(key, value): &(Self, Self)| key.weight() + value.weight();
        REPLY_BYTES
            + match self {
                Self::Status(_) | Self::Integer(_) | Self::Double(_) | Self::Null | Self::NullArray => 0,
                Self::Error(text) | Self::Line(text) => text.len(),
                Self::Bulk(bytes) => bytes.len(),
                Self::Array(items) | Self::Set(items) | Self::Push(items) | Self::Several(items) => {
                    items.iter().map(Self::weight).sum()
                }
                Self::Map(pairs) | Self::Pairs(pairs) | Self::Rows(pairs) => pairs.iter().map(pair).sum(),
            }
    }
}

/// What a reply takes whatever is in it.
const REPLY_BYTES: usize = std::mem::size_of::<Reply>();

/// Every status the state machine answers with: what a reply forwarded between nodes may contain.
pub const STATUSES: [&str; 8] = ["OK", "string", "stream", "none", "hash", "set", "zset", "list"];

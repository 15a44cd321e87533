//! RESP2 and RESP3 (redis.io/docs/reference/protocol-spec): parsing requests, encoding replies.

use bytes::Bytes;

/// A reply value, independent of the protocol version it will be written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`: a short status.
    Status(&'static str),
    /// `-CODE message`.
    Error(String),
    /// `:1`
    Integer(i64),
    /// `$3\r\nabc`
    Bulk(Bytes),
    /// No value: `$-1` in RESP2, `_` in RESP3.
    Null,
    /// No array: `*-1` in RESP2, `_` in RESP3.
    NullArray,
    /// An array.
    Array(Vec<Reply>),
    /// Key and value pairs: a flat array in RESP2, a map in RESP3.
    Map(Vec<(Reply, Reply)>),
}

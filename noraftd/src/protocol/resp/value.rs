//! Reads replies back: the client's side of RESP.

use bytes::{Bytes, BytesMut};

/// A reply as a client sees it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `+OK`
    Status(String),
    /// `-CODE message`
    Error(String),
    /// `:1`
    Integer(i64),
    /// A bulk or verbatim string.
    Bulk(Bytes),
    /// `$-1`, `*-1` or `_`.
    Null,
    /// `#t`
    Bool(bool),
    /// `,1.5`
    Double(f64),
    /// `(123...`: a number too big for 64 bits, in its digits.
    BigNumber(String),
    /// An array or a set.
    Array(Vec<Value>),
    /// A RESP3 map.
    Map(Vec<(Value, Value)>),
    /// A RESP3 push: not an answer to a command.
    Push(Vec<Value>),
}

/// Bytes that are not a RESP reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// A line that does not end within the limit.
    #[error("a line is too long")]
    LineTooLong,
}

/// Cuts a connection's bytes into replies. Keeps its place, so no byte is parsed twice.
#[derive(Debug, Default)]
pub struct ValueDecoder {}

impl ValueDecoder {
    /// A decoder at the start of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next whole reply from the front of `buffer`; `None` when more bytes are needed.
    ///
    /// # Errors
    ///
    /// When the bytes are not RESP or exceed a limit; the decoder must not be used afterwards.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Value>, ValueError> {
        let _ = buffer;
        todo!()
    }
}

//! Parses what clients send: arrays of bulk strings, and inline commands.

use bytes::{Bytes, BytesMut};

use crate::record::PAYLOAD_BYTES_MAX;

/// Most arguments of one command, its name included: bounds what a header line makes us prepare for.
pub const ARGS_MAX: usize = 1 << 16;

/// Most bytes of one argument; a larger one could not become an entry.
pub const BULK_BYTES_MAX: usize = PAYLOAD_BYTES_MAX;

/// Most bytes of an inline command, as in Redis.
pub const INLINE_BYTES_MAX: usize = 64 << 10;

/// Most bytes of one command as sent: bounds the buffer of a connection. The slack over one largest
/// argument lets a command slightly too large be refused by name instead of closing the connection.
pub const COMMAND_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + (1 << 20);

/// Bytes that are not RESP. The connection cannot be resynchronised: send the text, then close.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// An inline command longer than [`INLINE_BYTES_MAX`].
    #[error("too big inline request")]
    InlineTooBig,
}

/// Cuts a connection's bytes into commands. Keeps its place, so no byte is scanned twice.
#[derive(Debug, Default)]
pub struct RequestParser {}

impl RequestParser {
    /// A parser at the start of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next whole command from the front of `buffer`; `None` when more bytes are needed.
    ///
    /// The arguments share the memory of `buffer`; there is at least one. Between calls, bytes may only be
    /// added at the end of `buffer`.
    ///
    /// # Errors
    ///
    /// When the bytes are not RESP or exceed a limit; the parser must not be used afterwards.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Vec<Bytes>>, ProtocolError> {
        let _ = buffer;
        todo!()
    }
}

//! Client commands: from RESP arguments to what is replicated, read, or answered by the node itself.

use bytes::Bytes;

/// How a request has to be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Changes state: goes through the log.
    Write,
    /// Only reads: linearizable by ReadIndex, no entry.
    Read,
}

/// A parsed command for the state machine, in the encoding that is stored in entries and forwarded
/// between nodes. It always decodes: only the parser makes one, and the peer codec verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// How to execute it.
    pub class: Class,
    /// The encoded command.
    pub body: Bytes,
}

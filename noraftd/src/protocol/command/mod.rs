//! Client commands: from RESP arguments to what is replicated, read, or answered by the node itself.

mod codec;
mod local;
mod parse;

use bytes::Bytes;

pub use codec::{Args, Command, SetCondition, StreamId, StreamIdRequest};
pub use local::{ClientCommand, CommandQuery, Hello, Local, Section};
pub use parse::parse;

use super::resp::Reply;

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

impl Request {
    /// The request with the encoded command `body`, when it decodes and is not too large.
    pub fn decode_checked(body: Bytes) -> Option<Self> {
        let class = Command::decode(&body)?.class();
        Some(Self { class, body })
    }

    /// The request for `command`.
    ///
    /// # Errors
    ///
    /// With the reply to give when the command is too large for one entry.
    pub fn encode(command: &Command<'_>) -> Result<Self, Reply> {
        let _ = command;
        todo!()
    }
}

/// What a client's command turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// For the state machine, through the replica.
    Replicated(Request),
    /// For the node itself.
    Local(Local),
}

//! One client connection: what it has told about itself, and answers to the commands that concern it.

use bytes::Bytes;

use crate::protocol::command::Local;
use crate::protocol::render::ServerFacts;
use crate::protocol::resp::{Reply, RespVersion};
use crate::replica::event::Status;

/// The state of a client connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The connection's number, as `CLIENT ID` gives it.
    pub id: u64,
    /// The client's address, for `CLIENT LIST`.
    pub peer: String,
    /// The protocol to write replies in.
    pub version: RespVersion,
    /// The name the client gave it.
    pub name: Bytes,
    /// The client library's name.
    pub lib_name: Bytes,
    /// The client library's version.
    pub lib_version: Bytes,
}

/// The answer to a local command. Encode it in the session's version *after* the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What to send.
    pub reply: Reply,
    /// Close the connection once it is sent.
    pub close: bool,
}

impl Session {
    /// A new connection from `peer`.
    pub fn new(id: u64, peer: String) -> Self {
        let empty = Bytes::new();
        Self {
            id,
            peer,
            version: RespVersion::V2,
            name: empty.clone(),
            lib_name: empty.clone(),
            lib_version: empty,
        }
    }

    /// Carries out a local command. `others` are the other sessions' lines, for `CLIENT LIST`.
    pub fn answer(
        &mut self,
        local: Local,
        status: &Status,
        facts: &ServerFacts,
        others: &[String],
    ) -> Answer {
        let _ = (local, status, facts, others);
        todo!()
    }

    /// The connection's line in `CLIENT LIST`, without a line end.
    pub fn line(&self) -> String {
        todo!()
    }
}

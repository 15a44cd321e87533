//! Client commands: from RESP arguments to what is replicated, read, or answered by the node itself.

mod answers;
mod args;
mod block;
mod codec;
mod data;
mod data_body;
mod data_parse;
mod expiry;
mod expiry_parse;
mod hashes;
mod hashes_parse;
mod keys_parse;
mod keyspace;
mod keyspace_parse;
mod limit;
mod lists;
mod lists_parse;
mod local;
mod local_parse;
mod member;
mod once;
mod once_parse;
mod own;
mod parse;
mod refused;
mod script;
mod script_parse;
mod sentinel_parse;
mod set;
mod sets;
mod sets_parse;
mod sorted;
mod sorted_parse;
mod sorted_parts;
mod sorted_parts_parse;
mod stream_id;
mod streams;
mod streams_parse;
pub mod syntax;
pub mod table;
mod timed;
mod transaction;
mod words;

use std::collections::BTreeMap;

use bytes::Bytes;
use noraft::LogIndex;

pub use args::{Args, ArgsIter, OwnedArgs};
pub use block::Block;
pub use codec::{BODY_VERSION, Command};
pub use data::DataCommand;
pub use data_body::Data;
pub use expiry::{Expiry, ExpiryCondition, TimeUnit};
pub use hashes::HashCommand;
pub use keyspace::{CommonForm, KeyCommand, ObjectQuery};
pub use limit::Limit;
pub use lists::{FindOptions, ListCommand, Side};
pub use local::{
    ClientCommand, CommandFilter, CommandQuery, HelloOptions, Local, Section, SentinelQuery,
    SubscriptionChange, Topic,
};
pub use member::{ADDRESS_BYTES_MAX, Addresses, Member, MemberChange, Part, is_address};
pub(crate) use member::{read_rows, write_rows};
pub use once::{Numbered, SessionCommand};
pub use own::OwnCommand;
pub use parse::{parse, parse_flush};
pub use script::{Evaluation, Named, SCRIPT_BYTES_MAX, ScriptCommand};
pub use set::SetCondition;
pub use sets::{Combine, SetCommand, SetsCommand};
pub use sorted::{AddOptions, Aggregate, Combination, SortedCommand, SortedSetsCommand};
pub use sorted_parts::{NameEnd, Part as SortedPart, Parts as SortedParts, ScoreEnd};
pub use stream_id::{StreamId, StreamIdRequest};
pub use streams::Streams;
pub use timed::Timed;
pub use transaction::TransactionCommand;
pub use words::Scan;

use super::resp::Reply;
use crate::level::Level;
use crate::record::PAYLOAD_BYTES_MAX;

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
        if body.len() > PAYLOAD_BYTES_MAX {
            return None;
        }
        let class = Command::decode(&body)?.class();
        Some(Self { class, body })
    }

    /// Raises the level in force.
    pub fn to_raise(level: Level) -> Self {
        let command = Command::Raise { level };
        Self {
            class: command.class(),
            body: command.encode().freeze(),
        }
    }

    /// The log's clock goes on.
    pub fn for_clock() -> Self {
        Self {
            class: Class::Write,
            body: Command::Clock.encode().freeze(),
        }
    }

    /// The level that the encoded command `body` brings into force.
    pub fn raises_to(body: &[u8]) -> Option<Level> {
        match *body {
            [BODY_VERSION, codec::RAISE, level] => Some(Level::new(level)),
            _ => None,
        }
    }

    /// Changes the membership table.
    pub fn to_change_members(change: &MemberChange) -> Self {
        let change = change.encode();
        let command = Command::Member { change: &change };
        Self {
            class: command.class(),
            body: command.encode().freeze(),
        }
    }

    /// The change of the membership table that the encoded command `body` is.
    pub fn member_change(body: &[u8]) -> Option<MemberChange> {
        match body {
            [BODY_VERSION, codec::MEMBER, change @ ..] => MemberChange::decode(change),
            _ => None,
        }
    }

    /// The level that a node has to support to be sent this request.
    pub fn known_from(&self) -> Level {
        match Self::raises_to(&self.body) {
            Some(_) => Level::FLUSH,
            None => self.takes_level(),
        }
    }

    /// The level that has to be in force before this request may be appended. (Every write comes by here, so only its
    /// opcode is looked at.)
    pub fn takes_level(&self) -> Level {
        Self::level_of(&self.body)
    }

    /// The same, of the encoded command `body`.
    pub fn level_of(body: &[u8]) -> Level {
        let inner = match body {
            [BODY_VERSION, once::ONCE, rest @ ..] => rest.get(once::NUMBERED_BYTES..),
            _ => None,
        };
        let inner = inner.map_or(Level::FIRST, Self::level_of_plain);
        Self::level_of_plain(body).max(inner)
    }

    /// The same, whatever is numbered in it.
    fn level_of_plain(body: &[u8]) -> Level {
        match *body {
            [BODY_VERSION, codec::FLUSH_ALL | codec::MEMBER, ..] => Level::FLUSH,
            [BODY_VERSION, data_body::DATA, ..] => Level::DATA,
            [BODY_VERSION, codec::BLOCK | codec::MODIFIED | codec::VERSION, ..] => Level::BLOCK,
            [BODY_VERSION, once::ONCE..=once::SET_LIMIT | once::LIMITS, ..] => Level::SESSION,
            [BODY_VERSION, script::RUN..=script::FLUSH | script::EXIST, ..] => Level::SCRIPT,
            [BODY_VERSION, codec::CLOCK..=timed::LEFT | timed::DEADLINE, ..] => Level::EXPIRY,
            _ => Level::FIRST,
        }
    }

    /// Asks how far the state is: an index that covers every write acknowledged before.
    pub fn for_index() -> Self {
        Self {
            class: Class::Read,
            body: Command::Index.encode().freeze(),
        }
    }

    /// True for [`Self::for_index`].
    pub fn asks_for_index(&self) -> bool {
        matches!(*self.body, [BODY_VERSION, codec::INDEX])
    }

    /// Carries out the commands with these bodies as one, if each of the keys was last changed at its index.
    ///
    /// # Errors
    ///
    /// With the reply to give when that is too large for one entry.
    ///
    /// # Panics
    ///
    /// When one of the bodies is none that a block may have.
    pub fn to_run_block(watches: &BTreeMap<Bytes, LogIndex>, bodies: &[Bytes]) -> Result<Self, Reply> {
        let of_index = |index: &LogIndex| Bytes::copy_from_slice(&index.get().to_le_bytes());
        let pairs = watches.iter().map(|(key, index)| [key.clone(), of_index(index)]);
        let watches: Vec<Bytes> = pairs.flatten().collect();
        let block = Block::new(Args::sent(&watches), Args::sent(bodies));
        Self::encode(&Command::Block(
            block.expect("they were parsed from what clients ask"),
        ))
    }

    /// True for what a block may have.
    pub fn may_be_in_block(&self) -> bool {
        codec::is_about_keys(&self.body)
    }

    /// Asks when each of these keys was last changed.
    ///
    /// # Errors
    ///
    /// With the reply to give when that is too large.
    pub fn for_modified(keys: &[Bytes]) -> Result<Self, Reply> {
        let keys = Args::sent(keys);
        Self::encode(&Command::Modified { keys })
    }

    /// The request for `command`.
    ///
    /// # Errors
    ///
    /// With the reply to give when the command is too large for one entry.
    pub fn encode(command: &Command<'_>) -> Result<Self, Reply> {
        let body = command.encode().freeze();
        if body.len() > PAYLOAD_BYTES_MAX {
            let text = format!("ERR the command is larger than {PAYLOAD_BYTES_MAX} bytes; nothing was done");
            return Err(Reply::Error(text));
        }
        Ok(Self {
            class: command.class(),
            body,
        })
    }
}

/// What a client's command turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// For the state machine, through the replica.
    Replicated(Request),
    /// About what the connection does as one.
    Transaction(TransactionCommand),
    /// For the node itself.
    Local(Local),
    /// For the node itself, from this project's own tools.
    Own(OwnCommand),
}

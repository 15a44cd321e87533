//! The state machine: what committed entries do to the key space and the streams.
//!
//! Invariant: a pure function of the entries in order. No clock, no randomness, no hash order. An error
//! reply means that the entry changed nothing. What an entry does follows from the level in the state (`crate::level`).

mod digest;
mod image;
mod keys;
mod members;
mod reply;
mod stream;
mod streams;
mod strings;
mod text;

use noraft::LogIndex;

use self::keys::Keys;
use crate::level::Level;
use crate::protocol::command::{Class, Command, MemberChange, Request};
use crate::protocol::resp::Reply;
use crate::time::Stamp;

pub use self::image::{CHUNK_BYTES, Restoring};
pub use self::members::Members;
pub use self::reply::REPLY_BYTES_MAX;
pub use self::strings::VALUE_BYTES_MAX;

/// The replicated state. A clone takes no time and no room: it shares everything with the original, and each
/// change copies the few places that it touches.
#[derive(Debug, Clone)]
pub struct Machine {
    applied_index: LogIndex,
    level: Level,
    members: Members,
    keys: Keys,
}

impl Machine {
    /// The state before the first entry.
    pub fn new() -> Self {
        Self {
            applied_index: LogIndex::ZERO,
            level: Level::FIRST,
            members: Members::default(),
            keys: Keys::default(),
        }
    }

    /// Applies the command in the entry at `index` and gives its reply.
    ///
    /// Deterministic for any bytes: what does not decode, or takes a higher level, changes nothing and answers an error.
    ///
    /// # Panics
    ///
    /// When `index` was applied before.
    pub fn apply(&mut self, index: LogIndex, stamp: Stamp, body: &[u8]) -> Reply {
        self.advance(index);
        match Command::decode(body) {
            Some(Command::Raise { level }) => {
                self.level = self.level.max(level);
                Reply::Integer(i64::from(self.level.get()))
            }
            Some(Command::FlushAll | Command::Member { .. }) if self.level < Level::FLUSH => undecodable(),
            Some(Command::Member { change }) => {
                let change = MemberChange::decode(change).expect("what holds it was decoded");
                self.members.apply(change)
            }
            Some(command) => execute(&mut self.keys, stamp, &command),
            None => undecodable(),
        }
    }

    /// False when only a later version knows what the entry does. At level 0 it is applied all the same, as the first release
    /// does, unless it brings a level that this version does not support.
    pub fn knows(&self, body: &[u8]) -> bool {
        match self.level {
            Level::FIRST => Request::raises_to(body).is_none_or(|level| level <= Level::SUPPORTED),
            level if level > Level::SUPPORTED => false,
            _ => match Command::decode(body) {
                Some(Command::Raise { level }) => level <= Level::SUPPORTED,
                command => command.is_some(),
            },
        }
    }

    /// Notes that the entry at `index`, which is no command, was applied.
    ///
    /// # Panics
    ///
    /// When `index` was applied before.
    pub fn advance(&mut self, index: LogIndex) {
        assert!(
            index > self.applied_index,
            "{index:?} comes after {:?}",
            self.applied_index
        );
        self.applied_index = index;
    }

    /// Answers a command that only reads; any other gets an error.
    pub fn query(&self, body: &[u8]) -> Reply {
        match Command::decode(body) {
            Some(Command::Index) => {
                Reply::Integer(i64::try_from(self.applied_index.get()).unwrap_or(i64::MAX))
            }
            Some(command) => read(&self.keys, &command).unwrap_or_else(|| {
                Reply::Error("ERR a command that writes cannot be answered as a read".to_owned())
            }),
            None => undecodable(),
        }
    }

    /// A digest of keys, values and streams: equal states have equal digests, in every process and version.
    /// Costs nothing: each change has kept it.
    pub fn state_hash(&self) -> u64 {
        self.keys.digest().wrapping_add(self.cluster_sum())
    }

    /// What [`Self::state_hash`] has to be, from the whole state as it is in memory now.
    pub fn read_state_hash(&self) -> u64 {
        self.keys.read_digest().wrapping_add(self.cluster_sum())
    }

    /// What level and members contribute to the digest: nothing at level 0.
    fn cluster_sum(&self) -> u64 {
        let level = u64::from(self.level.get()).wrapping_mul(LEVEL_FACTOR);
        level.wrapping_add(self.members.digest())
    }

    /// The membership table.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The same state in a cluster that is begun with it: its members are its own.
    pub fn without_members(&self) -> Self {
        Self {
            members: Members::default(),
            ..self.clone()
        }
    }

    /// The level in force.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The last index applied.
    pub fn applied_index(&self) -> LogIndex {
        self.applied_index
    }

    /// Number of keys.
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

fn execute(keys: &mut Keys, stamp: Stamp, command: &Command<'_>) -> Reply {
    match *command {
        Command::Set {
            key,
            value,
            condition,
            get,
        } => strings::set(keys, key, value, condition, get),
        Command::Del { keys: names } => keys::del(keys, names),
        Command::MSet { pairs } => strings::mset(keys, pairs),
        Command::IncrBy { key, delta } => strings::incr_by(keys, key, delta),
        Command::FlushAll => {
            *keys = Keys::default();
            Reply::Status("OK")
        }
        Command::Append { key, value } => strings::append(keys, key, value),
        Command::XAdd {
            key,
            create,
            id,
            fields,
        } => streams::add(keys, stamp, key, create, id, fields),
        Command::Get { .. }
        | Command::Exists { .. }
        | Command::MGet { .. }
        | Command::StrLen { .. }
        | Command::Type { .. }
        | Command::XLen { .. }
        | Command::XRange { .. }
        | Command::XRead { .. } => read(keys, command).expect("exactly these commands read"),
        // It asks about the state, and is no part of its history.
        Command::Index => undecodable(),
        Command::Raise { .. } | Command::Member { .. } => unreachable!("the machine takes them before"),
    }
}

/// Answers a command that reads; `None` for one that writes.
fn read(keys: &Keys, command: &Command<'_>) -> Option<Reply> {
    let reply = match *command {
        Command::Get { key } => strings::get(keys, key),
        Command::Exists { keys: names } => keys::exists(keys, names),
        Command::MGet { keys: names } => strings::mget(keys, names),
        Command::StrLen { key } => strings::strlen(keys, key),
        Command::Type { key } => keys::type_of(keys, key),
        Command::XLen { key } => streams::len(keys, key),
        Command::XRange {
            key,
            first,
            last,
            reverse,
            limit,
        } => streams::range(keys, key, first..=last, reverse, limit),
        Command::XRead { count, streams } => streams::read(keys, count, streams),
        Command::Set { .. }
        | Command::Del { .. }
        | Command::MSet { .. }
        | Command::IncrBy { .. }
        | Command::FlushAll
        | Command::Raise { .. }
        | Command::Member { .. }
        | Command::Append { .. }
        | Command::XAdd { .. } => {
            debug_assert_eq!(command.class(), Class::Write);
            return None;
        }
        Command::Index => return None,
    };
    debug_assert_eq!(command.class(), Class::Read);
    Some(reply)
}

fn undecodable() -> Reply {
    Reply::Error(
        "ERR the command is in an encoding that this version does not know; nothing was done".to_owned(),
    )
}

/// An odd number without a pattern, so that a level looks like no key.
const LEVEL_FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

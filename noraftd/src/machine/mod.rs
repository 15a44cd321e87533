//! The state machine: what committed entries do to the key space and the streams.
//!
//! Invariant: a pure function of the entries in order. No clock, no randomness, no hash order. An error
//! reply means that the entry changed nothing. What an entry does follows from the level in the state (`crate::level`).
//! Time is the greatest stamp of the entries so far: a key goes when that reaches its deadline, and no answer looks at a clock.

#[cfg(test)]
mod asked;
mod block;
mod common;
mod deadlines;
mod digest;
mod expiry;
mod hash;
mod hashes;
mod image;
mod keys;
mod keyspace;
mod limits;
mod list;
mod lists;
mod members;
mod names;
mod ranked;
mod reply;
mod script;
mod scripts;
mod sessions;
mod set;
mod sets;
mod sorted;
mod sorted_commands;
mod stream;
mod streams;
mod strings;
mod table;
mod text;
mod value;

use noraft::LogIndex;

use self::keys::Keys;
use self::limits::Limits;
use self::reply::length;
use self::scripts::Scripts;
use self::sessions::{Known, Sessions, print_of};
use self::strings::Setting;
use crate::level::Level;
use crate::protocol::command::{
    Class, Command, DataCommand, MemberChange, Numbered, Request, ScriptCommand, SessionCommand, Timed,
};
use crate::protocol::outcome::{Outcome, Refusal};
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
    /// Boxed, as the sessions are: a state is passed on from hand to hand.
    limits: Box<Limits>,
    sessions: Box<Sessions>,
    scripts: Box<Scripts>,
    keys: Keys,
}

/// What a command changes, and what decides what it does.
struct Applying<'a> {
    keys: &'a mut Keys,
    scripts: &'a mut Scripts,
    limits: &'a Limits,
    level: Level,
    stamp: Stamp,
}

impl Machine {
    /// The state before the first entry.
    pub fn new() -> Self {
        Self {
            applied_index: LogIndex::ZERO,
            level: Level::FIRST,
            members: Members::default(),
            limits: Box::default(),
            sessions: Box::default(),
            scripts: Box::default(),
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
        self.advance(index, stamp);
        match Command::decode(body) {
            Some(Command::Raise { level }) => {
                if self.level < Level::BLOCK && level >= Level::BLOCK {
                    self.keys.keep_modified(index);
                }
                self.level = self.level.max(level);
                Reply::Integer(i64::from(self.level.get()))
            }
            Some(_) if Request::level_of(body) > self.level => below_level(),
            Some(Command::Member { change }) => {
                let change = MemberChange::decode(change).expect("what holds it was decoded");
                self.members.apply(change)
            }
            Some(Command::Session(command)) => self.about_sessions(index, stamp, command),
            Some(command) => execute(&mut self.applying(stamp), &command, 0),
            None => undecodable(),
        }
    }

    fn applying(&mut self, stamp: Stamp) -> Applying<'_> {
        Applying {
            keys: &mut self.keys,
            scripts: &mut self.scripts,
            limits: &self.limits,
            level: self.level,
            stamp,
        }
    }

    fn about_sessions(&mut self, index: LogIndex, stamp: Stamp, command: SessionCommand<'_>) -> Reply {
        let now = self.keys.clock();
        match command {
            SessionCommand::Open => self.sessions.open(index, now, &self.limits),
            SessionCommand::Once(numbered, body) => self.once(stamp, numbered, body),
            SessionCommand::SetLimit(limit, value) => {
                self.limits.set(limit, value);
                Reply::Status("OK")
            }
            SessionCommand::Limits => self.limits.reply(),
        }
    }

    /// Carries out a command of a session, unless it was carried out before. What a block depends on is no part of what is asked: who
    /// asks again has watched again.
    fn once(&mut self, stamp: Stamp, numbered: Numbered, body: &[u8]) -> Reply {
        let Some(command) = Command::decode(body) else {
            return undecodable();
        };
        let print = match command {
            // A block of one command is not that command.
            Command::Block(block) => print_of(block.bodies().chain([&b"EXEC"[..]])),
            _ => print_of([body].into_iter()),
        };
        let now = self.keys.clock();
        match self.sessions.look(numbered, print, now, &self.limits) {
            Known::Answered(reply) => reply,
            Known::New => {
                let reply = execute(&mut self.applying(stamp), &command, 0);
                self.sessions.keep(numbered, print, &reply, now, &self.limits);
                reply
            }
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

    /// Notes that the entry at `index` is applied, and with it that its time has come: keys go, and what is left of some of
    /// them is removed.
    ///
    /// # Panics
    ///
    /// When `index` was applied before.
    pub fn advance(&mut self, index: LogIndex, stamp: Stamp) {
        assert!(
            index > self.applied_index,
            "{index:?} comes after {:?}",
            self.applied_index
        );
        self.applied_index = index;
        if self.level >= Level::BLOCK {
            self.keys.begin_entry(index);
        }
        self.keys.advance(stamp);
        self.keys.sweep(SWEPT_KEYS_MAX);
        if !self.sessions.is_empty() {
            self.sessions.trim(self.keys.clock(), &self.limits, None);
        }
    }

    /// Answers a command that only reads; any other gets an error. What is drawn is the same as long as the state is.
    pub fn query(&self, body: &[u8]) -> Reply {
        self.query_drawing(body, 0)
    }

    /// The same; what is drawn differs from one `number` to the next.
    pub fn query_drawing(&self, body: &[u8], number: u64) -> Reply {
        match Command::decode(body) {
            Some(Command::Index) => {
                Reply::Integer(i64::try_from(self.applied_index.get()).unwrap_or(i64::MAX))
            }
            Some(_) if Request::level_of(body) > self.level => below_level(),
            Some(Command::Session(SessionCommand::Limits)) => self.limits.reply(),
            Some(Command::Script(ScriptCommand::Exist(names))) => self.scripts.exist(names),
            Some(command) => read(&self.keys, &command, self.keys.seed(number)).unwrap_or_else(|| {
                Reply::Error("ERR a command that writes cannot be answered as a read".to_owned())
            }),
            None => undecodable(),
        }
    }

    /// A digest of keys, values and streams: equal states have equal digests, in every process and version.
    /// Costs nothing: each change has kept it.
    pub fn state_hash(&self) -> u64 {
        let sessions = self.sessions.digest().wrapping_add(self.scripts.digest());
        self.keys
            .digest()
            .wrapping_add(sessions)
            .wrapping_add(self.cluster_sum())
    }

    /// What [`Self::state_hash`] has to be, from the whole state as it is in memory now.
    pub fn read_state_hash(&self) -> u64 {
        let sessions = self
            .sessions
            .read_digest()
            .wrapping_add(self.scripts.read_digest());
        self.keys
            .read_digest()
            .wrapping_add(sessions)
            .wrapping_add(self.cluster_sum())
    }

    /// What level, time, members and limits contribute to the digest: nothing at level 0.
    fn cluster_sum(&self) -> u64 {
        let level = u64::from(self.level.get()).wrapping_mul(LEVEL_FACTOR);
        let clock = match self.level {
            Level::FIRST => 0,
            _ => self.keys.clock().as_millis().wrapping_mul(CLOCK_FACTOR),
        };
        [clock, self.members.digest(), self.limits.digest()]
            .into_iter()
            .fold(level, u64::wrapping_add)
    }

    /// The membership table.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The same state in a cluster that is begun with it: its members are its own, and so are its sessions, which its entries name.
    pub fn without_members(&self) -> Self {
        Self {
            members: Members::default(),
            sessions: Box::default(),
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

    /// Number of keys, with those that are gone and not removed yet.
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Number of those that go at some time.
    pub fn expiring_count(&self) -> usize {
        self.keys.expiring()
    }

    /// Number of sessions.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// The greatest stamp of the entries so far.
    pub fn clock(&self) -> Stamp {
        self.keys.clock()
    }

    /// When the first of them goes. One whose time has come is not removed yet.
    pub fn next_deadline(&self) -> Option<Stamp> {
        self.keys.next_deadline()
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

/// Carries out a command, which is at this place of the entry.
fn execute(state: &mut Applying<'_>, command: &Command<'_>, place: u64) -> Reply {
    let (keys, stamp) = (&mut *state.keys, state.stamp);
    match *command {
        Command::Set {
            key,
            value,
            condition,
            get,
            expiry,
        } => {
            let setting = Setting {
                condition,
                get,
                expiry,
            };
            strings::set(keys, key, value, setting)
        }
        Command::Timed { key, command } => timed(keys, key, command),
        Command::Block(commands) => block::run(state, commands),
        Command::Script(command) => script::run(state, command, place),
        Command::Data(data) => execute_data(keys, data.command(), place),
        Command::Clock => Reply::Status("OK"),
        Command::Del { keys: names } => keys::del(keys, names),
        Command::MSet { pairs } => strings::mset(keys, pairs),
        Command::IncrBy { key, delta } => strings::incr_by(keys, key, delta),
        Command::FlushAll => {
            keys.clear();
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
        | Command::Modified { .. }
        | Command::Version { .. }
        | Command::XRead { .. } => read(keys, command, 0).expect("exactly these commands read"),
        // It asks about the state, and is no part of its history.
        Command::Index => undecodable(),
        Command::Raise { .. } | Command::Member { .. } | Command::Session(_) => {
            unreachable!("the machine takes them before")
        }
    }
}

fn execute_data(keys: &mut Keys, command: DataCommand<'_>, place: u64) -> Reply {
    let seed = keys.draw(place);
    match command {
        DataCommand::Hash(key, command) => hashes::execute(keys, key, command, seed),
        DataCommand::Set(key, command) => sets::execute(keys, key, command, seed),
        DataCommand::Sets(command) => sets::of_several(keys, command),
        DataCommand::Sorted(key, command) => sorted_commands::execute(keys, key, command, seed),
        DataCommand::SortedSets(command) => sorted_commands::execute_several(keys, command),
        DataCommand::List(key, command) => lists::execute(keys, key, command),
        DataCommand::Key(key, command) => keyspace::execute(keys, key, command),
        DataCommand::SetMissing(pairs) => keyspace::set_missing(keys, pairs),
        DataCommand::Size | DataCommand::Names(_) | DataCommand::AnyName => read_data(keys, command, seed),
        DataCommand::PopLists {
            keys: names,
            side,
            count,
        } => lists::pop_first(keys, names, side, count),
    }
}

fn read_data(keys: &Keys, command: DataCommand<'_>, seed: u64) -> Reply {
    match command {
        DataCommand::Hash(key, command) => hashes::read(keys, key, command, seed),
        DataCommand::Set(key, command) => sets::read(keys, key, command, seed),
        DataCommand::Sets(command) => sets::of_several(keys, command),
        DataCommand::Sorted(key, command) => sorted_commands::read(keys, key, command, seed),
        DataCommand::SortedSets(command) => sorted_commands::read_several(keys, command),
        DataCommand::List(key, command) => lists::read(keys, key, command),
        DataCommand::Key(key, command) => keyspace::read(keys, key, command),
        DataCommand::Size => length(keys.count()),
        DataCommand::Names(pattern) => names::matching(keys, pattern),
        DataCommand::AnyName => names::any(keys, seed),
        DataCommand::SetMissing(_) | DataCommand::PopLists { .. } => unreachable!("it writes"),
    }
}

fn timed(keys: &mut Keys, key: &[u8], command: Timed<'_>) -> Reply {
    match command {
        Timed::Expire(when, condition) => expiry::expire(keys, key, when, condition),
        Timed::Persist => expiry::persist(keys, key),
        Timed::GetEx(when) => strings::get_and_expire(keys, key, when),
        Timed::GetDel => strings::get_and_delete(keys, key),
        Timed::SetNx(value) => strings::set_missing(keys, key, value),
        Timed::Left(unit) => expiry::time_left(keys, key, unit),
        Timed::Deadline(unit) => expiry::deadline(keys, key, unit),
    }
}

/// Answers a command that reads; `None` for one that writes. `seed` is where what is drawn comes from.
fn read(keys: &Keys, command: &Command<'_>, seed: u64) -> Option<Reply> {
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
        Command::Modified { keys: names } => block::modified(keys, names),
        Command::Version { key } => block::version(keys, key),
        Command::Block(commands) => return block::read(keys, commands, seed),
        Command::Data(data) if command.class() == Class::Read => read_data(keys, data.command(), seed),
        Command::Set { .. }
        | Command::Del { .. }
        | Command::MSet { .. }
        | Command::IncrBy { .. }
        | Command::FlushAll
        | Command::Raise { .. }
        | Command::Member { .. }
        | Command::Clock
        | Command::Append { .. }
        | Command::XAdd { .. } => {
            debug_assert_eq!(command.class(), Class::Write);
            return None;
        }
        Command::Timed {
            key,
            command: Timed::Deadline(unit),
        } => expiry::deadline(keys, key, unit),
        Command::Timed { .. }
        | Command::Data(_)
        | Command::Index
        | Command::Session(_)
        | Command::Script(_) => return None,
    };
    debug_assert_eq!(command.class(), Class::Read);
    Some(reply)
}

fn below_level() -> Reply {
    Outcome::Refused(Refusal::LevelTooLow).into_reply()
}

fn undecodable() -> Reply {
    Reply::Error(
        "ERR the command is in an encoding that this version does not know; nothing was done".to_owned(),
    )
}

/// An odd number without a pattern, so that a level looks like no key.
const LEVEL_FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
/// The same, for the time.
const CLOCK_FACTOR: u64 = 0xd1b5_4a32_d192_ed03;

/// So many keys that are gone are removed by one entry. It decides what a state holds, so it belongs to the level.
const SWEPT_KEYS_MAX: usize = 1000;

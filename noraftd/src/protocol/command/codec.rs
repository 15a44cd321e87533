//! The commands of the state machine and their encoding in entries and forwarded requests.
//!
//! A body is a version (u8, 1), an opcode (u8) and the fields below. `bytes` is a length (u32) and that many
//! bytes; `list` is [`Args`]; `id` is two u64; everything is little-endian and nothing may follow.
//!
//! | opcode | command | fields |
//! |-|-|-|
//! | 1 | SET | flags u8 (bit 0: GET; bits 1-2: 0 always, 1 NX, 2 XX, 3 IFEQ), key bytes, value bytes, IFEQ only: expected bytes |
//! | 2 | DEL | keys list |
//! | 3 | MSET | list of keys and values in turn |
//! | 4 | INCRBY | key bytes, delta i64 |
//! | 5 | APPEND | key bytes, value bytes |
//! | 6 | XADD | create u8 (0: NOMKSTREAM), id request u8 (0 `*`, 1 `ms-*`, 2 explicit) and id, key bytes, list of fields and values in turn |
//! | 7 | FLUSHALL (where it is allowed; from level 1 on) | none |
//! | 8 | a level comes into force, if it is higher than that in force (a leader appends it when every member supports it) | level u8 |
//! | 9 | the log's clock goes on: nothing but the stamp of its entry (a leader appends it when a key is due; from level 1 on, as all up to 16) | none |
//! | 10 | SET with an expiry | flags u8 as for 1, [`Expiry`], key bytes, value bytes, IFEQ only: expected bytes |
//! | 11 | EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT | [`Expiry`] (after or at), [`ExpiryCondition`], key bytes |
//! | 12 | PERSIST | key bytes |
//! | 13 | GETEX that changes the expiry | [`Expiry`] (not keep), key bytes |
//! | 14 | GETDEL | key bytes |
//! | 15 | SETNX | value bytes, key bytes |
//! | 16 | TTL, PTTL: through the log, for the time is that of the entry | milliseconds u8, key bytes |
//! | 32 | the membership table changes (from level 1 on) | a change (`member.rs`) |
//! | 33 | a block of commands, or of reads (from level 1 on) | [`Block`] |
//! | 34 to 36, 75 | sessions and limits (from level 1 on) | `once.rs` |
//! | 37 to 39, 77 | scripts (from level 1 on) | `script.rs` |
//! | 48 | a command on hashes, sets, sorted sets or lists, and some on keys (from level 1 on) | `data_body.rs`: its number u8, list of its arguments |
//! | 64 | GET | key bytes |
//! | 65 | EXISTS | keys list |
//! | 66 | MGET | keys list |
//! | 67 | STRLEN | key bytes |
//! | 68 | TYPE | key bytes |
//! | 69 | XLEN | key bytes |
//! | 70 | XRANGE | reverse u8, first id, last id, limit (u8 0 none, 1 with a u64), key bytes |
//! | 71 | XREAD | count u64 (0: all), list of keys and, in turn, 16 bytes of id or none for `$` |
//! | 72 | how far the state is that answers; for nodes that announce `READ_INDEX` | none |
//! | 73 | EXPIRETIME, PEXPIRETIME; from level 1 on | milliseconds u8, key bytes |
//! | 76 | NORAFT.VERSION; from level 1 on | key bytes |
//! | 74 | for each key the index at which it was last changed; from level 1 on | keys list |
//!
//! Invariant: one command has one encoding; decoding is total and accepts nothing else.

use bytes::{BufMut, BytesMut};

use super::args::{LENGTH_BYTES, put_bytes};
use super::streams::ID_BYTES;
use super::{
    Args, Block, Class, Data, Expiry, MemberChange, ScriptCommand, SessionCommand, SetCondition, StreamId,
    StreamIdRequest, Streams, Timed, data_body, once, script, set,
};
use crate::level::Level;
use crate::protocol::read::Reader;

/// The version that every body starts with.
pub const BODY_VERSION: u8 = 1;

/// The opcode of [`Command::FlushAll`].
pub(super) const FLUSH_ALL: u8 = 7;
/// The opcode of [`Command::Raise`].
pub(super) const RAISE: u8 = 8;
/// The opcode of [`Command::Member`].
pub(super) const MEMBER: u8 = 32;
/// The opcode of [`Command::Clock`].
pub(super) const CLOCK: u8 = 9;
/// The opcode of [`Command::Block`].
pub(super) const BLOCK: u8 = 33;
/// The opcode of [`Command::Modified`].
pub(super) const MODIFIED: u8 = 74;
/// The opcode of [`Command::Version`].
pub(super) const VERSION: u8 = 76;
/// The opcode of [`Command::Index`].
pub(super) const INDEX: u8 = 72;

/// A command of the state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field is what the synopsis of its command names")]
pub enum Command<'a> {
    /// `SET key value [NX | XX | IFEQ expected] [GET] [expiry]`, and `GETSET`, `SETEX`, `PSETEX`.
    Set {
        key: &'a [u8],
        value: &'a [u8],
        condition: SetCondition<'a>,
        get: bool,
        expiry: Expiry,
    },
    /// `DEL key...`
    Del { keys: Args<'a> },
    /// `MSET key value...`; an even number of arguments.
    MSet { pairs: Args<'a> },
    /// `INCRBY key delta`, and `INCR`, `DECR`, `DECRBY`.
    IncrBy { key: &'a [u8], delta: i64 },
    /// Removes every key.
    FlushAll,
    /// A level comes into force.
    Raise { level: Level },
    /// The membership table changes; `change` is an encoded [`MemberChange`].
    Member { change: &'a [u8] },
    /// The log's clock goes on.
    Clock,
    /// Something about when a key goes, or that came with those commands.
    Timed { key: &'a [u8], command: Timed<'a> },
    /// `APPEND key value`
    Append { key: &'a [u8], value: &'a [u8] },
    /// `XADD key [NOMKSTREAM] id field value...`; `create` unless `NOMKSTREAM`; an even number of fields.
    XAdd {
        key: &'a [u8],
        create: bool,
        id: StreamIdRequest,
        fields: Args<'a>,
    },
    /// `GET key`
    Get { key: &'a [u8] },
    /// `EXISTS key...`
    Exists { keys: Args<'a> },
    /// `MGET key...`
    MGet { keys: Args<'a> },
    /// `STRLEN key`
    StrLen { key: &'a [u8] },
    /// `TYPE key`
    Type { key: &'a [u8] },
    /// `XLEN key`
    XLen { key: &'a [u8] },
    /// `XRANGE key first last [COUNT limit]`, and `XREVRANGE`; both ends are included.
    XRange {
        key: &'a [u8],
        first: StreamId,
        last: StreamId,
        reverse: bool,
        limit: Option<u64>,
    },
    /// `XREAD [COUNT count] STREAMS key... id...`; a count of zero is none.
    XRead { count: u64, streams: Streams<'a> },
    /// `NORAFT.INDEX`: how far the state is that answers.
    Index,
    /// What `EXEC` carries out.
    Block(Block<'a>),
    /// A command on hashes, sets, sorted sets or lists, or on keys whatever they hold.
    Data(Data<'a>),
    /// Something about scripts.
    Script(ScriptCommand<'a>),
    /// Something about sessions, or the limits of the state.
    Session(SessionCommand<'a>),
    /// `NORAFT.VERSION key`: the index at which it was last changed, 0 when it does not exist.
    Version { key: &'a [u8] },
    /// What `WATCH` keeps: for each key the index at which it was last changed, 0 when it does not exist.
    Modified { keys: Args<'a> },
}

impl<'a> Command<'a> {
    /// How it has to be executed.
    pub fn class(&self) -> Class {
        match self {
            Self::Set { .. }
            | Self::Del { .. }
            | Self::MSet { .. }
            | Self::IncrBy { .. }
            | Self::Append { .. }
            | Self::FlushAll
            | Self::Raise { .. }
            | Self::Member { .. }
            | Self::Clock
            | Self::XAdd { .. } => Class::Write,
            Self::Get { .. }
            | Self::Exists { .. }
            | Self::MGet { .. }
            | Self::StrLen { .. }
            | Self::Type { .. }
            | Self::XLen { .. }
            | Self::XRange { .. }
            | Self::XRead { .. }
            | Self::Modified { .. }
            | Self::Version { .. }
            | Self::Index => Class::Read,
            Self::Timed { command, .. } => command.class(),
            Self::Data(data) => data.class(),
            Self::Block(block) => block.class(class_of),
            Self::Session(command) => command.class(),
            Self::Script(command) => command.class(),
        }
    }

    /// Decodes an encoded command; `None` when the bytes are not one.
    pub fn decode(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        if reader.u8()? != BODY_VERSION {
            return None;
        }
        let opcode = reader.u8()?;
        let command = Self::decode_fields(opcode, &mut reader)?;
        reader.end()?;
        Some(command)
    }

    fn decode_fields(opcode: u8, reader: &mut Reader<'a>) -> Option<Self> {
        Some(match opcode {
            set::PLAIN => Self::set(set::decode(reader, false)?),
            2 => Self::Del {
                keys: some_of(Args::read(reader)?)?,
            },
            3 => Self::MSet {
                pairs: paired(Args::read(reader)?)?,
            },
            4 => Self::IncrBy {
                key: reader.bytes()?,
                delta: reader.i64()?,
            },
            5 => Self::Append {
                key: reader.bytes()?,
                value: reader.bytes()?,
            },
            6 => {
                let (create, id) = (reader.bool()?, StreamIdRequest::read(reader)?);
                Self::XAdd {
                    create,
                    id,
                    key: reader.bytes()?,
                    fields: paired(Args::read(reader)?)?,
                }
            }
            FLUSH_ALL => Self::FlushAll,
            RAISE => Self::Raise {
                level: Level::new(reader.u8()?),
            },
            MEMBER => {
                let change = reader.take(reader.rest().len())?;
                MemberChange::decode(change)?;
                Self::Member { change }
            }
            CLOCK => Self::Clock,
            set::TIMED => Self::set(set::decode(reader, true)?),
            data_body::DATA => Self::Data(Data::read(reader)?),
            64..=71 | INDEX | VERSION | MODIFIED => Self::decode_read(opcode, reader)?,
            BLOCK => Self::Block(Block::read(reader).filter(|block| {
                block
                    .bodies()
                    .all(|body| is_about_keys(body) && class_of(body).is_some())
            })?),
            once::ONCE..=once::SET_LIMIT | once::LIMITS => {
                Self::Session(SessionCommand::read(opcode, reader, |body| {
                    may_be_numbered(body) && class_of(body).is_some()
                })?)
            }
            script::RUN..=script::FLUSH | script::EXIST => Self::Script(ScriptCommand::read(opcode, reader)?),
            other => {
                let command = Timed::read(other, reader)?;
                Self::Timed {
                    key: reader.bytes()?,
                    command,
                }
            }
        })
    }

    /// The fields of one that reads.
    fn decode_read(opcode: u8, reader: &mut Reader<'a>) -> Option<Self> {
        Some(match opcode {
            64 => Self::Get { key: reader.bytes()? },
            65 => Self::Exists {
                keys: some_of(Args::read(reader)?)?,
            },
            66 => Self::MGet {
                keys: some_of(Args::read(reader)?)?,
            },
            67 => Self::StrLen { key: reader.bytes()? },
            68 => Self::Type { key: reader.bytes()? },
            69 => Self::XLen { key: reader.bytes()? },
            INDEX => Self::Index,
            VERSION => Self::Version { key: reader.bytes()? },
            MODIFIED => Self::Modified {
                keys: some_of(Args::read(reader)?)?,
            },
            70 => decode_range(reader)?,
            71 => Self::XRead {
                count: reader.u64()?,
                streams: Streams::new(some_of(Args::read(reader)?)?)?,
            },
            _ => return None,
        })
    }

    fn set((key, value, (condition, get, expiry)): set::Fields<'a>) -> Self {
        Self::Set {
            key,
            value,
            condition,
            get,
            expiry,
        }
    }

    /// The command's only encoding.
    pub fn encode(&self) -> BytesMut {
        let mut out = BytesMut::with_capacity(self.encoded_bytes_about());
        out.put_u8(BODY_VERSION);
        match *self {
            Self::Set {
                key,
                value,
                condition,
                get,
                expiry,
            } => set::encode((key, value, (condition, get, expiry)), &mut out),
            Self::Del { keys } => list(2, keys, &mut out),
            Self::MSet { pairs } => list(3, pairs, &mut out),
            Self::IncrBy { key, delta } => {
                one_key(4, key, &mut out);
                out.put_i64_le(delta);
            }
            Self::Append { key, value } => {
                one_key(5, key, &mut out);
                put_bytes(value, &mut out);
            }
            Self::XAdd {
                key,
                create,
                id,
                fields,
            } => encode_add(key, create, id, fields, &mut out),
            Self::FlushAll => out.put_u8(FLUSH_ALL),
            Self::Raise { level } => out.extend_from_slice(&[RAISE, level.get()]),
            Self::Member { change } => {
                out.put_u8(MEMBER);
                out.extend_from_slice(change);
            }
            Self::Clock => out.put_u8(CLOCK),
            Self::Timed { key, command } => {
                command.write(&mut out);
                put_bytes(key, &mut out);
            }
            Self::Get { key } => one_key(64, key, &mut out),
            Self::Exists { keys } => list(65, keys, &mut out),
            Self::MGet { keys } => list(66, keys, &mut out),
            Self::StrLen { key } => one_key(67, key, &mut out),
            Self::Type { key } => one_key(68, key, &mut out),
            Self::XLen { key } => one_key(69, key, &mut out),
            Self::Version { key } => one_key(VERSION, key, &mut out),
            Self::Index => out.put_u8(INDEX),
            Self::Block(block) => {
                out.put_u8(BLOCK);
                block.write(&mut out);
            }
            Self::Data(data) => data.write(&mut out),
            Self::Session(command) => command.write(&mut out),
            Self::Script(command) => command.write(&mut out),
            Self::Modified { keys } => list(MODIFIED, keys, &mut out),
            Self::XRange {
                key,
                first,
                last,
                reverse,
                limit,
            } => encode_range(key, (first, last), reverse, limit, &mut out),
            Self::XRead { count, streams } => {
                out.put_u8(71);
                out.put_u64_le(count);
                streams.args().write(&mut out);
            }
        }
        out
    }

    /// Room to make for the encoding: a little more than it takes.
    fn encoded_bytes_about(&self) -> usize {
        let variable = match *self {
            Self::Set {
                key,
                value,
                condition: SetCondition::Equals(expected),
                ..
            } => key.len() + value.len() + expected.len() + LENGTH_BYTES,
            Self::Set { key, value, .. } | Self::Append { key, value } => key.len() + value.len(),
            Self::Timed { key, command } => key.len() + command.variable_bytes(),
            Self::Del { keys } | Self::Exists { keys } | Self::MGet { keys } | Self::Modified { keys } => {
                keys.encoded_bytes()
            }
            Self::Block(block) => block.encoded_bytes(),
            Self::Data(data) => data.variable_bytes(),
            Self::Session(command) => command.variable_bytes(),
            Self::Script(command) => command.variable_bytes(),
            Self::MSet { pairs } => pairs.encoded_bytes(),
            Self::XAdd { key, fields, .. } => key.len() + fields.encoded_bytes() + ID_BYTES,
            Self::IncrBy { key, .. }
            | Self::Get { key }
            | Self::StrLen { key }
            | Self::Type { key }
            | Self::Version { key }
            | Self::XLen { key } => key.len(),
            Self::Index | Self::Clock => 0,
            Self::XRange { key, .. } => key.len() + 2 * ID_BYTES,
            Self::XRead { streams, .. } => streams.args().encoded_bytes(),
            Self::Member { change } => change.len(),
            Self::FlushAll | Self::Raise { .. } => 0,
        };
        variable + FIXED_BYTES
    }
}

fn class_of(body: &[u8]) -> Option<Class> {
    Command::decode(body).map(|command| command.class())
}

/// True for what may have a number in a session. Looks at no more than the opcode.
pub(super) fn may_be_numbered(body: &[u8]) -> bool {
    is_about_keys(body) || matches!(body, [BODY_VERSION, BLOCK, ..])
}

/// True for what clients may put into a block. Looks at no more than the opcode.
pub(super) fn is_about_keys(body: &[u8]) -> bool {
    match body {
        [BODY_VERSION, opcode, ..] => !matches!(
            *opcode,
            FLUSH_ALL | RAISE | MEMBER | CLOCK | BLOCK | INDEX | MODIFIED | once::ONCE
                ..=once::SET_LIMIT | once::LIMITS | script::LOAD | script::FLUSH | script::EXIST
        ),
        _ => false,
    }
}

fn decode_range<'a>(reader: &mut Reader<'a>) -> Option<Command<'a>> {
    let reverse = reader.bool()?;
    let (first, last) = (StreamId::read(reader)?, StreamId::read(reader)?);
    let limit = if reader.bool()? { Some(reader.u64()?) } else { None };
    Some(Command::XRange {
        reverse,
        first,
        last,
        limit,
        key: reader.bytes()?,
    })
}

fn encode_add(key: &[u8], create: bool, id: StreamIdRequest, fields: Args<'_>, out: &mut BytesMut) {
    out.extend_from_slice(&[6, u8::from(create)]);
    id.write(out);
    put_bytes(key, out);
    fields.write(out);
}

fn encode_range(
    key: &[u8],
    ends: (StreamId, StreamId),
    reverse: bool,
    limit: Option<u64>,
    out: &mut BytesMut,
) {
    out.extend_from_slice(&[70, u8::from(reverse)]);
    ends.0.write(out);
    ends.1.write(out);
    encode_limit(limit, out);
    put_bytes(key, out);
}

fn encode_limit(limit: Option<u64>, out: &mut BytesMut) {
    out.put_u8(u8::from(limit.is_some()));
    limit.into_iter().for_each(|limit| out.put_u64_le(limit));
}

fn one_key(opcode: u8, key: &[u8], out: &mut BytesMut) {
    out.put_u8(opcode);
    put_bytes(key, out);
}

fn list(opcode: u8, args: Args<'_>, out: &mut BytesMut) {
    out.put_u8(opcode);
    args.write(out);
}

fn some_of(args: Args<'_>) -> Option<Args<'_>> {
    (!args.is_empty()).then_some(args)
}

fn paired(args: Args<'_>) -> Option<Args<'_>> {
    is_paired(args).then_some(args)
}

fn is_paired(args: Args<'_>) -> bool {
    !args.is_empty() && args.len().is_multiple_of(2)
}

/// More than version, opcode, flags, numbers and two lengths take together.
const FIXED_BYTES: usize = 24;

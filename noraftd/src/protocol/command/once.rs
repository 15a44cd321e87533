//! Sessions: what is asked for with a number is carried out once, however often it is asked for.
//!
//! | opcode | command | fields |
//! |-|-|-|
//! | 34 | `NORAFT.ONCE` | [`Numbered`]: session u64, number u64, acknowledged u64; then the body of a command about keys, or of a block |
//! | 35 | `NORAFT.SESSION OPEN` | none |
//! | 36 | `NORAFT.LIMIT name value` | the limit u8, its value u64 |
//! | 75 | `NORAFT.LIMIT` | none |
//!
//! Invariant: what is decoded holds one command that is none of these; the number is greater than the acknowledged one.

use bytes::{BufMut, BytesMut};

use super::Class;
use super::limit::Limit;
use crate::protocol::read::Reader;

/// A command about sessions, or about the limits of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionCommand<'a> {
    /// `NORAFT.SESSION OPEN`: a new session; its id is the index of the entry.
    Open,
    /// `NORAFT.ONCE`: the command with this body, unless the session has its reply.
    Once(Numbered, &'a [u8]),
    /// `NORAFT.LIMIT name value`
    SetLimit(Limit, u64),
    /// `NORAFT.LIMIT`: every limit and its value.
    Limits,
}

/// What names a command of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    /// The session.
    pub session: u64,
    /// The number of the command in it; the first is 1.
    pub number: u64,
    /// The client asks for no reply up to this number again.
    pub acknowledged: u64,
}

impl<'a> SessionCommand<'a> {
    /// How it has to be executed.
    pub(super) fn class(self) -> Class {
        match self {
            Self::Open | Self::Once(..) | Self::SetLimit(..) => Class::Write,
            Self::Limits => Class::Read,
        }
    }

    /// The command with this opcode; `is_command` says of a body whether it may have a number.
    pub(super) fn read(
        opcode: u8,
        reader: &mut Reader<'a>,
        is_command: impl Fn(&'a [u8]) -> bool,
    ) -> Option<Self> {
        Some(match opcode {
            ONCE => {
                let numbered = Numbered {
                    session: reader.u64()?,
                    number: reader.u64()?,
                    acknowledged: reader.u64()?,
                };
                let body = reader.take(reader.rest().len())?;
                let may = numbered.is_possible() && is_command(body);
                may.then_some(Self::Once(numbered, body))?
            }
            OPEN => Self::Open,
            SET_LIMIT => {
                let (limit, value) = Limit::read(reader)?;
                Self::SetLimit(limit, value)
            }
            LIMITS => Self::Limits,
            _ => return None,
        })
    }

    pub(super) fn write(self, out: &mut BytesMut) {
        match self {
            Self::Open => out.put_u8(OPEN),
            Self::Once(numbered, body) => {
                out.put_u8(ONCE);
                out.put_u64_le(numbered.session);
                out.put_u64_le(numbered.number);
                out.put_u64_le(numbered.acknowledged);
                out.extend_from_slice(body);
            }
            Self::SetLimit(limit, value) => {
                out.put_u8(SET_LIMIT);
                out.extend_from_slice(&limit.put(value));
            }
            Self::Limits => out.put_u8(LIMITS),
        }
    }

    /// What it takes beside what all commands take.
    pub(super) fn variable_bytes(self) -> usize {
        match self {
            Self::Once(_, body) => body.len() + NUMBERED_BYTES,
            Self::Open | Self::SetLimit(..) | Self::Limits => 0,
        }
    }
}

impl Numbered {
    pub(super) fn is_possible(self) -> bool {
        self.number > self.acknowledged
    }
}

/// Three numbers.
pub(super) const NUMBERED_BYTES: usize = 24;
pub(super) const ONCE: u8 = 34;
const OPEN: u8 = 35;
/// The last opcode of these that writes.
pub(super) const SET_LIMIT: u8 = 36;
pub(super) const LIMITS: u8 = 75;

//! Commands about when a key goes, and those that came with them.

use bytes::{BufMut, BytesMut};

use super::args::put_bytes;
use super::{Class, Expiry, ExpiryCondition, TimeUnit};
use crate::protocol::read::Reader;

/// A command about one key and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timed<'a> {
    /// `EXPIRE key expiry [NX | XX | GT | LT]`, and its kin.
    Expire(Expiry, ExpiryCondition),
    /// `PERSIST key`
    Persist,
    /// `GETEX key expiry`
    GetEx(Expiry),
    /// `GETDEL key`
    GetDel,
    /// `SETNX key value`
    SetNx(&'a [u8]),
    /// `TTL key` and `PTTL key`
    Left(TimeUnit),
    /// `EXPIRETIME key` and `PEXPIRETIME key`
    Deadline(TimeUnit),
}

impl<'a> Timed<'a> {
    /// How it has to be executed. How much time is left is asked through the log: the state knows no time but that of its
    /// last entry.
    pub(super) fn class(self) -> Class {
        match self {
            Self::Expire(..) | Self::Persist | Self::GetEx(_) | Self::GetDel => Class::Write,
            Self::SetNx(_) | Self::Left(_) => Class::Write,
            Self::Deadline(_) => Class::Read,
        }
    }

    /// The command with this opcode; its key comes next.
    pub(super) fn read(opcode: u8, reader: &mut Reader<'a>) -> Option<Self> {
        Some(match opcode {
            EXPIRE => {
                let expiry = Expiry::read(reader)?;
                matches!(expiry, Expiry::After(_) | Expiry::At(_)).then_some(())?;
                Self::Expire(expiry, ExpiryCondition::read(reader)?)
            }
            PERSIST => Self::Persist,
            GET_EX => Self::GetEx(Some(Expiry::read(reader)?).filter(|expiry| *expiry != Expiry::Keep)?),
            GET_DEL => Self::GetDel,
            SET_NX => Self::SetNx(reader.bytes()?),
            LEFT => Self::Left(TimeUnit::read(reader)?),
            DEADLINE => Self::Deadline(TimeUnit::read(reader)?),
            _ => return None,
        })
    }

    pub(super) fn write(self, out: &mut BytesMut) {
        match self {
            Self::Expire(expiry, condition) => {
                out.put_u8(EXPIRE);
                expiry.write(out);
                condition.write(out);
            }
            Self::Persist => out.put_u8(PERSIST),
            Self::GetEx(expiry) => {
                out.put_u8(GET_EX);
                expiry.write(out);
            }
            Self::GetDel => out.put_u8(GET_DEL),
            Self::SetNx(value) => {
                out.put_u8(SET_NX);
                put_bytes(value, out);
            }
            Self::Left(unit) => {
                out.put_u8(LEFT);
                unit.write(out);
            }
            Self::Deadline(unit) => {
                out.put_u8(DEADLINE);
                unit.write(out);
            }
        }
    }

    /// What it takes beside its key and what all commands take.
    pub(super) fn variable_bytes(self) -> usize {
        match self {
            Self::SetNx(value) => value.len(),
            Self::Expire(..) | Self::Persist | Self::GetEx(_) | Self::GetDel => 0,
            Self::Left(_) | Self::Deadline(_) => 0,
        }
    }
}

const EXPIRE: u8 = 11;
const PERSIST: u8 = 12;
const GET_EX: u8 = 13;
const GET_DEL: u8 = 14;
const SET_NX: u8 = 15;
/// The opcode of [`Timed::Left`].
pub(super) const LEFT: u8 = 16;
/// The opcode of [`Timed::Deadline`].
pub(super) const DEADLINE: u8 = 73;

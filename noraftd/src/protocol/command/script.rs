//! Scripts, as entries and forwarded requests hold them.
//!
//! | opcode | command | fields |
//! |-|-|-|
//! | 37 | `EVAL`, `EVAL_RO`, `EVALSHA`, `EVALSHA_RO` | flags u8 (bit 0: the text is known by its name; bit 1: it only reads), name or text bytes, keys list, other arguments list |
//! | 38 | `SCRIPT LOAD` | text bytes |
//! | 39 | `SCRIPT FLUSH` | none |
//! | 77 | `SCRIPT EXISTS` | names list |
//!
//! Invariant: a text is at most [`SCRIPT_BYTES_MAX`] long. A name that is decoded may be any bytes: one that is no name is that of no script.

use bytes::{BufMut, BytesMut};

use super::args::{LENGTH_BYTES, put_bytes};
use super::{Args, Class};
use crate::protocol::read::Reader;

/// A command about scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptCommand<'a> {
    /// `EVAL` and its relatives.
    Run(Evaluation<'a>),
    /// `SCRIPT LOAD text`
    Load(&'a [u8]),
    /// `SCRIPT FLUSH`
    Flush,
    /// `SCRIPT EXISTS name...`
    Exist(Args<'a>),
}

/// A script to be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evaluation<'a> {
    /// Which one.
    pub script: Named<'a>,
    /// It may change nothing.
    pub only_reads: bool,
    /// Its `KEYS`.
    pub keys: Args<'a>,
    /// Its `ARGV`.
    pub arguments: Args<'a>,
}

/// A script, by its text or by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named<'a> {
    /// The text itself.
    Text(&'a [u8]),
    /// The digits of the text's SHA-1.
    Name(&'a [u8]),
}

impl<'a> ScriptCommand<'a> {
    /// How it has to be executed. A script is an entry even when it only reads: where it is carried out does not know what it will ask.
    pub(super) fn class(self) -> Class {
        match self {
            Self::Run(_) | Self::Load(_) | Self::Flush => Class::Write,
            Self::Exist(_) => Class::Read,
        }
    }

    /// The command with this opcode.
    pub(super) fn read(opcode: u8, reader: &mut Reader<'a>) -> Option<Self> {
        Some(match opcode {
            RUN => {
                let flags = reader.u8().filter(|flags| *flags <= (BY_NAME | ONLY_READS))?;
                let script = reader.bytes()?;
                let script = match flags & BY_NAME {
                    0 => Named::Text(text(script)?),
                    _ => Named::Name(script),
                };
                Self::Run(Evaluation {
                    script,
                    only_reads: flags & ONLY_READS != 0,
                    keys: Args::read(reader)?,
                    arguments: Args::read(reader)?,
                })
            }
            LOAD => Self::Load(text(reader.bytes()?)?),
            FLUSH => Self::Flush,
            EXIST => Self::Exist(Args::read(reader)?),
            _ => return None,
        })
    }

    pub(super) fn write(self, out: &mut BytesMut) {
        match self {
            Self::Run(evaluation) => {
                let only_reads = if evaluation.only_reads { ONLY_READS } else { 0 };
                let (by_name, script) = match evaluation.script {
                    Named::Text(text) => (0, text),
                    Named::Name(name) => (BY_NAME, name),
                };
                out.extend_from_slice(&[RUN, by_name | only_reads]);
                put_bytes(script, out);
                evaluation.keys.write(out);
                evaluation.arguments.write(out);
            }
            Self::Load(text) => {
                out.put_u8(LOAD);
                put_bytes(text, out);
            }
            Self::Flush => out.put_u8(FLUSH),
            Self::Exist(names) => {
                out.put_u8(EXIST);
                names.write(out);
            }
        }
    }

    /// What it takes beside what all commands take.
    pub(super) fn variable_bytes(self) -> usize {
        match self {
            Self::Run(evaluation) => {
                let script = match evaluation.script {
                    Named::Text(script) | Named::Name(script) => script.len(),
                };
                script + evaluation.keys.encoded_bytes() + evaluation.arguments.encoded_bytes()
            }
            Self::Load(text) => text.len(),
            Self::Flush => 0,
            Self::Exist(names) => names.encoded_bytes() + LENGTH_BYTES,
        }
    }
}

fn text(text: &[u8]) -> Option<&[u8]> {
    (text.len() <= SCRIPT_BYTES_MAX).then_some(text)
}

/// The longest text of a script: what it means takes many times as much. It decides what an entry does, so it belongs to the level.
pub const SCRIPT_BYTES_MAX: usize = 256 << 10;

/// The opcode of [`ScriptCommand::Run`].
pub(super) const RUN: u8 = 37;
/// The opcodes of the others.
pub(super) const LOAD: u8 = 38;
pub(super) const FLUSH: u8 = 39;
pub(super) const EXIST: u8 = 77;
const BY_NAME: u8 = 1;
const ONLY_READS: u8 = 2;

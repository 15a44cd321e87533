//! Commands on hashes, sets, sorted sets and lists, and on keys whatever they hold.

use super::hashes::HashCommand;
use super::keyspace::KeyCommand;
use super::lists::{ListCommand, Side};
use super::sets::{SetCommand, SetsCommand};
use super::sorted::{SortedCommand, SortedSetsCommand};
use super::words::Words;
use super::{Args, Class};
use crate::protocol::resp::Reply;

/// What a command on a value does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataCommand<'a> {
    /// Something about the hash at a key.
    Hash(&'a [u8], HashCommand<'a>),
    /// Something about the set at a key.
    Set(&'a [u8], SetCommand<'a>),
    /// Something about several sets.
    Sets(SetsCommand<'a>),
    /// Something about the sorted set at a key.
    Sorted(&'a [u8], SortedCommand<'a>),
    /// Something about several sorted sets.
    SortedSets(SortedSetsCommand<'a>),
    /// Something about a key.
    Key(&'a [u8], KeyCommand<'a>),
    /// `MSETNX key value...`
    SetMissing(Args<'a>),
    /// `DBSIZE`
    Size,
    /// `KEYS pattern`
    Names(&'a [u8]),
    /// `RANDOMKEY`
    AnyName,
    /// Something about the list at a key.
    List(&'a [u8], ListCommand<'a>),
    /// `LMPOP numkeys key... LEFT | RIGHT [COUNT count]`
    PopLists {
        /// The lists.
        keys: Args<'a>,
        /// Where it pops.
        side: Side,
        /// So many.
        count: usize,
    },
}

/// A command of this kind.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) number: u8,
    pub(super) name: &'static str,
    pub(super) class: Class,
    pub(super) parse: Parse,
}

/// Reads what follows the name.
///
/// # Errors
///
/// With the error reply to give.
pub(super) type Parse = for<'a> fn(Words<'a>) -> Result<DataCommand<'a>, Reply>;

impl Row {
    pub(super) const fn write(number: u8, name: &'static str, parse: Parse) -> Self {
        let class = Class::Write;
        Self {
            number,
            name,
            class,
            parse,
        }
    }

    pub(super) const fn read(number: u8, name: &'static str, parse: Parse) -> Self {
        let class = Class::Read;
        Self {
            number,
            name,
            class,
            parse,
        }
    }
}

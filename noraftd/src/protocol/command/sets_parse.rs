//! Parsers of the commands on sets.

use super::Args;
use super::data::{DataCommand, Row};
use super::refused::syntax_error;
use super::sets::{Combine, SetCommand, SetsCommand};
use super::words::{Scan, Words};
use crate::protocol::resp::Reply;

pub(super) const ROWS: &[Row] = &[
    Row::write(20, "sadd", |words| {
        of_members(words, |members| SetCommand::Add { members })
    }),
    Row::write(21, "srem", |words| {
        of_members(words, |members| SetCommand::Remove { members })
    }),
    Row::write(22, "spop", pop),
    Row::write(23, "smove", |mut words| {
        let (key, to, member) = (words.next()?, words.next()?, words.next()?);
        words.end(DataCommand::Set(key, SetCommand::Move { to, member }))
    }),
    Row::write(24, "sinterstore", |words| store(words, Combine::Inter)),
    Row::write(25, "sunionstore", |words| store(words, Combine::Union)),
    Row::write(26, "sdiffstore", |words| store(words, Combine::Diff)),
    Row::read(27, "smembers", |words| of_key(words, SetCommand::Members)),
    Row::read(28, "sismember", |mut words| {
        let (key, member) = (words.next()?, words.next()?);
        words.end(DataCommand::Set(key, SetCommand::Has { member }))
    }),
    Row::read(29, "smismember", |words| {
        of_members(words, |members| SetCommand::HasMany { members })
    }),
    Row::read(30, "scard", |words| of_key(words, SetCommand::Length)),
    Row::read(31, "srandmember", random),
    Row::read(32, "sscan", |mut words| {
        let key = words.next()?;
        let scan = SetCommand::Scan(Scan::parse(&mut words)?);
        words.end(DataCommand::Set(key, scan))
    }),
    Row::read(33, "sinter", |words| combined(words, Combine::Inter)),
    Row::read(34, "sunion", |words| combined(words, Combine::Union)),
    Row::read(35, "sdiff", |words| combined(words, Combine::Diff)),
    Row::read(36, "sintercard", count_common),
];

fn pop(mut words: Words<'_>) -> Result<DataCommand<'_>, Reply> {
    let key = words.next()?;
    if words.rest().is_empty() {
        return Ok(DataCommand::Set(key, SetCommand::Pop));
    }
    if words.rest().len() > 1 {
        return Err(syntax_error());
    }
    let count = words.size("ERR value is out of range, must be positive")?;
    words.end(DataCommand::Set(key, SetCommand::PopSome { count }))
}

fn random(mut words: Words<'_>) -> Result<DataCommand<'_>, Reply> {
    let key = words.next()?;
    if words.rest().is_empty() {
        return Ok(DataCommand::Set(key, SetCommand::Any));
    }
    if words.rest().len() > 1 {
        return Err(syntax_error());
    }
    let count = words.count()?;
    words.end(DataCommand::Set(key, SetCommand::Some { count }))
}

fn store(mut words: Words<'_>, combine: Combine) -> Result<DataCommand<'_>, Reply> {
    let key = words.next()?;
    let others = words.some()?;
    Ok(DataCommand::Set(key, SetCommand::Store { combine, others }))
}

fn combined(words: Words<'_>, combine: Combine) -> Result<DataCommand<'_>, Reply> {
    let keys = words.some()?;
    Ok(DataCommand::Sets(SetsCommand::Combined(combine, keys)))
}

fn count_common(mut words: Words<'_>) -> Result<DataCommand<'_>, Reply> {
    let keys = words.keys("ERR numkeys should be greater than 0", TOO_MANY_KEYS)?;
    let limit = words.limited()?;
    Ok(DataCommand::Sets(SetsCommand::CountCommon(keys, limit)))
}

fn of_key<'a>(mut words: Words<'a>, command: SetCommand<'a>) -> Result<DataCommand<'a>, Reply> {
    let key = words.next()?;
    words.end(DataCommand::Set(key, command))
}

fn of_members<'a>(
    mut words: Words<'a>,
    command: impl FnOnce(Args<'a>) -> SetCommand<'a>,
) -> Result<DataCommand<'a>, Reply> {
    let key = words.next()?;
    let members = words.some()?;
    Ok(DataCommand::Set(key, command(members)))
}

const TOO_MANY_KEYS: &str = "ERR Number of keys can't be greater than number of args";

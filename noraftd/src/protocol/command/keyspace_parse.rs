//! Parsers of the commands on keys, whatever they hold, and on parts of strings.

use super::Args;
use super::data::{DataCommand, Row};
use super::keyspace::KeyCommand;
use super::refused::{error, syntax_error, wrong_arity};
use super::words::Words;
use crate::protocol::resp::Reply;

pub(super) const ROWS: &[Row] = &[
    Row::write(110, "rename", |words| {
        to_key(words, |to| KeyCommand::Rename { to })
    }),
    Row::write(111, "renamenx", |words| {
        to_key(words, |to| KeyCommand::RenameMissing { to })
    }),
    Row::write(112, "copy", copy),
    Row::write(113, "setrange", |mut words| {
        let (key, offset, value) = (words.next()?, words.integer()?, words.next()?);
        let offset = usize::try_from(offset).map_err(|_| error("ERR offset is out of range"))?;
        words.end(DataCommand::Key(key, KeyCommand::SetRange { offset, value }))
    }),
    Row::write(114, "incrbyfloat", |mut words| {
        let (key, delta) = (words.next()?, words.decimal()?);
        words.end(DataCommand::Key(key, KeyCommand::AddDecimal { delta }))
    }),
    Row::write(115, "msetnx", set_missing),
    Row::read(116, "getrange", part),
    Row::read(117, "substr", part),
    Row::read(118, "dbsize", |words| words.end(DataCommand::Size)),
];

fn to_key<'a>(
    mut words: Words<'a>,
    command: impl FnOnce(&'a [u8]) -> KeyCommand<'a>,
) -> Result<DataCommand<'a>, Reply> {
    let (key, to) = (words.next()?, words.next()?);
    words.end(DataCommand::Key(key, command(to)))
}

fn copy(mut words: Words<'_>) -> Result<DataCommand<'_>, Reply> {
    let (key, to) = (words.next()?, words.next()?);
    let mut replace = false;
    while !words.rest().is_empty() {
        if words.take("REPLACE") {
            replace = true;
        } else if words.rest().len() > 1 && words.take("DB") {
            if words.integer()? != 0 {
                return Err(error("ERR DB index is out of range"));
            }
        } else {
            return Err(syntax_error());
        }
    }
    if key == to {
        return Err(error("ERR source and destination objects are the same"));
    }
    Ok(DataCommand::Key(key, KeyCommand::Copy { to, replace }))
}

fn set_missing(words: Words<'_>) -> Result<DataCommand<'_>, Reply> {
    let pairs: Args<'_> = words.some()?;
    if !pairs.len().is_multiple_of(2) {
        return Err(wrong_arity("msetnx"));
    }
    Ok(DataCommand::SetMissing(pairs))
}

fn part(mut words: Words<'_>) -> Result<DataCommand<'_>, Reply> {
    let (key, first, last) = (words.next()?, words.integer()?, words.integer()?);
    words.end(DataCommand::Key(key, KeyCommand::GetRange { first, last }))
}

//! Parsers of the commands on keys, whatever they hold, and on parts of strings.

use super::Args;
use super::data::{DataCommand, Row};
use super::keyspace::{CommonForm, KeyCommand, ObjectQuery};
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
    Row::read(119, "keys", |mut words| {
        let pattern = words.next()?;
        words.end(DataCommand::Names(pattern))
    }),
    Row::read(120, "randomkey", |words| words.end(DataCommand::AnyName)),
    Row::read(121, "object", object),
    Row::read(122, "lcs", common),
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

fn object(mut words: Words<'_>) -> Result<DataCommand<'_>, Reply> {
    let word = words.next()?;
    let known = OBJECT_QUERIES
        .into_iter()
        .find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
    let Some((name, query)) = known else {
        let word = word.get(..WORD_EXCERPT_BYTES_MAX).unwrap_or(word);
        let word = String::from_utf8_lossy(word).replace(['\r', '\n'], " ");
        return Err(error(format!(
            "ERR unknown subcommand '{word}'. Try OBJECT HELP."
        )));
    };
    if words.rest().len() != 1 {
        return Err(wrong_arity(&format!("object|{name}")));
    }
    let key = words.next()?;
    words.end(DataCommand::Key(key, KeyCommand::Object(query)))
}

fn common(mut words: Words<'_>) -> Result<DataCommand<'_>, Reply> {
    let (key, with) = (words.next()?, words.next()?);
    let (mut length, mut places, mut lengths, mut least) = (false, false, false, 0);
    while !words.rest().is_empty() {
        if words.take("IDX") {
            places = true;
        } else if words.take("LEN") {
            length = true;
        } else if words.take("WITHMATCHLEN") {
            lengths = true;
        } else if words.rest().len() > 1 && words.take("MINMATCHLEN") {
            least = usize::try_from(words.integer()?).unwrap_or(0);
        } else {
            return Err(syntax_error());
        }
    }
    let form = match (length, places) {
        (true, true) => {
            return Err(error(
                "ERR If you want both the length and indexes, please just use IDX.",
            ));
        }
        (true, false) => CommonForm::Length,
        (false, true) => CommonForm::Places { least, lengths },
        (false, false) => CommonForm::Text,
    };
    Ok(DataCommand::Key(key, KeyCommand::Common { with, form }))
}

const OBJECT_QUERIES: [(&str, ObjectQuery); 4] = [
    ("encoding", ObjectQuery::Encoding),
    ("freq", ObjectQuery::Frequency),
    ("idletime", ObjectQuery::IdleTime),
    ("refcount", ObjectQuery::References),
];

/// As much of an unknown word as the error repeats.
const WORD_EXCERPT_BYTES_MAX: usize = 128;

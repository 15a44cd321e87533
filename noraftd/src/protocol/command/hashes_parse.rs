//! Parsers of the commands on hashes.

use super::Args;
use super::data::{DataCommand, Row};
use super::hashes::HashCommand;
use super::refused::{error, wrong_arity};
use super::words::{Scan, Words};
use crate::protocol::resp::Reply;

pub(super) const ROWS: &[Row] = &[
    Row::write(1, "hset", |words| set(words, "hset", true)),
    Row::write(2, "hmset", |words| set(words, "hmset", false)),
    Row::write(3, "hsetnx", |words| {
        of_field(words, |field, words| {
            let value = words.next()?;
            Ok(HashCommand::SetMissing { field, value })
        })
    }),
    Row::write(4, "hdel", |words| {
        of_fields(words, |fields| HashCommand::Delete { fields })
    }),
    Row::write(5, "hincrby", |words| {
        of_field(words, |field, words| {
            let delta = words.integer()?;
            Ok(HashCommand::Add { field, delta })
        })
    }),
    Row::write(6, "hincrbyfloat", |words| {
        of_field(words, |field, words| {
            let delta = words.decimal()?;
            let command = HashCommand::AddDecimal { field, delta };
            let refused = || error("ERR value is NaN or Infinity");
            delta.is_finite().then_some(command).ok_or_else(refused)
        })
    }),
    Row::read(7, "hget", |words| {
        of_field(words, |field, _| Ok(HashCommand::Get { field }))
    }),
    Row::read(8, "hmget", |words| {
        of_fields(words, |fields| HashCommand::GetMany { fields })
    }),
    Row::read(9, "hlen", |words| of_key(words, HashCommand::Length)),
    Row::read(10, "hstrlen", |words| {
        of_field(words, |field, _| Ok(HashCommand::ValueLength { field }))
    }),
    Row::read(11, "hexists", |words| {
        of_field(words, |field, _| Ok(HashCommand::Exists { field }))
    }),
    Row::read(12, "hkeys", |words| of_key(words, HashCommand::Fields)),
    Row::read(13, "hvals", |words| of_key(words, HashCommand::Values)),
    Row::read(14, "hgetall", |words| of_key(words, HashCommand::Pairs)),
    Row::read(15, "hrandfield", random),
    Row::read(16, "hscan", |mut words| {
        let key = words.next()?;
        let scan = HashCommand::Scan(Scan::parse(&mut words)?);
        words.end(DataCommand::Hash(key, scan))
    }),
];

fn set<'a>(mut words: Words<'a>, name: &str, counts: bool) -> Result<DataCommand<'a>, Reply> {
    let key = words.next()?;
    let pairs = words.rest();
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return Err(wrong_arity(name));
    }
    Ok(DataCommand::Hash(key, HashCommand::Set { pairs, counts }))
}

fn random(mut words: Words<'_>) -> Result<DataCommand<'_>, Reply> {
    let key = words.next()?;
    if words.rest().is_empty() {
        return Ok(DataCommand::Hash(key, HashCommand::Any));
    }
    let count = words.count()?;
    let with_values = words.take("WITHVALUES");
    if with_values && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(error("ERR value is out of range"));
    }
    words.end(DataCommand::Hash(key, HashCommand::Some { count, with_values }))
}

fn of_key<'a>(mut words: Words<'a>, command: HashCommand<'a>) -> Result<DataCommand<'a>, Reply> {
    let key = words.next()?;
    words.end(DataCommand::Hash(key, command))
}

fn of_field<'a>(
    mut words: Words<'a>,
    command: impl FnOnce(&'a [u8], &mut Words<'a>) -> Result<HashCommand<'a>, Reply>,
) -> Result<DataCommand<'a>, Reply> {
    let (key, field) = (words.next()?, words.next()?);
    let command = command(field, &mut words)?;
    words.end(DataCommand::Hash(key, command))
}

fn of_fields<'a>(
    mut words: Words<'a>,
    command: impl FnOnce(Args<'a>) -> HashCommand<'a>,
) -> Result<DataCommand<'a>, Reply> {
    let key = words.next()?;
    let fields = words.some()?;
    Ok(DataCommand::Hash(key, command(fields)))
}

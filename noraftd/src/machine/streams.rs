//! Commands on streams.

use std::ops::RangeInclusive;

use super::keys::Keys;
use super::reply::{Budget, TooLarge, length, within_budget, wrong_type};
use super::stream::{Entry, Stream};
use super::value::Value;
use crate::protocol::command::{Args, StreamId, StreamIdRequest, Streams};
use crate::protocol::resp::Reply;
use crate::time::Stamp;

pub(super) fn add(
    keys: &mut Keys,
    stamp: Stamp,
    key: &[u8],
    create: bool,
    wanted: StreamIdRequest,
    fields: Args<'_>,
) -> Reply {
    let fields = &fields;
    let added = keys.update(key, |held| match held {
        Value::String(_) | Value::Hash(_) | Value::Set(_) | Value::Sorted(_) | Value::List(_) => wrong_type(),
        Value::Stream(stream) => add_to(stream, stamp, wanted, fields),
    });
    match added {
        Some(reply) => reply,
        None if !create => Reply::Null,
        None => {
            let mut stream = Box::<Stream>::default();
            let reply = add_to(&mut stream, stamp, wanted, fields);
            if !stream.is_empty() {
                keys.insert(key, Value::Stream(stream));
            }
            reply
        }
    }
}

fn add_to(stream: &mut Stream, stamp: Stamp, wanted: StreamIdRequest, fields: &Args<'_>) -> Reply {
    match stream.new_id(stamp, wanted) {
        Ok(id) => {
            stream.push(id, fields.to_owned_args());
            Reply::Bulk(id.to_bytes())
        }
        Err(reply) => reply,
    }
}

pub(super) fn len(keys: &Keys, key: &[u8]) -> Reply {
    match keys.stream(key) {
        Ok(stream) => length(stream.map_or(0, |stream| stream.len())),
        Err(reply) => reply,
    }
}

pub(super) fn range(
    keys: &Keys,
    key: &[u8],
    ids: RangeInclusive<StreamId>,
    reverse: bool,
    limit: Option<u64>,
) -> Reply {
    let stream = match keys.stream(key) {
        Ok(Some(stream)) => stream,
        Ok(None) => return Reply::Array(Vec::new()),
        Err(reply) => return reply,
    };
    if limit == Some(0) {
        return Reply::NullArray;
    }
    let limit = limit.map_or(usize::MAX, clamped);
    let mut budget = Budget::new();
    let entries = stream.range(&ids);
    let entries = if reverse {
        collect(entries.rev().take(limit), &mut budget)
    } else {
        collect(entries.take(limit), &mut budget)
    };
    within_budget(entries.map(Reply::Array))
}

pub(super) fn read(keys: &Keys, count: u64, streams: Streams<'_>) -> Reply {
    let limit = if count == 0 { usize::MAX } else { clamped(count) };
    let mut budget = Budget::new();
    let mut found = Vec::new();
    for (key, after) in streams.iter() {
        let stream = match keys.stream(key) {
            Ok(Some(stream)) => stream,
            Ok(None) => continue,
            Err(reply) => return reply,
        };
        let Some(first) = after.unwrap_or(stream.last_id()).next() else {
            continue;
        };
        let entries = match collect(stream.range(&(first..=StreamId::MAX)).take(limit), &mut budget) {
            Ok(entries) if entries.is_empty() => continue,
            Ok(entries) => entries,
            Err(too_large) => return within_budget(Err(too_large)),
        };
        match budget.bulk(bytes::Bytes::copy_from_slice(key)) {
            Ok(name) => found.push((name, Reply::Array(entries))),
            Err(too_large) => return within_budget(Err(too_large)),
        }
    }
    if found.is_empty() {
        Reply::NullArray
    } else {
        Reply::Pairs(found)
    }
}

fn collect<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    budget: &mut Budget,
) -> Result<Vec<Reply>, TooLarge> {
    entries.map(|entry| entry.to_reply(budget)).collect()
}

fn clamped(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

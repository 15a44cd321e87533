//! Parsers of the commands with which clients find the leader and keep track of it.

use bytes::Bytes;

use super::answers::{ParseResult, error, integer, is_word, wrong_arity};
use super::local_parse::{local, unknown_subcommand};
use super::{Local, SentinelQuery, SubscriptionChange, Topic};
use crate::protocol::resp::Reply;

pub(super) fn sentinel(args: &[Bytes]) -> ParseResult {
    let [_, subcommand, rest @ ..] = args else {
        return Err(wrong_arity("sentinel"));
    };
    let is = |word| is_word(subcommand, word);
    let query = match rest {
        [] if is("MYID") => SentinelQuery::MyId,
        [] if is("MASTERS") => SentinelQuery::Masters,
        [name] if is("MASTER") => SentinelQuery::Master(name.clone()),
        [name] if is("REPLICAS") || is("SLAVES") => SentinelQuery::Replicas(name.clone()),
        [name] if is("SENTINELS") => SentinelQuery::Sentinels(name.clone()),
        [name] if is("GET-MASTER-ADDR-BY-NAME") => SentinelQuery::Address(name.clone()),
        [name] if is("CKQUORUM") => SentinelQuery::Quorum(name.clone()),
        [..] => return Err(sentinel_error(subcommand)),
    };
    local(Local::Sentinel(query))
}

fn sentinel_error(subcommand: &[u8]) -> Reply {
    let known = [
        "MYID",
        "MASTERS",
        "MASTER",
        "REPLICAS",
        "SLAVES",
        "SENTINELS",
        "GET-MASTER-ADDR-BY-NAME",
        "CKQUORUM",
    ];
    match known.iter().find(|word| is_word(subcommand, word)) {
        Some(word) => wrong_arity(&format!("sentinel|{}", word.to_ascii_lowercase())),
        None => unknown_subcommand("SENTINEL", subcommand),
    }
}

pub(super) fn subscribe(args: &[Bytes]) -> ParseResult {
    change(Topic::Channel, true, args)
}

pub(super) fn psubscribe(args: &[Bytes]) -> ParseResult {
    change(Topic::Pattern, true, args)
}

pub(super) fn unsubscribe(args: &[Bytes]) -> ParseResult {
    change(Topic::Channel, false, args)
}

pub(super) fn punsubscribe(args: &[Bytes]) -> ParseResult {
    change(Topic::Pattern, false, args)
}

fn change(topic: Topic, begins: bool, args: &[Bytes]) -> ParseResult {
    let names = args.get(1..).unwrap_or_default();
    if begins && names.iter().any(|name| name.len() > TOPIC_BYTES_MAX) {
        return Err(error(format!(
            "ERR the name of a channel cannot be longer than {TOPIC_BYTES_MAX} bytes"
        )));
    }
    // Copied, so that what is kept pins no buffer.
    let names = names.iter().map(|name| Bytes::copy_from_slice(name)).collect();
    local(Local::Subscribe(SubscriptionChange { topic, begins, names }))
}

/// How many nodes are asked for changes nothing: a write is answered when a majority has it.
pub(super) fn wait(args: &[Bytes]) -> ParseResult {
    let [_, replicas, timeout] = args else {
        return Err(wrong_arity("wait"));
    };
    integer(replicas)?;
    check_timeout(timeout)?;
    local(Local::Wait)
}

pub(super) fn wait_aof(args: &[Bytes]) -> ParseResult {
    let [_, here, replicas, timeout] = args else {
        return Err(wrong_arity("waitaof"));
    };
    if !(0..=1).contains(&integer(here)?) {
        return Err(error("ERR value is out of range, value must between 0 and 1"));
    }
    if integer(replicas)? < 0 {
        return Err(error("ERR value is out of range, must be positive"));
    }
    check_timeout(timeout)?;
    local(Local::WaitAof)
}

fn check_timeout(timeout: &[u8]) -> Result<(), Reply> {
    match integer(timeout) {
        Err(_) => Err(error("ERR timeout is not an integer or out of range")),
        Ok(..0) => Err(error("ERR timeout is negative")),
        Ok(0..) => Ok(()),
    }
}

/// Most bytes of a name that is kept as long as the connection.
const TOPIC_BYTES_MAX: usize = 256;

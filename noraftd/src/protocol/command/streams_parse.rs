//! Parsers of the commands on streams. Each gets the name and a number of arguments that fits.

use bytes::{Bytes, BytesMut};

use super::answers::{ParseResult, error, integer, is_word, replicated, syntax_error, wrong_arity};
use super::streams::ID_BYTES;
use super::{Args, Command, StreamId, StreamIdRequest, Streams};
use crate::protocol::resp::Reply;

pub(super) fn xadd(args: &[Bytes]) -> ParseResult {
    let [_, key, rest @ ..] = args else {
        return Err(wrong_arity("xadd"));
    };
    let (create, rest) = match rest {
        [option, rest @ ..] if is_word(option, "NOMKSTREAM") => (false, rest),
        [option, ..] if is_trim_option(option) => return Err(trim_unsupported(option)),
        rest => (true, rest),
    };
    let [id, fields @ ..] = rest else {
        return Err(wrong_arity("xadd"));
    };
    if is_trim_option(id) {
        return Err(trim_unsupported(id));
    }
    let id = StreamIdRequest::parse(id).ok_or_else(invalid_id)?;
    if fields.is_empty() || !fields.len().is_multiple_of(2) {
        return Err(wrong_arity("xadd"));
    }
    if id == StreamIdRequest::Explicit(StreamId::MIN) {
        return Err(error("ERR The ID specified in XADD must be greater than 0-0"));
    }
    replicated(&Command::XAdd {
        key,
        create,
        id,
        fields: Args::sent(fields),
    })
}

fn is_trim_option(arg: &[u8]) -> bool {
    ["MAXLEN", "MINID", "LIMIT"].iter().any(|word| is_word(arg, word))
}

fn trim_unsupported(option: &[u8]) -> Reply {
    let option = String::from_utf8_lossy(option).to_ascii_uppercase();
    error(format!(
        "ERR XADD option {option} is not supported: streams are not trimmed"
    ))
}

pub(super) fn xlen(args: &[Bytes]) -> ParseResult {
    let [_, key] = args else {
        return Err(wrong_arity("xlen"));
    };
    replicated(&Command::XLen { key })
}

pub(super) fn xrange(args: &[Bytes]) -> ParseResult {
    let [_, key, first, last, options @ ..] = args else {
        return Err(wrong_arity("xrange"));
    };
    range(key, first, last, options, false)
}

pub(super) fn xrevrange(args: &[Bytes]) -> ParseResult {
    let [_, key, last, first, options @ ..] = args else {
        return Err(wrong_arity("xrevrange"));
    };
    range(key, first, last, options, true)
}

fn range(key: &[u8], first: &[u8], last: &[u8], options: &[Bytes], reverse: bool) -> ParseResult {
    let (first, last) = (first_of_range(first)?, last_of_range(last)?);
    let mut limit = None;
    // The last one counts, as in Redis.
    for option in options.chunks(2) {
        match option {
            [word, count] if is_word(word, "COUNT") => {
                limit = Some(u64::try_from(integer(count)?).unwrap_or(0))
            }
            [..] => return Err(syntax_error()),
        }
    }
    replicated(&Command::XRange {
        key,
        first,
        last,
        reverse,
        limit,
    })
}

fn first_of_range(arg: &[u8]) -> Result<StreamId, Reply> {
    match arg.strip_prefix(b"(") {
        Some(excluded) => id(excluded, 0)?
            .next()
            .ok_or_else(|| error("ERR invalid start ID for the interval")),
        None => included_end(arg, 0),
    }
}

fn last_of_range(arg: &[u8]) -> Result<StreamId, Reply> {
    match arg.strip_prefix(b"(") {
        Some(excluded) => id(excluded, u64::MAX)?
            .prev()
            .ok_or_else(|| error("ERR invalid end ID for the interval")),
        None => included_end(arg, u64::MAX),
    }
}

fn included_end(arg: &[u8], seq_default: u64) -> Result<StreamId, Reply> {
    match arg {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        text => id(text, seq_default),
    }
}

fn id(text: &[u8], seq_default: u64) -> Result<StreamId, Reply> {
    StreamId::parse(text, seq_default).ok_or_else(invalid_id)
}

pub(super) fn xread(args: &[Bytes]) -> ParseResult {
    let mut rest = args.get(1..).unwrap_or_default();
    let mut count = 0;
    loop {
        rest = match rest {
            [word, streams @ ..] if is_word(word, "STREAMS") => return xread_streams(count, streams),
            [word, number, rest @ ..] if is_word(word, "COUNT") => {
                count = u64::try_from(integer(number)?).unwrap_or(0);
                rest
            }
            [word, ..] if is_word(word, "BLOCK") => return Err(error(BLOCK_UNSUPPORTED)),
            [..] => return Err(syntax_error()),
        }
    }
}

fn xread_streams(count: u64, streams: &[Bytes]) -> ParseResult {
    if streams.is_empty() {
        return Err(syntax_error());
    }
    if !streams.len().is_multiple_of(2) {
        return Err(error(UNBALANCED));
    }
    let (keys, ids) = streams.split_at(streams.len() / 2);
    let mut in_turn = Vec::with_capacity(streams.len());
    for (key, id) in keys.iter().zip(ids) {
        in_turn.extend([key.clone(), after_id(id)?]);
    }
    let streams = Streams::new(Args::sent(&in_turn)).ok_or_else(syntax_error)?;
    replicated(&Command::XRead { count, streams })
}

/// The encoded id after which to read; no bytes for `$`.
fn after_id(arg: &[u8]) -> Result<Bytes, Reply> {
    match arg {
        b"$" => Ok(Bytes::new()),
        b">" => Err(error(
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        )),
        text => {
            let mut out = BytesMut::with_capacity(ID_BYTES);
            id(text, 0)?.write(&mut out);
            Ok(out.freeze())
        }
    }
}

fn invalid_id() -> Reply {
    error("ERR Invalid stream ID specified as stream command argument")
}

const BLOCK_UNSUPPORTED: &str =
    "ERR XREAD option BLOCK is not supported: ask again with the last id that was returned";

const UNBALANCED: &str =
    "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.";

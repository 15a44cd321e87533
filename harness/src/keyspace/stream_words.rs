//! Requests about streams, from their words.

use bytes::Bytes;

use super::answer::Answer;
use super::entries::{After, Id, NewEntry, NewId, Range, invalid_id};
use super::number::{id_part, signed};
use super::request::Request;
use super::words::is;

pub(super) fn xadd(words: &[Bytes]) -> Result<Request, Answer> {
    let key = words[1].clone();
    let only_existing = is(&words[2], "NOMKSTREAM");
    let at = if only_existing { 3 } else { 2 };
    if let Some(option) = ["MAXLEN", "MINID", "LIMIT"]
        .iter()
        .find(|option| is(&words[at], option))
    {
        return Err(Answer::Error(format!(
            "ERR XADD option {option} is not supported: streams are not trimmed"
        )));
    }
    let id = match &words[at][..] {
        b"*" => NewId::Clock,
        text => match text.strip_suffix(b"-*") {
            Some(ms) => NewId::Within(id_part(ms).ok_or_else(invalid_id)?),
            None => NewId::Exactly(Id::read(text, 0)?),
        },
    };
    let fields = words[at + 1..].to_vec();
    if fields.is_empty() || fields.len() % 2 == 1 {
        return Err(Answer::wrong_arity("xadd"));
    }
    if id == NewId::Exactly(Id(0, 0)) {
        return Err(Answer::error(
            "ERR The ID specified in XADD must be greater than 0-0",
        ));
    }
    Ok(Request::AddEntry(NewEntry {
        key,
        only_existing,
        id,
        fields,
    }))
}

pub(super) fn xrange(words: &[Bytes], is_reverse: bool) -> Result<Request, Answer> {
    let (first, last) = if is_reverse {
        (&words[3], &words[2])
    } else {
        (&words[2], &words[3])
    };
    let first = match first.strip_prefix(b"(") {
        None => bound(first, 0)?,
        Some(text) => Id::read(text, 0)?
            .following()
            .ok_or_else(|| Answer::error("ERR invalid start ID for the interval"))?,
    };
    let last = match last.strip_prefix(b"(") {
        None => bound(last, u64::MAX)?,
        Some(text) => Id::read(text, u64::MAX)?
            .preceding()
            .ok_or_else(|| Answer::error("ERR invalid end ID for the interval"))?,
    };
    let mut count = None;
    let mut rest = &words[4..];
    while !rest.is_empty() {
        if rest.len() < 2 || !is(&rest[0], "COUNT") {
            return Err(Answer::syntax_error());
        }
        count = Some(not_negative(&rest[1])?);
        rest = &rest[2..];
    }
    Ok(Request::Range(Range {
        key: words[1].clone(),
        first,
        last,
        is_reverse,
        count,
    }))
}

fn bound(text: &[u8], seq: u64) -> Result<Id, Answer> {
    match text {
        b"-" => Ok(Id(0, 0)),
        b"+" => Ok(Id::MAX),
        _ => Id::read(text, seq),
    }
}

/// A count; a negative one is zero.
fn not_negative(text: &[u8]) -> Result<u64, Answer> {
    let n = signed(text).ok_or_else(Answer::not_an_integer)?;
    Ok(n.max(0).unsigned_abs())
}

pub(super) fn xread(words: &[Bytes]) -> Result<Request, Answer> {
    let (mut count, mut at) = (None, 1);
    loop {
        let Some(word) = words.get(at) else {
            return Err(Answer::syntax_error());
        };
        let is_last = at + 1 == words.len();
        if is(word, "BLOCK") {
            return Err(Answer::error(
                "ERR XREAD option BLOCK is not supported: ask again with the last id that was returned",
            ));
        } else if is(word, "COUNT") && !is_last {
            // Zero is no limit, and a negative number is zero.
            count = Some(not_negative(&words[at + 1])?).filter(|count| *count > 0);
            at += 2;
        } else if is(word, "STREAMS") && !is_last {
            break;
        } else {
            return Err(Answer::syntax_error());
        }
    }
    let rest = &words[at + 1..];
    if rest.len() % 2 == 1 {
        return Err(Answer::error(
            "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
        ));
    }
    let (keys, ids) = rest.split_at(rest.len() / 2);
    let ids: Result<Vec<After>, Answer> = ids.iter().map(|id| after(id)).collect();
    let streams = keys.iter().cloned().zip(ids?).collect();
    Ok(Request::ReadStreams { count, streams })
}

fn after(text: &[u8]) -> Result<After, Answer> {
    match text {
        b"$" => Ok(After::Last),
        b">" => Err(Answer::error(
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        )),
        _ => Id::read(text, 0).map(After::Id),
    }
}

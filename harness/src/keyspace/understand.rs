//! From words to a request, or the error that refuses them. Words are understood as Redis 7 understands them.

use bytes::Bytes;

use super::answer::Answer;
use super::connection;
use super::number::signed;
use super::request::{Asked, Request, Set, When};
use super::stream_words as streams;
use super::words::is;

/// What `words`, the name first, ask for.
///
/// # Errors
///
/// With the answer that refuses them.
pub fn understand(words: &[Bytes]) -> Result<Asked, Answer> {
    let name = words.first().map(|name| name.to_ascii_lowercase());
    let name = name.as_deref().and_then(|name| std::str::from_utf8(name).ok());
    let least_and_most = match name {
        Some("get" | "strlen" | "type" | "xlen" | "incr" | "decr") => (2, 2),
        Some("append" | "incrby" | "decrby") => (3, 3),
        Some("del" | "exists" | "mget") => (2, usize::MAX),
        Some("set" | "mset") => (3, usize::MAX),
        Some("xadd") => (5, usize::MAX),
        Some("xrange" | "xrevrange" | "xread") => (4, usize::MAX),
        Some(_) | None => return connection::understand(words).map(Asked::Connection),
    };
    let name = name.unwrap_or_default();
    if words.len() < least_and_most.0 || words.len() > least_and_most.1 {
        return Err(Answer::wrong_arity(name));
    }
    let key = words[1].clone();
    let rest = || words[1..].to_vec();
    Ok(Asked::Keys(match name {
        "get" => Request::Get(key),
        "strlen" => Request::Length(key),
        "type" => Request::TypeOf(key),
        "xlen" => Request::StreamLength(key),
        "incr" => Request::Add { key, delta: 1 },
        "decr" => Request::Add { key, delta: -1 },
        "append" => Request::Append {
            key,
            suffix: words[2].clone(),
        },
        "incrby" => Request::Add {
            key,
            delta: signed(&words[2]).ok_or_else(Answer::not_an_integer)?,
        },
        "decrby" => match signed(&words[2]) {
            None => return Err(Answer::not_an_integer()),
            Some(i64::MIN) => return Err(Answer::error("ERR decrement would overflow")),
            Some(n) => Request::Add { key, delta: -n },
        },
        "del" => Request::Delete(rest()),
        "exists" => Request::CountExisting(rest()),
        "mget" => Request::GetMany(rest()),
        "mset" if words.len().is_multiple_of(2) => return Err(Answer::wrong_arity("mset")),
        "mset" => {
            let pairs = words[1..].chunks(2);
            Request::SetMany(pairs.map(|pair| (pair[0].clone(), pair[1].clone())).collect())
        }
        "set" => Request::Set(set(words)?),
        "xadd" => streams::xadd(words)?,
        "xrange" => streams::xrange(words, false)?,
        "xrevrange" => streams::xrange(words, true)?,
        _ => streams::xread(words)?,
    }))
}

fn set(words: &[Bytes]) -> Result<Set, Answer> {
    let (mut when, mut get, mut at) = (When::Any, false, 3);
    while let Some(word) = words.get(at) {
        at += 1;
        if is(word, "GET") {
            get = true;
            continue;
        }
        let wanted = if is(word, "NX") {
            When::Absent
        } else if is(word, "XX") {
            When::Present
        } else if is(word, "IFEQ") {
            at += 1;
            When::Holds(words.get(at - 1).ok_or_else(Answer::syntax_error)?.clone())
        } else {
            return Err(unknown_option(word));
        };
        if when != When::Any && when != wanted {
            return Err(Answer::syntax_error());
        }
        when = wanted;
    }
    Ok(Set {
        key: words[1].clone(),
        value: words[2].clone(),
        when,
        get,
    })
}

/// Where this server differs from Redis it says so.
fn unknown_option(word: &[u8]) -> Answer {
    let known = |names: &[&'static str]| names.iter().copied().find(|name| is(word, name));
    if let Some(name) = known(&["EX", "PX", "EXAT", "PXAT", "KEEPTTL"]) {
        return Answer::Error(format!(
            "ERR SET option {name} is not supported: keys do not expire"
        ));
    }
    if let Some(name) = known(&["IFNE", "IFDEQ", "IFDNE"]) {
        return Answer::Error(format!(
            "ERR SET option {name} is not supported: compare with IFEQ"
        ));
    }
    Answer::syntax_error()
}

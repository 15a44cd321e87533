//! From words to a request, or the error that refuses them. Words are understood as Redis 7 understands them.

use bytes::Bytes;

use super::answer::Answer;
use super::connection;
use super::number::signed;
use super::request::{Asked, Request, Set, When};
use super::stream_words as streams;
use super::times::{self, When as Until};
use super::words::is;

/// What `words`, the name first, ask for.
///
/// # Errors
///
/// With the answer that refuses them.
pub fn understand(words: &[Bytes]) -> Result<Asked, Answer> {
    let name = words.first().map(|name| name.to_ascii_lowercase());
    let name = name.as_deref().and_then(|name| std::str::from_utf8(name).ok());
    if let Some(asked) = name.and_then(|name| transaction(name, words)) {
        return asked;
    }
    let Some((least, most)) = name.and_then(words_of) else {
        return connection::understand(words).map(Asked::Connection);
    };
    let name = name.unwrap_or_default();
    if words.len() < least || words.len() > most {
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
        "getset" => Request::Set(Set {
            key,
            value: words[2].clone(),
            when: When::Any,
            get: true,
            until: Until::Never,
        }),
        "setex" | "psetex" => Request::Set(Set {
            key,
            value: words[3].clone(),
            when: When::Any,
            get: false,
            until: times::when(name, if name == "setex" { "EX" } else { "PX" }, words[2].clone())?,
        }),
        "setnx" | "getdel" | "getex" | "persist" | "ttl" | "pttl" | "expiretime" | "pexpiretime"
        | "expire" | "pexpire" | "expireat" | "pexpireat" => match times::understand(name, words)? {
            Some(time) => Request::Timed { key, time },
            None => Request::Get(key),
        },
        "xadd" => streams::xadd(words)?,
        "xrange" => streams::xrange(words, false)?,
        "xrevrange" => streams::xrange(words, true)?,
        _ => streams::xread(words)?,
    }))
}

/// A command that makes several one; `None` for any other.
fn transaction(name: &str, words: &[Bytes]) -> Option<Result<Asked, Answer>> {
    let name = TRANSACTIONS.into_iter().find(|known| *known == name)?;
    let keys = words[1..].to_vec();
    Some(match (name, keys.is_empty()) {
        ("watch", false) => Ok(Asked::Transaction(name, keys)),
        ("watch", true) | (_, false) => Err(Answer::wrong_arity(name)),
        (_, true) => Ok(Asked::Transaction(name, keys)),
    })
}

/// What makes several commands one.
const TRANSACTIONS: [&str; 5] = ["multi", "exec", "discard", "watch", "unwatch"];

/// The least and the most words of a command about keys, its name included.
fn words_of(name: &str) -> Option<(usize, usize)> {
    Some(match name {
        "get" | "strlen" | "type" | "xlen" | "incr" | "decr" => (2, 2),
        "getdel" | "persist" | "ttl" | "pttl" | "expiretime" | "pexpiretime" => (2, 2),
        "append" | "incrby" | "decrby" | "getset" | "setnx" => (3, 3),
        "setex" | "psetex" => (4, 4),
        "expire" | "pexpire" | "expireat" | "pexpireat" => (3, usize::MAX),
        "getex" => (2, usize::MAX),
        "del" | "exists" | "mget" => (2, usize::MAX),
        "set" | "mset" => (3, usize::MAX),
        "xadd" => (5, usize::MAX),
        "xrange" | "xrevrange" | "xread" => (4, usize::MAX),
        _ => return None,
    })
}

fn set(words: &[Bytes]) -> Result<Set, Answer> {
    let (mut when, mut get, mut at, mut about_time) = (When::Any, false, 3, Vec::new());
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
        } else if is(word, "KEEPTTL") {
            about_time.push(word.clone());
            times::options(&about_time, false)?;
            continue;
        } else if ["EX", "PX", "EXAT", "PXAT"].iter().any(|name| is(word, name)) {
            at += 1;
            let number = words.get(at - 1).ok_or_else(Answer::syntax_error)?;
            about_time.extend([word.clone(), number.clone()]);
            times::options(&about_time, false)?;
            continue;
        } else {
            return Err(unknown_option(word));
        };
        if when != When::Any && when != wanted {
            return Err(Answer::syntax_error());
        }
        when = wanted;
    }
    let until = match times::options(&about_time, false)? {
        None => Until::Never,
        Some((word, number)) => times::when("set", word, number)?,
    };
    Ok(Set {
        key: words[1].clone(),
        value: words[2].clone(),
        when,
        get,
        until,
    })
}

/// Where this server differs from Redis it says so.
fn unknown_option(word: &[u8]) -> Answer {
    let known = |names: &[&'static str]| names.iter().copied().find(|name| is(word, name));
    if let Some(name) = known(&["IFNE", "IFDEQ", "IFDNE"]) {
        return Answer::Error(format!(
            "ERR SET option {name} is not supported: compare with IFEQ"
        ));
    }
    Answer::syntax_error()
}

//! From words to a request, or the error that refuses them. Words are understood as Redis 7 understands them.

use bytes::Bytes;

use super::answer::Answer;
use super::connection::{self, Expected};
use super::number::signed;
use super::stream_request::{self as streams, After, NewEntry, Range};

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Something about keys.
    Keys(Request),
    /// Something about the connection or the server, and what is expected of the answer.
    Connection(Expected),
}

/// A request about keys.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field is what the synopsis of its command names")]
pub enum Request {
    /// `SET key value [NX | XX | IFEQ expected] [GET]`
    Set(Set),
    /// `DEL key...`
    Delete(Vec<Bytes>),
    /// `MSET key value...`
    SetMany(Vec<(Bytes, Bytes)>),
    /// `INCRBY key delta`, and its kin.
    Add { key: Bytes, delta: i64 },
    /// `APPEND key suffix`
    Append { key: Bytes, suffix: Bytes },
    /// `XADD`
    AddEntry(NewEntry),
    /// `GET key`
    Get(Bytes),
    /// `EXISTS key...`
    CountExisting(Vec<Bytes>),
    /// `MGET key...`
    GetMany(Vec<Bytes>),
    /// `STRLEN key`
    Length(Bytes),
    /// `TYPE key`
    TypeOf(Bytes),
    /// `XLEN key`
    StreamLength(Bytes),
    /// `XRANGE` and `XREVRANGE`
    Range(Range),
    /// `XREAD [COUNT count] STREAMS key... id...`
    ReadStreams {
        count: Option<u64>,
        streams: Vec<(Bytes, After)>,
    },
}

/// `SET`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Which key.
    pub key: Bytes,
    /// Its new value.
    pub value: Bytes,
    /// On which condition.
    pub when: When,
    /// The answer is the old value.
    pub get: bool,
}

/// When `SET` sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// Always.
    Any,
    /// `NX`
    Absent,
    /// `XX`
    Present,
    /// `IFEQ`, as Redis 8.4 and Valkey 8.1 have it.
    Holds(Bytes),
}

impl Request {
    /// True when it may change a key.
    pub fn writes(&self) -> bool {
        match self {
            Self::Set(_)
            | Self::Delete(_)
            | Self::SetMany(_)
            | Self::Add { .. }
            | Self::Append { .. }
            | Self::AddEntry(_) => true,
            Self::Get(_)
            | Self::CountExisting(_)
            | Self::GetMany(_)
            | Self::Length(_)
            | Self::TypeOf(_)
            | Self::StreamLength(_)
            | Self::Range(_)
            | Self::ReadStreams { .. } => false,
        }
    }
}

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
        Some(_) | None => return connection::understand(words),
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
        "xadd" => return streams::xadd(words),
        "xrange" => return streams::xrange(words, false),
        "xrevrange" => return streams::xrange(words, true),
        _ => return streams::xread(words),
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

/// True when a word of a request is `wanted`, in any case.
pub(super) fn is(word: &[u8], wanted: &str) -> bool {
    word.eq_ignore_ascii_case(wanted.as_bytes())
}

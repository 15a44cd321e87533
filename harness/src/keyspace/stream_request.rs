//! Requests about streams, from their words.

use bytes::Bytes;

use super::answer::Answer;
use super::number::{id_part, signed};
use super::request::{Asked, Request, is};

/// The id of an entry: milliseconds, and a number among those of one millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Id(pub u64, pub u64);

/// Which id a new entry wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewId {
    /// `*`
    Clock,
    /// `ms-*`
    Within(u64),
    /// `ms-seq`
    Exactly(Id),
}

/// `XADD`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// The stream.
    pub key: Bytes,
    /// `NOMKSTREAM`
    pub only_existing: bool,
    /// Its id.
    pub id: NewId,
    /// Fields and values in turn.
    pub fields: Vec<Bytes>,
}

/// `XRANGE` and `XREVRANGE`; both ends belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The stream.
    pub key: Bytes,
    /// The lower end.
    pub first: Id,
    /// The upper end.
    pub last: Id,
    /// Last entry first.
    pub is_reverse: bool,
    /// At most so many.
    pub count: Option<u64>,
}

/// After what `XREAD` reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// `$`
    Last,
    /// An id.
    Id(Id),
}

impl Id {
    pub(super) const MAX: Self = Self(u64::MAX, u64::MAX);

    /// The smallest id above this one.
    pub(super) fn following(self) -> Option<Self> {
        if self.1 < u64::MAX {
            Some(Self(self.0, self.1 + 1))
        } else {
            Some(Self(self.0.checked_add(1)?, 0))
        }
    }

    /// The largest id below this one.
    fn preceding(self) -> Option<Self> {
        if self.1 > 0 {
            Some(Self(self.0, self.1 - 1))
        } else {
            Some(Self(self.0.checked_sub(1)?, u64::MAX))
        }
    }

    pub(super) fn answer(self) -> Answer {
        Answer::Bulk(Bytes::from(format!("{}-{}", self.0, self.1)))
    }

    /// `ms-seq`, or `ms` alone, which stands for the `seq` given.
    fn read(text: &[u8], seq: u64) -> Result<Self, Answer> {
        let mut parts = text.splitn(2, |byte| *byte == b'-');
        let ms = parts.next().and_then(id_part);
        let seq = parts.next().map_or(Some(seq), id_part);
        match (ms, seq) {
            (Some(ms), Some(seq)) => Ok(Self(ms, seq)),
            (None, _) | (_, None) => Err(invalid_id()),
        }
    }
}

fn invalid_id() -> Answer {
    Answer::error("ERR Invalid stream ID specified as stream command argument")
}

pub(super) fn xadd(words: &[Bytes]) -> Result<Asked, Answer> {
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
    Ok(Asked::Keys(Request::AddEntry(NewEntry {
        key,
        only_existing,
        id,
        fields,
    })))
}

pub(super) fn xrange(words: &[Bytes], is_reverse: bool) -> Result<Asked, Answer> {
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
    Ok(Asked::Keys(Request::Range(Range {
        key: words[1].clone(),
        first,
        last,
        is_reverse,
        count,
    })))
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

pub(super) fn xread(words: &[Bytes]) -> Result<Asked, Answer> {
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
            "ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.",
        ));
    }
    let (keys, ids) = rest.split_at(rest.len() / 2);
    let ids: Result<Vec<After>, Answer> = ids.iter().map(|id| after(id)).collect();
    let streams = keys.iter().cloned().zip(ids?).collect();
    Ok(Asked::Keys(Request::ReadStreams { count, streams }))
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

//! Entries of streams: their ids, and what requests say of them.

use bytes::Bytes;

use super::answer::Answer;
use super::number::id_part;

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
    pub(super) fn preceding(self) -> Option<Self> {
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
    pub(super) fn read(text: &[u8], seq: u64) -> Result<Self, Answer> {
        let mut parts = text.splitn(2, |byte| *byte == b'-');
        let ms = parts.next().and_then(id_part);
        let seq = parts.next().map_or(Some(seq), id_part);
        match (ms, seq) {
            (Some(ms), Some(seq)) => Ok(Self(ms, seq)),
            (None, _) | (_, None) => Err(invalid_id()),
        }
    }
}

pub(super) fn invalid_id() -> Answer {
    Answer::error("ERR Invalid stream ID specified as stream command argument")
}

//! Parts of a sorted set: by rank, by score, by name.

use crate::protocol::resp::Double;

/// A part of a sorted set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// From one rank to another; a negative one counts from the end.
    Ranks(i64, i64),
    /// From one score to another.
    Scores(ScoreEnd, ScoreEnd),
    /// From one name to another, of members that have the same score.
    Names(NameEnd<'a>, NameEnd<'a>),
}

/// Where a range of scores ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScoreEnd {
    /// The score.
    pub score: Double,
    /// It is no part of the range.
    pub excluded: bool,
}

/// Where a range of names ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameEnd<'a> {
    /// `-`: before all.
    First,
    /// `[name`
    Included(&'a [u8]),
    /// `(name`
    Excluded(&'a [u8]),
    /// `+`: behind all.
    Last,
}

/// What `ZRANGE` and its kin give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a> {
    /// From where to where.
    pub part: Part<'a>,
    /// The last one comes first.
    pub reverse: bool,
    /// So many are left out, of what is not a part by ranks, and so many are given; a negative count is none.
    pub limit: (i64, i64),
    /// With the scores.
    pub with_scores: bool,
}

//! Commands on lists.

use super::Args;

/// A command on the list at one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field is what the synopsis of its command names")]
pub enum ListCommand<'a> {
    /// `LPUSH key element...`, `RPUSH`, and with `X`, which only push to a list that is there.
    Push {
        side: Side,
        elements: Args<'a>,
        existing: bool,
    },
    /// `LPOP key [count]`, and `RPOP`.
    Pop { side: Side, count: Option<usize> },
    /// `LSET key index element`
    Set { index: i64, element: &'a [u8] },
    /// `LREM key count element`; a negative count begins at the end.
    Remove { count: i64, element: &'a [u8] },
    /// `LINSERT key BEFORE | AFTER pivot element`
    Insert {
        after: bool,
        pivot: &'a [u8],
        element: &'a [u8],
    },
    /// `LTRIM key start stop`
    Trim { first: i64, last: i64 },
    /// `LMOVE key to LEFT | RIGHT LEFT | RIGHT`, and `RPOPLPUSH`.
    Move {
        to: &'a [u8],
        from_side: Side,
        to_side: Side,
    },
    /// `LLEN key`
    Length,
    /// `LINDEX key index`
    Get { index: i64 },
    /// `LRANGE key start stop`
    Range { first: i64, last: i64 },
    /// `LPOS key element [RANK rank] [COUNT count] [MAXLEN maxlen]`
    Find { element: &'a [u8], options: FindOptions },
}

/// One end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "it is what its word says")]
pub enum Side {
    Left,
    Right,
}

/// The options of `LPOS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FindOptions {
    /// Which of those that are equal is the first; a negative one is counted from the end.
    pub rank: i64,
    /// How many are to be found; none for one, that is no list.
    pub count: Option<usize>,
    /// It looks at so many.
    pub looked_at_max: usize,
}

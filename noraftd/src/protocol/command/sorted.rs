//! Commands on sorted sets.

use super::Args;
use super::sets::Combine;
use super::sorted_parts::{Part, Parts};
use super::words::Scan;

/// A command on the sorted set at one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field is what the synopsis of its command names")]
pub enum SortedCommand<'a> {
    /// `ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member...`, and `ZINCRBY`; each score is one.
    Add { options: AddOptions, pairs: Args<'a> },
    /// `ZREM key member...`
    Remove { members: Args<'a> },
    /// `ZREMRANGEBYRANK key start stop`, and its kin.
    RemovePart(Part<'a>),
    /// `ZPOPMIN key [count]`, and `ZPOPMAX`, which takes the last.
    Pop { last: bool, count: Option<usize> },
    /// `ZRANGESTORE key source start stop ...`
    StorePart { source: &'a [u8], parts: Parts<'a> },
    /// `ZUNIONSTORE key numkeys source...`, and its kin.
    StoreCombined(Combination<'a>),
    /// `ZSCORE key member`
    Score { member: &'a [u8] },
    /// `ZMSCORE key member...`
    Scores { members: Args<'a> },
    /// `ZCARD key`
    Length,
    /// `ZCOUNT key min max`, and `ZLEXCOUNT`.
    Count(Part<'a>),
    /// `ZRANK key member`, and `ZREVRANK`, which counts from the end.
    Rank { member: &'a [u8], reverse: bool },
    /// `ZRANGE key start stop ...`, and its kin.
    Range(Parts<'a>),
    /// `ZRANDMEMBER key`
    Any,
    /// `ZRANDMEMBER key count [WITHSCORES]`; a negative count gives so many, which need not be different.
    Some { count: i64, with_scores: bool },
    /// `ZSCAN key cursor [MATCH pattern] [COUNT count]`
    Scan(Scan<'a>),
}

/// A command on several sorted sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field is what the synopsis of its command names")]
pub enum SortedSetsCommand<'a> {
    /// `ZMPOP numkeys key... MIN | MAX [COUNT count]`
    Pop {
        keys: Args<'a>,
        last: bool,
        count: usize,
    },
    /// `ZUNION numkeys key...`, and its kin.
    Combined {
        combination: Combination<'a>,
        with_scores: bool,
    },
    /// `ZINTERCARD numkeys key... [LIMIT limit]`
    CountCommon { keys: Args<'a>, limit: usize },
}

/// The options of `ZADD`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AddOptions {
    /// `NX`: only members that are not there.
    pub missing: bool,
    /// `XX`: only members that are there.
    pub existing: bool,
    /// `GT`: no score gets lower.
    pub greater: bool,
    /// `LT`: no score gets higher.
    pub less: bool,
    /// `CH`: what is changed counts, too.
    pub changed: bool,
    /// `INCR`: the score is added.
    pub increment: bool,
}

/// How sorted sets are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Combination<'a> {
    /// What of them is taken.
    pub combine: Combine,
    /// The sets.
    pub keys: Args<'a>,
    /// A factor for the scores of each; each is a number.
    pub weights: Option<Args<'a>>,
    /// What becomes of several scores.
    pub aggregate: Aggregate,
}

/// What becomes of the scores that a member has in several sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "it is what its word says")]
pub enum Aggregate {
    Sum,
    Min,
    Max,
}

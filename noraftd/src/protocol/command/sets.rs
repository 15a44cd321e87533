//! Commands on sets.

use super::Args;
use super::words::Scan;

/// A command on the set at one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field is what the synopsis of its command names")]
pub enum SetCommand<'a> {
    /// `SADD key member...`
    Add { members: Args<'a> },
    /// `SREM key member...`
    Remove { members: Args<'a> },
    /// `SPOP key`
    Pop,
    /// `SPOP key count`
    PopSome { count: usize },
    /// `SMOVE key to member`
    Move { to: &'a [u8], member: &'a [u8] },
    /// `SINTERSTORE key other...`, and its kin: the set at `key` is made of the others.
    Store { combine: Combine, others: Args<'a> },
    /// `SMEMBERS key`
    Members,
    /// `SISMEMBER key member`
    Has { member: &'a [u8] },
    /// `SMISMEMBER key member...`
    HasMany { members: Args<'a> },
    /// `SCARD key`
    Length,
    /// `SRANDMEMBER key`
    Any,
    /// `SRANDMEMBER key count`; a negative count gives so many, which need not be different.
    Some { count: i64 },
    /// `SSCAN key cursor [MATCH pattern] [COUNT count]`
    Scan(Scan<'a>),
}

/// A command on the sets at several keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetsCommand<'a> {
    /// `SINTER key...`, `SUNION key...`, `SDIFF key...`
    Combined(Combine, Args<'a>),
    /// `SINTERCARD numkeys key... [LIMIT limit]`
    CountCommon(Args<'a>, usize),
}

/// How sets are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combine {
    /// What is in every one.
    Inter,
    /// What is in any.
    Union,
    /// What is in the first, and in no other.
    Diff,
}

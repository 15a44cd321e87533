//! Commands on hashes.

use super::Args;
use super::words::Scan;
use crate::protocol::resp::Decimal;

/// A command on the hash at one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field is what the synopsis of its command names")]
pub enum HashCommand<'a> {
    /// `HSET key field value...`, and `HMSET`, which does not count.
    Set { pairs: Args<'a>, counts: bool },
    /// `HSETNX key field value`
    SetMissing { field: &'a [u8], value: &'a [u8] },
    /// `HDEL key field...`
    Delete { fields: Args<'a> },
    /// `HINCRBY key field delta`
    Add { field: &'a [u8], delta: i64 },
    /// `HINCRBYFLOAT key field delta`
    AddDecimal { field: &'a [u8], delta: Decimal },
    /// `HGET key field`
    Get { field: &'a [u8] },
    /// `HMGET key field...`
    GetMany { fields: Args<'a> },
    /// `HLEN key`
    Length,
    /// `HSTRLEN key field`
    ValueLength { field: &'a [u8] },
    /// `HEXISTS key field`
    Exists { field: &'a [u8] },
    /// `HKEYS key`
    Fields,
    /// `HVALS key`
    Values,
    /// `HGETALL key`
    Pairs,
    /// `HRANDFIELD key`
    Any,
    /// `HRANDFIELD key count [WITHVALUES]`; a negative count gives so many, which need not be different.
    Some { count: i64, with_values: bool },
    /// `HSCAN key cursor [MATCH pattern] [COUNT count]`
    Scan(Scan<'a>),
}

//! Commands on keys, whatever they hold, and on parts of strings.

use crate::protocol::resp::Decimal;

/// A command on one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field is what the synopsis of its command names")]
pub enum KeyCommand<'a> {
    /// `RENAME key to`
    Rename { to: &'a [u8] },
    /// `RENAMENX key to`
    RenameMissing { to: &'a [u8] },
    /// `COPY key to [DB 0] [REPLACE]`
    Copy { to: &'a [u8], replace: bool },
    /// `SETRANGE key offset value`
    SetRange { offset: usize, value: &'a [u8] },
    /// `INCRBYFLOAT key delta`
    AddDecimal { delta: Decimal },
    /// `GETRANGE key start end`, and `SUBSTR`.
    GetRange { first: i64, last: i64 },
    /// `OBJECT query key`
    Object(ObjectQuery),
    /// `LCS key with [LEN] [IDX] [MINMATCHLEN least] [WITHMATCHLEN]`
    Common { with: &'a [u8], form: CommonForm },
}

/// What is asked of a value, whatever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectQuery {
    /// `ENCODING`
    Encoding,
    /// `FREQ`
    Frequency,
    /// `IDLETIME`
    IdleTime,
    /// `REFCOUNT`
    References,
}

/// What is given of the longest subsequence that two strings have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommonForm {
    /// It.
    Text,
    /// Its length.
    Length,
    /// Where its parts are in both.
    Places {
        /// Only parts of so many bytes.
        least: usize,
        /// With the length of each.
        lengths: bool,
    },
}

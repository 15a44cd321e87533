//! Operations on a log, with their results.

use crate::recording::datum::Datum;

/// An operation on a log, with its result; lists and labels are in the history's pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogOp {
    /// `record` was appended, at label `at` unless that is nil (unknown).
    Append {
        /// What was appended.
        record: Datum,
        /// Where.
        at: Datum,
    },
    /// The records from `from` on were `entries`, a list of `[label record]`.
    Read {
        /// Where the read began.
        from: From,
        /// What it returned.
        entries: Datum,
        /// Nothing follows `entries`.
        end: bool,
    },
    /// The last entry was this `[label record]`; nil when the log was empty.
    Tail(Datum),
    /// The whole log was this list of records; a record's label is its index.
    Whole(Datum),
    /// The records with a label below this one were removed.
    Trim(Datum),
}

/// Where a read begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum From {
    /// At the first record.
    Start,
    /// At this label.
    At(Datum),
    /// Behind this label.
    After(Datum),
}

//! The scalar vocabulary of Raft: terms, log indices, node ids, generations and log positions.
//!
//! Each is a newtype over `u64`, so that a term is never mistaken for an index. The order of
//! [`LogPosition`] is the "up-to-date" relation of Raft 5.4.1: the term first, then the index.

use core::ops::{Add, AddAssign, Sub, SubAssign};

macro_rules! scalar {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u64);

        impl $name {
            #[doc = concat!("Makes ", $what, " from its number.")]
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            #[doc = concat!("Returns the number of this ", $what, ".")]
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl From<u64> for $name {
            fn from(value: u64) -> Self {
                Self(value)
            }
        }

        impl From<$name> for u64 {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

macro_rules! arithmetic {
    ($name:ident) => {
        /// Plain addition of the numbers: checked or wrapping as the build is.
        impl Add for $name {
            type Output = Self;

            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }

        /// Plain subtraction of the numbers: checked or wrapping as the build is.
        impl Sub for $name {
            type Output = Self;

            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }

        impl SubAssign for $name {
            fn sub_assign(&mut self, other: Self) {
                self.0 -= other.0;
            }
        }
    };
}

scalar! {
    /// The logical clock of Raft 5.1: terms are numbered with consecutive integers, and each has
    /// at most one leader.
    Term, "a term"
}
arithmetic!(Term);

scalar! {
    /// The place of an entry in the log. Entries start at 1; [`LogIndex::ZERO`] is before the first.
    LogIndex, "a log index"
}
arithmetic!(LogIndex);

scalar! {
    /// The identity of a node in the cluster.
    ///
    /// An integrator may use different numbers for one node on different machines, as long as the
    /// ids inside messages are mapped on the way.
    NodeId, "a node id"
}
arithmetic!(NodeId);

scalar! {
    /// How often a node has been restarted, as the node itself counts it.
    ///
    /// A generation must be unique and rising for each restart of one node. A leader that sees a
    /// follower's generation rise forgets how far that follower's log was known to match, which
    /// lets a follower that came back with less than it had acknowledged be fed again.
    NodeGeneration, "a generation"
}

impl Term {
    /// The term before the first election.
    pub const ZERO: Self = Self(0);

    /// The following term, or `None` after the last one.
    pub(crate) const fn checked_next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }
}

impl NodeGeneration {
    /// The generation of a node that has never been restarted.
    pub const ZERO: Self = Self(0);
}

impl LogIndex {
    /// The index before the first entry.
    pub const ZERO: Self = Self(0);

    /// Returns the following index.
    ///
    /// # Panics
    ///
    /// Overflows at `u64::MAX` as plain addition does; see [`LogIndex::checked_next`].
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Returns the following index, or `None` at `u64::MAX`.
    pub const fn checked_next(self) -> Option<Self> {
        self.checked_add(Self(1))
    }

    /// Adds two indices, or returns `None` if the sum does not fit.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// Subtracts `other`, or returns `None` if it is larger.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }
}

/// The identity of a log entry: its term and its index.
///
/// Two logs that hold an entry at the same position hold the same entries up to it (Raft 5.3, the
/// log matching property). Positions are ordered by term first and index second, which is the
/// comparison of Raft 5.4.1.
///
/// ```
/// use noraft::{LogIndex, LogPosition, Term};
///
/// let longer = LogPosition::new(Term::new(3), LogIndex::new(100));
/// let newer = LogPosition::new(Term::new(5), LogIndex::new(4));
/// assert!(newer > longer);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogPosition {
    /// The term in which the entry was made.
    pub term: Term,
    /// The place of the entry in the log.
    pub index: LogIndex,
}

impl LogPosition {
    /// The position before the first entry of a log.
    pub const ZERO: Self = Self::new(Term::ZERO, LogIndex::ZERO);

    /// What a refused proposal returns; no entry ever has this position.
    pub const INVALID: Self = Self::new(Term(u64::MAX), LogIndex::ZERO);

    /// Makes a position from its parts.
    pub const fn new(term: Term, index: LogIndex) -> Self {
        Self { term, index }
    }

    /// Returns whether this is [`LogPosition::INVALID`].
    pub const fn is_invalid(self) -> bool {
        self.term.0 == Self::INVALID.term.0 && self.index.0 == Self::INVALID.index.0
    }

    /// Returns the position one index further in the same term.
    ///
    /// # Panics
    ///
    /// Overflows at index `u64::MAX` as plain addition does; see [`LogPosition::checked_next`].
    pub const fn next(self) -> Self {
        Self::new(self.term, self.index.next())
    }

    /// Returns the position one index further in the same term, or `None` at index `u64::MAX`.
    pub const fn checked_next(self) -> Option<Self> {
        match self.index.checked_next() {
            Some(index) => Some(Self::new(self.term, index)),
            None => None,
        }
    }
}

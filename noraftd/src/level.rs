//! Levels: what all nodes of a cluster have agreed to understand, so that old and new ones can serve side by side.
//!
//! A node says in its greeting which level it supports; a node of the first release says none, and supports level 0. The
//! level in force is a part of the replicated state. It rises by an entry, which a leader appends only when every member
//! supports the level that it names, and never falls: at a level, nothing is appended, sent or written that a node which
//! supports this level does not know.
//!
//! | level | what is new |
//! |-|-|
//! | 0 | nothing: the first release. An entry that does not decode is skipped |
//! | 1 | FLUSHALL, the membership table, keys that go at some time, hashes, sets, sorted sets, lists, blocks of commands, sessions, limits and scripts. An entry that does not decode stops the node |
//!
//! Invariant: what an entry does depends on the level in the state that it is applied to, never on the version that
//! applies it.

use std::fmt;

/// What every node of a cluster understands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

impl Level {
    /// Of the first release.
    pub const FIRST: Self = Self(0);
    /// Every key may be removed at once; the members are a table in the state; unknown entries stop a node.
    pub const FLUSH: Self = Self(1);
    /// Keys may go at some time.
    pub const EXPIRY: Self = Self(1);
    /// Commands may be carried out as one, if keys are as they were.
    pub const BLOCK: Self = Self(1);
    /// Commands may have numbers in sessions; the state has limits.
    pub const SESSION: Self = Self(1);
    /// Scripts are carried out and kept.
    pub const SCRIPT: Self = Self(1);
    /// Keys may hold more than strings and streams.
    pub const DATA: Self = Self(1);
    /// The highest that this version supports.
    pub const SUPPORTED: Self = Self::EXPIRY;

    /// The level of this number, which may be one that only later versions know.
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

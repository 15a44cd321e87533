//! The limits that decide what entries do: the same on every node, for they are a part of the state.
//!
//! Invariant: each has a value that it may have. The digest has nothing of those that were never set.

use super::digest::Digest;
use crate::protocol::command::Limit;
use crate::protocol::resp::Reply;

/// The value of every limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limits([u64; Limit::ALL.len()]);

impl Default for Limits {
    fn default() -> Self {
        Self(Limit::ALL.map(Limit::first))
    }
}

impl Limits {
    pub(super) fn get(&self, limit: Limit) -> u64 {
        self.0.get(limit.number()).copied().unwrap_or_default()
    }

    pub(super) fn set(&mut self, limit: Limit, value: u64) {
        assert!(limit.admits(value), "{value} is no value of {limit:?}");
        if let Some(held) = self.0.get_mut(limit.number()) {
            *held = value;
        }
    }

    /// Those that are not what they are at first.
    pub(super) fn changed(&self) -> impl Iterator<Item = (Limit, u64)> + '_ {
        let all = Limit::ALL.into_iter().map(|limit| (limit, self.get(limit)));
        all.filter(|(limit, value)| *value != limit.first())
    }

    /// What they contribute to the digest of the state.
    pub(super) fn digest(&self) -> u64 {
        let sums = self.changed().map(|(limit, value)| {
            let mut digest = Digest::new();
            [LIMIT_SALT, limit.number() as u64, value]
                .into_iter()
                .for_each(|part| digest.number(part));
            digest.finish()
        });
        sums.fold(0, u64::wrapping_add)
    }

    /// Every limit with its value, as clients read it.
    pub(super) fn reply(&self) -> Reply {
        let pairs = Limit::ALL.into_iter().map(|limit| {
            let value = i64::try_from(self.get(limit)).unwrap_or(i64::MAX);
            (Reply::Bulk(limit.name().into()), Reply::Integer(value))
        });
        Reply::Map(pairs.collect())
    }
}

/// A number without a pattern, so that a limit looks like nothing else.
const LIMIT_SALT: u64 = 0xe703_7ed1_a0b4_28db;

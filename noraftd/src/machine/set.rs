//! A set.
//!
//! Invariant: a set that a key holds has members. `sum` is the sum of what each member contributes to the digest of the state.

use bytes::Bytes;

use super::table::{Table, name_digest};
use crate::prng::Prng;

/// Members, each once.
#[derive(Debug, Clone, Default)]
pub(super) struct Set {
    pub(super) members: Table<()>,
    sum: u64,
}

impl Set {
    pub(super) fn has(&self, member: &[u8]) -> bool {
        self.members.get(member).is_some()
    }

    /// Adds a member; true for a new one.
    pub(super) fn add(&mut self, member: &[u8]) -> bool {
        let is_new = self.members.insert(member, ()).is_none();
        if is_new {
            self.sum = self.sum.wrapping_add(name_digest(member));
        }
        is_new
    }

    /// Removes a member; true when there was one.
    pub(super) fn remove(&mut self, member: &[u8]) -> bool {
        let was_there = self.members.remove(member).is_some();
        if was_there {
            self.sum = self.sum.wrapping_sub(name_digest(member));
        }
        was_there
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Bytes> {
        self.members.iter().map(|(member, ())| member)
    }

    /// Takes the next member of an image; false when it does not follow.
    pub(super) fn restore(&mut self, member: &[u8]) -> bool {
        self.sum = self.sum.wrapping_add(name_digest(member));
        self.members.restore(member, ())
    }

    pub(super) fn sample(&self, count: usize, prng: &mut Prng) -> Vec<Bytes> {
        let chosen = self.members.sample(count, prng);
        chosen.into_iter().map(|(member, ())| member).collect()
    }

    pub(super) fn any(&self, prng: &mut Prng) -> Option<Bytes> {
        self.members.any(prng).map(|(member, ())| member)
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn sum(&self) -> u64 {
        self.sum
    }

    /// The sum, from the elements as they are now.
    pub(super) fn read_sum(&self) -> u64 {
        let sums = self.iter().map(|member| name_digest(&member));
        sums.fold(0, u64::wrapping_add)
    }
}

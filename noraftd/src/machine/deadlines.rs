//! When keys go.
//!
//! Invariant: both maps hold the same; a key with a deadline exists. Keys without one cost nothing here.

use bytes::Bytes;
use imbl::{OrdMap, OrdSet};

use crate::time::Stamp;

/// The keys that go at some time.
#[derive(Debug, Clone, Default)]
pub(super) struct Deadlines {
    of: OrdMap<Bytes, Stamp>,
    order: OrdSet<(Stamp, Bytes)>,
}

impl Deadlines {
    /// How many keys have one.
    pub(super) fn len(&self) -> usize {
        self.of.len()
    }

    /// When the key goes, if it does.
    pub(super) fn get(&self, key: &[u8]) -> Option<Stamp> {
        if self.of.is_empty() {
            return None;
        }
        self.of.get(key).copied()
    }

    /// The key goes at `deadline`, or no more; gives what was set before.
    pub(super) fn set(&mut self, key: &Bytes, deadline: Option<Stamp>) -> Option<Stamp> {
        let before = match deadline {
            Some(deadline) => self.of.insert(key.clone(), deadline),
            None if self.of.is_empty() => None,
            None => self.of.remove(key),
        };
        if let Some(before) = before {
            self.order.remove(&(before, key.clone()));
        }
        if let Some(deadline) = deadline {
            self.order.insert((deadline, key.clone()));
        }
        before
    }

    /// The key that goes first, and when.
    pub(super) fn first(&self) -> Option<&(Stamp, Bytes)> {
        self.order.get_min()
    }

    /// How many have come: what no entry has removed yet.
    pub(super) fn due(&self, now: Stamp) -> usize {
        self.order
            .iter()
            .take_while(|(deadline, _)| *deadline <= now)
            .count()
    }

    /// Every key that has one, in the order of the keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Bytes, Stamp)> {
        self.of.iter().map(|(key, deadline)| (key, *deadline))
    }
}

//! The keys of a workload: those in use, and those that are worn.
//!
//! Invariant: a key is in use once, and never again after it was retired: what is recorded under a key is one object.

use noraftd::prng::Prng;

/// Keys, with what is known of each.
#[derive(Debug)]
pub(super) struct Keys<K> {
    prefix: &'static str,
    operations_per_key: u64,
    slots: Vec<Slot<K>>,
    /// Oldest first.
    retired: Vec<String>,
}

/// A key in use.
#[derive(Debug)]
pub(super) struct Slot<K> {
    key: String,
    generation: u64,
    operations: u64,
    known: K,
}

/// An operation's object.
pub(super) struct Turn<'a, K> {
    /// Its key.
    pub(super) key: &'a str,
    /// How many operations it had before, while it was in use.
    pub(super) nth: u64,
    /// What replies have shown of it.
    pub(super) known: &'a K,
    /// The objects in use.
    pub(super) in_use: &'a [Slot<K>],
}

impl<K: Default> Keys<K> {
    /// So many keys, each for so many operations; 0 is any number.
    pub(super) fn new(prefix: &'static str, count: usize, operations_per_key: u64) -> Self {
        Self {
            prefix,
            operations_per_key,
            slots: (0..count).map(|at| Slot::new(prefix, at, 0)).collect(),
            retired: Vec::new(),
        }
    }

    /// The keys in use.
    pub(super) fn in_use(&self) -> &[Slot<K>] {
        &self.slots
    }

    /// One of the slots.
    pub(super) fn draw(&self, prng: &mut Prng) -> usize {
        prng.below(self.slots.len() as u64) as usize
    }

    /// Counts an operation on a slot, whose worn key is replaced by a fresh one; how many there were before.
    pub(super) fn wear(&mut self, at: usize) -> u64 {
        let slot = &mut self.slots[at];
        if self.operations_per_key > 0 && slot.operations >= self.operations_per_key {
            let worn = std::mem::replace(slot, Slot::new(self.prefix, at, slot.generation + 1));
            self.retired.push(worn.key);
        }
        slot.operations += 1;
        slot.operations - 1
    }

    /// An operation on the key of a slot.
    pub(super) fn turn(&self, at: usize, nth: u64) -> Turn<'_, K> {
        let Slot { key, known, .. } = &self.slots[at];
        Turn {
            key,
            nth,
            known,
            in_use: &self.slots,
        }
    }

    /// What is known of a key, while it is in use.
    pub(super) fn known(&mut self, key: &str) -> Option<&mut K> {
        let slot = self.slots.iter_mut().find(|slot| slot.key == key)?;
        Some(&mut slot.known)
    }

    /// Retired keys, newest first, as many as are worth reading.
    pub(super) fn newest_retired(&self, nth: usize) -> Option<&str> {
        let newest = self.retired.iter().rev().take(RETIRED_READ_MAX);
        newest.map(String::as_str).nth(nth)
    }
}

impl<K> Slot<K> {
    fn new(prefix: &str, at: usize, generation: u64) -> Self
    where
        K: Default,
    {
        Self {
            key: format!("{prefix}:{at}.{generation}"),
            generation,
            operations: 0,
            known: K::default(),
        }
    }

    /// Its key.
    pub(super) fn key(&self) -> &str {
        &self.key
    }
}

/// Retired keys change no more: the newest ones were written under the same faults as the rest.
const RETIRED_READ_MAX: usize = 200;

//! The key space: every key with its value, and the commands that do not care about its type.
//!
//! Invariant: a key that exists has a value; a stream without entries exists, as in Redis. A key exists until the state's
//! clock, which is the greatest stamp that was applied, reaches its deadline; what is left of it then is removed a few keys
//! at a time, or by what uses the key again. A clone costs the
//! same whatever is in there: it shares everything, and what is changed later is copied a few keys at a time.
//! `digest` is the sum of what each key, its value and its deadline contribute, so a change costs what it changes.
//!
//! From level 1 on each key has the index of the entry that last changed it, its value or its deadline; one that was changed before
//! has the index at which that level came into force.

use std::ops::Bound;

use bytes::Bytes;
use imbl::OrdMap;
use noraft::LogIndex;

use super::deadlines::Deadlines;
use super::digest::Digest;
use super::reply::wrong_type;
use super::stream::Stream;
use super::value::{Container, Value};
use crate::protocol::command::Args;
use crate::protocol::resp::Reply;
use crate::time::Stamp;

/// What is held of a key.
#[derive(Debug, Clone)]
struct Slot {
    value: Value,
    /// The entry that last changed the key; zero below the level that keeps it.
    modified: u64,
}

/// Every key with its value.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    map: OrdMap<Bytes, Slot>,
    deadlines: Deadlines,
    clock: Stamp,
    /// The entry that is being applied; zero below the level at which that is kept.
    entry: u64,
    /// When that began: keys without an index were last changed here, or before.
    first: u64,
    digest: u64,
}

impl Keys {
    /// With what is left of keys that are gone.
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// Those that exist.
    pub(super) fn count(&self) -> usize {
        self.len() - self.deadlines.due(self.clock)
    }

    /// Those that go at some time.
    pub(super) fn expiring(&self) -> usize {
        self.deadlines.len()
    }

    /// The greatest stamp that was applied.
    pub(super) fn clock(&self) -> Stamp {
        self.clock
    }

    /// An entry with this stamp is applied.
    pub(super) fn advance(&mut self, stamp: Stamp) {
        self.clock = self.clock.max(stamp);
    }

    /// What is changed from now on is changed by the entry at this index.
    pub(super) fn begin_entry(&mut self, index: LogIndex) {
        self.entry = index.get();
    }

    /// Where something comes from that the command at this place of the entry draws.
    pub(super) fn draw(&self, place: u64) -> u64 {
        self.seed(self.entry.wrapping_add(place << 40))
    }

    /// Where something comes from that is drawn; another place for another number.
    pub(super) fn seed(&self, number: u64) -> u64 {
        let mut digest = Digest::new();
        [number, self.digest, self.clock.as_millis()]
            .into_iter()
            .for_each(|part| digest.number(part));
        digest.finish()
    }

    /// Which entry changed a key is kept from now on; `first` stands for all before.
    pub(super) fn keep_modified(&mut self, first: LogIndex) {
        self.first = first.get();
    }

    /// The index that stands for all entries before those that are kept; zero while none are.
    pub(super) fn first_kept(&self) -> u64 {
        self.first
    }

    /// The entry that last changed the key; zero for one that does not exist.
    pub(super) fn modified(&self, key: &[u8]) -> LogIndex {
        let held = self.map.get(key).filter(|_| !self.is_gone(key));
        LogIndex::new(held.map_or(0, |held| held.modified.max(self.first)))
    }

    /// The key, which exists, was last changed by this entry.
    pub(super) fn restore_modified(&mut self, key: &[u8], modified: u64) {
        if let Some(held) = self.map.get_mut(key) {
            let name = name_sum(key);
            let before = modified_sum(name, std::mem::replace(&mut held.modified, modified));
            let after = modified_sum(name, modified);
            self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
        }
    }

    /// Removes what is left of keys that are gone, of `most` at once.
    pub(super) fn sweep(&mut self, most: usize) {
        for _ in 0..most {
            match self.deadlines.first() {
                Some((deadline, key)) if *deadline <= self.clock => {
                    let key = key.clone();
                    self.remove_held(&key);
                }
                Some(_) | None => break,
            }
        }
    }

    /// When the first of all keys goes, or went.
    pub(super) fn next_deadline(&self) -> Option<Stamp> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Value> {
        let held = self.map.get(key).filter(|_| !self.is_gone(key));
        held.map(|held| &held.value)
    }

    /// True when something is left of a key whose deadline has come.
    fn is_gone(&self, key: &[u8]) -> bool {
        let deadline = self.deadlines.get(key);
        deadline.is_some_and(|deadline| deadline <= self.clock)
    }

    /// Removes what is left of the key, if it is gone.
    fn clear_gone(&mut self, key: &[u8]) {
        if self.is_gone(key) {
            self.remove_held(key);
        }
    }

    /// When the key goes, if it exists and goes.
    pub(super) fn deadline(&self, key: &[u8]) -> Option<Stamp> {
        let deadline = self.deadlines.get(key);
        deadline.filter(|deadline| *deadline > self.clock)
    }

    /// The key, if it exists, goes at `deadline`, which may be now, or no more.
    pub(super) fn set_deadline(&mut self, key: &[u8], deadline: Option<Stamp>) {
        if deadline.is_some_and(|deadline| deadline <= self.clock) {
            self.remove_held(key);
        } else if let Some((key, _)) = self.map.get_key_value(key) {
            let name = name_sum(key);
            let key = key.clone();
            let before = self.deadlines.set(&key, deadline);
            self.count_deadline(name, before, deadline);
            if before.is_some() || deadline.is_some() {
                self.restore_modified(&key, self.entry);
            }
        }
    }

    fn count_deadline(&mut self, name: u64, before: Option<Stamp>, after: Option<Stamp>) {
        let sum = |deadline: Option<Stamp>| deadline.map_or(0, |at| deadline_sum(name, at));
        self.digest = self.digest.wrapping_sub(sum(before)).wrapping_add(sum(after));
    }

    /// Lets `change` have the value of `key`, if there is a key.
    pub(super) fn update<T>(&mut self, key: &[u8], change: impl FnOnce(&mut Value) -> T) -> Option<T> {
        self.clear_gone(key);
        let held = self.map.get_mut(key)?;
        let name = name_sum(key);
        let before = held.value.contribution(name);
        let changed = change(&mut held.value);
        let after = held.value.contribution(name);
        if after != before {
            let was = modified_sum(name, std::mem::replace(&mut held.modified, self.entry));
            let is = modified_sum(name, self.entry);
            let before = before.wrapping_add(was);
            self.digest = self
                .digest
                .wrapping_sub(before)
                .wrapping_add(after.wrapping_add(is));
        }
        Some(changed)
    }

    /// Lets `change` have what the key holds, or a new one where there is no key. One without elements is no key.
    ///
    /// # Errors
    ///
    /// With the reply to give when the key holds something else.
    pub(super) fn change<C: Container, T>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut C) -> T,
    ) -> Result<T, Reply> {
        let mut change = Some(change);
        let mut run = |held: &mut C| change.take().map(|change| change(held));
        let changed = self.update(key, |value| {
            let held = C::of_mut(value).ok_or_else(wrong_type)?;
            Ok((run(held), held.is_empty()))
        });
        let changed = match changed {
            Some(Err(reply)) => return Err(reply),
            Some(Ok((changed, is_empty))) => {
                if is_empty {
                    self.remove_held(key);
                }
                changed
            }
            None => {
                let mut made = C::default();
                let changed = run(&mut made);
                if !made.is_empty() {
                    self.insert(key, made.into_value());
                }
                changed
            }
        };
        Ok(changed.expect("it is called once"))
    }

    /// The key holds this from now on, or is no more where this has no elements.
    pub(super) fn put<C: Container>(&mut self, key: &[u8], made: C) {
        if !made.is_empty() {
            self.set(key, made.into_value());
        } else {
            self.remove(key);
        }
    }

    /// What the key holds, if there is a key.
    ///
    /// # Errors
    ///
    /// With the reply to give when that is something else.
    pub(super) fn held<C: Container>(&self, key: &[u8]) -> Result<Option<&C>, Reply> {
        let held = self.get(key).map(|value| C::of(value).ok_or_else(wrong_type));
        held.transpose()
    }

    /// The string at `key`, if there is a key.
    ///
    /// # Errors
    ///
    /// With the reply to give when the key holds something else.
    pub(super) fn string(&self, key: &[u8]) -> Result<Option<&Bytes>, Reply> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.bytes())),
            Some(Value::Stream(_) | Value::Hash(_) | Value::Set(_) | Value::Sorted(_) | Value::List(_)) => {
                Err(wrong_type())
            }
        }
    }

    /// The stream at `key`, if there is a key.
    ///
    /// # Errors
    ///
    /// With the reply to give when the key holds something else.
    pub(super) fn stream(&self, key: &[u8]) -> Result<Option<&Stream>, Reply> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Stream(stream)) => Ok(Some(stream)),
            Some(Value::String(_) | Value::Hash(_) | Value::Set(_) | Value::Sorted(_) | Value::List(_)) => {
                Err(wrong_type())
            }
        }
    }

    /// Sets the value, whatever the key held before. From now on it goes no more.
    pub(super) fn set(&mut self, key: &[u8], value: Value) {
        self.insert(key, value);
        if self.deadlines.get(key).is_some() {
            self.set_deadline(key, None);
        }
    }

    /// Sets the value, whatever the key held before. It goes when it would have gone.
    pub(super) fn insert(&mut self, key: &[u8], value: Value) {
        self.clear_gone(key);
        let name = name_sum(key);
        let held = Slot {
            value,
            modified: self.entry,
        };
        let after = held.sum(name);
        let before = match self.map.get_mut(key) {
            Some(before) => std::mem::replace(before, held).sum(name),
            None => {
                self.map.insert(Bytes::copy_from_slice(key), held);
                0
            }
        };
        self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
    }

    /// Removes the key; true when there was one.
    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        let existed = !self.is_gone(key);
        self.remove_held(key) && existed
    }

    /// Removes what is held of the key; true when that was something.
    fn remove_held(&mut self, key: &[u8]) -> bool {
        let Some((key, held)) = self.map.remove_with_key(key) else {
            return false;
        };
        let name = name_sum(&key);
        self.digest = self.digest.wrapping_sub(held.sum(name));
        let before = self.deadlines.set(&key, None);
        self.count_deadline(name, before, None);
        true
    }

    /// Removes every key.
    pub(super) fn clear(&mut self) {
        *self = Self {
            clock: self.clock,
            entry: self.entry,
            first: self.first,
            ..Self::default()
        };
    }

    /// Every key that is held, with its value, the entry that changed it and when it goes, in the order of the keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Bytes, &Value, (u64, Option<Stamp>))> {
        let mut deadlines = self.deadlines.iter().peekable();
        self.map.iter().map(move |(key, held)| {
            let of_this = deadlines.next_if(|(other, _)| *other == key);
            let deadline = of_this.map(|(_, deadline)| deadline);
            (key, &held.value, (held.modified, deadline))
        })
    }

    /// The names that are held, in their order from `first` on, and whether there is still a key of that name.
    pub(super) fn names_from(&self, first: &[u8]) -> impl Iterator<Item = (&Bytes, bool)> {
        let from = (Bound::Included(first), Bound::Unbounded);
        let held = self.map.range::<_, [u8]>(from);
        held.map(|(key, _)| (key, !self.is_gone(key)))
    }

    /// The last name that is held and begins with this.
    pub(super) fn last_name(&self, beginning: &[u8]) -> Option<&Bytes> {
        let mut end = beginning.to_vec();
        while end.pop_if(|byte| *byte == u8::MAX).is_some() {}
        let before = match end.last_mut() {
            Some(byte) => {
                *byte += 1;
                Bound::Excluded(&end[..])
            }
            None => Bound::Unbounded,
        };
        let range = (Bound::Included(beginning), before);
        let last = self.map.range::<_, [u8]>(range).next_back();
        last.map(|(key, _)| key)
    }

    /// The sum of what each key and its value contribute, as every change has kept it.
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// The same, from the keys and values as they are now.
    pub(super) fn read_digest(&self) -> u64 {
        let sums = self.map.iter().map(|(key, held)| {
            let name = name_sum(key);
            let value = held.value.read_contribution(name);
            value.wrapping_add(modified_sum(name, held.modified))
        });
        let deadlines = self.deadlines.iter();
        let deadlines = deadlines.map(|(key, deadline)| deadline_sum(name_sum(key), deadline));
        sums.chain(deadlines).fold(0, u64::wrapping_add)
    }
}

impl Slot {
    /// What a key with this name contributes, but for its deadline.
    fn sum(&self, name: u64) -> u64 {
        self.value
            .contribution(name)
            .wrapping_add(modified_sum(name, self.modified))
    }
}

/// What the entry that changed a key contributes: nothing below the level that keeps it.
fn modified_sum(name: u64, modified: u64) -> u64 {
    match modified {
        0 => 0,
        _ => (name ^ MODIFIED_SALT)
            .rotate_left(17)
            .wrapping_mul(modified | 1)
            .wrapping_add(modified),
    }
}

/// What a key's deadline contributes.
fn deadline_sum(name: u64, deadline: Stamp) -> u64 {
    let mut digest = Digest::new();
    [name, TAG_DEADLINE, deadline.as_millis()]
        .into_iter()
        .for_each(|part| digest.number(part));
    digest.finish()
}

/// What a key contributes beside its value.
fn name_sum(key: &[u8]) -> u64 {
    let mut digest = Digest::new();
    digest.bytes(key);
    digest.finish()
}

pub(super) fn del(keys: &mut Keys, names: Args<'_>) -> Reply {
    count_where(names, |name| keys.remove(name))
}

pub(super) fn exists(keys: &Keys, names: Args<'_>) -> Reply {
    count_where(names, |name| keys.get(name).is_some())
}

fn count_where(names: Args<'_>, mut wanted: impl FnMut(&[u8]) -> bool) -> Reply {
    Reply::Integer(names.iter().map(|name| i64::from(wanted(name))).sum())
}

pub(super) fn type_of(keys: &Keys, key: &[u8]) -> Reply {
    Reply::Status(keys.get(key).map_or("none", Value::type_name))
}

/// A number without a pattern, so that the sum of an index looks like no other.
const MODIFIED_SALT: u64 = 0xa076_1d64_78bd_642f;
const TAG_DEADLINE: u64 = 3;

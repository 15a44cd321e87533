//! Named elements, in an order that depends on their names alone: the fields of a hash, the members of a set.
//!
//! Invariant: a key is the digest of the name (8 bytes, the highest first) and the name, so that an element keeps its place whatever comes
//! and goes beside it. A scan is a walk along the first [`CURSOR_BYTES`] of the keys: what is there from its beginning to its end is met.
//! A clone costs nothing.

use std::collections::BTreeSet;
use std::ops::Bound;

use bytes::Bytes;
use imbl::OrdMap;

use super::digest::Digest;
use crate::prng::Prng;
use crate::protocol::command::Scan;
use crate::protocol::glob::{Case, matches};

/// A map from names to values.
#[derive(Debug, Clone)]
pub(super) struct Table<V: Clone>(OrdMap<Bytes, V>);

impl<V: Clone> Default for Table<V> {
    fn default() -> Self {
        Self(OrdMap::new())
    }
}

impl<V: Clone> Table<V> {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&V> {
        self.0.get(&key_of(name)[..])
    }

    /// Sets the value of a name, and gives the one before.
    pub(super) fn insert(&mut self, name: &[u8], value: V) -> Option<V> {
        let key = key_of(name);
        match self.0.get_mut(&key[..]) {
            Some(held) => Some(std::mem::replace(held, value)),
            None => self.0.insert(Bytes::from(key), value),
        }
    }

    /// The name as it is held here, if it is: sharing its memory.
    pub(super) fn name(&self, name: &[u8]) -> Option<Bytes> {
        let held = self.0.get_key_value(&key_of(name)[..]);
        held.map(|held| named(held).0)
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Option<V> {
        self.0.remove(&key_of(name)[..])
    }

    /// Every name and its value, in the order of their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Bytes, &V)> {
        self.0.iter().map(named)
    }

    /// Takes the next element of an image; false when it does not follow.
    pub(super) fn restore(&mut self, name: &[u8], value: V) -> bool {
        let key = Bytes::from(key_of(name));
        let follows = self.0.get_max().is_none_or(|(last, _)| *last < key);
        if follows {
            self.0.insert(key, value);
        }
        follows
    }

    /// The elements that a scan meets from its cursor on, of those whose names match, and where it goes on; zero at the end.
    pub(super) fn scan(&self, scan: Scan<'_>) -> (u64, Vec<(Bytes, &V)>) {
        let start = scan
            .cursor
            .checked_shl(64 - CURSOR_BITS)
            .filter(|_| scan.cursor >> CURSOR_BITS == 0);
        let Some(start) = start else {
            return (0, Vec::new());
        };
        let start = start.to_be_bytes();
        let from = (Bound::Included(&start[..]), Bound::Unbounded);
        let (mut met, mut found, mut last) = (0, Vec::new(), 0);
        for (key, value) in self.0.range::<_, [u8]>(from) {
            let cursor = cursor_of(key);
            // Those of one cursor are met together.
            if met >= scan.count && cursor != last {
                return (cursor, found);
            }
            (met, last) = (met + 1, cursor);
            let (name, value) = named((key, value));
            if scan
                .pattern
                .is_none_or(|pattern| matches(pattern, &name, Case::Matters))
            {
                found.push((name, value));
            }
        }
        (0, found)
    }

    /// Any element. Of a few, each is as likely as any other, and of many about as likely.
    pub(super) fn any(&self, prng: &mut Prng) -> Option<(Bytes, &V)> {
        let found = if self.len() <= FEW {
            let at = prng.below(self.len() as u64);
            self.0.iter().nth(at as usize)
        } else {
            let start = prng.next_u64().to_be_bytes();
            let from = (Bound::Included(&start[..]), Bound::Unbounded);
            let skipped = prng.below(FEW as u64) as usize;
            self.0.range::<_, [u8]>(from).chain(self.0.iter()).nth(skipped)
        };
        found.map(named)
    }

    /// So many elements, each of which is any; none where there is none.
    pub(super) fn several<'a>(
        &'a self,
        count: usize,
        prng: &'a mut Prng,
    ) -> Box<dyn Iterator<Item = (Bytes, &'a V)> + 'a> {
        if count / 8 < self.len() {
            return Box::new((0..count).map_while(|_| self.any(prng)));
        }
        let all: Vec<(&Bytes, &V)> = self.0.iter().collect();
        let drawn = (0..count).map_while(move |_| prng.choose(&all).copied());
        Box::new(drawn.map(named))
    }

    /// So many different elements, or all.
    pub(super) fn sample(&self, count: usize, prng: &mut Prng) -> Vec<(Bytes, &V)> {
        let (mut wanted, mut left) = (count.min(self.len()), self.len());
        if self.len() > FEW && wanted < self.len() / 4 {
            return self.few_of_many(wanted, prng);
        }
        let mut chosen = Vec::with_capacity(wanted);
        for element in self.iter() {
            if wanted > 0 && prng.below(left as u64) < wanted as u64 {
                chosen.push(element);
                wanted -= 1;
            }
            left -= 1;
        }
        chosen
    }

    fn few_of_many(&self, count: usize, prng: &mut Prng) -> Vec<(Bytes, &V)> {
        let (mut names, mut chosen) = (BTreeSet::new(), Vec::with_capacity(count));
        while chosen.len() < count {
            let Some((name, value)) = self.any(prng) else {
                break;
            };
            if names.insert(name.clone()) {
                chosen.push((name, value));
            }
        }
        chosen
    }
}

/// What a name contributes to a digest.
pub(super) fn name_digest(name: &[u8]) -> u64 {
    let mut digest = Digest::new();
    digest.bytes(name);
    digest.finish()
}

fn key_of(name: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(HASH_BYTES + name.len());
    key.extend_from_slice(&name_digest(name).to_be_bytes());
    key.extend_from_slice(name);
    key
}

fn named<'a, V>((key, value): (&'a Bytes, &'a V)) -> (Bytes, &'a V) {
    (key.slice(HASH_BYTES..), value)
}

fn cursor_of(key: &[u8]) -> u64 {
    let first = key.iter().take(CURSOR_BYTES);
    first.fold(0, |cursor, byte| cursor << 8 | u64::from(*byte))
}

const HASH_BYTES: usize = 8;
/// A cursor is a number that every client can hold, be it a float.
const CURSOR_BYTES: usize = 6;
const CURSOR_BITS: u32 = 48;

/// Of so many, one is drawn by counting.
const FEW: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn table(count: u32) -> Table<u32> {
        let mut table = Table::default();
        for n in 0..count {
            table.insert(n.to_string().as_bytes(), n);
        }
        table
    }

    fn scan(cursor: u64, count: usize) -> Scan<'static> {
        Scan {
            cursor,
            pattern: None,
            count,
        }
    }

    #[test]
    fn a_scan_meets_once_what_is_there_all_the_time() {
        let mut table = table(1000);
        let (mut cursor, mut met, mut rounds) = (0, Vec::new(), 0);
        loop {
            let (next, found) = table.scan(scan(cursor, 10));
            met.extend(found.into_iter().map(|(_, value)| *value));
            rounds += 1;
            // The odd ones go, and others come.
            table.remove((rounds * 2 - 1).to_string().as_bytes());
            table.insert(format!("new {rounds}").as_bytes(), 2000);
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        assert!(rounds >= 100, "{rounds}");
        let mut even: Vec<u32> = met.into_iter().filter(|n| *n < 1000 && n % 2 == 0).collect();
        even.sort_unstable();
        assert_eq!(even, (0..1000).step_by(2).collect::<Vec<_>>());
        assert!(table.scan(scan(u64::MAX, 10)).1.is_empty());
        assert!(table.scan(scan(1 << CURSOR_BITS, 10)).1.is_empty());
    }

    #[test]
    fn each_element_is_drawn_about_as_often_as_any_other() {
        for count in [3, 1000] {
            let (table, mut prng, mut drawn) = (table(count), Prng::new(7), vec![0; count as usize]);
            for _ in 0..count * 100 {
                let (_, value) = table.any(&mut prng).expect("it has elements");
                drawn[*value as usize] += 1;
            }
            assert!(drawn.iter().all(|times| (20..=300).contains(times)), "{drawn:?}");
        }
        assert!(Table::<u32>::default().any(&mut Prng::new(1)).is_none());
    }

    #[test]
    fn as_many_are_drawn_as_were_asked_for_if_there_is_one() {
        for (size, count) in [(0, 5), (3, 0), (3, 100), (1000, 10), (1000, 9000)] {
            let (table, mut prng) = (table(size), Prng::new(2));
            let expected = if size == 0 { 0 } else { count };
            assert_eq!(
                table.several(count, &mut prng).count(),
                expected,
                "{count} of {size}"
            );
        }
    }

    #[test]
    fn a_sample_has_as_many_different_elements_as_were_asked_for() {
        for (size, count) in [(0, 3), (10, 3), (10, 10), (10, 11), (1000, 3), (1000, 900)] {
            let table = table(size);
            let sample = table.sample(count, &mut Prng::new(5));
            let names: BTreeSet<Bytes> = sample.into_iter().map(|(name, _)| name).collect();
            assert_eq!(names.len(), count.min(size as usize), "{count} of {size}");
        }
    }
}

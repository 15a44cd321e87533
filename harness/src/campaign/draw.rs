//! Which units of work there are, and in which order.
//!
//! A *base unit* is a block of an entry's seeds; the campaign's seed and the weights decide the order, and with which block each
//! entry starts. A unit that found
//! something is followed by two more of its entry, and each of those by two more when it finds something too, so that
//! what finds things runs more often. Their seeds come after those of the entry.
//!
//! Invariant: what follows a unit depends on that unit alone, never on others or on when they ended. So a campaign that was
//! killed and resumed, and one that ran in shards, has the very units of one that ran undisturbed.

use std::ops::Range;

use noraftd::prng::Prng;

use super::file::Entry;
use crate::shard::Shard;

/// A unit of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit {
    /// Unique in a campaign: [`FAMILY`] numbers for each base unit and its followers.
    pub id: u64,
    /// Which entry.
    pub entry: usize,
    /// Its first seed.
    pub first_seed: u64,
    /// How many seeds.
    pub seeds: u64,
    /// Which block of its entry the base unit is.
    pub block: u64,
}

/// A base unit and all that may follow it: 1 + 2 + 4 + 8.
pub const FAMILY: u64 = 15;

impl Unit {
    /// Its seeds.
    pub fn range(&self) -> Range<u64> {
        self.first_seed..self.first_seed + self.seeds
    }

    /// The units that follow when this one has found something.
    pub fn followers(&self, entries: &[Entry]) -> Vec<Self> {
        // Numbered like a heap: 1 is the base unit, and 2n and 2n + 1 follow n.
        let (base, place) = (self.id / FAMILY, self.id % FAMILY + 1);
        let entry = &entries[self.entry];
        let next = [2 * place, 2 * place + 1].into_iter();
        next.filter(|place| *place <= FAMILY)
            .map(|place| Self {
                id: base * FAMILY + place - 1,
                entry: self.entry,
                first_seed: self
                    .block
                    .saturating_mul(FAMILY - 1)
                    .saturating_add(place - 2)
                    .saturating_mul(entry.block)
                    .saturating_add(entry.seeds.end),
                seeds: entry.block,
                block: self.block,
            })
            .collect()
    }
}

/// All base units of one shard, in order.
#[derive(Debug)]
pub struct Draw<'a> {
    entries: &'a [Entry],
    prng: Prng,
    /// Blocks drawn, of each entry.
    drawn: Vec<u64>,
    /// The block with which each entry starts.
    starts: Vec<u64>,
    number: u64,
    shard: Shard,
}

impl<'a> Draw<'a> {
    /// The units that `seed` draws from `entries`, those of `shard`.
    pub fn new(entries: &'a [Entry], seed: u64, shard: Shard) -> Self {
        let mut prng = Prng::new(seed);
        Self {
            entries,
            starts: entries.iter().map(|entry| prng.below(blocks(entry))).collect(),
            prng,
            drawn: vec![0; entries.len()],
            number: 0,
            shard,
        }
    }

    fn any(&mut self) -> Option<Unit> {
        let left = |at: &usize| self.drawn[*at] < blocks(&self.entries[*at]);
        let open: Vec<usize> = (0..self.entries.len()).filter(left).collect();
        let total: u64 = open.iter().map(|at| self.entries[*at].weight).sum();
        let mut ticket = self.prng.below(total);
        let entry = open.into_iter().find(|at| {
            let weight = self.entries[*at].weight;
            let is_it = ticket < weight;
            ticket = ticket.saturating_sub(weight);
            is_it
        })?;
        let block = (self.starts[entry] + self.drawn[entry]) % blocks(&self.entries[entry]);
        let Entry {
            seeds, block: size, ..
        } = &self.entries[entry];
        let first_seed = seeds.start + block * size;
        let unit = Unit {
            id: self.number * FAMILY,
            entry,
            first_seed,
            seeds: (*size).min(seeds.end - first_seed),
            block,
        };
        self.drawn[entry] += 1;
        self.number += 1;
        Some(unit)
    }
}

/// How many blocks of seeds an entry has; the last may be shorter.
fn blocks(entry: &Entry) -> u64 {
    (entry.seeds.end - entry.seeds.start).div_ceil(entry.block)
}

impl Iterator for Draw<'_> {
    type Item = Unit;

    fn next(&mut self) -> Option<Unit> {
        loop {
            let unit = self.any()?;
            if self.shard.has(unit.id / FAMILY) {
                return Some(unit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::file::Place;
    use super::*;
    use crate::plan::Plan;

    fn entries() -> Vec<Entry> {
        let text = "version = 1\nname = \"p\"\ntime = \"5s\"\n[[workload]]\nkind = \"log\"\n";
        let plan = Plan::parse(text, std::path::Path::new("p.toml")).unwrap();
        let entry = |weight, block| Entry {
            name: format!("e{weight}"),
            plan: plan.clone(),
            place: Place::Simulation,
            weight,
            seeds: 1..102,
            block,
            steer: false,
            system: None,
        };
        vec![entry(3, 10), entry(1, 7)]
    }

    /// A unit with everything that may follow it.
    fn family(unit: Unit, entries: &[Entry]) -> Vec<Unit> {
        let mut all = vec![unit];
        let mut at = 0;
        while let Some(unit) = all.get(at).copied() {
            all.extend(unit.followers(entries));
            at += 1;
        }
        all
    }

    #[test]
    fn every_seed_is_drawn_once_whatever_follows() {
        let entries = entries();
        let mut seen = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for unit in Draw::new(&entries, 7, Shard::WHOLE) {
            let all = family(unit, &entries);
            assert_eq!(all.len() as u64, FAMILY);
            for unit in all {
                assert!(ids.insert(unit.id), "{unit:?}");
                for seed in unit.range() {
                    assert!(seen.insert((unit.entry, seed)), "{unit:?}: {seed}");
                }
            }
        }
        for entry in 0..2 {
            assert!((1..102).all(|seed| seen.contains(&(entry, seed))));
        }
    }

    #[test]
    fn shards_share_out_the_whole() {
        let entries = entries();
        let of = |shard: &str| Draw::new(&entries, 7, shard.parse().unwrap());
        let mut parts: Vec<Unit> = of("1/3").chain(of("2/3")).chain(of("3/3")).collect();
        parts.sort();
        assert_eq!(parts, of("1/1").collect::<Vec<_>>());
    }

    #[test]
    fn another_seed_of_the_campaign_starts_with_other_seeds() {
        let entries = entries();
        let first = |seed| {
            let first = Draw::new(&entries, seed, Shard::WHOLE).find(|unit| unit.entry == 0);
            first.map(|unit| unit.first_seed)
        };
        let found: BTreeSet<_> = (1..=20).map(first).collect();
        assert!(found.len() > 4, "of eleven blocks: {found:?}");
    }

    #[test]
    fn weights_decide_how_often() {
        let entries = entries();
        let first: Vec<Unit> = Draw::new(&entries, 3, Shard::WHOLE).take(12).collect();
        let heavy = first.iter().filter(|unit| unit.entry == 0).count();
        assert!((7..=11).contains(&heavy), "{heavy} of 12");
    }
}

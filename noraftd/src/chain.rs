//! One number for the whole content of a log up to each entry: equal numbers, equal logs.
//!
//! `chain(i) = chain(i - 1) * MULTIPLIER + step(i)`, modulo 2^64; `step` mixes term, index, kind and payload crc of an
//! entry. The multiplier is odd, so a different step is never lost further on. It is made for comparing what should
//! be equal, not against an attacker who searches for collisions.
//!
//! Where a part is not known (an entry that cannot be read, or what came before a log that begins at a snapshot), the
//! chain is *broken*: what follows is kept relative to that place. Two numbers of one run differ by a known multiple
//! of what is missing, so when that becomes known, what follows is put right without reading any entry again.
//!
//! Invariant: `values` has one number for each entry after `base`; each is right but for what is missing at the last
//! broken index at or before it. Memory: 8 bytes an entry of the log.

use std::collections::{BTreeSet, VecDeque};

use noraft::{LogIndex, LogPosition};

use crate::record::{Record, RecordKind};

/// The chain of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    base: u64,
    base_value: u64,
    values: VecDeque<u64>,
    /// Indexes, the base among them, at which what is stored is not the number.
    broken: BTreeSet<u64>,
}

impl Chain {
    /// The chain of an empty log after `base`; without a `value`, what came before is not known. The log of a new
    /// cluster begins at zero, as every node knows.
    pub fn after(base: LogIndex, value: Option<u64>) -> Self {
        let value = value.or((base == LogIndex::ZERO).then_some(GENESIS));
        Self {
            base: base.get(),
            base_value: value.unwrap_or(0),
            values: VecDeque::new(),
            broken: value.is_none().then_some(base.get()).into_iter().collect(),
        }
    }

    /// The number at `index`, if it is in the log and known.
    pub fn at(&self, index: LogIndex) -> Option<u64> {
        let is_known = self.broken.range(..=index.get()).next().is_none();
        self.stored(index.get()).filter(|_| is_known)
    }

    /// The last index.
    pub fn last_index(&self) -> LogIndex {
        LogIndex::new(self.last())
    }

    /// Adds the entry after the last; without a `step`, it is one that cannot be read.
    pub fn push(&mut self, step: Option<u64>) {
        let index = self.last() + 1;
        let value = match step {
            Some(step) => next(self.stored(self.last()).unwrap_or(0), step),
            None => {
                self.broken.insert(index);
                0
            }
        };
        self.values.push_back(value);
    }

    /// Takes an entry that was appended, or is there already; others from its index on are void.
    pub fn put(&mut self, record: &Record) {
        let (index, step) = (record.position.index.get(), step_of(record));
        if index <= self.base {
            return;
        }
        let is_there = !self.broken.contains(&index)
            && self.stored(index).is_some()
            && self.stored(index) == self.stored(index - 1).map(|before| next(before, step));
        if is_there {
            return;
        }
        self.truncate(LogIndex::new(index - 1));
        while self.last() + 1 < index {
            self.push(None);
        }
        self.push(Some(step));
    }

    /// Forgets the entries after `last`.
    pub fn truncate(&mut self, last: LogIndex) {
        let kept = last.get().saturating_sub(self.base);
        self.values.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        self.broken.split_off(&(self.last() + 1));
    }

    /// Begins at a later index. Entries after it stay, if it is in the log and `keep` is set; `value` counts where the
    /// number there is not known.
    pub fn begin_at(&mut self, index: LogIndex, value: Option<u64>, keep: bool) {
        let known = self.at(index).or(value);
        let Some(stored) = self.stored(index.get()).filter(|_| keep) else {
            *self = Self::after(index, value);
            return;
        };
        self.values.drain(..(index.get() - self.base) as usize);
        self.base = index.get();
        self.base_value = stored;
        self.broken = self.broken.split_off(&(index.get() + 1));
        self.broken.insert(index.get());
        if let Some(known) = known {
            self.mend(index.get(), known.wrapping_sub(stored));
        }
    }

    /// An entry that could not be read is known again.
    pub fn fill(&mut self, index: LogIndex, step: u64) {
        let index = index.get();
        if index <= self.base || !self.broken.contains(&index) {
            return;
        }
        if let (Some(before), Some(stored)) = (self.stored(index - 1), self.stored(index)) {
            self.mend(index, next(before, step).wrapping_sub(stored));
        }
    }

    /// Another node says which number it is at `index`; believed where nothing but what came before the log is
    /// missing here.
    pub fn adopt(&mut self, index: LogIndex, value: u64) {
        let mut broken = self.broken.range(..=index.get());
        let is_base = broken.next() == Some(&self.base) && broken.next().is_none();
        if let (true, Some(stored)) = (is_base, self.stored(index.get())) {
            let missing = value.wrapping_sub(stored);
            let steps = index.get() - self.base;
            self.mend(self.base, missing.wrapping_mul(power(INVERSE, steps)));
        }
    }

    /// Adds what was missing at a broken index to everything that lacks it.
    fn mend(&mut self, index: u64, missing: u64) {
        self.broken.remove(&index);
        let end = self.broken.range(index..).next().copied();
        let count = end.unwrap_or(self.last() + 1) - index;
        let mut missing = missing;
        if index == self.base {
            self.base_value = self.base_value.wrapping_add(missing);
        } else if let Some(value) = self.values.get_mut((index - self.base - 1) as usize) {
            *value = value.wrapping_add(missing);
        }
        let rest = self.values.iter_mut().skip((index - self.base) as usize);
        for value in rest.take(count as usize - 1) {
            missing = missing.wrapping_mul(MULTIPLIER);
            *value = value.wrapping_add(missing);
        }
    }

    fn last(&self) -> u64 {
        self.base + self.values.len() as u64
    }

    fn stored(&self, index: u64) -> Option<u64> {
        match index.checked_sub(self.base)? {
            0 => Some(self.base_value),
            after => self.values.get(usize::try_from(after - 1).ok()?).copied(),
        }
    }
}

/// What an entry contributes.
pub fn step(position: LogPosition, kind: RecordKind, payload_crc: u32) -> u64 {
    let kind = match kind {
        RecordKind::Term => 1,
        RecordKind::Config => 2,
        RecordKind::Command => 3,
    };
    let parts = [
        position.term.get(),
        position.index.get(),
        u64::from(payload_crc) << 8 | kind,
    ];
    parts.into_iter().fold(GENESIS, scatter)
}

/// What `record` contributes.
pub fn step_of(record: &Record) -> u64 {
    step(record.position, record.kind, record.payload_crc)
}

fn next(before: u64, step: u64) -> u64 {
    before.wrapping_mul(MULTIPLIER).wrapping_add(step)
}

/// SplitMix64's finaliser over a running number.
fn scatter(sum: u64, part: u64) -> u64 {
    let mut z = (sum ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// `base` to the `exponent`, modulo 2^64.
fn power(base: u64, exponent: u64) -> u64 {
    let (mut base, mut left, mut product) = (base, exponent, 1_u64);
    while left > 0 {
        if left & 1 == 1 {
            product = product.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        left >>= 1;
    }
    product
}

/// Newton's iteration: each step doubles the bits that are right, and an odd number is its own inverse modulo 8.
const fn inverse(odd: u64) -> u64 {
    let mut inverse = odd;
    let mut bits = 3;
    while bits < 64 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        bits *= 2;
    }
    inverse
}

/// The number of an empty log.
const GENESIS: u64 = 0x6e6f_7261_6674_6333;
const MULTIPLIER: u64 = 0xd6e8_feb8_6659_fd93;
const INVERSE: u64 = inverse(MULTIPLIER);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use noraft::Term;

    use super::*;
    use crate::prng::Prng;
    use crate::time::Stamp;

    fn record(term: u64, index: u64, payload: u64) -> Record {
        let position = LogPosition::new(Term::new(term), LogIndex::new(index));
        let payload = Bytes::copy_from_slice(&payload.to_le_bytes());
        Record::new(position, RecordKind::Command, Stamp::default(), payload)
    }

    fn whole(records: &[Record]) -> Chain {
        let mut chain = Chain::after(LogIndex::ZERO, None);
        records.iter().for_each(|record| chain.put(record));
        chain
    }

    fn same(chain: &Chain, truth: &Chain, from: u64) {
        assert_eq!(chain.last_index(), truth.last_index());
        for index in (from..=truth.last()).map(LogIndex::new) {
            assert_eq!(chain.at(index), truth.at(index), "{index:?}");
        }
    }

    #[test]
    fn another_entry_changes_every_number_behind_it_and_none_before() {
        let records: Vec<Record> = (1..=50).map(|index| record(1, index, index)).collect();
        let truth = whole(&records);
        for at in 0..records.len() {
            let mut forged = records.clone();
            forged[at] = record(1, at as u64 + 1, 1000);
            let forged = whole(&forged);
            for index in (0..=50).map(LogIndex::new) {
                let is_same = forged.at(index) == truth.at(index);
                assert_eq!(is_same, index.get() <= at as u64, "entry {at}, {index:?}");
            }
        }
    }

    #[test]
    fn what_is_missing_is_put_right_when_it_is_known() {
        let records: Vec<Record> = (1..=30).map(|index| record(1, index, index)).collect();
        let truth = whole(&records);
        let base = LogIndex::new(5);
        let mut chain = Chain::after(base, None);
        for record in &records[5..] {
            let is_hole = [9, 10, 20].contains(&record.position.index.get());
            chain.push((!is_hole).then(|| step_of(record)));
        }
        assert_eq!(chain.at(LogIndex::new(30)), None);
        chain.adopt(LogIndex::new(25), truth.at(LogIndex::new(25)).unwrap());
        assert_eq!(chain.at(LogIndex::new(25)), None, "an entry between is not known");
        chain.adopt(LogIndex::new(7), truth.at(LogIndex::new(7)).unwrap());
        assert_eq!(chain.at(LogIndex::new(8)), truth.at(LogIndex::new(8)));
        assert_eq!(chain.at(LogIndex::new(9)), None);
        for index in [10_u64, 20, 9] {
            chain.fill(LogIndex::new(index), step_of(&records[index as usize - 1]));
        }
        same(&chain, &truth, 5);
    }

    /// A log that is cut, damaged, repaired and compacted at random, beside one that nothing happens to.
    fn random_life(seed: u64) {
        let mut prng = Prng::new(seed);
        let (mut truth, mut records) = (Chain::after(LogIndex::ZERO, None), Vec::<Record>::new());
        let mut chain = truth.clone();
        let mut missing = BTreeSet::new();
        let mut base = 0;
        for term in 1..200 {
            match prng.below(6) {
                0 => {
                    let last = prng.between(base, records.len() as u64);
                    records.truncate(last as usize);
                    for chain in [&mut truth, &mut chain] {
                        chain.truncate(LogIndex::new(last));
                    }
                    missing.retain(|index| *index <= last);
                }
                1 => {
                    base = prng.between(base, records.len() as u64);
                    let known = prng.chance(1, 2).then(|| truth.at(LogIndex::new(base))).flatten();
                    chain.begin_at(LogIndex::new(base), known, true);
                    missing.retain(|index| *index > base);
                }
                2 => {
                    if let Some(index) = missing.pop_first() {
                        chain.fill(LogIndex::new(index), step_of(&records[index as usize - 1]));
                    }
                }
                3 => {
                    let at = LogIndex::new(prng.between(base, records.len() as u64));
                    truth.at(at).into_iter().for_each(|value| chain.adopt(at, value));
                }
                _ => {
                    for _ in 0..prng.below(5) {
                        let index = records.len() as u64 + 1;
                        let record = record(term, index, prng.next_u64());
                        truth.put(&record);
                        let is_hole = prng.chance(1, 8);
                        if is_hole {
                            missing.insert(index);
                        }
                        chain.push((!is_hole).then(|| step_of(&record)));
                        records.push(record);
                    }
                }
            }
            for index in (base..=records.len() as u64).map(LogIndex::new) {
                let known = chain.at(index);
                assert!(
                    known.is_none() || known == truth.at(index),
                    "seed {seed}, {index:?}"
                );
            }
        }
        for index in missing {
            chain.fill(LogIndex::new(index), step_of(&records[index as usize - 1]));
        }
        let end = LogIndex::new(records.len() as u64);
        truth
            .at(end)
            .into_iter()
            .for_each(|value| chain.adopt(end, value));
        same(&chain, &truth, base);
    }

    #[test]
    fn no_life_of_a_log_makes_a_wrong_number() {
        (0..300).for_each(random_life);
    }

    #[test]
    fn an_entry_that_is_there_already_changes_nothing_and_another_one_replaces_the_rest() {
        let records: Vec<Record> = (1..=9).map(|index| record(1, index, index)).collect();
        let truth = whole(&records);
        let mut chain = truth.clone();
        chain.put(&records[3]);
        assert_eq!(chain, truth);
        chain.put(&record(2, 4, 4));
        assert_eq!(chain.last_index(), LogIndex::new(4));
        assert_ne!(chain.at(LogIndex::new(4)), truth.at(LogIndex::new(4)));
        assert_eq!(chain.at(LogIndex::new(3)), truth.at(LogIndex::new(3)));
    }
}

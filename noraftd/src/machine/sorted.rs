//! Sorted sets: members with scores.
//!
//! Invariant: a sorted set that a key holds has members; both maps hold the same. `sum` is the sum of what each member and its score
//! contribute to the digest of the state.

use std::ops::Range;

use bytes::Bytes;

use super::digest::Digest;
use super::list::within;
use super::ranked::{Ranked, Scored};
use super::table::{Table, name_digest};
use crate::prng::Prng;
use crate::protocol::command::{NameEnd, Scan, ScoreEnd, SortedPart as Part};
use crate::protocol::resp::Double;

/// Members with scores.
#[derive(Debug, Clone, Default)]
pub(super) struct Sorted {
    scores: Table<Double>,
    ranked: Ranked,
    sum: u64,
}

impl Sorted {
    pub(super) fn score(&self, member: &[u8]) -> Option<Double> {
        self.scores.get(member).copied()
    }

    /// Sets the score of a member.
    pub(super) fn set(&mut self, member: &[u8], score: Double) {
        self.remove(member);
        self.add(member, score);
    }

    /// Adds a member that is not there.
    fn add(&mut self, member: &[u8], score: Double) {
        self.scores.insert(member, score);
        // Both maps share the memory of the name.
        let name = self.scores.name(member).expect("it was inserted");
        self.ranked.insert(score, name);
        self.sum = self.sum.wrapping_add(member_sum(member, score));
    }

    /// Removes a member; true when there was one.
    pub(super) fn remove(&mut self, member: &[u8]) -> bool {
        let Some(score) = self.scores.remove(member) else {
            return false;
        };
        self.ranked.remove(score, member);
        self.sum = self.sum.wrapping_sub(member_sum(member, score));
        true
    }

    /// The rank of a member.
    pub(super) fn rank(&self, member: &[u8]) -> Option<usize> {
        let score = self.score(member)?;
        Some(self.ranked.rank(score, member))
    }

    /// The members of these ranks, last first if it is to be so.
    pub(super) fn range(&self, ranks: Range<usize>, reverse: bool) -> impl Iterator<Item = Scored<'_>> {
        self.ranked.range(ranks, reverse)
    }

    /// Every member in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Scored<'_>> {
        self.ranked.iter()
    }

    /// The ranks of a part; those of ranks are counted from the end if it is to be so.
    pub(super) fn ranks_of(&self, part: Part<'_>, reverse: bool) -> Range<usize> {
        match part {
            Part::Ranks(first, last) => {
                let range = within(first, last, self.len());
                match reverse {
                    false => range,
                    true => self.len() - range.end..self.len() - range.start,
                }
            }
            Part::Scores(least, most) => {
                let start = self.ranked.count_before(|score, _| !reaches(score, least));
                let end = self.ranked.count_before(|score, _| is_up_to(score, most));
                start..end.max(start)
            }
            Part::Names(first, last) => {
                let start = self.ranked.count_before(|_, name| is_before(name, first, false));
                let end = self.ranked.count_before(|_, name| is_before(name, last, true));
                start..end.max(start)
            }
        }
    }

    pub(super) fn any(&self, prng: &mut Prng) -> Option<(Bytes, Double)> {
        self.scores.any(prng).map(|(member, score)| (member, *score))
    }

    pub(super) fn several<'a>(
        &'a self,
        count: usize,
        prng: &'a mut Prng,
    ) -> impl Iterator<Item = (Bytes, Double)> + 'a {
        let drawn = self.scores.several(count, prng);
        drawn.map(|(member, score)| (member, *score))
    }

    pub(super) fn sample(&self, count: usize, prng: &mut Prng) -> Vec<(Bytes, Double)> {
        let chosen = self.scores.sample(count, prng);
        chosen
            .into_iter()
            .map(|(member, score)| (member, *score))
            .collect()
    }

    pub(super) fn scan(&self, asked: Scan<'_>) -> (u64, Vec<(Bytes, &Double)>) {
        self.scores.scan(asked)
    }

    /// Takes the next member of an image; false when it does not follow.
    pub(super) fn restore(&mut self, member: &[u8], score: Double) -> bool {
        let last = self.ranked.last();
        let follows = last.is_none_or(|(name, last)| (last, &name[..]) < (score, member));
        let is_new = follows && self.score(member).is_none();
        if is_new {
            self.add(member, score);
        }
        is_new
    }

    pub(super) fn len(&self) -> usize {
        self.scores.len()
    }

    pub(super) fn sum(&self) -> u64 {
        self.sum
    }

    /// The sum, from the elements as they are now.
    pub(super) fn read_sum(&self) -> u64 {
        let sums = self.iter().map(|(member, score)| member_sum(member, score));
        sums.fold(0, u64::wrapping_add)
    }
}

fn member_sum(member: &[u8], score: Double) -> u64 {
    let mut digest = Digest::new();
    digest.number(name_digest(member));
    digest.number(score.get().to_bits());
    digest.finish()
}

fn reaches(score: Double, least: ScoreEnd) -> bool {
    score > least.score || score == least.score && !least.excluded
}

fn is_up_to(score: Double, most: ScoreEnd) -> bool {
    score < most.score || score == most.score && !most.excluded
}

/// True for a name before an end, and for one that is included in it if `with_end` is so.
fn is_before(name: &[u8], end: NameEnd<'_>, with_end: bool) -> bool {
    match end {
        NameEnd::First => false,
        NameEnd::Last => true,
        NameEnd::Included(end) => name < end || name == end && with_end,
        NameEnd::Excluded(end) => name < end || name == end && !with_end,
    }
}

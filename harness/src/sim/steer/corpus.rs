//! The runs that reached something new, and which of them is mutated next.
//!
//! Nearly every run reaches some state that no other did, for there is no end of them; so what counts is how rare the states of a
//! run still are, for what it costs. A state becomes less rare with every run that reaches it, those that were branched
//! off behind it among them: what has been looked at often is looked at less.
//!
//! Invariant: the corpus has at most [`MEMBERS_MAX`] members.

use std::collections::BTreeMap;

use noraftd::prng::Prng;

use super::Trial;
use crate::plan::Plan;

/// Runs that reached something new.
#[derive(Debug, Default)]
pub(super) struct Corpus {
    members: Vec<Member>,
    /// Runs that reached each state.
    hits: BTreeMap<u64, u64>,
}

/// One of them.
#[derive(Debug)]
struct Member {
    trial: Trial,
    /// The states that it reached while it was disturbed, and when, in virtual nanoseconds.
    states: Vec<(u64, u64)>,
    /// What it costs.
    events: u64,
    /// How often it was mutated.
    picks: u64,
}

impl Corpus {
    /// Counts the `states` of a run, and keeps it when none before reached some of them.
    pub(super) fn learn(
        &mut self,
        trial: &Trial,
        states: impl Iterator<Item = (u64, u64)>,
        events: u64,
        prng: &mut Prng,
    ) {
        let mut is_new = false;
        let end = branches_end_ns(&trial.plan);
        let mut kept = Vec::new();
        for (state, at_ns) in states {
            let hits = self.hits.entry(state).or_insert(0);
            *hits += 1;
            if at_ns < end {
                is_new |= *hits == 1;
                kept.push((state, at_ns));
            }
        }
        if !is_new || trial.changes.len() > CHANGES_MAX {
            return;
        }
        if self.members.len() == MEMBERS_MAX
            && let Some(worst) = self.drawn(prng, TOURNAMENT).min_by_key(|at| self.score(*at))
        {
            self.members.swap_remove(worst);
        }
        self.members.push(Member {
            trial: trial.clone(),
            states: kept,
            events,
            picks: 0,
        });
    }

    /// A member to be mutated, and a moment just after it reached a rare state, in virtual microseconds.
    pub(super) fn pick(&mut self, prng: &mut Prng) -> Option<(&Trial, Option<u64>)> {
        let best = self.drawn(prng, TOURNAMENT).max_by_key(|at| self.score(*at))?;
        let states = &self.members[best].states;
        let some: Vec<(u64, u64)> = (0..MOMENTS)
            .filter_map(|_| prng.choose(states).copied())
            .collect();
        let rarest = some.into_iter().min_by_key(|(state, _)| self.hits.get(state));
        let member = &mut self.members[best];
        member.picks += 1;
        Some((&member.trial, rarest.map(|(_, at_ns)| at_ns / 1000 + 1)))
    }

    /// Some members, at random.
    fn drawn(&self, prng: &mut Prng, count: u64) -> std::vec::IntoIter<usize> {
        let all = self.members.len() as u64;
        let drawn: Vec<usize> = (0..count.min(all)).map(|_| prng.below(all) as usize).collect();
        drawn.into_iter()
    }

    /// How rare the states of a member are, for what it costs and how often it was mutated.
    fn score(&self, at: usize) -> u64 {
        let member = &self.members[at];
        let rarity =
            |(state, _): &(u64, u64)| RARITY / self.hits.get(state).map_or(1, |hits| hits * hits).max(1);
        let rare: u64 = member.states.iter().map(rarity).sum();
        rare / member.events.max(1) / (2 + member.picks)
    }
}

/// Later branches would leave nothing to be disturbed.
fn branches_end_ns(plan: &Plan) -> u64 {
    plan.time.as_millis() * 1_000_000 / 10 * 9
}

/// More than a unit of work has runs that are worth it.
const MEMBERS_MAX: usize = 64;
/// So many members are compared.
const TOURNAMENT: u64 = 8;
/// And so many moments.
const MOMENTS: usize = 3;
/// With more changes a mutant is far from what the plan draws.
const CHANGES_MAX: usize = 12;
/// What a state counts that one run reached: far more than a run has events.
const RARITY: u64 = 1 << 36;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn trial(number: u64) -> Trial {
        let text = "version = 1\nname = \"p\"\ntime = \"10s\"\n[[workload]]\nkind = \"log\"\n";
        let plan = Plan::parse(text, Path::new("p.toml")).unwrap();
        Trial {
            plan: plan.seeded(number),
            seed: number,
            changes: Vec::new(),
        }
    }

    fn learn(corpus: &mut Corpus, number: u64, states: &[(u64, u64)]) {
        let prng = &mut Prng::new(number);
        corpus.learn(&trial(number), states.iter().copied(), 1000, prng);
    }

    #[test]
    fn what_reached_nothing_new_is_not_kept() {
        let mut corpus = Corpus::default();
        assert!(corpus.pick(&mut Prng::new(1)).is_none());
        learn(&mut corpus, 1, &[(1, 5_000), (2, 6_000)]);
        learn(&mut corpus, 2, &[(2, 5_000)]);
        learn(&mut corpus, 3, &[(3, 9_900_000_000)]);
        assert_eq!(
            corpus.members.len(),
            1,
            "the third is new too late to be continued"
        );
        let (picked, moment) = corpus.pick(&mut Prng::new(1)).unwrap();
        assert_eq!(picked.seed, 1);
        assert!([Some(6), Some(7)].contains(&moment), "{moment:?}");
    }

    #[test]
    fn the_rarest_are_mutated_most_and_stay() {
        let mut corpus = Corpus::default();
        // The states of most are reached again and again; those of run 7 are not.
        for number in 1..=2 * MEMBERS_MAX as u64 {
            let own = (number << 8, 10);
            let common: Vec<(u64, u64)> = (0..20).map(|state| (state, 20)).collect();
            let rare: Vec<(u64, u64)> = (0..20).map(|state| (1 << 20 | state, 30)).collect();
            let states = if number == 7 { rare } else { common };
            learn(&mut corpus, number, &[&[own], &states[..]].concat());
        }
        assert_eq!(corpus.members.len(), MEMBERS_MAX);
        let prng = &mut Prng::new(1);
        let picked: Vec<u64> = (0..40)
            .filter_map(|_| corpus.pick(prng).map(|(trial, _)| trial.seed))
            .collect();
        let often = picked.iter().filter(|seed| **seed == 7).count();
        assert!(often >= 3, "{picked:?}");
    }
}

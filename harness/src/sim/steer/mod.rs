//! Steering: which plan runs next, by the states that the runs before reached.
//!
//! A third of the runs are those that the plan and a number draw, as without steering. The others are mutants of a run that
//! reached a state of the cluster that none before it had reached: the same run up to about that moment with other draws from
//! there on, or the same plan changed in one or two ways.
//!
//! | module | what it owns |
//! |-|-|
//! | `corpus` | the runs that reached something new, and which of them is mutated next |
//! | `mutation` | the ways in which a plan is changed, each with a name that a person understands |
//!
//! Invariant: what runs as the run of a number is a function of the plan, the first number and that number. A mutant is a
//! complete plan with its seed: written out, it repeats its run.

mod corpus;
mod mutation;

use noraftd::prng::Prng;

use self::corpus::Corpus;
use self::mutation::Mutation;
use super::Simulated;
use crate::plan::{BranchPlan, Plan};
use crate::results::Outcome;

/// Decides what runs next.
#[derive(Debug)]
pub struct Steering {
    base: Plan,
    prng: Prng,
    corpus: Corpus,
}

/// What runs as the run of a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// The plan, complete.
    pub plan: Plan,
    /// Its seed, which is in the plan, too.
    pub seed: u64,
    /// What was changed, from the run that the swarm drew.
    changes: Vec<String>,
}

impl Trial {
    /// Whether it is another run than the one that the plan and the number draw.
    pub fn is_mutant(&self) -> bool {
        !self.changes.is_empty()
    }
}

impl Steering {
    /// Steers runs of `base` from the one of the number `first` on.
    pub fn new(base: &Plan, first: u64) -> Self {
        Self {
            base: base.clone(),
            prng: Prng::new(first).fork(FORK_STEERING),
            corpus: Corpus::default(),
        }
    }

    /// The run of `number`.
    pub fn next_trial(&mut self, number: u64) -> Trial {
        let is_fresh = self.prng.chance(1, FRESH_ONE_IN);
        if !is_fresh && let Some(mutant) = self.mutant(number) {
            return mutant;
        }
        Trial {
            plan: self.base.drawn(number),
            seed: number,
            changes: Vec::new(),
        }
    }

    /// Takes in what a run reached. One that failed is not mutated: its mutants would fail as it did, and hide what else there is.
    pub fn learn(&mut self, trial: &Trial, run: &Simulated) {
        if run.verdict() != Outcome::Invalid
            && let Some(coverage) = &run.coverage
        {
            let states = coverage.cluster_states();
            self.corpus.learn(trial, states, run.trace.events, &mut self.prng);
        }
    }

    fn mutant(&mut self, number: u64) -> Option<Trial> {
        let (parent, moment) = self.corpus.pick(&mut self.prng)?;
        let prng = &mut self.prng;
        let mut trial = parent.clone();
        match moment {
            Some(at_us) if prng.chance(1, 2) => {
                let seed = prng.below(SEEDS);
                let branch = Mutation::Branch(BranchPlan { at_us, seed });
                trial.apply(&branch);
            }
            Some(_) | None => {
                // Another plan is another run from its beginning.
                trial.apply(&Mutation::Seed(number));
                for _ in 0..prng.between(0, CHANGES_MAX) {
                    if let Some(change) = Mutation::draw(&trial.plan, &self.base, prng) {
                        trial.apply(&change);
                    }
                }
            }
        }
        trial.plan.about = format!("{}, mutated: {}", self.base.name, trial.changes.join("; "));
        Some(trial)
    }
}

impl Trial {
    fn apply(&mut self, mutation: &Mutation) {
        self.changes.push(mutation.to_string());
        self.plan = mutation.apply(&self.plan).demanding_nothing();
        self.seed = self.plan.seed.unwrap_or(self.seed);
    }
}

/// One run of so many is as without steering.
const FRESH_ONE_IN: u64 = 3;
/// A plan is changed in so many ways at most, beside its seed.
const CHANGES_MAX: u64 = 2;
/// Seeds are signed numbers in TOML.
const SEEDS: u64 = 1 << 48;
/// Separates the draws of mutants from those of runs.
const FORK_STEERING: u64 = 0x0073_7465_6572;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::plan::Span;
    use crate::sim::simulate_counted;

    fn swarm() -> Plan {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../workloads/swarm.toml");
        Plan::load(&path).unwrap().lasting(Span::from_millis(1500))
    }

    /// Runs of these numbers: what ran, and its trace.
    fn runs(first: u64, count: u64) -> Vec<(Trial, u64)> {
        let mut steering = Steering::new(&swarm(), first);
        let run = |number| {
            let trial = steering.next_trial(number);
            let run = simulate_counted(&trial.plan, trial.seed);
            steering.learn(&trial, &run);
            (trial, run.trace.hash)
        };
        (first..first + count).map(run).collect()
    }

    #[test]
    fn a_first_number_names_its_runs() {
        let all = runs(7, 24);
        assert_eq!(all, runs(7, 24));
        let mutants = all.iter().filter(|(trial, _)| trial.is_mutant()).count();
        assert!((8..=23).contains(&mutants), "{mutants} of 24");
        assert_eq!(
            runs(7, 12),
            all[..12],
            "a run does not depend on how many follow it"
        );
    }

    #[test]
    fn what_failed_is_not_mutated() {
        let mut steering = Steering::new(&swarm(), 1);
        let trial = steering.next_trial(1);
        let mut run = simulate_counted(&trial.plan, trial.seed);
        run.results.verdict = Outcome::Invalid;
        steering.learn(&trial, &run);
        let mut following = (2..30).map(|number| steering.next_trial(number));
        assert!(following.all(|trial| !trial.is_mutant()));
        run.results.verdict = Outcome::Valid;
        steering.learn(&trial, &run);
        let mut following = (30..60).map(|number| steering.next_trial(number));
        assert!(following.any(|trial| trial.is_mutant()));
    }

    #[test]
    fn a_mutant_is_a_valid_plan_that_repeats_its_run_when_it_is_read_back() {
        let mut branches = 0;
        for (trial, hash) in runs(3, 24) {
            if !trial.is_mutant() {
                assert_eq!(trial.plan, swarm().drawn(trial.seed));
                continue;
            }
            let text = trial.plan.to_toml();
            let read = Plan::parse(&text, Path::new("mutant.toml"))
                .unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!(read, trial.plan);
            assert_eq!(read.seed, Some(trial.seed));
            assert!(read.about.contains("mutated"), "{}", read.about);
            branches += read.sim.branches.len();
            let again = simulate_counted(&read, trial.seed);
            assert_eq!(again.trace.hash, hash, "{text}");
        }
        assert!(branches > 0, "no mutant has a branch");
    }

    #[test]
    fn a_branch_keeps_what_was_before_it_and_changes_what_follows() {
        let plan = swarm().drawn(5);
        let at_us = 700_000;
        let states = |plan: &Plan| -> Vec<(u64, u64)> {
            let run = simulate_counted(plan, 5);
            run.coverage.unwrap().cluster_states().collect()
        };
        let before = |states: &[(u64, u64)]| -> Vec<(u64, u64)> {
            let early = states.iter().filter(|(_, at_ns)| *at_ns < at_us * 1000);
            early.copied().collect()
        };
        let whole = states(&plan);
        let other = |seed| states(&Mutation::Branch(BranchPlan { at_us, seed }).apply(&plan));
        let (one, two) = (other(1), other(2));
        assert!(before(&whole).len() > 3, "{whole:?}");
        assert_eq!(before(&one), before(&whole));
        assert_eq!(before(&two), before(&whole));
        assert_ne!(one, whole);
        assert_ne!(one, two);
    }
}

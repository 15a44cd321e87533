//! What is tried next, with which seeds, and how much of it.
//!
//! Faults first, while the plan lasts as long as it did: a plan that is only just as long as its failure takes fails with few other
//! seeds. At first none and each fault alone, side by side, each with more and more seeds: most failures need one or two kinds of
//! faults, however many the plan has. Then parts of them are left out, as delta debugging does (Zeller and Hildebrandt 2002),
//! and of the few that are left pairs are tried. Then everything else. All of it again, until nothing can be made smaller.
//!
//! Events are counted, not runs: the smaller and the faster a plan, the more seeds it is tried with. Nor is it time that is
//! measured, so that a busy machine finds what an idle one does.
//!
//! Invariant: a plan is tried with a seed once, and each kept step makes it smaller; so there is an end.

use std::collections::BTreeMap;

use super::steps::{Candidates, STEPS, only, without};
use super::{Failing, Progress};
use crate::plan::Plan;

/// What came of a run.
pub(super) struct Ran {
    /// How many events it took.
    pub(super) events: u64,
    /// What it breaks.
    pub(super) failing: Option<Failing>,
}

/// The smallest plan so far, and what was tried.
pub(super) struct Search<Run, Report> {
    current: Failing,
    /// Where seeds are counted from.
    first_seed: u64,
    spent: u64,
    events_max: u64,
    /// With how many seeds each plan was tried.
    tried: BTreeMap<String, u64>,
    run: Run,
    report: Report,
}

impl<Run, Report> Search<Run, Report>
where
    Run: FnMut(&Plan, u64) -> Ran,
    Report: FnMut(Progress<'_>),
{
    pub(super) fn new(failing: Failing, events_max: u64, run: Run, report: Report) -> Self {
        Self {
            first_seed: failing.seed,
            current: failing,
            spent: 0,
            events_max: events_max.max(1),
            tried: BTreeMap::new(),
            run,
            report,
        }
    }

    pub(super) fn smallest(mut self) -> Failing {
        loop {
            let before = self.current.clone();
            self.few_faults();
            self.fewer_faults();
            self.pairs_of_faults();
            self.other_steps();
            if self.current == before || self.spent >= self.events_max {
                return self.current;
            }
        }
    }

    /// No faults, or one.
    fn few_faults(&mut self) {
        self.say("no faults, and each alone");
        if !self.race(only(&self.current.plan, 0), PART_SHARE) {
            self.race(only(&self.current.plan, 1), ALONE_SHARE);
        }
    }

    /// Leaves out as many faults as it can, in parts that become smaller.
    fn fewer_faults(&mut self) {
        // One alone was tried.
        let mut part = self.current.plan.faults.len() / 2;
        while part > 0 && self.current.plan.faults.len() > 1 {
            self.say("fewer faults");
            let mut from = 0;
            while from < self.current.plan.faults.len() {
                let candidate = without(&self.current.plan, from, part);
                if !self.race(vec![candidate], PART_SHARE) {
                    from += part;
                }
            }
            part /= 2;
        }
    }

    fn pairs_of_faults(&mut self) {
        if (3..=PAIRED_MAX).contains(&self.current.plan.faults.len()) {
            self.say("pairs of faults");
            self.race(only(&self.current.plan, 2), PAIRS_SHARE);
        }
    }

    /// Each step as often as it leads to a plan that fails.
    fn other_steps(&mut self) {
        self.say("less of everything else");
        for step in STEPS {
            let candidates = |plan: &Plan| {
                let mut found = Candidates::new();
                step(plan, &mut found);
                found.into_iter()
            };
            let mut tried = candidates(&self.current.plan);
            while let Some(candidate) = tried.next() {
                if self.race(vec![candidate], STEP_SHARE) {
                    tried = candidates(&self.current.plan);
                }
            }
        }
    }

    /// Tries `candidates` side by side, each with more seeds from round to round, until one of them fails as the plan in hand does:
    /// that one is kept. No more is spent on it than the `share`th part of all events, and the rest of a run.
    fn race(&mut self, mut candidates: Candidates, share: u64) -> bool {
        candidates.retain(|(_, plan)| plan.validate().is_ok());
        if candidates.is_empty() {
            return false;
        }
        let end = self.events_max.min(self.spent + self.events_max / share);
        let mut seeds = 1;
        loop {
            for (what, plan) in &candidates {
                for _ in 0..seeds {
                    if self.spent >= end {
                        return false;
                    }
                    if self.fails(what, plan) {
                        return true;
                    }
                }
            }
            seeds *= 2;
        }
    }

    /// Tries `plan` with the next seed.
    fn fails(&mut self, what: &str, plan: &Plan) -> bool {
        let tried = self.tried.entry(plan.clone().seeded(0).to_toml()).or_default();
        let seed = match *tried {
            0 => self.current.seed,
            n => self.first_seed.wrapping_add(n),
        };
        *tried += 1;
        let ran = (self.run)(plan, seed);
        self.spent += RUN_EVENTS + ran.events;
        let same =
            |failing: &Failing| (&failing.rule, &failing.place) == (&self.current.rule, &self.current.place);
        let Some(failing) = ran.failing.filter(same) else {
            return false;
        };
        self.current = failing;
        let spent_percent = self.spent_percent();
        (self.report)(Progress {
            what,
            found: Some(&self.current),
            spent_percent,
        });
        true
    }

    fn say(&mut self, what: &str) {
        if self.spent < self.events_max {
            let spent_percent = self.spent_percent();
            (self.report)(Progress {
                what,
                found: None,
                spent_percent,
            });
        }
    }

    fn spent_percent(&self) -> u64 {
        (self.spent * 100 / self.events_max).min(100)
    }
}

/// To begin and to judge a run takes as long as so many events.
const RUN_EVENTS: u64 = 1000;
/// What each thing that is tried may take of all events: one in so many.
const ALONE_SHARE: u64 = 4;
const PAIRS_SHARE: u64 = 8;
const PART_SHARE: u64 = 60;
const STEP_SHARE: u64 = 250;
/// Of more faults there are too many pairs.
const PAIRED_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Span;
    use noraftd::prng::Prng;
    use std::path::Path;

    const PLAN: &str = r#"
        version = 1
        name = "large"
        time = "8s"
        [cluster]
        nodes = 5
        [clients]
        count = 4
        [[workload]]
        kind = "register"
        [nemesis]
        lanes = 2
    "#;
    const RULE: &str = "starts again";
    const EVENTS_MAX: u64 = 10_000_000;

    /// With so many faults, which differ in weight.
    fn failing(count: u64) -> Failing {
        let fault = |weight: u64| {
            format!("[[fault]]\nkind = \"kill\"\ntarget = \"one\"\nduration = \"1s\"\nweight = {weight}\n")
        };
        let faults: String = (1..=count).map(fault).collect();
        Failing {
            plan: Plan::parse(&format!("{PLAN}{faults}"), Path::new("large.toml"))
                .unwrap()
                .seeded(7),
            seed: 7,
            rule: RULE.to_owned(),
            place: "invariants".to_owned(),
        }
    }

    fn weights(plan: &Plan) -> Vec<u64> {
        plan.faults.iter().map(|fault| u64::from(fault.weight)).collect()
    }

    /// A world in which a plan with the faults `needed` fails with one seed in `rarity`, another one for each plan.
    struct World {
        needed: Vec<u64>,
        rarity: u64,
        place: &'static str,
        /// Among more faults the needed ones hardly happen.
        faults_max: usize,
        runs: Vec<(Plan, u64)>,
        events: u64,
    }

    impl World {
        fn new(needed: &[u64], rarity: u64) -> Self {
            Self {
                needed: needed.to_vec(),
                rarity,
                place: "invariants",
                faults_max: usize::MAX,
                runs: Vec::new(),
                events: 0,
            }
        }

        fn run(&mut self, plan: &Plan, seed: u64) -> Ran {
            // A second of a client is a hundred events.
            let events = plan.time.as_millis() / 10 * plan.clients.count as u64;
            self.events += RUN_EVENTS + events;
            self.runs.push((plan.clone().seeded(0), seed));
            let weights = weights(plan);
            let has_all = self.needed.iter().all(|weight| weights.contains(weight));
            let draw = weights
                .iter()
                .fold(seed, |sum, weight| sum.wrapping_mul(31) + weight);
            let fails = has_all && weights.len() <= self.faults_max && Prng::new(draw).chance(1, self.rarity);
            Ran {
                events,
                failing: fails.then(|| Failing {
                    plan: plan.clone().seeded(seed),
                    seed,
                    rule: RULE.to_owned(),
                    place: self.place.to_owned(),
                }),
            }
        }

        fn shrink(&mut self, faults: u64) -> Failing {
            let run = |plan: &Plan, seed| self.run(plan, seed);
            Search::new(failing(faults), EVENTS_MAX, run, |_| ()).smallest()
        }
    }

    #[test]
    fn a_plan_that_fails_with_few_other_seeds_is_left_with_the_fault_that_it_needs() {
        let mut world = World::new(&[9], 100);
        let small = world.shrink(12);
        assert_eq!(weights(&small.plan), [9]);
        // What is left fails with its seed.
        assert_eq!(small.plan.seed, Some(small.seed));
        assert_eq!(world.run(&small.plan, small.seed).failing, Some(small));
    }

    #[test]
    fn faults_that_are_needed_together_are_left_together() {
        assert_eq!(weights(&World::new(&[3, 11], 40).shrink(12).plan), [3, 11]);
        assert_eq!(weights(&World::new(&[2, 5, 12], 10).shrink(12).plan), [2, 5, 12]);
    }

    #[test]
    fn one_or_two_faults_are_found_that_hardly_happen_among_others() {
        let mut world = World::new(&[9], 20);
        world.faults_max = 1;
        assert_eq!(weights(&world.shrink(12).plan), [9]);
        let mut world = World::new(&[3, 7], 4);
        world.faults_max = 2;
        assert_eq!(weights(&world.shrink(8).plan), [3, 7]);
    }

    #[test]
    fn a_failure_that_needs_nothing_is_left_with_nothing() {
        let small = World::new(&[], 2).shrink(12).plan;
        assert_eq!(
            (small.faults.len(), small.clients.count, small.cluster.nodes),
            (0, 1, 1)
        );
        assert!(small.time < Span::from_millis(400), "{}", small.time);
    }

    #[test]
    fn what_fails_in_another_place_is_another_failure() {
        let mut world = World::new(&[9], 100);
        world.place = "elsewhere";
        assert_eq!(world.shrink(12), failing(12));
    }

    #[test]
    fn events_are_spent_once_and_never_more_than_there_are() {
        // No other seed fails: all of them are tried.
        let mut world = World::new(&[9], 1_000_000_000);
        let small = world.shrink(12);
        assert_eq!(small, failing(12));
        let run_max = RUN_EVENTS + 8000 / 10 * 4;
        assert!(world.events <= EVENTS_MAX + run_max, "{} events", world.events);
        let tried = world.runs.len();
        let different: std::collections::BTreeSet<_> = world
            .runs
            .iter()
            .map(|(plan, seed)| (plan.to_toml(), *seed))
            .collect();
        assert_eq!(different.len(), tried);
    }

    #[test]
    fn the_same_plan_and_seed_come_to_the_same() {
        assert_eq!(
            World::new(&[4, 7], 60).shrink(12),
            World::new(&[4, 7], 60).shrink(12)
        );
    }
}

//! The schedule: which fault, when, for how long, decided by the seed alone.
//!
//! Invariant: decision k of a lane is a function of (seed, lane, k, plan). It does not depend on timing, on
//! what happened before, or on how many random numbers other decisions took; so two runs of one seed make
//! the same decisions, even when the cluster answers differently. One that every run has to make, and that found no target, comes
//! again as it was, in turn with new ones.

use std::collections::{BTreeSet, VecDeque};

use noraftd::prng::Prng;
use serde::{Deserialize, Serialize};

use crate::generator::Mix;
use crate::plan::{CutMode, FaultKind, FaultPlan, Plan, Span, SpanRange};

/// One decision of the nemesis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Which of the concurrent sequences of faults.
    pub lane: usize,
    /// Its place in the lane, from 0.
    pub k: u64,
    /// Undisturbed time before it.
    pub calm: Span,
    /// What to do.
    pub fault: FaultKind,
    /// For how long.
    pub duration: Span,
    /// Decides between the targets that the fault may hit when it happens.
    pub roll: u64,
}

/// One sequence of faults, endless.
#[derive(Debug, Clone)]
pub struct Lane {
    lane: usize,
    seed: Prng,
    calm: SpanRange,
    faults: Mix<FaultPlan>,
    /// What its first decisions are about, whatever the weights.
    first: Vec<FaultPlan>,
    k: u64,
    /// Those of the first ones that found no target yet, in the order in which they come again.
    put_off: VecDeque<Decision>,
    /// The last one came again, so that the next one is new: a fault may never find a target.
    comes_again: bool,
}

impl Lane {
    /// The lanes of `plan` under `seed`; none when the plan has no faults.
    pub fn all(plan: &Plan, seed: u64) -> Vec<Self> {
        let weighted = plan.faults.iter().map(|fault| (fault.weight, fault.clone()));
        let Some(faults) = Mix::new(weighted) else {
            return Vec::new();
        };
        let root = Prng::new(seed).fork(FORK_NEMESIS);
        let mut first = if plan.nemesis.each_once {
            plan.faults.clone()
        } else {
            Vec::new()
        };
        root.fork(FORK_ORDER).shuffle(&mut first);
        let first = each_kind_first(first);
        let lane = |lane: usize| {
            let own = first.iter().skip(lane).step_by(plan.nemesis.lanes);
            Self {
                lane,
                seed: root.fork(lane as u64),
                calm: plan.nemesis.calm,
                faults: faults.clone(),
                first: own.cloned().collect(),
                k: 0,
                put_off: VecDeque::new(),
                comes_again: false,
            }
        };
        (0..plan.nemesis.lanes).map(lane).collect()
    }

    /// Makes its further decisions those of another seed, of which `root` is forked.
    pub(crate) fn branch_off(&mut self, root: &Prng) {
        self.seed = root.fork(self.lane as u64);
    }

    /// True for a decision that has to be carried out once in a run.
    pub(crate) fn has_to_make(&self, decision: &Decision) -> bool {
        usize::try_from(decision.k).is_ok_and(|k| k < self.first.len())
    }

    /// The decision found no target: it comes again.
    pub(crate) fn put_off(&mut self, decision: Decision) {
        self.note_made(&decision);
        self.put_off.push_back(decision);
    }

    /// The decision is carried out.
    pub(crate) fn note_made(&mut self, decision: &Decision) {
        self.put_off.retain(|other| other.k != decision.k);
    }

    /// What found no target so far, and comes again.
    pub(crate) fn are_put_off(&self) -> &VecDeque<Decision> {
        &self.put_off
    }
}

impl Iterator for Lane {
    type Item = Decision;

    fn next(&mut self) -> Option<Decision> {
        let again = self.put_off.front().filter(|_| !self.comes_again);
        self.comes_again = again.is_some();
        again.cloned().or_else(|| self.draw())
    }
}

impl Lane {
    fn draw(&mut self) -> Option<Decision> {
        let k = self.k;
        self.k += 1;
        let mut prng = self.seed.fork(k);
        let calm = within(self.calm, &mut prng);
        let drawn = self.faults.choose(&mut prng);
        let first = usize::try_from(k).ok().and_then(|k| self.first.get(k));
        let fault = first.unwrap_or(drawn);
        let mode = *prng.choose(&CutMode::ALL)?;
        Some(Decision {
            lane: self.lane,
            k,
            calm,
            fault: fault.fault(mode),
            duration: within(fault.duration, &mut prng),
            roll: prng.next_u64(),
        })
    }
}

/// One of every kind, and then the others: where the time is too short for all, no kind is missed.
fn each_kind_first(faults: Vec<FaultPlan>) -> Vec<FaultPlan> {
    let mut kinds = BTreeSet::new();
    let (one, others): (Vec<_>, Vec<_>) = faults
        .into_iter()
        .partition(|fault| kinds.insert(fault.kind().name()));
    one.into_iter().chain(others).collect()
}

fn within(range: SpanRange, prng: &mut Prng) -> Span {
    Span::from_millis(prng.between(range.low.as_millis(), range.high.as_millis()))
}

/// Separates the nemesis's random numbers from the clients'.
const FORK_NEMESIS: u64 = 0x006e_656d_6573_6973;
/// Separates the order of first faults from the decisions, which are numbered.
const FORK_ORDER: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Shape, Target};

    const PLAN: &str = r#"
        version = 1
        name = "mix"
        time = "60s"
        [[workload]]
        kind = "register"
        [nemesis]
        lanes = 2
        calm = ["1s", "2s"]
        [[fault]]
        kind = "kill"
        target = "leader"
        duration = ["200ms", "900ms"]
        weight = 3
        [[fault]]
        kind = "partition"
        shape = "halves"
        duration = "2s"
    "#;

    fn plan() -> Plan {
        Plan::parse(PLAN, std::path::Path::new("mix.toml")).unwrap()
    }

    fn decisions(seed: u64) -> Vec<Decision> {
        Lane::all(&plan(), seed)
            .into_iter()
            .flat_map(|lane| lane.take(100))
            .collect()
    }

    #[test]
    fn a_seed_names_one_schedule() {
        assert_eq!(decisions(7), decisions(7));
        assert_ne!(decisions(7), decisions(8));
    }

    #[test]
    fn each_fault_comes_once_before_any_is_left_to_chance() {
        let mut plan = plan();
        plan.nemesis.each_once = true;
        for seed in 0..50 {
            let lanes = Lane::all(&plan, seed).into_iter();
            let kinds: Vec<_> = lanes
                .filter_map(|mut lane| lane.next())
                .map(|decision| decision.fault.kind())
                .collect();
            assert_ne!(kinds[0], kinds[1], "seed {seed}");
        }
    }

    #[test]
    fn every_kind_comes_before_any_comes_again() {
        let mut plan = plan();
        plan.nemesis.each_once = true;
        plan.nemesis.lanes = 1;
        let kill = plan.faults[0].clone();
        plan.faults.extend([kill.clone(), kill]);
        for seed in 0..50 {
            let lane = Lane::all(&plan, seed).swap_remove(0);
            let kinds: Vec<_> = lane.take(4).map(|decision| decision.fault.kind()).collect();
            assert_ne!(kinds[0], kinds[1], "seed {seed}");
            assert_eq!(kinds[2], kinds[3], "seed {seed}");
        }
    }

    #[test]
    fn a_first_fault_that_finds_no_target_comes_again_until_it_does() {
        let mut plan = plan();
        plan.nemesis.each_once = true;
        plan.nemesis.lanes = 1;
        let undisturbed: Vec<Decision> = Lane::all(&plan, 1).swap_remove(0).take(4).collect();
        let mut lane = Lane::all(&plan, 1).swap_remove(0);
        let first = lane.next().unwrap();
        lane.put_off(first);
        for _ in 0..2 {
            let again = lane.next().unwrap();
            assert_eq!(again, undisturbed[0]);
            lane.put_off(again);
            let new = lane.next().unwrap();
            assert_eq!(new, undisturbed[new.k as usize], "it never stops the others");
            lane.note_made(&new);
        }
        let again = lane.next().unwrap();
        lane.note_made(&again);
        assert_eq!((again.k, lane.are_put_off().len()), (0, 0));
        assert_eq!(lane.next().as_ref(), undisturbed.get(3));
        assert!(lane.has_to_make(&undisturbed[1]) && !lane.has_to_make(&undisturbed[2]));
    }

    #[test]
    fn lanes_differ_and_stay_within_the_plan() {
        let drawn = decisions(1);
        assert_eq!(drawn.len(), 200);
        assert_ne!(drawn[0].roll, drawn[100].roll);
        for decision in &drawn {
            assert!((1000..=2000).contains(&decision.calm.as_millis()));
            match decision.fault {
                FaultKind::Kill(target) => {
                    assert_eq!(target, Target::Leader);
                    assert!((200..=900).contains(&decision.duration.as_millis()));
                }
                FaultKind::Partition(shape, _) => {
                    assert_eq!(
                        (shape, decision.duration),
                        (Shape::Halves, Span::from_millis(2000))
                    );
                }
                other => panic!("the plan has no {other:?}"),
            }
        }
        let kills = drawn
            .iter()
            .filter(|decision| matches!(decision.fault, FaultKind::Kill(_)))
            .count();
        assert!((120..180).contains(&kills), "{kills} kills of 200");
    }

    #[test]
    fn every_way_to_cut_is_drawn() {
        let drawn = decisions(3);
        for mode in CutMode::ALL {
            assert!(
                drawn
                    .iter()
                    .any(|decision| decision.fault == FaultKind::Partition(Shape::Halves, mode))
            );
        }
    }

    #[test]
    fn a_plan_without_faults_has_no_lanes() {
        let mut calm = plan();
        calm.faults.clear();
        assert!(Lane::all(&calm, 1).is_empty());
    }
}

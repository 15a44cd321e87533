//! Shrinking: a smaller plan that still breaks the same rule.
//!
//! Greedy: each round tries every way to make the plan smaller, the largest cuts first, and keeps the first
//! that still fails; it ends when none does. A changed plan is another run, so each candidate is tried with
//! several seeds, the last one that failed first.
//!
//! Invariant: the plan in hand was seen to fail, with the seed that is in it, and breaks the rule that it
//! broke at first.

use super::{Lines, simulate};
use crate::plan::{FaultPlan, NetworkPlan, Plan, Span};

/// A plan that fails.
#[derive(Debug, Clone)]
pub struct Failing {
    /// The plan, with its seed in it.
    pub plan: Plan,
    /// The seed.
    pub seed: u64,
    /// The broken rule.
    pub rule: String,
}

/// Shrinks `failing`. Each candidate is tried with `tries` seeds. `report` gets each step that was kept.
pub fn shrink(failing: Failing, tries: u64, mut report: impl FnMut(&str, &Failing)) -> Failing {
    let mut current = failing;
    loop {
        let found = candidates(&current.plan)
            .into_iter()
            .find_map(|(what, plan)| Some((what, current.fails_as(&plan, tries)?)));
        let Some((what, smaller)) = found else {
            return current;
        };
        report(&what, &smaller);
        current = smaller;
    }
}

/// Runs `plan` with `seed`: the plan that was drawn, and what it breaks.
pub fn failure_of(plan: &Plan, seed: u64) -> Option<Failing> {
    let run = simulate(plan, seed, Lines::None);
    let rule = run.broken()?;
    Some(Failing {
        plan: run.plan,
        seed,
        rule,
    })
}

impl Failing {
    /// `plan` with a seed with which it breaks the same rule.
    fn fails_as(&self, plan: &Plan, tries: u64) -> Option<Self> {
        if plan.validate().is_err() {
            return None;
        }
        let seeds = std::iter::once(self.seed).chain((1..tries).map(|n| self.seed.wrapping_add(n)));
        seeds
            .into_iter()
            .filter_map(|seed| failure_of(plan, seed))
            .find(|failing| failing.rule == self.rule)
    }
}

/// Every way to make `plan` smaller by one step.
fn candidates(plan: &Plan) -> Vec<(String, Plan)> {
    let mut found = Vec::new();
    shorter(plan, &mut found);
    fewer_faults(plan, &mut found);
    fewer_parts(plan, &mut found);
    calmer_world(plan, &mut found);
    calmer_nodes(plan, &mut found);
    found
}

type Candidates = Vec<(String, Plan)>;

fn shorter(plan: &Plan, found: &mut Candidates) {
    let millis = plan.time.as_millis();
    for percent in [25, 50, 80] {
        let time = Span::from_millis(millis * percent / 100);
        if time.as_millis() >= TIME_MIN_MS && time < plan.time {
            push(found, format!("{time} instead of {}", plan.time), plan, |plan| {
                plan.time = time
            });
        }
    }
}

fn fewer_faults(plan: &Plan, found: &mut Candidates) {
    let count = plan.faults.len();
    if count == 0 {
        return;
    }
    push(found, "no faults".to_owned(), plan, |plan| plan.faults.clear());
    if count > 2 {
        let half = count / 2;
        push(found, format!("the first {half} faults"), plan, |plan| {
            plan.faults.truncate(half)
        });
        push(found, format!("the last {} faults", count - half), plan, |plan| {
            plan.faults.drain(..half);
        });
    }
    for (at, fault) in plan.faults.iter().enumerate() {
        push(found, format!("without {}", name(fault)), plan, |plan| {
            plan.faults.remove(at);
        });
    }
    if plan.nemesis.lanes > 1 {
        push(found, "one lane".to_owned(), plan, |plan| plan.nemesis.lanes = 1);
    }
}

fn name(fault: &FaultPlan) -> String {
    // How a fault is written says enough of it.
    let text = toml::to_string(fault).unwrap_or_default();
    text.lines().take(2).collect::<Vec<_>>().join(" ")
}

fn fewer_parts(plan: &Plan, found: &mut Candidates) {
    for nodes in [1, 3] {
        if nodes < plan.cluster.nodes {
            push(found, format!("{nodes} nodes"), plan, |plan| {
                plan.cluster.nodes = nodes;
                plan.faults.retain(|fault| fault.fits(nodes));
                plan.nemesis.impaired_max = plan.nemesis.impaired_max.map(|max| max.min(nodes));
            });
        }
    }
    for count in [1, plan.clients.count / 2, plan.clients.count.saturating_sub(1)] {
        if (1..plan.clients.count).contains(&count) {
            push(found, format!("{count} clients"), plan, |plan| {
                plan.clients.count = count
            });
        }
    }
    for rate in [plan.clients.rate / 10, plan.clients.rate / 2] {
        if rate > 0 {
            push(found, format!("{rate} operations a second"), plan, |plan| {
                plan.clients.rate = rate
            });
        }
    }
    if plan.workloads.len() > 1 {
        for at in 0..plan.workloads.len() {
            push(found, "one workload less".to_owned(), plan, |plan| {
                plan.workloads.remove(at);
            });
        }
    }
    if plan.workloads.iter().any(|workload| workload.keys() > 1) {
        push(found, "one key".to_owned(), plan, |plan| {
            let workloads = plan.workloads.iter_mut();
            workloads.for_each(|workload| *workload.keys_mut() = 1);
        });
    }
}

/// Where a plan keeps a share of something.
type Share = fn(&mut Plan) -> &mut u64;

fn calmer_world(plan: &Plan, found: &mut Candidates) {
    let calm = NetworkPlan {
        delay_us: plan.sim.network.delay_us,
        ..NetworkPlan::default()
    };
    if !plan.sim.branches.is_empty() {
        push(found, "no branch".to_owned(), plan, |plan| {
            plan.sim.branches.clear()
        });
        push(found, "one branch less".to_owned(), plan, |plan| {
            plan.sim.branches.pop();
        });
    }
    if plan.sim.network != calm {
        push(found, "a calm network".to_owned(), plan, |plan| {
            plan.sim.network = calm.clone()
        });
    }
    let shares: [(&str, Share); 9] = [
        ("no late messages", |plan| &mut plan.sim.network.late_permille),
        ("no lost messages", |plan| &mut plan.sim.network.loss_permille),
        ("no duplicates", |plan| &mut plan.sim.network.duplicate_permille),
        ("no reordering", |plan| &mut plan.sim.network.reorder_permille),
        ("no flipped bits", |plan| &mut plan.sim.network.corrupt_permille),
        ("no slow syncs", |plan| &mut plan.sim.disk.slow_permille),
        ("no torn sectors", |plan| &mut plan.sim.disk.torn_permille),
        ("no crash while starting", |plan| {
            &mut plan.sim.disk.recovery_crash_permille
        }),
        ("clocks at one rate", |plan| &mut plan.sim.clock.drift_permille),
    ];
    for (what, share) in shares {
        let mut smaller = plan.clone();
        if std::mem::take(share(&mut smaller)) > 0 {
            found.push((what.to_owned(), smaller));
        }
    }
    if !plan.sim.clock.skew.is_zero() {
        push(found, "clocks that agree".to_owned(), plan, |plan| {
            plan.sim.clock.skew = Span::default();
        });
    }
}

fn calmer_nodes(plan: &Plan, found: &mut Candidates) {
    let usual = crate::plan::NodePlan {
        loop_us: 0,
        ..crate::plan::NodePlan::default()
    };
    if plan.sim.node != usual {
        push(found, "usual limits of the nodes".to_owned(), plan, |plan| {
            plan.sim.node = usual.clone();
        });
        if plan.sim.node.loop_us > 0 {
            push(found, "nodes without delay".to_owned(), plan, |plan| {
                plan.sim.node.loop_us = 0
            });
        }
    }
}

fn push(found: &mut Candidates, what: String, plan: &Plan, change: impl FnOnce(&mut Plan)) {
    let mut smaller = plan.clone();
    change(&mut smaller);
    let smaller = smaller.demanding_nothing();
    if smaller != *plan {
        found.push((what, smaller));
    }
}

/// Shorter than this, a cluster has hardly elected a leader.
const TIME_MIN_MS: u64 = 200;

#[cfg(test)]
mod tests {
    use super::*;
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
        [[workload]]
        kind = "log"
        keys = 3
        [nemesis]
        lanes = 2
        [[fault]]
        kind = "kill"
        target = "one"
        duration = "1s"
        [[fault]]
        kind = "partition"
        shape = "majority-ring"
        duration = "1s"
        [sim.network]
        loss_permille = 50
    "#;

    #[test]
    fn every_candidate_is_smaller_and_the_end_is_reached() {
        let mut plan = Plan::parse(PLAN, Path::new("large.toml")).unwrap();
        (plan.limits.operations_min, plan.limits.faults_min) = (1000, 5);
        let mut steps = 0;
        while let Some((what, smaller)) = candidates(&plan).into_iter().next() {
            assert_ne!(smaller, plan, "{what}");
            plan = smaller;
            steps += 1;
            assert!(steps < 200, "{what}");
        }
        assert_eq!(
            (plan.cluster.nodes, plan.clients.count, plan.faults.len()),
            (1, 1, 0)
        );
        assert_eq!(plan.workloads.len(), 1);
        // They were meant for the plan as it was.
        assert_eq!((plan.limits.operations_min, plan.limits.faults_min), (0, 0));
    }

    #[test]
    fn faults_that_no_longer_fit_go_with_the_nodes() {
        let plan = Plan::parse(PLAN, Path::new("large.toml")).unwrap();
        let three = candidates(&plan)
            .into_iter()
            .find(|(what, _)| what == "3 nodes")
            .unwrap()
            .1;
        assert!(three.validate().is_ok());
        assert_eq!(three.faults.len(), 1);
    }
}

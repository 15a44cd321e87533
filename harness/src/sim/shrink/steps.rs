//! The ways to make a plan smaller by one step.
//!
//! Invariant: each of them is smaller in something and larger in nothing, so that steps come to an end.

use crate::plan::{FaultPlan, NetworkPlan, NodePlan, Plan, Span};

/// What makes a plan smaller, in words, and the smaller plan.
pub(super) type Candidates = Vec<(String, Plan)>;

/// Adds the ways to make one thing smaller, the largest cut first.
pub(super) type Step = fn(&Plan, &mut Candidates);

/// Everything but faults.
pub(super) const STEPS: [Step; 8] = [
    shorter,
    fewer_nodes,
    fewer_clients,
    lower_rate,
    fewer_workloads,
    fewer_lanes,
    calmer_world,
    calmer_nodes,
];

/// The plans that have `size` of the faults of `plan`, each set of them once.
pub(super) fn only(plan: &Plan, size: usize) -> Candidates {
    let all: Vec<usize> = (0..plan.faults.len()).collect();
    let sets = subsets(&all, size).into_iter();
    sets.filter(|set| set.len() < plan.faults.len())
        .map(|set| {
            let faults: Vec<FaultPlan> = set.iter().map(|at| plan.faults[*at].clone()).collect();
            let names: Vec<String> = faults.iter().map(name).collect();
            let what = match names.is_empty() {
                true => "no faults".to_owned(),
                false => format!("nothing but {}", names.join(" and ")),
            };
            (what, with_faults(plan, faults))
        })
        .collect()
}

/// `plan` without `count` of its faults, from the fault `from` on.
pub(super) fn without(plan: &Plan, from: usize, count: usize) -> (String, Plan) {
    let mut faults = plan.faults.clone();
    let to = (from + count).min(faults.len());
    let left_out: Vec<FaultPlan> = faults.drain(from..to).collect();
    let what = match left_out.as_slice() {
        [one] => format!("without {}", name(one)),
        some => format!("without {} of {} faults", some.len(), plan.faults.len()),
    };
    (what, with_faults(plan, faults))
}

fn subsets(of: &[usize], size: usize) -> Vec<Vec<usize>> {
    if size == 0 {
        return vec![Vec::new()];
    }
    let Some((first, others)) = of.split_first() else {
        return Vec::new();
    };
    let with = subsets(others, size - 1).into_iter();
    let with = with.map(|set| std::iter::once(*first).chain(set).collect());
    with.chain(subsets(others, size)).collect()
}

fn with_faults(plan: &Plan, faults: Vec<FaultPlan>) -> Plan {
    let mut smaller = plan.clone().demanding_nothing();
    smaller.faults = faults;
    smaller
}

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

fn name(fault: &FaultPlan) -> String {
    let text = toml::to_string(fault).unwrap_or_default();
    let is_what = |line: &&str| !line.starts_with("duration") && !line.starts_with("weight");
    text.lines().filter(is_what).collect::<Vec<_>>().join(" ")
}

fn fewer_nodes(plan: &Plan, found: &mut Candidates) {
    for nodes in [1, 3] {
        if nodes < plan.cluster.nodes {
            push(found, format!("{nodes} nodes"), plan, |plan| {
                plan.cluster.nodes = nodes;
                plan.faults.retain(|fault| fault.fits(nodes));
                plan.nemesis.impaired_max = plan.nemesis.impaired_max.map(|max| max.min(nodes));
            });
        }
    }
}

fn fewer_clients(plan: &Plan, found: &mut Candidates) {
    for count in [1, plan.clients.count / 2, plan.clients.count.saturating_sub(1)] {
        if (1..plan.clients.count).contains(&count) {
            push(found, format!("{count} clients"), plan, |plan| {
                plan.clients.count = count;
                plan.clients.readers = plan.clients.readers.min(count - 1);
            });
        }
    }
}

fn lower_rate(plan: &Plan, found: &mut Candidates) {
    for rate in [plan.clients.rate / 10, plan.clients.rate / 2] {
        if rate > 0 {
            push(found, format!("{rate} operations a second"), plan, |plan| {
                plan.clients.rate = rate
            });
        }
    }
}

fn fewer_workloads(plan: &Plan, found: &mut Candidates) {
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

fn fewer_lanes(plan: &Plan, found: &mut Candidates) {
    if plan.nemesis.lanes > 1 {
        push(found, "one lane".to_owned(), plan, |plan| plan.nemesis.lanes = 1);
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
    let usual = NodePlan {
        loop_us: 0,
        ..NodePlan::default()
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

    fn plan() -> Plan {
        Plan::parse(PLAN, Path::new("large.toml")).unwrap()
    }

    #[test]
    fn every_step_makes_a_plan_smaller_and_there_is_an_end() {
        let mut plan = plan();
        (plan.limits.operations_min, plan.limits.faults_min) = (1000, 5);
        let mut steps = 0;
        for step in STEPS {
            loop {
                let mut found = Candidates::new();
                step(&plan, &mut found);
                let Some((what, smaller)) = found.into_iter().next() else {
                    break;
                };
                assert_ne!(smaller, plan, "{what}");
                plan = smaller;
                steps += 1;
                assert!(steps < 200, "{what}");
            }
        }
        assert_eq!((plan.cluster.nodes, plan.clients.count), (1, 1));
        assert_eq!((plan.workloads.len(), plan.nemesis.lanes), (1, 1));
        // They were meant for the plan as it was.
        assert_eq!((plan.limits.operations_min, plan.limits.faults_min), (0, 0));
    }

    #[test]
    fn faults_that_no_longer_fit_go_with_the_nodes() {
        let mut found = Candidates::new();
        fewer_nodes(&plan(), &mut found);
        let three = found.into_iter().find(|(what, _)| what == "3 nodes").unwrap().1;
        assert!(three.validate().is_ok());
        assert_eq!(three.faults.len(), 1);
    }

    #[test]
    fn each_set_of_faults_is_there_once() {
        let mut plan = plan();
        let clock = r#"
            kind = "clock"
            target = "one"
            duration = "1s"
        "#;
        plan.faults.push(toml::from_str(clock).unwrap());
        let kinds = |(_, plan): (String, Plan)| -> Vec<&'static str> {
            plan.faults.iter().map(|fault| fault.kind().name()).collect()
        };
        let sets = |size| -> Vec<_> { only(&plan, size).into_iter().map(kinds).collect() };
        assert_eq!(sets(0), [[""; 0]]);
        assert_eq!(sets(1), [["kill"], ["partition"], ["clock"]]);
        assert_eq!(
            sets(2),
            [["kill", "partition"], ["kill", "clock"], ["partition", "clock"]]
        );
        // That would be the plan itself.
        assert_eq!(sets(3).len(), 0);
        assert_eq!(kinds(without(&plan, 0, 2)), ["clock"]);
        assert_eq!(kinds(without(&plan, 2, 2)), ["kill", "partition"]);
    }
}

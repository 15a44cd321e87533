//! A plan made to fit real processes.
//!
//! Invariant: nothing is left out in silence.

use noraftd::prng::Prng;

use super::error::{PlanError, require};
use super::fault::{self, FaultPlan};
use super::{Plan, Span};

/// A plan without what cannot be had where it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitted {
    /// The plan.
    pub plan: Plan,
    /// What was left out of it, in sentences.
    pub left_out: Vec<String>,
}

impl Plan {
    /// The plan that `seed` runs on real processes: without what only a simulation can have, and drawn from its `[swarm]` table, if it
    /// has one.
    ///
    /// # Errors
    ///
    /// When no fault of it is left, or the first key that real processes cannot follow.
    pub fn for_processes(&self, seed: u64) -> Result<Fitted, PlanError> {
        let fitted = self.clone().on_processes(seed);
        let is_possible = |fault: &FaultPlan| fault.obstacle_on_processes().is_none();
        require(
            self.faults.is_empty() || self.faults.iter().any(is_possible),
            "fault",
            || "is none that real processes can have: use `harness sim`".to_owned(),
        )?;
        fault::agree(&fitted.plan)?;
        Ok(fitted)
    }

    /// As [`Plan::for_processes`], for processes that may not be noraftd.
    #[must_use]
    pub fn on_processes(mut self, seed: u64) -> Fitted {
        let mut left_out = Vec::new();
        self.faults.retain(|fault| {
            let obstacle = fault.obstacle_on_processes();
            left_out.extend(obstacle.map(|why| format!("fault {}: {why}", fault.kind().name())));
            obstacle.is_none()
        });
        // One kind may be there with several targets.
        left_out.dedup();
        let clients = &mut self.clients;
        if std::mem::take(&mut clients.commands) > 0 {
            left_out.push("clients.commands: only a simulation has them".to_owned());
        }
        if std::mem::take(&mut clients.stale) > 0 {
            left_out.push("clients.stale: only a simulation has them".to_owned());
        }
        if std::mem::take(&mut clients.transactions) > 0 {
            left_out.push("clients.transactions: only a simulation has them".to_owned());
        }
        if std::mem::take(&mut clients.retries) > 0 {
            left_out.push("clients.retries: only a simulation has them".to_owned());
        }
        if std::mem::take(&mut clients.expiry) {
            left_out.push("clients.expiry: only a simulation has them".to_owned());
        }
        if std::mem::take(&mut clients.elsewhere_permille) > 0 {
            left_out.push("clients.elsewhere_permille: only a simulation has such reads".to_owned());
        }
        Fitted {
            plan: self.drawn_for_processes(seed),
            left_out,
        }
    }

    /// What a `[swarm]` table leaves open is drawn, but for the cluster, whose size and times are those of the machine that it runs on. A seed has
    /// as many kinds of faults as a run has time for, and each of them comes.
    fn drawn_for_processes(&self, seed: u64) -> Plan {
        let mut plan = self.clone();
        let Some(swarm) = plan.swarm.take() else {
            return plan;
        };
        let prng = &mut Prng::new(seed).fork(FORK_PROCESSES);
        swarm.draw_load(&mut plan, prng);
        swarm.draw_faults(&mut plan, prng);
        if let Some(max) = plan.nemesis.impaired_max {
            // It would wait for a moment that never comes.
            let nodes = plan.cluster.nodes;
            plan.faults.retain(|fault| fault.impairs(nodes) <= max);
        }
        prng.shuffle(&mut plan.faults);
        let mut left = plan.time.as_millis();
        let calm = middle(plan.nemesis.calm.low, plan.nemesis.calm.high);
        let mut is_first = true;
        plan.faults.retain(|fault| {
            let takes = calm + middle(fault.duration.low, fault.duration.high) + HEAL_MS;
            let fits = std::mem::take(&mut is_first) || takes <= left;
            left = left.saturating_sub(if fits { takes } else { 0 });
            fits
        });
        plan.nemesis.each_once = true;
        plan
    }

    /// The same plan without the faults that only real processes can have. What comes is left to chance: there are seeds enough.
    #[must_use]
    pub fn for_simulation(mut self) -> Self {
        let is_possible = |fault: &FaultPlan| fault.obstacle_in_simulation().is_none();
        self.faults.retain(is_possible);
        self.nemesis.each_once = false;
        self
    }
}

fn middle(low: Span, high: Span) -> u64 {
    u64::midpoint(low.as_millis(), high.as_millis())
}

/// Separates the draws of a plan for real processes from those of a simulation.
const FORK_PROCESSES: u64 = 0x7072_6f63;
/// How long it takes until a node is back after a fault, and whole, where it lost something.
const HEAL_MS: u64 = 1500;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn plan(rest: &str) -> Plan {
        let text = format!("version = 1\nname = \"p\"\ntime = \"10s\"\n[[workload]]\nkind = \"log\"\n{rest}");
        Plan::parse(&text, Path::new("p.toml")).unwrap()
    }

    fn fault(kind: &str) -> String {
        format!("[[fault]]\n{kind}\nduration = [\"1s\", \"2s\"]\n")
    }

    fn kinds(plan: &Plan) -> Vec<&'static str> {
        plan.faults.iter().map(|fault| fault.kind().name()).collect()
    }

    #[test]
    fn each_world_leaves_out_what_only_the_other_has() {
        let text = ["kind = \"kill\"\ntarget = \"one\"", "kind = \"stall-kill\""]
            .map(fault)
            .concat()
            + &fault("kind = \"crash-at\"\ntarget = \"one\"\noperations = [\"roll\"]");
        let fitted = plan(&text).for_processes(1).unwrap();
        assert_eq!(kinds(&fitted.plan), ["kill", "stall-kill"]);
        assert_eq!(fitted.left_out.len(), 1);
        assert!(
            fitted.left_out[0].starts_with("fault crash-at: from outside"),
            "{:?}",
            fitted.left_out
        );
        assert_eq!(kinds(&plan(&text).for_simulation()), ["kill", "crash-at"]);
    }

    #[test]
    fn a_plan_with_nothing_for_real_processes_is_refused() {
        let text = fault("kind = \"crash-at\"\ntarget = \"one\"\noperations = [\"roll\"]");
        let refused = plan(&text).for_processes(1).unwrap_err().to_string();
        assert!(refused.contains("harness sim"), "{refused}");
        assert_eq!(plan("").for_processes(1).unwrap().left_out, [""; 0]);
    }

    #[test]
    fn a_swarm_draws_as_many_faults_as_a_run_has_time_for_and_leaves_the_cluster_alone() {
        let many: String = ["one", "leader", "follower", "minority", "majority", "all"]
            .iter()
            .flat_map(|target| {
                ["kill", "pause", "power"]
                    .map(|kind| fault(&format!("kind = \"{kind}\"\ntarget = \"{target}\"")))
            })
            .collect();
        let swarm = plan(&format!("{many}[swarm]\nfault_permille = 900\nnodes = [5]\n"));
        let drawn: Vec<Plan> = (1..20)
            .map(|seed| swarm.for_processes(seed).unwrap().plan)
            .collect();
        for plan in &drawn {
            assert_eq!((&plan.cluster, &plan.swarm), (&swarm.cluster, &None));
            assert!(
                plan.nemesis.each_once && (1..=6).contains(&plan.faults.len()),
                "{}",
                plan.faults.len()
            );
        }
        assert!(drawn.iter().any(|plan| kinds(plan) != kinds(&drawn[0])));
        let bounded = drawn
            .iter()
            .filter_map(|plan| Some((plan, plan.nemesis.impaired_max?)));
        for (plan, max) in bounded.clone() {
            let impaired = plan.faults.iter().map(|fault| fault.impairs(plan.cluster.nodes));
            assert!(impaired.max() <= Some(max), "{:?}", plan.faults);
        }
        assert!(bounded.count() > 5);
        assert_eq!(drawn[3], swarm.for_processes(4).unwrap().plan);
    }
}

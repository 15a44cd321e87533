//! A smaller plan and schedule that fail as often, on real processes.
//!
//! Faults first, because each of them takes time: halves of the schedule, quarters, and so on to single ones, as delta
//! debugging does (Zeller and Hildebrandt 2002). Then time, nodes, clients, keys and workloads. All of it again, until
//! nothing can be left out.
//!
//! Invariant: the current case was seen to fail, and each step makes it smaller; so there is an end. A case that was tried has no
//! kind of fault that its schedule does not have, so that none is left whenever the time is over.

use std::collections::BTreeSet;

use crate::nemesis::{Schedule, Scheduled};
use crate::plan::{Plan, Span};

/// A plan, and the schedule that it runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The plan.
    pub plan: Plan,
    /// The faults.
    pub schedule: Schedule,
}

/// What came of trying a smaller case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// It fails as often.
    Fails,
    /// It does not.
    Passes,
    /// There is no time for more.
    Over,
}

/// Makes `case` smaller; `fails` tries a candidate, and gets what makes it smaller.
///
/// # Errors
/// What `fails` gives.
pub async fn shrink<E>(
    case: Case,
    fails: impl AsyncFnMut(&str, &Case) -> Result<Trial, E>,
) -> Result<Case, E> {
    let mut search = Search {
        current: case,
        rejected: Vec::new(),
        fails,
    };
    loop {
        let before = search.current.clone();
        if search.fewer_faults().await? == Trial::Over {
            return Ok(search.current);
        }
        for step in STEPS {
            if search.take(step).await? == Trial::Over {
                return Ok(search.current);
            }
        }
        if search.current == before {
            return Ok(search.current);
        }
    }
}

/// The smallest case so far, and what was tried.
struct Search<F> {
    current: Case,
    /// Those that do not fail as often: what was tried is not tried again.
    rejected: Vec<Case>,
    fails: F,
}

impl<E, F: AsyncFnMut(&str, &Case) -> Result<Trial, E>> Search<F> {
    /// Goes on with `candidate` if it fails.
    async fn attempt(&mut self, what: &str, candidate: Case) -> Result<Trial, E> {
        let candidate = tidied(candidate);
        if candidate.plan.validate().is_err() || self.rejected.contains(&candidate) {
            return Ok(Trial::Passes);
        }
        let trial = (self.fails)(what, &candidate).await?;
        match trial {
            Trial::Fails => self.current = candidate,
            Trial::Passes => self.rejected.push(candidate),
            Trial::Over => {}
        }
        Ok(trial)
    }

    /// Takes a step as often as it leads to a case that fails.
    async fn take(&mut self, step: Step) -> Result<Trial, E> {
        let mut tried = step(&self.current).into_iter();
        while let Some((what, candidate)) = tried.next() {
            match self.attempt(&what, candidate).await? {
                Trial::Over => return Ok(Trial::Over),
                Trial::Passes => {}
                Trial::Fails => tried = step(&self.current).into_iter(),
            }
        }
        Ok(Trial::Passes)
    }

    /// Leaves out as many faults as it can, in parts that become smaller.
    async fn fewer_faults(&mut self) -> Result<Trial, E> {
        let mut part = self.current.schedule.faults.len();
        while part > 0 {
            let mut from = 0;
            while from < self.current.schedule.faults.len() {
                let to = (from + part).min(self.current.schedule.faults.len());
                let mut candidate = self.current.clone();
                let left_out: Vec<Scheduled> = candidate.schedule.faults.drain(from..to).collect();
                let what = without(&left_out, &self.current);
                match self.attempt(&what, candidate).await? {
                    Trial::Over => return Ok(Trial::Over),
                    Trial::Passes => from = to,
                    Trial::Fails => {}
                }
            }
            part /= 2;
        }
        Ok(Trial::Passes)
    }
}

fn without(left_out: &[Scheduled], current: &Case) -> String {
    match left_out {
        [one] => format!(
            "without {} at {:.1} s",
            one.decision.fault.name(),
            one.at_ns as f64 / 1e9
        ),
        some => format!(
            "without {} of {} faults",
            some.len(),
            current.schedule.faults.len()
        ),
    }
}

/// Without the kinds of faults that its schedule no longer has, which say nothing about the run, and without demands that were meant
/// for a larger run.
fn tidied(case: Case) -> Case {
    let Case { plan, schedule } = case;
    let mut plan = plan.demanding_nothing();
    plan.faults.retain(|fault| {
        let kind = fault.kind();
        let mut scheduled = schedule.faults.iter();
        scheduled.any(|scheduled| scheduled.decision.fault.kind() == kind)
    });
    Case { plan, schedule }
}

/// A way to make a case smaller.
type Step = fn(&Case) -> Vec<(String, Case)>;

const STEPS: [Step; 6] = [
    shorter,
    fewer_nodes,
    fewer_clients,
    one_key,
    fewer_workloads,
    only_its_kinds,
];

/// Only as long as the faults last, and shares of it.
fn shorter(case: &Case) -> Vec<(String, Case)> {
    let ends = case.schedule.faults.iter().map(|fault| {
        let end_ms = fault.at_ns / 1_000_000 + fault.decision.duration.as_millis();
        end_ms + AFTER_FAULTS_MS
    });
    let end_ms = ends.max().unwrap_or(TIME_MIN_MS);
    let time_ms = case.plan.time.as_millis();
    let wanted = [end_ms, time_ms / 2, time_ms * 4 / 5];
    let shorter = wanted
        .into_iter()
        .filter(|ms| (TIME_MIN_MS..time_ms * 9 / 10).contains(ms));
    shorter
        .map(|ms| {
            let time = Span::from_millis(ms);
            let what = format!("in {time} instead of {}", case.plan.time);
            let mut smaller = changed(case, |plan| {
                plan.time = time;
                plan.nemesis.warmup = plan.nemesis.warmup.min(time);
            });
            smaller
                .schedule
                .faults
                .retain(|fault| fault.at_ns < ms * 1_000_000);
            (what, smaller)
        })
        .collect()
}

/// Three nodes, or one; faults that name another node go.
fn fewer_nodes(case: &Case) -> Vec<(String, Case)> {
    let fewer = [1, 3]
        .into_iter()
        .filter(|nodes| *nodes < case.plan.cluster.nodes);
    fewer
        .map(|nodes| {
            let mut smaller = changed(case, |plan| {
                plan.cluster.nodes = nodes;
                plan.faults.retain(|fault| fault.fits(nodes));
                plan.nemesis.impaired_max = plan.nemesis.impaired_max.map(|max| max.min(nodes));
            });
            let is_there = |fault: &Scheduled| fault.nodes().all(|node| node <= nodes as u64);
            smaller.schedule.faults.retain(is_there);
            (format!("with {nodes} nodes"), smaller)
        })
        .collect()
}

fn fewer_clients(case: &Case) -> Vec<(String, Case)> {
    let count = case.plan.clients.count;
    let fewer = BTreeSet::from([1, count / 2, count.saturating_sub(1)]);
    let fewer = fewer.into_iter().filter(|fewer| (1..count).contains(fewer));
    fewer
        .map(|fewer| {
            let smaller = changed(case, |plan| {
                plan.clients.count = fewer;
                plan.clients.readers = plan.clients.readers.min(fewer - 1);
            });
            (format!("with {fewer} clients"), smaller)
        })
        .collect()
}

fn one_key(case: &Case) -> Vec<(String, Case)> {
    let smaller = changed(case, |plan| {
        plan.workloads
            .iter_mut()
            .for_each(|workload| *workload.keys_mut() = 1);
    });
    vec![("with one key".to_owned(), smaller)]
        .into_iter()
        .filter(|(_, smaller)| smaller.plan.workloads != case.plan.workloads)
        .collect()
}

fn fewer_workloads(case: &Case) -> Vec<(String, Case)> {
    let count = case.plan.workloads.len();
    let all = (0..count).filter(|_| count > 1);
    all.map(|at| {
        let what = format!("without the workload {}", case.plan.workloads[at].name());
        (
            what,
            changed(case, |plan| {
                plan.workloads.remove(at);
            }),
        )
    })
    .collect()
}

/// Where nothing else can be left out: the kinds of faults that the plan has, and that were not drawn.
fn only_its_kinds(case: &Case) -> Vec<(String, Case)> {
    vec![(
        "with the kinds of faults that happened".to_owned(),
        tidied(case.clone()),
    )]
    .into_iter()
    .filter(|(_, smaller)| smaller.plan.faults != case.plan.faults)
    .collect()
}

fn changed(case: &Case, change: impl FnOnce(&mut Plan)) -> Case {
    let mut smaller = case.clone();
    change(&mut smaller.plan);
    smaller
}

/// Shorter than this, a cluster has hardly elected a leader.
const TIME_MIN_MS: u64 = 1000;
/// What broke during the last fault is seen by reads after it.
const AFTER_FAULTS_MS: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nemesis::{Decision, Targets};
    use crate::plan::{FaultKind, KindName, Target};
    use std::convert::Infallible;
    use std::path::Path;

    const PLAN: &str = r#"
        version = 1
        name = "large"
        time = "20s"
        [cluster]
        nodes = 5
        [clients]
        count = 4
        [[workload]]
        kind = "register"
        [[workload]]
        kind = "log"
        keys = 3
        [[fault]]
        kind = "kill"
        target = "one"
        duration = "1s"
        [[fault]]
        kind = "pause"
        target = "one"
        duration = "1s"
        [limits]
        operations_min = 1000
        faults_min = 5
    "#;

    fn fault(k: u64, node: u64) -> Scheduled {
        let kind = match k % 2 {
            0 => FaultKind::Kill(Target::One),
            _ => FaultKind::Pause(Target::One),
        };
        Scheduled {
            decision: Decision {
                lane: 0,
                k,
                calm: Span::from_millis(100),
                fault: kind,
                duration: Span::from_millis(500),
                roll: k,
            },
            at_ns: k * 1_000_000_000,
            targets: Targets {
                nodes: vec![node],
                links: Vec::new(),
                impaired: vec![node],
            },
            leader: None,
        }
    }

    fn case() -> Case {
        Case {
            plan: Plan::parse(PLAN, Path::new("large.toml")).unwrap(),
            schedule: Schedule {
                faults: (1..17).map(|k| fault(k, k % 5 + 1)).collect(),
            },
        }
    }

    fn shrunk(mut needs: impl FnMut(&Case) -> bool) -> (Case, usize) {
        let mut tried = 0;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let shrunk = runtime.block_on(shrink(case(), async |what: &str, case: &Case| {
            tried += 1;
            assert!(tried < 200, "{what}");
            Ok::<_, Infallible>(match needs(case) {
                true => Trial::Fails,
                false => Trial::Passes,
            })
        }));
        (shrunk.unwrap(), tried)
    }

    #[test]
    fn what_a_failure_does_not_need_is_left_out() {
        // It takes the faults 6 and 11, the log, and two clients.
        let (small, tried) = shrunk(|case| {
            let has = |k| case.schedule.faults.iter().any(|fault| fault.decision.k == k);
            let has_log = case
                .plan
                .workloads
                .iter()
                .any(|workload| workload.name() == "log");
            has(6) && has(11) && has_log && case.plan.clients.count >= 2
        });
        let left: Vec<u64> = small
            .schedule
            .faults
            .iter()
            .map(|fault| fault.decision.k)
            .collect();
        assert_eq!(left, [6, 11]);
        assert_eq!((small.plan.cluster.nodes, small.plan.clients.count), (3, 2));
        assert_eq!(small.plan.workloads.len(), 1);
        assert_eq!(small.plan.time, Span::from_millis(12_500));
        assert!(small.plan.validate().is_ok());
        // They were meant for the run as it was.
        assert_eq!(
            (small.plan.limits.operations_min, small.plan.limits.faults_min),
            (0, 0)
        );
        assert!(tried < 60, "{tried} candidates were tried");
    }

    #[test]
    fn a_failure_without_faults_loses_them_all_at_once() {
        let (small, tried) = shrunk(|_| true);
        assert!(small.schedule.faults.is_empty() && small.plan.faults.is_empty());
        assert_eq!((small.plan.cluster.nodes, small.plan.clients.count), (1, 1));
        assert!(tried < 15, "{tried} candidates were tried");
    }

    #[test]
    fn when_the_time_is_over_the_smallest_so_far_is_given() {
        let mut tried = 0;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let small = runtime.block_on(shrink(case(), async |_: &str, _: &Case| {
            tried += 1;
            Ok::<_, Infallible>(if tried > 1 { Trial::Over } else { Trial::Fails })
        }));
        let small = small.unwrap();
        assert!(small.schedule.faults.is_empty() && small.plan.faults.is_empty());
    }

    #[test]
    fn no_kind_of_fault_is_left_that_the_schedule_no_longer_has_when_the_time_is_over() {
        // What takes pauses fails, and there is time until none but pauses are left.
        let is_pause = |fault: &Scheduled| fault.decision.fault.kind() == KindName::Pause;
        let mut over = false;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let small = runtime.block_on(shrink(case(), async |_: &str, case: &Case| {
            let pauses = case
                .schedule
                .faults
                .iter()
                .filter(|fault| is_pause(fault))
                .count();
            if over {
                return Ok::<_, Infallible>(Trial::Over);
            }
            over = pauses == 8 && case.schedule.faults.len() == 8;
            Ok(if pauses == 8 { Trial::Fails } else { Trial::Passes })
        }));
        let small = small.unwrap();
        assert!(over && small.schedule.faults.iter().all(is_pause), "{small:?}");
        let kinds: Vec<KindName> = small.plan.faults.iter().map(|fault| fault.kind()).collect();
        assert_eq!(kinds, [KindName::Pause]);
    }
}

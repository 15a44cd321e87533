//! The verdict on a simulated run: what broke while it ran, and what the checkers say of its histories.
//!
//! Invariant: the checkers get the recordings that they would read from files, and are the same as everywhere.

use std::path::PathBuf;

use super::journal::coverage::watcher::Watcher;
use super::journal::history::WorkloadHistory;
use super::parts::phase::Phase;
use super::parts::retriers::Retriers;
use super::parts::rule::BrokenRule;
use super::parts::stale_readers::StaleReaders;
use super::parts::transactors::Transactors;
use super::world::World;
use super::{Decisions, Simulated, TraceSum};
use crate::checker::{Budget, Options, check};
use crate::formats;
use crate::plan::Plan;
use crate::report::check_result;
use crate::results::{Account, CheckResult, Outcome, Results};

/// Weighs everything that a run left.
pub(super) fn judge(plan: Plan, seed: u64, world: World) -> Simulated {
    let counts = world.journal.history.counts;
    let histories = world.journal.history.into_tracks();
    let mut checks = vec![watched(
        world.progress.failure.as_ref(),
        world.journal.trace.events(),
    )];
    checks.extend(histories.iter().map(check_history));
    if plan.clients.pipelines > 0 {
        checks.push(pipelined(world.clients.pipelines.reads));
    }
    if plan.clients.commands > 0 {
        let semantics = &world.clients.commands.semantics;
        checks.push(commands(semantics.answers, semantics.images));
    }
    if plan.clients.stale > 0 {
        checks.push(stale(&world.clients.stale_readers));
    }
    if plan.clients.transactions > 0 {
        checks.push(transactions(&world.clients.transactors));
    }
    if plan.clients.retries > 0 {
        checks.push(retries(&world.clients.retriers));
    }
    let mut results = Results::from_checks(counts, checks);
    let (faults, decisions_skipped) = world.nemesis.results();
    results.faults = faults;
    let (done, wanted) = (results.operations.ok, plan.limits.operations_min);
    if done < wanted {
        results.doubt(format!("{done} operations completed; the plan wants {wanted}"));
    }
    if world.progress.phase != Phase::Over && world.progress.failure.is_none() {
        results.doubt("the run did not come to its end");
    }
    let wants_disks = world.journal.samples.is_some();
    let nodes = world.nodes.iter().filter(|_| wants_disks);
    let disks = nodes.map(|node| node.disk.files()).collect();
    Simulated {
        plan,
        seed,
        trace: TraceSum {
            hash: world.journal.trace.hash(),
            events: world.journal.trace.events(),
        },
        virtual_ns: world.queue.now(),
        violation: world.progress.failure,
        results,
        phases: world.progress.phases,
        histories,
        decisions: Decisions {
            made: world.nemesis.schedule,
            skipped: decisions_skipped,
        },
        counters: world.journal.counters,
        samples: world
            .journal
            .samples
            .map(|samples| samples.taken)
            .unwrap_or_default(),
        disks,
        lines: world.journal.trace.last(),
        coverage: world.journal.coverage.map(Watcher::into_coverage),
    }
}

/// What was checked while it ran, the final phase included.
fn watched(violation: Option<&BrokenRule>, events: u64) -> CheckResult {
    let (verdict, summary) = match violation {
        None => (Outcome::Valid, format!("no rule was broken in {events} events")),
        Some(broken) => (
            Outcome::Invalid,
            format!(
                "{:.6} s: {}: {}",
                broken.at_ns as f64 / 1e9,
                broken.rule,
                broken.detail
            ),
        ),
    };
    CheckResult {
        model: "invariants".to_owned(),
        verdict,
        operations: 0,
        usage: None,
        seconds: 0.0,
        summary: Some(summary),
        explanation: None,
        account: violation.map(account),
    }
}

fn account(broken: &BrokenRule) -> Account {
    Account {
        from_ns: Some(broken.at_ns),
        to_ns: Some(broken.at_ns),
        why: vec![format!(
            "The rule `{}` was broken: {}.",
            broken.rule, broken.detail
        )],
        ..Account::default()
    }
}

/// What clients saw that do not wait for answers; had they seen what they must not, the run would have ended there.
fn pipelined(reads: u64) -> CheckResult {
    CheckResult {
        model: "pipelines".to_owned(),
        verdict: if reads > 0 {
            Outcome::Valid
        } else {
            Outcome::Unknown
        },
        operations: reads,
        seconds: 0.0,
        summary: Some(format!("{reads} reads saw the order of their connections")),
        explanation: None,
        account: None,
        usage: None,
    }
}

/// What the second implementation was compared with; had anything differed, the run would have ended there.
fn commands(answers: u64, images: u64) -> CheckResult {
    CheckResult {
        model: "commands".to_owned(),
        verdict: if answers > 0 && images > 0 {
            Outcome::Valid
        } else {
            Outcome::Unknown
        },
        operations: answers,
        seconds: 0.0,
        summary: Some(format!(
            "{answers} answers and {images} states are those of the second implementation"
        )),
        explanation: None,
        account: None,
        usage: None,
    }
}

/// What clients saw that take what is old; had they seen what they must not, the run would have ended there.
fn stale(readers: &StaleReaders) -> CheckResult {
    let StaleReaders { reads, old, .. } = *readers;
    CheckResult {
        model: "stale reads".to_owned(),
        verdict: if reads > 0 {
            Outcome::Valid
        } else {
            Outcome::Unknown
        },
        operations: reads,
        seconds: 0.0,
        summary: Some(format!(
            "{reads} reads were within their bounds, {old} of them of an older state than that of their arrival"
        )),
        explanation: None,
        account: None,
        usage: None,
    }
}

/// What clients saw that move amounts between accounts; had a sum differed, the run would have ended there.
fn transactions(all: &Transactors) -> CheckResult {
    let Transactors {
        moved,
        conflicts,
        sums,
        ..
    } = *all;
    CheckResult {
        model: "transactions".to_owned(),
        verdict: if moved > 0 && sums > 0 {
            Outcome::Valid
        } else {
            Outcome::Unknown
        },
        operations: moved + sums,
        seconds: 0.0,
        summary: Some(format!(
            "{sums} sums of all accounts were the same, with {moved} blocks carried out and {conflicts} not"
        )),
        explanation: None,
        account: None,
        usage: None,
    }
}

/// What clients were answered that ask again; had anything been done twice, or not at all, the run would have ended there.
fn retries(all: &Retriers) -> CheckResult {
    let (done, unknown) = all.ended();
    CheckResult {
        model: "retries".to_owned(),
        verdict: if done > 0 {
            Outcome::Valid
        } else {
            Outcome::Unknown
        },
        operations: done,
        seconds: 0.0,
        summary: Some(format!(
            "{done} things were done once, of {} requests; {unknown} more in sessions that ended, at most once",
            all.requests
        )),
        explanation: None,
        account: None,
        usage: None,
    }
}

fn check_history(track: &WorkloadHistory) -> CheckResult {
    let name = &track.header.workload;
    let path = PathBuf::from(format!("history-{name}.jsonl"));
    let budget = Budget::new(MEMORY_BYTES_MAX, STEPS_MAX);
    let mut recording = match formats::read_events(&track.header, &track.events, &path, &budget) {
        Ok(recording) => recording,
        Err(error) => return unreadable(name, error.to_string()),
    };
    let report = check(&mut recording, &Options::default(), &budget);
    check_result(&recording, &report, 0.0)
}

fn unreadable(name: &str, problem: String) -> CheckResult {
    CheckResult {
        model: name.to_owned(),
        verdict: Outcome::Unknown,
        operations: 0,
        usage: None,
        seconds: 0.0,
        summary: Some(problem),
        explanation: None,
        account: None,
    }
}

/// Several seeds are checked at a time.
const MEMORY_BYTES_MAX: u64 = 512 << 20;
/// A few seconds; simulated histories are short.
const STEPS_MAX: u64 = 50_000_000;

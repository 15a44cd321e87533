//! One verdict from everything that a run found.
//!
//! Invariant: the verdict is the worst of what the checkers, the final phase and the processes say; and a
//! run that did not do what it set out to do proves nothing, so it is at best `unknown`. What it nearly did is a remark.

use std::collections::BTreeMap;

use crate::cluster::Crash;
use crate::plan::Plan;
use crate::results::{CheckResult, FaultResult, Lost, Outcome, PhaseResult, Results};

use super::RECOVERY;
use super::faults::{Shortfall, weigh};
use super::tested::Tested;
use crate::tally::Tally;

/// Everything that a run found.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) checks: Vec<CheckResult>,
    pub(super) tally: Tally,
    pub(super) faults: Vec<FaultResult>,
    pub(super) crashes: Vec<(u64, Crash)>,
    /// By the node that reported it: logs or states differ.
    pub(super) divergences: BTreeMap<u64, String>,
    /// What nodes did with damaged files that they had promised not to do.
    pub(super) violations: Vec<String>,
    /// Why the run ended before its time.
    pub(super) cut_short: Option<String>,
    /// What was tested.
    pub(super) tested: Tested,
    /// What was between the nodes.
    pub(super) network: String,
    /// Why the plan's power cuts could not be made.
    pub(super) power_refused: Option<String>,
    /// More was damaged than nodes can repair.
    pub(super) went_beyond: bool,
}

/// Weighs the findings of a run of `plan`.
pub(super) fn judge(plan: &Plan, findings: Findings) -> Results {
    let Findings {
        mut checks,
        tally,
        faults,
        crashes,
        divergences,
        violations,
        cut_short,
        tested,
        network,
        power_refused,
        went_beyond,
    } = findings;
    checks.push(processes(plan.cluster.nodes, &crashes));
    checks.extend(broken("agreement", &differences(&divergences)));
    checks.extend(broken("damage", &violations));
    let mut results = Results::from_checks(tally.operations, checks);
    results.phases = tally.phases.clone();
    results.decisions_skipped = tally.decisions_skipped;
    results.network = Some(network);
    results.remarks.extend(tested.remarks());
    if plan.faults.is_empty() && tested.lacks_faults() {
        results.doubt("none of the plan's faults is left, so the system was not disturbed".to_owned());
    }
    results.system = tested.system;
    let mut shortfalls = weigh(plan, &faults);
    if power_refused.is_some() {
        // That no power cut was made is said with its reason.
        shortfalls.retain(|shortfall| !shortfall.text.starts_with("power: "));
    }
    shortfalls.extend(rates(plan, &tally, &faults));
    shortfalls.extend(without_loss(&faults));
    let doubts = cut_short
        .into_iter()
        .chain(power_refused)
        .chain(vacuous(&tally, went_beyond));
    for doubt in doubts {
        results.doubt(doubt);
    }
    for Shortfall { text, is_slight } in shortfalls {
        if is_slight {
            results.remarks.push(text);
        } else {
            results.doubt(text);
        }
    }
    results.faults = faults;
    results
}

/// What the nodes themselves have found: each compares its log and its state with the others' every second.
fn differences(divergences: &BTreeMap<u64, String>) -> Vec<String> {
    let reported = divergences.iter();
    reported
        .map(|(node, divergence)| format!("n{node} reported that nodes hold different things: {divergence}"))
        .collect()
}

/// Promises that were seen to be broken. That none was proves nothing, and is not in the report.
fn broken(model: &str, reported: &[String]) -> Option<CheckResult> {
    let (first, rest) = reported.split_first()?;
    Some(CheckResult {
        model: model.to_owned(),
        verdict: Outcome::Invalid,
        operations: 0,
        usage: None,
        seconds: 0.0,
        summary: Some(first.clone()),
        explanation: (!rest.is_empty()).then(|| rest.join("\n")),
        account: None,
    })
}

/// Whether every process lived until it was asked to end.
fn processes(nodes: usize, crashes: &[(u64, Crash)]) -> CheckResult {
    let verdict = crashes
        .iter()
        .map(|(_, crash)| {
            if crash.own_fault {
                Outcome::Invalid
            } else {
                Outcome::Unknown
            }
        })
        .fold(Outcome::Valid, Outcome::worst);
    let summary = match crashes {
        [] => format!("none of the {nodes} nodes ended by itself"),
        [(node, crash), rest @ ..] => {
            let more = if rest.is_empty() {
                String::new()
            } else {
                format!(" ({} more)", rest.len())
            };
            format!("n{node} ended by itself: it {}{more}", crash.how)
        }
    };
    let shown = crashes.iter().map(|(node, crash)| {
        let words: Vec<String> = crash.last_words.iter().map(|line| format!("  {line}")).collect();
        format!(
            "n{node} {}; the last lines of its log:\n{}",
            crash.how,
            words.join("\n")
        )
    });
    CheckResult {
        model: "processes".to_owned(),
        verdict,
        operations: 0,
        usage: None,
        seconds: 0.0,
        summary: Some(summary),
        explanation: (!crashes.is_empty()).then(|| shown.take(CRASHES_SHOWN).collect::<Vec<_>>().join("\n")),
        account: None,
    }
}

/// The numbers that a plan wants at least. A busy machine misses them by a little, and proves nothing less.
fn rates(plan: &Plan, tally: &Tally, faults: &[FaultResult]) -> Vec<Shortfall> {
    let effective = faults.iter().filter(|fault| fault.evidence.is_some()).count() as u64;
    let rates = [
        ("faults had an effect", effective, plan.limits.faults_min),
        (
            "operations completed",
            tally.operations.ok,
            plan.limits.operations_min,
        ),
    ];
    let missed = rates.into_iter().filter(|(_, done, wanted)| done < wanted);
    missed
        .map(|(what, done, wanted)| Shortfall {
            text: format!("{done} {what}; the plan wants {wanted}"),
            is_slight: done.saturating_mul(100) > wanted.saturating_mul(100 - SLIGHT_PERCENT),
        })
        .collect()
}

/// Why a run proves nothing, in sentences. Where nodes may have stopped serving, the end of the run may be silent.
fn vacuous(tally: &Tally, went_beyond: bool) -> Vec<String> {
    let mut doubts = Vec::new();
    let is_silent =
        |phase: &&PhaseResult| phase.operations.ok == 0 && !(went_beyond && phase.name == RECOVERY);
    for phase in tally.phases.iter().filter(is_silent) {
        doubts.push(format!("no operation completed in the phase `{}`", phase.name));
    }
    for (function, tally) in tally
        .functions
        .iter()
        .filter(|(_, tally)| tally.operations.ok == 0)
    {
        doubts.push(format!(
            "none of {} operations `{function}` completed",
            tally.operations.invoked
        ));
    }
    doubts
}

/// Power cuts that took nothing. Among other faults, a few of them may by chance all come when nothing is waiting for a sync.
fn without_loss(faults: &[FaultResult]) -> Option<Shortfall> {
    let cuts: Vec<Lost> = faults.iter().filter_map(|fault| fault.lost).collect();
    let took_nothing = !cuts.is_empty() && !cuts.iter().any(|lost| lost.is_some());
    took_nothing.then(|| Shortfall {
        text: format!(
            "none of {} power cuts took anything that was not synced",
            cuts.len()
        ),
        is_slight: cuts.len() < CUTS_MIN && cuts.len() * 2 < faults.len(),
    })
}

/// As many power cuts have one that takes something.
const CUTS_MIN: usize = 5;

/// A rate that is missed by less is a remark.
const SLIGHT_PERCENT: u64 = 20;
/// A node that crashes in a loop says the same each time.
const CRASHES_SHOWN: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Counts;

    fn plan() -> Plan {
        let text = "version = 1\nname = \"p\"\ntime = \"5s\"\n[[workload]]\nkind = \"log\"\n\
                    [limits]\noperations_min = 10\nfaults_min = 1\n";
        Plan::parse(text, std::path::Path::new("p.toml")).unwrap()
    }

    fn good() -> Findings {
        let operations = Counts {
            invoked: 10,
            ok: 10,
            fail: 0,
            info: 0,
        };
        let phase = PhaseResult {
            name: "faults".into(),
            from_ns: 0,
            to_ns: 9,
            operations,
        };
        let check = CheckResult {
            model: "log".into(),
            verdict: Outcome::Valid,
            operations: 10,
            usage: None,
            seconds: 0.1,
            summary: None,
            explanation: None,
            account: None,
        };
        let fault = FaultResult {
            fault: "kill-one(n1)".into(),
            from_ns: 1,
            to_ns: Some(2),
            kind: "kill".into(),
            evidence: Some("gone".into()),
            why: None,
            lost: None,
        };
        Findings {
            checks: vec![check],
            tally: Tally {
                operations,
                phases: vec![phase],
                ..Tally::default()
            },
            faults: vec![fault],
            crashes: Vec::new(),
            divergences: BTreeMap::new(),
            violations: Vec::new(),
            cut_short: None,
            tested: Tested::default(),
            network: "a proxy a directed link".to_owned(),
            power_refused: None,
            went_beyond: false,
        }
    }

    fn crash(own_fault: bool) -> (u64, Crash) {
        (
            2,
            Crash {
                how: "exited with code 101".into(),
                own_fault,
                last_words: vec!["panicked at".into()],
            },
        )
    }

    #[test]
    fn a_run_that_did_what_it_set_out_to_do_is_valid() {
        let results = judge(&plan(), good());
        assert_eq!((results.verdict, results.reasons), (Outcome::Valid, vec![]));
    }

    #[test]
    fn a_run_that_did_too_little_is_unknown_and_says_why() {
        let mut idle_fault = good();
        idle_fault.faults[0].evidence = None;
        let mut idle_phase = good();
        idle_phase.tally.phases[0].operations = Counts::default();
        let mut few = good();
        few.tally.operations.ok = 8;
        let mut nothing_lost = good();
        nothing_lost.faults[0].lost = Some(Lost::default());
        let mut refused = good();
        refused.power_refused = Some("power cuts of the ext4 tier are not possible here".into());
        let mut short = good();
        short.cut_short = Some("interrupted after 2s".into());
        for (findings, said) in [
            (idle_fault, "1 of 1 had no effect"),
            (idle_phase, "phase `faults`"),
            (few, "8 operations"),
            (nothing_lost, "none of 1 power cuts"),
            (refused, "not possible here"),
            (short, "interrupted"),
        ] {
            let results = judge(&plan(), findings);
            assert_eq!(results.verdict, Outcome::Unknown);
            assert!(results.reasons[0].contains(said), "{:?}", results.reasons);
        }
    }

    #[test]
    fn the_end_of_a_run_may_be_silent_only_when_more_was_damaged_than_can_be_repaired() {
        for (phase, went_beyond, verdict) in [
            (RECOVERY, true, Outcome::Valid),
            (RECOVERY, false, Outcome::Unknown),
            ("faults", true, Outcome::Unknown),
        ] {
            let mut silent = good();
            silent.tally.phases[0].operations = Counts::default();
            silent.tally.phases[0].name = phase.to_owned();
            silent.went_beyond = went_beyond;
            assert_eq!(judge(&plan(), silent).verdict, verdict, "{phase}, {went_beyond}");
        }
    }

    #[test]
    fn a_rate_that_is_nearly_reached_is_a_remark() {
        let mut nearly = good();
        nearly.tally.operations.ok = 9;
        let results = judge(&plan(), nearly);
        assert_eq!((results.verdict, results.reasons), (Outcome::Valid, vec![]));
        assert_eq!(results.remarks, ["9 operations completed; the plan wants 10"]);
    }

    #[test]
    fn what_was_left_out_is_said_and_a_plan_without_any_fault_left_proves_nothing() {
        let left_out = vec!["fault vote-race: vote-race reaches into noraftd".to_owned()];
        let tested = Tested {
            system: Some("etcd (3.4)".into()),
            left_out,
        };
        let results = judge(&plan(), Findings { tested, ..good() });
        assert_eq!(results.system.as_deref(), Some("etcd (3.4)"));
        assert_eq!(
            results.remarks,
            ["left out: fault vote-race: vote-race reaches into noraftd"]
        );
        assert_eq!(results.verdict, Outcome::Unknown);
        assert!(
            results.reasons[0].contains("not disturbed"),
            "{:?}",
            results.reasons
        );
    }

    #[test]
    fn a_crash_is_never_valid_and_a_panic_is_invalid() {
        for (own_fault, verdict) in [(true, Outcome::Invalid), (false, Outcome::Unknown)] {
            let results = judge(
                &plan(),
                Findings {
                    crashes: vec![crash(own_fault)],
                    ..good()
                },
            );
            assert_eq!(results.verdict, verdict);
            let shown = results.checks.last().unwrap();
            assert_eq!(
                shown.summary.as_deref(),
                Some("n2 ended by itself: it exited with code 101")
            );
        }
    }

    #[test]
    fn a_node_that_differs_from_the_others_makes_a_run_invalid() {
        let divergences = BTreeMap::from([(2, "here,7".to_owned()), (3, "node2,7".to_owned())]);
        let results = judge(
            &plan(),
            Findings {
                divergences,
                ..good()
            },
        );
        assert_eq!(results.verdict, Outcome::Invalid);
        let found = results.checks.last().unwrap();
        assert_eq!(
            found.summary.as_deref(),
            Some("n2 reported that nodes hold different things: here,7")
        );
        assert!(found.explanation.as_ref().unwrap().starts_with("n3 reported"));
    }

    #[test]
    fn a_promise_that_was_broken_makes_a_run_invalid() {
        let violations = vec!["n2 started without its votes".to_owned()];
        let results = judge(
            &plan(),
            Findings {
                violations: violations.clone(),
                ..good()
            },
        );
        let found = results.checks.last().unwrap();
        assert_eq!(
            (results.verdict, found.summary.as_ref()),
            (Outcome::Invalid, violations.first())
        );
    }

    #[test]
    fn doubt_does_not_hide_a_violation() {
        let mut findings = good();
        findings.checks[0].verdict = Outcome::Invalid;
        findings.faults.clear();
        assert_eq!(judge(&plan(), findings).verdict, Outcome::Invalid);
    }
}

//! Whether a run's faults did what the plan set out to do, kind by kind.
//!
//! Invariant: each kind of the plan that a run may not do without was injected; of each kind that was injected at least one
//! had an effect, and at least 90 % of them, or all but one where they are few. Those without an effect are named.

use std::collections::BTreeMap;

use crate::plan::Plan;
use crate::results::FaultResult;

/// Something that the run did less of than the plan wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shortfall {
    pub(super) text: String,
    /// True when the run proves what it claims all the same.
    pub(super) is_slight: bool,
}

/// What is missing, for each kind.
pub(super) fn weigh(plan: &Plan, faults: &[FaultResult]) -> Vec<Shortfall> {
    let mut kinds: BTreeMap<&str, Vec<&FaultResult>> = plan
        .faults
        .iter()
        .map(|fault| (fault.kind().name(), Vec::new()))
        .collect();
    for fault in faults {
        kinds.entry(&fault.kind).or_default().push(fault);
    }
    let optional = |kind: &str| plan.limits.optional.iter().any(|optional| optional == kind);
    kinds
        .into_iter()
        .filter(|(kind, injected)| !(injected.is_empty() && optional(kind)))
        .filter_map(|(kind, injected)| missing(kind, &injected, plan.nemesis.lanes > 1))
        .collect()
}

/// Faults that overlap take from each other what shows: a cut link has nothing to reorder.
fn missing(kind: &str, injected: &[&FaultResult], overlaps: bool) -> Option<Shortfall> {
    if injected.is_empty() {
        return Some(Shortfall {
            text: format!(
                "{kind}: never injected; a longer run may draw it, or `optional` in the plan's [limits] lets a run do \
                 without it"
            ),
            is_slight: false,
        });
    }
    let idle: Vec<&FaultResult> = injected
        .iter()
        .copied()
        .filter(|fault| fault.evidence.is_none())
        .collect();
    let (count, effective) = (injected.len(), injected.len() - idle.len());
    let idle_max = match (overlaps, count) {
        (true, count) => (count / 2).max(1),
        (false, ..FEW) => 1,
        (false, count) => count / IDLE_PART,
    };
    let shown: Vec<String> = idle
        .iter()
        .take(SHOWN_MAX)
        .map(|fault| {
            format!(
                "{} at {:.1} s: {}",
                fault.fault,
                fault.from_ns as f64 / 1e9,
                fault.effect()
            )
        })
        .collect();
    let more = match idle.len().saturating_sub(SHOWN_MAX) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    (!idle.is_empty()).then(|| Shortfall {
        text: format!(
            "{kind}: {} of {count} had no effect: {}{more}",
            idle.len(),
            shown.join("; ")
        ),
        is_slight: effective > 0 && idle.len() <= idle_max,
    })
}

/// In one lane, of fewer than these, all but one have to have an effect.
const FEW: usize = 10;
/// Of more, nine out of ten. Where lanes overlap, half.
const IDLE_PART: usize = 10;
/// Named in a reason; results.json has them all.
const SHOWN_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(limits: &str) -> Plan {
        let text = format!(
            "version = 1\nname = \"p\"\ntime = \"5s\"\n[[workload]]\nkind = \"log\"\n[limits]\n{limits}\n\
             [[fault]]\nkind = \"kill\"\ntarget = \"one\"\nduration = \"1s\"\n\
             [[fault]]\nkind = \"vote-race\"\nduration = \"1s\"\n"
        );
        Plan::parse(&text, std::path::Path::new("p.toml")).unwrap()
    }

    fn faults(kind: &str, effective: usize, idle: usize) -> Vec<FaultResult> {
        let fault = |evidence: Option<&str>| FaultResult {
            fault: format!("{kind}-one(n1)"),
            kind: kind.into(),
            from_ns: 1_000_000_000,
            to_ns: None,
            evidence: evidence.map(str::to_owned),
            why: evidence.is_none().then(|| "n1: not running".into()),
            lost: None,
        };
        let mut faults = vec![fault(Some("n1 is gone")); effective];
        faults.extend(vec![fault(None); idle]);
        faults
    }

    /// For kills, so many of which had an effect and so many not: is anything missing, and is it slight?
    fn weight(effective: usize, idle: usize, lanes: usize) -> Option<bool> {
        let mut plan = plan("optional = [\"vote-race\"]");
        plan.nemesis.lanes = lanes;
        let missing = weigh(&plan, &faults("kill", effective, idle));
        assert!(missing.len() <= 1, "{missing:?}");
        missing.first().map(|missing| missing.is_slight)
    }

    #[test]
    fn nine_of_ten_have_to_have_an_effect_and_of_few_all_but_one() {
        let (enough, slight, missing) = (None, Some(true), Some(false));
        for (effective, idle, expected) in [
            (1, 0, enough),
            (0, 1, missing),
            (1, 1, slight),
            (8, 1, slight),
            (7, 2, missing),
            (9, 1, slight),
            (18, 2, slight),
            (17, 2, missing),
            (292, 1, slight),
            (264, 29, slight),
            (263, 30, missing),
        ] {
            assert_eq!(weight(effective, idle, 1), expected, "{effective} and {idle}");
        }
    }

    #[test]
    fn of_those_that_overlap_half_have_to_have_an_effect() {
        let (enough, slight, missing) = (None, Some(true), Some(false));
        for (effective, idle, expected) in [
            (1, 0, enough),
            (0, 1, missing),
            (1, 1, slight),
            (3, 2, slight),
            (3, 3, slight),
            (2, 3, missing),
            (0, 5, missing),
        ] {
            assert_eq!(weight(effective, idle, 2), expected, "{effective} and {idle}");
        }
    }

    #[test]
    fn a_kind_that_was_never_injected_is_missed_unless_it_is_optional() {
        let missing = weigh(&plan(""), &faults("kill", 3, 0));
        assert_eq!(missing.len(), 1);
        assert!(missing[0].text.starts_with("vote-race: never injected") && !missing[0].is_slight);
        assert_eq!(
            weigh(&plan("optional = [\"vote-race\"]"), &faults("kill", 3, 0)),
            []
        );
    }

    #[test]
    fn those_without_an_effect_are_named_with_their_reasons() {
        let missing = weigh(&plan("optional = [\"vote-race\"]"), &faults("kill", 0, 7));
        assert!(
            missing[0].text.starts_with(
                "kill: 7 of 7 had no effect: kill-one(n1) at 1.0 s: NO EFFECT: n1: not running;"
            ) && missing[0].text.ends_with("; and 2 more"),
            "{missing:?}"
        );
    }
}

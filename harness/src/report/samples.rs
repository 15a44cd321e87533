//! A run with one of each, for the tests of the reports.

use std::path::Path;

use crate::plan::Plan;
use crate::results::{
    Account, CheckResult, Counts, FaultResult, Ignored, Involved, Outcome, PhaseResult, Results, Usage,
};
use crate::tally::{FunctionTally, Tally};

pub(super) fn plan() -> Plan {
    let text =
        "version = 1\nname = \"p\"\nabout = \"one of each\"\ntime = \"5s\"\n[[workload]]\nkind = \"log\"\n";
    Plan::parse(text, Path::new("p.toml")).unwrap()
}

pub(super) fn tally() -> Tally {
    let operations = Counts {
        invoked: 12,
        ok: 9,
        fail: 2,
        info: 1,
    };
    let append = FunctionTally {
        operations,
        latencies: vec![1_000_000, 2_500_000, 40_000_000],
    };
    Tally {
        operations,
        functions: [("log append".to_owned(), append)].into(),
        errors: [
            (("NOLEADER".to_owned(), true), 2),
            (("timeout".to_owned(), false), 1),
        ]
        .into(),
        phases: Vec::new(),
        stretches: vec![operations; 21],
        decisions_skipped: 1,
        series: crate::series::Series::default(),
    }
}

fn account() -> Account {
    let involved = |letter: &str, called_ns, returned_ns| Involved {
        letter: letter.to_owned(),
        process: "p1".to_owned(),
        what: "tail -> 3".to_owned(),
        node: Some("n2".to_owned()),
        called_ns: Some(called_ns),
        returned_ns,
    };
    Account {
        from_ns: Some(1_600_000_000),
        to_ns: Some(1_650_000_000),
        operations: vec![
            involved("A", 1_600_000_000, Some(1_620_000_000)),
            involved("B", 1_640_000_000, None),
        ],
        why: vec!["B returned less than A had seen.".to_owned()],
        drawing: Some("<svg></svg>".to_owned()),
    }
}

pub(super) fn results() -> Results {
    let check = CheckResult {
        model: "log".to_owned(),
        verdict: Outcome::Invalid,
        operations: 10,
        usage: Some(Usage {
            recorded: 12,
            used: 10,
            ignored: vec![Ignored {
                function: "append".to_owned(),
                why: "failed".to_owned(),
                count: 2,
            }],
        }),
        seconds: 0.5,
        summary: Some("a stale tail".to_owned()),
        explanation: Some("A tail\nB tail".to_owned()),
        account: Some(account()),
    };
    let mut results = Results::from_checks(tally().operations, vec![check]);
    results.phases = vec![PhaseResult {
        name: "faults".to_owned(),
        from_ns: 1_000_000_000,
        to_ns: 5_250_000_000,
        operations: tally().operations,
    }];
    let fault = |to_ns, evidence: Option<&str>| FaultResult {
        fault: "kill-one(n1)".to_owned(),
        from_ns: 1_500_000_000,
        to_ns,
        kind: "kill".to_owned(),
        evidence: evidence.map(str::to_owned),
        why: evidence
            .is_none()
            .then(|| "n1: the process is not running".to_owned()),
        lost: None,
    };
    results.faults = vec![fault(Some(2_000_000_000), Some("n1 is gone")), fault(None, None)];
    results.doubt("kill: 1 of 2 had no effect");
    results
        .remarks
        .push("9 operations completed; the plan wants 10".to_owned());
    results
}

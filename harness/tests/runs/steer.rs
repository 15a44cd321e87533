//! Coverage steers: a mutant that fails is repeated by the command that is printed, and by the plan that a campaign writes.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use harness::campaign::{Ledger, group};
use harness::plan::{Plan, Span};
use harness::sim::campaign::Brief;

const HARNESS: &str = env!("CARGO_BIN_EXE_harness");

/// Writes a plan of which about every third run fails: disks are slow, and requests are given up early.
fn put_impatient(folder: &Path) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../workloads/swarm.toml");
    let plan = Plan::load(&path).unwrap_or_else(|error| panic!("{error}"));
    let mut plan = plan.lasting(Span::from_millis(500));
    plan.name = "impatient".to_owned();
    plan.sim.disk.sync_us = 50_000;
    plan.sim.node.request_timeout = Span::from_millis(10);
    plan.limits.recovery = Span::from_millis(150);
    // Such a majority would fail in nearly every run.
    plan.sim.node.bare_permille = 0;
    fs::write(folder.join("impatient.toml"), plan.to_toml()).expect("it can be written");
}

fn harness(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(HARNESS);
    command
        .current_dir(folder)
        .args(words)
        .output()
        .expect("the harness starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn steered(folder: &Path, seeds: &str, more: &[&str]) -> Output {
    let words = [
        "sim",
        "impatient.toml",
        "--steer",
        "--keep-going",
        "--seeds",
        seeds,
    ];
    harness(folder, &[&words, more].concat())
}

fn brief(folder: &Path, seeds: &str) -> Brief {
    let output = steered(folder, seeds, &["--json"]);
    let mut brief: Brief =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
    brief.cpu_seconds = 0.0;
    brief.runs.iter_mut().for_each(|run| run.cpu_us = 0);
    brief
}

#[test]
fn a_unit_is_the_same_in_every_process_and_a_mutant_that_failed_fails_again() {
    let folder = tempfile::tempdir().unwrap();
    put_impatient(folder.path());
    let unit = brief(folder.path(), "3..93");
    assert_eq!(unit, brief(folder.path(), "3..93"));
    let beginning = brief(folder.path(), "3..9");
    assert_eq!(
        beginning.runs,
        unit.runs[..6],
        "what ends earlier is the same so far"
    );

    let mutants: Vec<_> = unit
        .failed
        .iter()
        .filter(|failure| failure.mutant.is_some())
        .collect();
    assert!(!mutants.is_empty(), "{:?}", unit.failed);
    let done = steered(folder.path(), "3..93", &["--out", "runs"]);
    let text = said(&done);
    assert_eq!(done.status.code(), Some(1), "{text}");
    for mutant in mutants {
        let prefix = format!("run {} again: harness ", mutant.seed);
        let command = text.lines().find_map(|line| line.strip_prefix(&prefix));
        let words: Vec<&str> = command
            .unwrap_or_else(|| panic!("{prefix}: {text}"))
            .split(' ')
            .collect();
        let again = harness(folder.path(), &words);
        assert_eq!(again.status.code(), Some(1), "{words:?}: {}", said(&again));
        let events = format!(", {} events,", mutant.events);
        assert!(said(&again).contains(&events), "{events}: {}", said(&again));
        assert!(said(&again).contains(&mutant.rule), "{}", said(&again));
    }
}

#[test]
fn one_run_after_the_other_and_only_for_many() {
    let folder = tempfile::tempdir().unwrap();
    put_impatient(folder.path());
    for words in [
        &["sim", "impatient.toml", "--steer"][..],
        &[
            "sim",
            "impatient.toml",
            "--steer",
            "--seeds",
            "1..3",
            "--jobs",
            "2",
        ],
    ] {
        let refused = harness(folder.path(), words);
        assert_eq!(refused.status.code(), Some(64), "{words:?}: {}", said(&refused));
    }
}

#[test]
fn a_campaign_that_is_steered_writes_a_plan_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    put_impatient(folder.path());
    let file = "version = 1\nname = \"steered\"\nseed = 5\n[[entry]]\nplan = \"impatient.toml\"\n\
                world = \"simulation\"\nseeds = [3, 7]\nblock = 4\nsteer = true\n";
    fs::write(folder.path().join("campaign.toml"), file).unwrap();
    let done = harness(
        folder.path(),
        &["campaign", "campaign.toml", "--out", "out", "--jobs", "2"],
    );
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    let out = folder.path().join("out");
    let records = Ledger::open(&out).and_then(|ledger| ledger.records()).unwrap();
    assert!(
        records
            .iter()
            .all(|record| record.steered && record.runs.len() == 4)
    );
    let groups = group(&records);
    let [found] = &groups[..] else {
        panic!("{groups:?}")
    };
    assert!(found.entry.ends_with("-steered"), "{}", found.entry);
    let written = out.join("groups").join(found.signature());
    let about = fs::read_to_string(written.join("group.json")).unwrap();
    assert!(about.contains("\"again\": 10"), "{about}");
    // What failed, before it was made smaller, is that very run.
    let original = written.join("original.toml");
    let again = harness(folder.path(), &["sim", &original.to_string_lossy()]);
    let events = format!(", {} events,", found.best.cost);
    assert!(said(&again).contains(&events), "{events}: {}", said(&again));
}

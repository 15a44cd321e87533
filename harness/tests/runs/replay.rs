//! Recorded runs, repeated: a run of the simulation event by event, one of real processes fault by fault.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use harness::nemesis::{Schedule, Scheduled};
use harness::plan::{Plan, Span};
use harness::sim::{Lines, folder, simulate};

use crate::skip::skip;

const HARNESS: &str = env!("CARGO_BIN_EXE_harness");

fn workloads() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../workloads")
}

fn harness(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(HARNESS)
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the program starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn a_run_of_the_simulation_is_repeated_event_by_event() {
    let root = tempfile::tempdir().unwrap();
    let plan = Plan::load(&workloads().join("swarm.toml")).unwrap();
    let run = simulate(&plan.lasting(Span::from_millis(1500)), 7, Lines::Last(500));
    let (kept, _) = folder::keep(root.path(), &run, &[]).unwrap();
    let path = kept.path().to_str().unwrap();
    let same = harness(root.path(), &["replay", path]);
    assert_eq!(same.status.code(), Some(0), "{}", said(&same));
    let wanted = format!(
        "the same trace: {} events, hash {:016x}",
        run.trace.events, run.trace.hash
    );
    assert!(said(&same).contains(&wanted), "{}", said(&same));
    // As if the program had changed: an event near the end is another one.
    let trace = kept.path().join("trace.txt");
    let text = std::fs::read_to_string(&trace).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[490] = "another event";
    std::fs::write(&trace, lines.join("\n") + "\n").unwrap();
    let about = kept.path().join("run.json");
    let text = std::fs::read_to_string(&about).unwrap();
    let hash = format!("{:016x}", run.trace.hash);
    std::fs::write(&about, text.replace(&hash, "0123456789abcdef")).unwrap();
    let other = harness(root.path(), &["replay", path]);
    assert_eq!(other.status.code(), Some(2), "{}", said(&other));
    let number = run.trace.events - 500 + 491;
    assert!(said(&other).contains("another trace"), "{}", said(&other));
    let shown = format!("is number {number}:\n  was: another event");
    assert!(said(&other).contains(&shown), "{}", said(&other));
}

#[test]
fn the_schedule_of_a_simulated_run_has_targets_and_times() {
    let root = tempfile::tempdir().unwrap();
    let plan = Plan::load(&workloads().join("swarm.toml")).unwrap();
    let plan = plan.lasting(Span::from_millis(2000));
    let mut found = 0;
    for seed in [2, 3, 5, 8] {
        let run = simulate(&plan, seed, Lines::None);
        let (kept, _) = folder::keep(root.path(), &run, &[]).unwrap();
        let schedule = Schedule::load(&kept.file("schedule.jsonl")).unwrap();
        for fault in &run.results.faults {
            let mut all = schedule.faults.iter();
            let same = all.find(|scheduled| {
                let name = scheduled.decision.fault.name();
                scheduled.at_ns == fault.from_ns && fault.fault.starts_with(&name)
            });
            let same = same.unwrap_or_else(|| panic!("seed {seed}: {fault:?} is not in the schedule"));
            for node in same.nodes() {
                assert!(
                    fault.fault.contains(&format!("n{node}")),
                    "seed {seed}: {fault:?}"
                );
                found += 1;
            }
        }
    }
    assert!(found > 0, "no seed has a fault with a target");
}

#[test]
fn what_is_no_run_is_wrong_usage() {
    let root = tempfile::tempdir().unwrap();
    let output = harness(root.path(), &["replay", "."]);
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    assert!(said(&output).contains("run.json"), "{}", said(&output));
}

/// Three kills and cuts in a few seconds.
const PLAN: &str = r#"
version = 1
name = "brief"
time = "5s"
[clients]
count = 3
rate = 100
[[workload]]
kind = "register"
[nemesis]
warmup = "500ms"
calm = ["300ms", "500ms"]
[[fault]]
kind = "pause"
target = "leader"
duration = "500ms"
[[fault]]
kind = "partition"
shape = "isolate-leader"
mode = "drop"
duration = "500ms"
"#;

fn schedule_of(folder: &Path) -> Vec<Scheduled> {
    Schedule::load(&folder.join("schedule.jsonl")).unwrap().faults
}

#[test]
fn the_faults_of_a_run_on_processes_are_carried_out_again() {
    if !Path::new(HARNESS).with_file_name("noraftd").is_file() {
        skip("no noraftd beside the harness; `cargo build -p noraftd` makes one");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("brief.toml"), PLAN).unwrap();
    let ran = harness(
        root.path(),
        &["run", "brief.toml", "--seed", "5", "--out", "runs"],
    );
    assert!(matches!(ran.status.code(), Some(0 | 2)), "{}", said(&ran));
    let recorded = schedule_of(&root.path().join("runs/latest"));
    assert!(recorded.len() >= 2, "{recorded:?}");
    let replayed = harness(
        root.path(),
        &["replay", "runs/latest", "--runs", "1", "--out", "replays"],
    );
    let shown = said(&replayed);
    assert!(matches!(replayed.status.code(), Some(0 | 2)), "{shown}");
    assert!(
        shown.contains("failed: 0 of 1 (0 %; with a confidence of 95 %: 0 % to 79 %)"),
        "{shown}"
    );
    let again = schedule_of(&root.path().join("replays/latest"));
    // A slow machine may end before the last one.
    assert!(again.len() + 1 >= recorded.len(), "{again:?}");
    for (was, is) in recorded.iter().zip(&again) {
        assert_eq!(was.decision, is.decision);
        assert!(is.at_ns >= was.at_ns, "not before its time");
        assert!(
            is.leader.is_none()
                || was.leader.is_none()
                || is.targets.nodes.iter().all(|node| Some(*node) == is.leader)
        );
    }
}

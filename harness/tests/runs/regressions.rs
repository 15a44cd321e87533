//! What failed once on real processes never fails again: each folder of `workloads/regressions/` that has a plan, its schedule and
//! what it came to is replayed once. (Plans of the simulation are files there; `sim.rs` runs them.)

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::nemesis::{Decision, Schedule, Scheduled, Targets};
use harness::plan::{FaultKind, Plan, Span, Target};
use harness::replay::{Expected, Rate};

use crate::campaign::starts_once;
use crate::site::{HARNESS, Site};

/// The folders of recorded runs in `folder`, by name.
fn recorded_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the project keeps what failed");
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

/// Replays each of them once with `daemon`: those that fail, with what was said. A machine with other work to do may leave a run
/// undecided, which is no failure.
fn failing(folders: &[PathBuf], daemon: &Path, scratch: &Path) -> Vec<(PathBuf, String)> {
    let replay = |folder: &PathBuf| {
        let mut command = Command::new(HARNESS);
        command.current_dir(scratch).arg("replay").arg(folder);
        command.args(["--runs", "1", "--out", "replays", "--noraftd"]);
        let output = command.arg(daemon).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        match output.status.code() {
            Some(0) => None,
            Some(2) if !said.contains("broke another rule") => None,
            Some(_) | None => Some((folder.clone(), said)),
        }
    };
    folders.iter().filter_map(replay).collect()
}

#[test]
fn what_failed_once_on_real_processes_never_fails_again() {
    let Some(site) = Site::new() else { return };
    let regressions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../workloads/regressions");
    let folders = recorded_in(&regressions.canonicalize().unwrap());
    let daemon = Path::new(HARNESS).with_file_name("noraftd");
    let failing = failing(&folders, &daemon, site.folder.path());
    assert!(failing.is_empty(), "{failing:#?}");
}

/// A run that was recorded: the first node is killed, and has to come back.
fn put_recorded(folder: &Path) {
    fs::create_dir(folder).unwrap();
    let plan = Plan::parse(crate::campaign::KILLS_AND_PAUSES, Path::new("kills.toml")).unwrap();
    fs::write(folder.join("plan.toml"), plan.seeded(1).to_toml()).unwrap();
    let kill = Scheduled {
        decision: Decision {
            lane: 0,
            k: 0,
            calm: Span::from_millis(300),
            fault: FaultKind::Kill(Target::One),
            duration: Span::from_millis(100),
            roll: 1,
        },
        at_ns: 1_000_000_000,
        targets: Targets {
            nodes: vec![1],
            links: Vec::new(),
            impaired: vec![1],
        },
        leader: None,
    };
    let schedule = Schedule { faults: vec![kill] };
    fs::write(folder.join("schedule.jsonl"), schedule.to_text()).unwrap();
    let always = Rate { failed: 5, runs: 5 };
    Expected::broken("liveness", always).write(folder).unwrap();
}

#[test]
fn a_daemon_that_fails_again_is_named_with_what_was_said() {
    let Some(site) = Site::new() else { return };
    let scratch = site.folder.path();
    let kept = scratch.join("regressions");
    fs::create_dir(&kept).unwrap();
    // A plan of the simulation is no folder.
    fs::write(kept.join("simulated.toml"), "").unwrap();
    put_recorded(&kept.join("first-node-is-killed"));
    let folders = recorded_in(&kept);
    assert_eq!(folders, [kept.join("first-node-is-killed")]);

    let broken = failing(&folders, &starts_once(scratch), scratch);
    let [(folder, said)] = &broken[..] else {
        panic!("{broken:#?}")
    };
    assert_eq!(*folder, folders[0]);
    assert!(
        said.contains("failed with the same rule, \"liveness\": 1 of 1"),
        "{said}"
    );
    let whole = Path::new(HARNESS).with_file_name("noraftd");
    let failing_with = |folders: &[PathBuf]| failing(folders, &whole, scratch);
    assert!(failing_with(&folders).is_empty());

    // What is no recorded run is an error, not a pass.
    fs::remove_file(kept.join("first-node-is-killed/schedule.jsonl")).unwrap();
    assert_eq!(failing_with(&folders).len(), 1);
}

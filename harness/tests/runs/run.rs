//! Whole runs on real processes: a verdict, a folder, and nothing left behind.
//!
//! They need the daemon next to the harness (`cargo test` builds it) and are skipped without it.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::path::Path;
use std::process::{Child, Command};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::site::{HARNESS, Site, said};

/// Every kind of fault, often, and little enough demanded that a busy machine manages it.
const PLAN: &str = r#"
    version = 1
    name = "short"
    about = "a little of everything"
    time = "4s"
    seed = 11
    [cluster]
    segment_kib = 256
    [clients]
    count = 5
    readers = 1
    rate = 500
    [[workload]]
    kind = "register"
    [[workload]]
    kind = "log"
    [nemesis]
    warmup = "500ms"
    calm = ["100ms", "300ms"]
    [[fault]]
    kind = "kill"
    target = "one"
    duration = "200ms"
    [[fault]]
    kind = "pause"
    target = "one"
    duration = "200ms"
    [[fault]]
    kind = "partition"
    shape = "isolate-one"
    duration = "300ms"
    [limits]
    optional = ["kill", "pause", "partition"]
    faults_min = 1
    operations_min = 50
"#;

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

#[test]
fn a_run_ends_with_a_verdict_and_a_complete_folder() {
    let Some(site) = Site::new() else { return };
    let output = site.start(PLAN).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let report = String::from_utf8(output.stdout).unwrap();
    assert_eq!(report.lines().last(), Some("verdict: valid"));
    let files = [
        "run.json",
        "plan.toml",
        "schedule.jsonl",
        "results.edn",
        "history-register.jsonl",
        "history-log.jsonl",
        "results.json",
        "report.html",
        "junit.xml",
        "report.txt",
        "repro.sh",
        "nodes/n3/log",
    ];
    for file in files {
        assert!(site.latest().join(file).is_file(), "{file} is missing");
    }
    assert!(
        !site.latest().join("nodes/n1/data").exists(),
        "data is kept only when something is wrong"
    );
    assert!(!site.folder.path().join("runs/failed").exists());
    let page = std::fs::read_to_string(site.latest().join("report.html")).unwrap();
    let folder = site.latest().canonicalize().unwrap();
    let replay = format!("{HARNESS} replay {}", folder.display());
    assert!(
        page.contains(&replay) && !page.contains("harness run "),
        "{replay}"
    );
    let results = site.results();
    let idle = results["faults"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|fault| !fault["evidence"].is_string());
    assert!(
        idle.clone().all(|fault| fault["why"].is_string()),
        "{:?}",
        idle.collect::<Vec<_>>()
    );
    assert_eq!(results["phases"].as_array().unwrap().len(), 3);
    assert_eq!(site.daemons(), [0; 0], "every process is gone");
}

/// Voters that change, and every node restarted with its own flags, while clients are served.
const VOTERS: &str = r#"
    version = 1
    name = "voters-short"
    about = "voters and restarts"
    time = "15s"
    seed = 5
    [clients]
    count = 4
    rate = 300
    [[workload]]
    kind = "register"
    [nemesis]
    warmup = "500ms"
    calm = ["50ms", "200ms"]
    [[fault]]
    kind = "voters"
    duration = "100ms"
    [[fault]]
    kind = "restart"
    target = "all"
    duration = "50ms"
"#;

#[test]
fn voters_change_and_every_node_restarts() {
    let Some(site) = Site::new() else { return };
    let output = site.start(VOTERS).wait_with_output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("and became n"), "{said}");
    for node in ["n1", "n2", "n3"] {
        let restarted = said
            .lines()
            .any(|line| line.contains("restart-all") && line.contains(&format!("started: {node} answered")));
        assert!(restarted, "{node}: {said}");
    }
}

/// From no secret to one that is required, and back to one that is accepted. Without an older daemon (`NORAFTD_OLD` names
/// one) the present one begins.
#[test]
fn a_cluster_is_rolled_over_to_a_required_secret() {
    let Some(site) = Site::new() else { return };
    let plan = VOTERS
        .replace("kind = \"voters\"", "kind = \"roll\"")
        .replace("voters-short", "roll-short");
    let present = Path::new(HARNESS).with_file_name("noraftd");
    let old = std::env::var("NORAFTD_OLD").unwrap_or_else(|_| present.display().to_string());
    let output = site
        .start_with(&plan, &["--noraftd-old", &old])
        .wait_with_output()
        .unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for form in ["accepting: n3 answered", "requiring: n3 answered"] {
        assert!(said.contains(form), "{form}: {said}");
    }
    let secret = std::fs::metadata(site.latest().join("nodes/peer-secret")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&secret.permissions());
    assert_eq!(mode & 0o777, 0o600);
    for (plan, flags, why) in [
        (
            plan.as_str(),
            &[][..],
            "name the daemon that the cluster begins with",
        ),
        (VOTERS, &["--noraftd-old", &old], "would never be started"),
    ] {
        let refused = site.start_with(plan, flags).wait_with_output().unwrap();
        assert_eq!(refused.status.code(), Some(64));
        assert!(self::said(&refused).contains(why), "{}", self::said(&refused));
    }
}

#[test]
fn the_first_interrupt_ends_a_run_in_order() {
    let Some(site) = Site::new() else { return };
    let child = site.start(&PLAN.replace("4s", "10m"));
    site.await_operations();
    signal(&child, Signal::SIGINT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let results = site.results();
    assert_eq!(results["verdict"], "unknown");
    assert!(
        results["reasons"][0]
            .as_str()
            .unwrap()
            .starts_with("the run was interrupted after")
    );
    let checks = results["checks"].as_array().unwrap();
    assert!(
        checks.iter().all(|check| check["verdict"] == "valid"),
        "what was recorded is checked: {checks:?}"
    );
    assert!(site.folder.path().join("runs/failed/report.txt").is_file());
    assert_eq!(site.daemons(), [0; 0]);
}

#[test]
fn a_killed_harness_leaves_no_process_and_keeps_the_history() {
    let Some(site) = Site::new() else { return };
    let calm = PLAN.replace("4s", "10m").replace("\"500ms\"", "\"9m\"");
    let mut child = site.start(&calm);
    site.await_operations();
    site.await_daemons(3);
    signal(&child, Signal::SIGKILL);
    child.wait().unwrap();
    site.await_daemons(0);
    let path = site.latest().join("history-register.jsonl");
    let history = std::fs::read_to_string(&path).unwrap();
    assert!(history.lines().count() > 10);
    // When the last line is incomplete, the lines before it are checked, and a note says so.
    std::fs::write(&path, &history[..history.trim_end().len() - 3]).unwrap();
    let checked = Command::new(HARNESS).arg("check").arg(&path).output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{}", said(&checked));
    for expected in ["note: the run was cut off", "its last line is not whole"] {
        assert!(said(&checked).contains(expected), "{}", said(&checked));
    }
    let shrunk = Command::new(HARNESS)
        .arg("shrink")
        .arg(site.latest())
        .output()
        .unwrap();
    assert_eq!(shrunk.status.code(), Some(2), "{}", said(&shrunk));
    assert!(
        said(&shrunk).contains("there is nothing to shrink"),
        "{}",
        said(&shrunk)
    );
}

#[test]
fn a_daemon_that_ends_by_itself_is_reported_with_its_last_words() {
    let Some(site) = Site::new() else { return };
    let calm = PLAN.replace("warmup = \"500ms\"", "warmup = \"9m\"");
    let child = site.start(&calm);
    site.await_operations();
    let victim = site.await_daemons(3)[0];
    kill(Pid::from_raw(victim), Signal::SIGKILL).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(2),
        "another process's SIGKILL is no proof: {}",
        said(&output)
    );
    let results = site.results();
    let checks = results["checks"].as_array().unwrap();
    let processes = checks.iter().find(|check| check["model"] == "processes").unwrap();
    assert_eq!(processes["verdict"], "unknown");
    assert!(
        processes["summary"]
            .as_str()
            .unwrap()
            .contains("was ended by SIGKILL"),
        "{processes}"
    );
    assert!(
        processes["explanation"]
            .as_str()
            .unwrap()
            .contains("the last lines of its log")
    );
    assert!(
        site.latest().join("nodes/n1/data").exists(),
        "data is kept for inspection"
    );
}

#[test]
fn a_daemon_that_does_not_start_is_trouble_of_the_harness_not_a_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan.toml");
    std::fs::write(&plan, PLAN).unwrap();
    let run = |daemon: &str| {
        let mut command = Command::new(HARNESS);
        command
            .arg("run")
            .arg(&plan)
            .arg("--out")
            .arg(folder.path().join("runs"));
        command.args(["--noraftd", daemon]).output().unwrap()
    };
    let script = folder.path().join("ends");
    std::fs::write(
        &script,
        "#!/bin/sh\n[ \"$1\" = --version ] && echo noraftd 0 && exit\nexit 1\n",
    )
    .unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let ends = run(&script.display().to_string());
    assert_eq!(ends.status.code(), Some(254));
    assert!(said(&ends).contains("it exited with code 1"), "{}", said(&ends));
    for other in ["/bin/false", "/bin/ls", "/bin/cat"] {
        let refused = run(other);
        assert_eq!(refused.status.code(), Some(254), "{other}");
        assert!(
            said(&refused).contains("is not noraftd: asked for its version"),
            "{}",
            said(&refused)
        );
    }
    let missing = run("/nowhere/noraftd");
    assert_eq!(missing.status.code(), Some(254));
    assert!(
        said(&missing).contains("--noraftd or NORAFTD"),
        "{}",
        said(&missing)
    );
}

#[test]
fn a_plan_that_is_none_is_wrong_usage() {
    let output = Command::new(HARNESS)
        .args(["run", "/nowhere/plan.toml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(said(&output).contains("/nowhere/plan.toml"));
}

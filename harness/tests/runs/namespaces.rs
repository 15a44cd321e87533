//! Runs with a network namespace a node: what is cut is cut by the kernel, evidence is what the kernel counted, and nothing stays behind.
//!
//! They need the daemon next to the harness, as `run` does, the programs `ip` and `nft`, and root or user namespaces; what is missing is
//! said, and the test skipped.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use harness::nodes::NodeLog;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use serde_json::Value;

use crate::site::{HARNESS, Site, said, wait_for};
use crate::skip::skip;

const PLAN: &str = r#"
    version = 1
    name = "apart"
    about = "the leader is alone for a while"
    time = "6s"
    seed = 5
    [cluster]
    network = "namespaces"
    [clients]
    count = 4
    rate = 200
    [[workload]]
    kind = "register"
    [nemesis]
    warmup = "1s"
    calm = "500ms"
    each_once = true
    [[fault]]
    kind = "partition"
    shape = "isolate-leader"
    mode = "drop"
    duration = "2s"
    [[fault]]
    kind = "partition"
    shape = "isolate-one"
    mode = "reset"
    duration = "1s"
    [limits]
    bite = "300ms"
    operations_min = 20
"#;

/// A folder for a test; `None`, with a message, when there is no daemon, or no namespace to be had.
fn site() -> Option<Site> {
    let trial = Command::new(HARNESS).arg("try-namespaces").output().unwrap();
    if !trial.status.success() {
        skip(&format!("a network namespace a node: {}", said(&trial).trim()));
        return None;
    }
    Site::new()
}

/// The network namespace of a process.
fn namespace(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/net")).ok()
}

/// The namespaces that any process is in.
fn namespaces_in_use() -> BTreeSet<PathBuf> {
    let processes = std::fs::read_dir("/proc").unwrap();
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(namespace).collect()
}

/// An `nft` in a folder of its own, which does what `script` says; the real one is on the PATH then.
fn another_nft(site: &Site, script: &str) -> PathBuf {
    let folder = site.folder.path().join("programs");
    std::fs::create_dir(&folder).unwrap();
    let program = folder.join("nft");
    std::fs::write(&program, format!("#!/bin/sh\nPATH=${{PATH#*:}}\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Runs the plan with the programs of `folder` before all others.
fn run_with(site: &Site, folder: &Path, flags: &[&str]) -> Output {
    let plan = site.folder.path().join("plan.toml");
    std::fs::write(&plan, PLAN).unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(HARNESS);
    command
        .arg("run")
        .arg(plan)
        .arg("--out")
        .arg(site.folder.path().join("runs"));
    command.args(flags).env_remove("NORAFTD").env("PATH", path);
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .unwrap()
}

fn evidence(results: &Value) -> Vec<String> {
    let faults = results["faults"].as_array().unwrap();
    faults
        .iter()
        .map(|fault| fault["evidence"].as_str().unwrap_or("none").to_owned())
        .collect()
}

#[test]
fn a_leader_that_is_cut_off_is_replaced_and_comes_back_in_two_runs_side_by_side() {
    let (Some(one), Some(other)) = (site(), site()) else {
        return;
    };
    let runs = [&one, &other].map(|site| site.start(PLAN));
    for (site, run) in [&one, &other].into_iter().zip(runs) {
        let output = run.wait_with_output().unwrap();
        assert_eq!(site.results()["verdict"], "valid", "{}", said(&output));
        assert_eq!(site.results()["network"], "a network namespace a node");
        assert!(said(&output).contains("between the nodes: a network namespace a node"));
        let evidence = evidence(&site.results());
        assert!(
            evidence.iter().any(|said| said.contains("packets dropped")),
            "{evidence:?}"
        );
        assert!(
            evidence.iter().any(|said| said.contains("answered with a reset")),
            "{evidence:?}"
        );
        let samples = NodeLog::read(&site.latest().join("nodes.jsonl")).unwrap().samples;
        let leaders: BTreeSet<(u64, u64)> = samples
            .iter()
            .filter_map(|sample| Some((sample.said?, sample.node)))
            .filter(|(said, _)| said.leads)
            .map(|(said, node)| (said.term, node))
            .collect();
        let (first, last) = (leaders.first().unwrap(), leaders.last().unwrap());
        assert!(last.0 > first.0, "the others elected a leader: {leaders:?}");
        let follows = |sample: &&harness::nodes::NodeSample| {
            sample.node == first.1 && sample.said.is_some_and(|said| said.term >= last.0)
        };
        assert!(
            samples.iter().any(|sample| follows(&sample)),
            "the first one is back"
        );
    }
}

#[test]
fn a_cut_that_the_kernel_was_not_told_of_has_no_evidence() {
    let Some(site) = site() else {
        return;
    };
    let folder = another_nft(
        &site,
        "case $1 in -f) sed '/^add rule/d' | nft -f - ;; *) exec nft \"$@\" ;; esac",
    );
    let output = run_with(&site, &folder, &["--time", "3s"]);
    let results = site.results();
    assert_eq!(results["verdict"], "unknown", "{}", said(&output));
    assert!(!evidence(&results).is_empty() && evidence(&results).iter().all(|said| said == "none"));
    assert!(said(&output).contains("NO EFFECT: nothing was sent over the links"));
}

#[test]
fn a_harness_that_is_killed_leaves_no_namespace_behind() {
    let Some(site) = site() else {
        return;
    };
    let mut run = site.start_with(PLAN, &["--time", "60s"]);
    let taken = wait_for("four namespaces, one a node and the router's", || {
        let daemons = site.daemons().into_iter().map(|pid| pid as u32);
        let taken: BTreeSet<PathBuf> = daemons.chain([run.id()]).filter_map(namespace).collect();
        (taken.len() == 4).then_some(taken)
    });
    assert!(!taken.contains(&namespace(std::process::id()).unwrap()));
    kill(Pid::from_raw(run.id() as i32), Signal::SIGKILL).unwrap();
    run.wait().unwrap();
    site.await_daemons(0);
    wait_for("end of the namespaces", || {
        taken.is_disjoint(&namespaces_in_use()).then_some(())
    });
}

#[test]
fn where_namespaces_are_not_possible_a_run_says_so_and_has_proxies_if_it_may() {
    let Some(site) = Site::new() else {
        return;
    };
    let folder = another_nft(&site, "echo 'there are no tables' >&2; exit 1");
    let refused = run_with(&site, &folder, &["--time", "2s"]);
    assert_eq!(refused.status.code(), Some(254), "{}", said(&refused));
    assert!(
        said(&refused).contains("not possible here: "),
        "{}",
        said(&refused)
    );
    let output = run_with(&site, &folder, &["--time", "2s", "--network", "auto"]);
    let about = site.results()["network"].as_str().unwrap().to_owned();
    let expected = "a proxy a directed link, for a namespace a node is not possible: ";
    assert!(about.starts_with(expected), "{about}");
    assert!(
        said(&output).contains(&format!("between the nodes: {about}")),
        "{}",
        said(&output)
    );
}

#[test]
fn user_namespaces_will_do() {
    let Some(_) = site() else {
        return;
    };
    let is_root = Uid::effective().is_root();
    let mut as_nobody = Command::new("setpriv");
    as_nobody.args([
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        HARNESS,
        "try-namespaces",
    ]);
    let Some(output) = as_nobody.output().ok().filter(|_| is_root) else {
        skip("trying it as another user takes root, and setpriv");
        return;
    };
    let said = said(&output);
    if said.contains("takes root, or user namespaces") || said.contains("Permission denied") {
        skip(&format!("user namespaces: {}", said.trim()));
        return;
    }
    assert!(output.status.success(), "{said}");
}

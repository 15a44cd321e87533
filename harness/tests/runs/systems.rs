//! Systems that others wrote, and clusters that run elsewhere, tested by the same plans.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::campaign::CampaignFile;

use crate::site::{HARNESS, Site, said};
use crate::skip::skip;

/// Kills, and little enough demanded that a busy machine manages it.
fn plan(time: &str, more: &str) -> String {
    format!(
        r#"
        version = 1
        name = "system"
        about = "kills"
        time = "{time}"
        seed = 3
        [clients]
        count = 4
        rate = 300
        [[workload]]
        kind = "register"
        keys = 2
        [nemesis]
        warmup = "1s"
        calm = ["500ms", "900ms"]
        [[fault]]
        kind = "kill"
        target = "one"
        duration = "300ms"
        {more}
        [limits]
        start = "60s"
        recovery = "60s"
        operations_min = 50
        faults_min = 1
    "#
    )
}

const PARTITION: &str = "[[fault]]\nkind = \"partition\"\nshape = \"isolate-one\"\nduration = \"500ms\"\n";
const VOTE_RACE: &str = "[[fault]]\nkind = \"vote-race\"\nduration = \"500ms\"\n";

/// The toy, if it was built (`cargo test` builds examples).
fn toy() -> Option<PathBuf> {
    let path = Path::new(HARNESS).with_file_name("examples").join("forgetful");
    if path.is_file() {
        return Some(path);
    }
    skip("no example `forgetful` was built; cargo build -p harness --example forgetful");
    None
}

#[test]
fn a_toy_that_loses_writes_when_it_is_killed_is_caught() {
    let (Some(site), Some(_)) = (Site::new(), toy()) else {
        return;
    };
    let plan = plan("6s", PARTITION);
    let output = site
        .start_with(&plan, &["--system", "toy"])
        .wait_with_output()
        .unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("system: toy (forgetful 1.0"), "{said}");
    for left_out in [
        "left out: 1 nodes, as the system says, not the 3 of the plan",
        "left out: operation cas of register: toy has none",
        "left out: fault partition-isolate-one: it takes more than 1 nodes",
    ] {
        assert!(said.contains(left_out), "{left_out}: {said}");
    }
    let results = site.results();
    let register = &results["checks"][0];
    assert_eq!(
        (register["model"].as_str(), register["verdict"].as_str()),
        (Some("register"), Some("invalid"))
    );
    assert!(
        site.latest().join("system.toml").is_file(),
        "the folder has the system"
    );
}

/// What a campaign finds in a system is replayed with that system, also from its group's folder alone.
#[test]
fn a_campaign_over_a_system_resumes_and_its_finding_is_one_of_that_system() {
    if Site::new().is_none() || toy().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // Kills that come sooner than the toy saves.
    let plan = plan("3s", "").replace("\"1s\"", "\"300ms\"");
    let plan = plan.replace("[\"500ms\", \"900ms\"]", "[\"200ms\", \"300ms\"]");
    std::fs::write(folder.path().join("plan.toml"), plan).unwrap();
    let text = "version = 1\nname = \"systems\"\n[[entry]]\nplan = \"plan.toml\"\nworld = \"processes\"\n\
                seeds = [1, 2]\nsystem = \"toy\"\n";
    std::fs::write(folder.path().join("campaign.toml"), text).unwrap();
    let harness = |arguments: &[&str]| {
        let mut command = Command::new(HARNESS);
        let output = command.current_dir(folder.path()).args(arguments).output();
        output.unwrap()
    };
    let campaign = || {
        let flags = ["--budget", "1s", "--shrink-budget", "1ms", "--resume", "out"];
        harness(&[&["campaign", "campaign.toml"], &flags[..]].concat())
    };
    let done = campaign();
    let text = said(&done);
    assert_eq!(done.status.code(), Some(1), "{text}");
    let again = campaign();
    assert_eq!(again.stdout, done.stdout, "nothing runs twice");
    let groups: Vec<PathBuf> = std::fs::read_dir(folder.path().join("out/groups"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let [group] = &groups[..] else {
        panic!("{groups:?}: {text}")
    };
    let about = std::fs::read_to_string(group.join("group.json")).unwrap();
    assert!(about.contains("toy as real processes"), "{about}");
    assert!(group.join("system.toml").is_file(), "{about}");
    let group = group.to_str().unwrap();
    let again = harness(&["replay", group, "--runs", "1", "--out", "replays"]);
    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
    assert!(folder.path().join("replays/latest/system.toml").is_file());
}

#[test]
fn the_campaign_over_systems_has_every_system_under_the_same_plans() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../workloads/systems/campaign.toml");
    let campaign = CampaignFile::load(&path).unwrap_or_else(|error| panic!("{error}"));
    let mut names: Vec<String> = campaign.entries.into_iter().map(|entry| entry.name).collect();
    names.sort();
    let systems = ["etcd", "nats-jetstream", "noraftd", "redis-sentinel"];
    let plans = ["failover", "outage"];
    let expected = plans
        .iter()
        .flat_map(|plan| systems.map(|system| format!("{plan}-processes-{system}")));
    assert_eq!(names, expected.collect::<Vec<_>>());
}

#[test]
fn noraftd_declared_as_a_system_passes_what_it_passes_otherwise() {
    let Some(site) = Site::new() else { return };
    let plan = plan("6s", &format!("{PARTITION}{VOTE_RACE}"));
    let output = site
        .start_with(&plan, &["--system", "noraftd"])
        .wait_with_output()
        .unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("left out: fault vote-race: vote-race reaches into noraftd"),
        "{said}"
    );
    let faults = site.results()["faults"].as_array().unwrap().clone();
    for kind in ["kill", "partition"] {
        let has_effect = |fault: &serde_json::Value| fault["kind"] == kind && fault["evidence"].is_string();
        assert!(faults.iter().any(has_effect), "{kind}: {said}");
    }
    assert_eq!(site.daemons(), [0; 0], "every process is gone");
}

#[test]
fn a_missing_program_is_named_with_its_package_and_a_wrong_file_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.toml");
    std::fs::write(&path, plan("5s", "")).unwrap();
    let run = |system: &Path| {
        let mut command = Command::new(HARNESS);
        command.arg("run").arg(&path).arg("--system").arg(system);
        command
            .arg("--out")
            .arg(folder.path().join("runs"))
            .output()
            .unwrap()
    };
    let file = folder.path().join("absent.toml");
    let text = "version = 1\nname = \"absent\"\nclient = \"redis\"\nworkloads = [\"register\"]\n[ports]\nclient = 6379\n\
                [[process]]\nprogram = \"no-such-server\"\npackage = \"no-such-package\"\n";
    std::fs::write(&file, text).unwrap();
    let output = run(&file);
    assert_eq!(output.status.code(), Some(254));
    assert!(
        said(&output).contains("apt-get install no-such-package"),
        "{}",
        said(&output)
    );
    std::fs::write(&file, format!("{text}packages = \"x\"\n")).unwrap();
    let output = run(&file);
    assert_eq!(output.status.code(), Some(64));
    let said_of_file = said(&output);
    assert!(
        said_of_file.contains("unknown field `packages`") && said_of_file.contains("line 10"),
        "{said_of_file}"
    );
    let output = run(Path::new("nothing-of-that-name"));
    assert_eq!(output.status.code(), Some(64));
    assert!(
        said(&output).contains("no system `nothing-of-that-name`"),
        "{}",
        said(&output)
    );
}

/// Starts, kills, pauses and resumes three noraftd, as somebody else's script would.
const SCRIPT: &str = r#"#!/bin/sh
# node.sh start|kill|pause|resume ID
set -eu
cd "$(dirname "$0")"
case "$1" in
start)
    peers=""
    for peer in 1 2 3; do
        [ "$peer" = "$2" ] || peers="$peers --peer $peer=127.HOST.$peer:7701"
    done
    setsid NORAFTD serve --id "$2" --cluster elsewhere --data-dir "$PWD/data$2" \
        --listen "127.HOST.$2:7601" --peer-listen "127.HOST.$2:7701" $peers \
        >>"log$2" 2>&1 </dev/null &
    echo $! >"pid$2"
    ;;
kill) kill -9 "$(cat "pid$2")" ;;
pause) kill -STOP "$(cat "pid$2")" ;;
resume) kill -CONT "$(cat "pid$2")" ;;
esac
"#;

/// Kills what the script has started.
struct Elsewhere(PathBuf);

impl Elsewhere {
    fn node(&self, act: &str, id: u32) -> bool {
        let script = self.0.join("node.sh");
        let run = Command::new("sh")
            .arg(script)
            .arg(act)
            .arg(id.to_string())
            .status();
        run.unwrap().success()
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        for id in 1..=3 {
            self.node("kill", id);
        }
    }
}

#[test]
fn a_cluster_that_a_script_runs_is_tested_twice_and_goes_on() {
    let Some(site) = Site::new() else { return };
    let folder = site.folder.path().to_owned();
    let pid = std::process::id();
    let host = format!("{}.{}", 200 + pid % 50, pid / 50 % 250);
    let noraftd = Path::new(HARNESS).with_file_name("noraftd").display().to_string();
    let script = SCRIPT.replace("NORAFTD", &noraftd).replace("HOST", &host);
    std::fs::write(folder.join("node.sh"), script).unwrap();
    let system = folder.join("elsewhere.toml");
    let node = |act: &str| format!("{act} = \"sh {}/node.sh {act} {{id}}\"\n", folder.display());
    let text = format!(
        "version = 1\nname = \"elsewhere\"\nclient = \"noraftd\"\nworkloads = [\"register\"]\n[ports]\nclient = 7601\n\
         [external]\naddresses = [\"127.{host}.1\", \"127.{host}.2\", \"127.{host}.3\"]\n{}{}{}{}",
        node("start"),
        node("kill"),
        node("pause"),
        node("resume")
    );
    std::fs::write(&system, text).unwrap();
    let cluster = Elsewhere(folder.clone());
    (1..=3).for_each(|id| assert!(cluster.node("start", id)));
    let pause = "[[fault]]\nkind = \"pause\"\ntarget = \"one\"\nduration = \"300ms\"\n";
    let plan = plan("5s", &format!("{pause}{PARTITION}"));
    for _ in 0..2 {
        let flags = ["--system", system.to_str().unwrap()];
        let output = site.start_with(&plan, &flags).wait_with_output().unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(
            said.contains("(by `kill`) is gone") || said.contains("(by `pause`) was stopped"),
            "{said}"
        );
        let why = "left out: fault partition-isolate-one: the system's file has no command for it";
        assert!(said.contains(why), "{said}");
    }
    assert!(
        (1..=3).all(|id| cluster.node("pause", id) && cluster.node("resume", id)),
        "all nodes still run"
    );
}

/// Runs the failover plan for a short time, if the system's programs are here.
fn failover(system: &str) -> Option<(i32, String)> {
    let site = Site::new()?;
    let output = site
        .start_with(&plan("8s", ""), &["--system", system])
        .wait_with_output()
        .unwrap();
    let said = said(&output);
    if said.contains("apt-get install") {
        skip(&format!("{system} is not installed; scripts/setup.sh systems"));
        return None;
    }
    Some((output.status.code().unwrap(), said))
}

#[test]
fn etcd_passes_kills() {
    let Some((code, said)) = failover("etcd") else {
        return;
    };
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("system: etcd (etcd Version:"), "{said}");
}

#[test]
fn redis_and_nats_serve_every_kind_of_operation_while_nodes_are_killed() {
    for system in ["redis-sentinel", "nats-jetstream"] {
        let Some((code, said)) = failover(system) else {
            continue;
        };
        // What they lose depends on the moment; that they were tested does not.
        assert!(code == 0 || said.contains("register   invalid"), "{said}");
        assert!(!said.contains("verdict: unknown"), "{said}");
    }
}

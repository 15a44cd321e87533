//! The files for schedulers: each is what its scheduler reads, and the commands in them run a campaign.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::site::{HARNESS, said};
use crate::skip::skip;

pub(crate) fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(deploy(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn github_accepts_the_workflow() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let own = root.join("target/venv/bin/check-jsonschema");
    let program = if own.exists() {
        own
    } else {
        "check-jsonschema".into()
    };
    let mut command = Command::new(program);
    command.args(["--builtin-schema", "vendor.github-workflows"]);
    match command.arg(deploy("github-actions.yml")).output() {
        Ok(output) => assert!(output.status.success(), "{}", said(&output)),
        Err(error) => skip(&format!(
            "check-jsonschema: {error}; `make setup-clients` installs it"
        )),
    }
}

#[test]
fn systemd_accepts_the_units() {
    let units = ["noraft-campaign.service", "noraft-campaign.timer"].map(deploy);
    match Command::new("systemd-analyze").arg("verify").args(units).output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", said(&output));
            // It warns of keys that it does not know.
            assert!(!said(&output).contains("noraft-campaign"), "{}", said(&output));
        }
        Err(error) => skip(&format!("systemd-analyze: {error}")),
    }
}

/// A folder with the programs in `bin`, and a campaign of two shards where the files for schedulers look for one.
pub(crate) struct Machine {
    pub(crate) folder: tempfile::TempDir,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let machine = Self { folder };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (from, to) in [
            (PathBuf::from(HARNESS), "bin/harness"),
            (root.join("workloads/swarm.toml"), "workloads/swarm.toml"),
        ] {
            let to = machine.path(to);
            let parent = to.parent().unwrap_or(&to);
            fs::create_dir_all(parent).unwrap_or_else(|error| panic!("{error}"));
            std::os::unix::fs::symlink(from, to).unwrap_or_else(|error| panic!("{error}"));
        }
        let text = "version = 1\nname = \"nightly\"\n[[entry]]\nplan = \"swarm.toml\"\nworld = \"simulation\"\n\
                    seeds = [1, 25]\nblock = 1\ntime = \"1s\"\n";
        fs::write(machine.path("workloads/nightly.toml"), text).unwrap_or_else(|error| panic!("{error}"));
        machine
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `script` in the folder, with the programs in the PATH.
    pub(crate) fn run(&self, script: &str, variables: &[(&str, &str)]) -> Output {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("/bin/bash");
        command.current_dir(self.folder.path()).arg("-ec").arg(script);
        command.env("PATH", format!("{}:{path}", self.path("bin").display()));
        command.envs(variables.iter().copied());
        command.output().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Joins all shards; each of them ran, and together they are all seeds.
    pub(crate) fn assert_whole(&self, shards: usize) {
        let merged = self.run("harness merge campaign/shard-* --out night", &[]);
        assert!(matches!(merged.status.code(), Some(0 | 2)), "{}", said(&merged));
        assert!(
            said(&merged).contains("24 seeds in 24 units"),
            "{}",
            said(&merged)
        );
        let found: BTreeSet<_> = fs::read_dir(self.path("campaign"))
            .unwrap_or_else(|error| panic!("{error}"))
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        assert_eq!(found.len(), shards, "{found:?}");
    }
}

#[test]
fn the_tasks_of_a_slurm_array_are_the_whole_campaign_and_one_may_start_twice() {
    let machine = Machine::new();
    let script = deploy("slurm.sh").display().to_string();
    for task in ["1", "2", "2"] {
        let variables = [
            ("SLURM_ARRAY_TASK_ID", task),
            ("SLURM_ARRAY_TASK_COUNT", "2"),
            ("SLURM_CPUS_PER_TASK", "1"),
        ];
        let done = machine.run(&script, &variables);
        assert!(matches!(done.status.code(), Some(0 | 2)), "{}", said(&done));
    }
    machine.assert_whole(2);
}

#[test]
fn the_pods_of_an_indexed_job_are_the_whole_campaign_and_one_may_start_twice() {
    let machine = Machine::new();
    let folder = machine.folder.path().display();
    let command = pod_command()
        .replace("/workloads/", &format!("{folder}/workloads/"))
        .replace("\"/campaign/", &format!("\"{folder}/campaign/"));
    for index in ["0", "1", "2", "3", "4", "5", "6", "7", "3"] {
        let done = machine.run(&command, &[("JOB_COMPLETION_INDEX", index), ("SEED", "20261129")]);
        assert!(matches!(done.status.code(), Some(0 | 2)), "{}", said(&done));
    }
    machine.assert_whole(8);
}

/// What a pod runs. That the file is YAML, and every key one of Kubernetes, is tested in `deploy/check`.
fn pod_command() -> String {
    let text = read("kubernetes.yaml");
    let lines = text.lines().map(str::trim);
    let from = lines.skip_while(|line| !line.starts_with("exec harness"));
    let command: Vec<&str> = from.take_while(|line| !line.ends_with(':')).collect();
    command.join(" ")
}

#[test]
fn a_shard_that_is_missing_is_a_failure_of_the_night() {
    let machine = Machine::new();
    let done = machine.run(
        "harness campaign workloads/nightly.toml --shard 1/2 --out one",
        &[],
    );
    assert!(matches!(done.status.code(), Some(0 | 2)), "{}", said(&done));
    let merged = machine.run("harness merge one --out night", &[]);
    assert_eq!(merged.status.code(), Some(254), "{}", said(&merged));
    assert!(
        said(&merged).contains("shard 2/2: its folder is missing"),
        "{}",
        said(&merged)
    );
}

#[test]
fn another_campaign_is_not_continued() {
    let machine = Machine::new();
    let start = "harness campaign workloads/nightly.toml --resume here --budget 0s";
    assert_eq!(machine.run(start, &[]).status.code(), Some(2));
    let other = machine.run(&format!("{start} --seed 9"), &[]);
    assert_eq!(other.status.code(), Some(64), "{}", said(&other));
    assert!(said(&other).contains("is another one"), "{}", said(&other));
}

#[test]
fn every_plan_is_listed_with_what_it_is_for_and_one_that_is_wrong_with_its_line() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let listed = Command::new(HARNESS)
        .current_dir(&root)
        .arg("plans")
        .output()
        .unwrap_or_else(|error| panic!("{error}"));
    let text = said(&listed);
    assert_eq!(listed.status.code(), Some(0), "{text}");
    for (plan, worlds) in [
        ("swarm ", " simulation, processes "),
        ("smoke ", " simulation, processes "),
        ("nightly ", " campaign: simulation, processes "),
        ("roll ", " processes "),
    ] {
        let line = text.lines().find(|line| line.starts_with(plan));
        assert!(line.is_some_and(|line| line.contains(worlds)), "{plan}: {text}");
    }
    let machine = Machine::new();
    fs::write(
        machine.path("workloads/wrong.toml"),
        "version = 1\nname = \"wrong\"\ncolour = 1\n",
    )
    .unwrap_or_else(|error| panic!("{error}"));
    let wrong = machine.run("harness plans", &[]);
    assert_eq!(wrong.status.code(), Some(64), "{}", said(&wrong));
    assert!(said(&wrong).contains("line 3, column 1"), "{}", said(&wrong));
    fs::write(
        machine.path("workloads/wrong.toml"),
        "version = 1\nname = \"wrong\"\ntime = \"5s\"\n[[workload]]\nkind = \"log\"\n[cluster]\n  nodes = 0\n",
    )
    .unwrap_or_else(|error| panic!("{error}"));
    let senseless = machine.run("harness plans", &[]);
    let said_of_it = said(&senseless);
    assert!(
        said_of_it.contains("line 7, column 3: `cluster.nodes` must be"),
        "{said_of_it}"
    );
    assert!(
        said(&wrong).contains("swarm "),
        "the others are listed: {}",
        said(&wrong)
    );
}

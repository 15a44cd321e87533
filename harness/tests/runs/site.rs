//! Where a test runs plans on real processes, with the daemon next to the harness (`cargo test` builds it).

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::skip::skip;

pub(crate) const HARNESS: &str = env!("CARGO_BIN_EXE_harness");

/// A folder for one test, and how to run plans in it.
pub(crate) struct Site {
    pub(crate) folder: tempfile::TempDir,
}

impl Site {
    /// `None`, with a message, when there is no daemon.
    pub(crate) fn new() -> Option<Self> {
        if !Path::new(HARNESS).with_file_name("noraftd").is_file() {
            skip(&format!(
                "no noraftd next to {HARNESS}; `cargo build -p noraftd` makes one"
            ));
            return None;
        }
        Some(Self {
            folder: tempfile::tempdir().unwrap(),
        })
    }

    /// Starts a run of `plan`.
    pub(crate) fn start(&self, plan: &str) -> Child {
        self.start_with(plan, &[])
    }

    pub(crate) fn start_with(&self, plan: &str, flags: &[&str]) -> Child {
        let path = self.folder.path().join("plan.toml");
        std::fs::write(&path, plan).unwrap();
        let mut command = Command::new(HARNESS);
        command
            .arg("run")
            .arg(&path)
            .arg("--out")
            .arg(self.folder.path().join("runs"));
        command
            .args(flags)
            .env_remove("NORAFTD")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// The folder of the last run.
    pub(crate) fn latest(&self) -> PathBuf {
        self.folder.path().join("runs/latest")
    }

    pub(crate) fn results(&self) -> Value {
        let text = std::fs::read_to_string(self.latest().join("results.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// The daemons of its runs: processes whose command line names a path in its folder.
    pub(crate) fn daemons(&self) -> Vec<i32> {
        let ours = self.folder.path().display().to_string();
        let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let command = String::from_utf8_lossy(&command).into_owned();
            (command.contains("--data-dir") && command.contains(&ours)).then_some(pid)
        });
        processes.collect()
    }

    /// Waits until so many daemons run.
    pub(crate) fn await_daemons(&self, count: usize) -> Vec<i32> {
        wait_for(&format!("{count} daemons"), || {
            Some(self.daemons()).filter(|pids| pids.len() == count)
        })
    }

    /// Waits until clients have been at work for a moment.
    pub(crate) fn await_operations(&self) {
        let history = self.latest().join("history-register.jsonl");
        wait_for("a history", || {
            std::fs::metadata(&history)
                .ok()
                .filter(|metadata| metadata.len() > HISTORY_BEGUN_BYTES)
        });
    }
}

/// Looks until it is there.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..WAIT_STEPS {
        if let Some(found) = look() {
            return found;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "another process is watched from outside"
        )]
        std::thread::sleep(WAIT_STEP);
    }
    panic!("no {what} within {:?}", WAIT_STEP * WAIT_STEPS);
}

/// Everything that a program printed.
pub(crate) fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    )
}

const WAIT_STEP: Duration = Duration::from_millis(20);
const WAIT_STEPS: u32 = 3000;
/// Some dozens of events.
const HISTORY_BEGUN_BYTES: u64 = 10_000;

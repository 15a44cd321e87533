//! The harness as a child of itself: each unit of work is a process of its own.
//!
//! Invariant: whatever a unit does to its process (abort, run out of memory, hang) is a result, and ends nothing else. A
//! child dies with the campaign, and hears no Ctrl-C that is meant for it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::process::Command;
use tokio::time::timeout;

use crate::cluster::guard::GUARD_VERB;

/// The programs that a campaign runs, and which builds they are.
#[derive(Debug, Clone)]
pub struct Programs {
    harness: PathBuf,
    noraftd: PathBuf,
    harness_build: String,
    noraftd_build: Option<String>,
}

impl Programs {
    /// These programs. The daemon need not exist when no entry runs on real processes.
    ///
    /// # Errors
    ///
    /// When the harness cannot be read.
    pub fn new(harness: PathBuf, noraftd: PathBuf) -> std::io::Result<Self> {
        Ok(Self {
            harness_build: build_of(&harness)?,
            noraftd_build: build_of(&noraftd).ok(),
            harness,
            noraftd,
        })
    }

    /// The build that the simulation runs: the daemon's code is in the harness.
    pub(super) fn simulated(&self) -> &str {
        &self.harness_build
    }

    /// The build that runs as real processes.
    pub(super) fn processes(&self) -> &str {
        self.noraftd_build.as_deref().unwrap_or("none")
    }

    /// Whether there is a daemon.
    pub(super) fn has_daemon(&self) -> bool {
        self.noraftd_build.is_some()
    }

    /// The daemon.
    pub(super) fn noraftd(&self) -> &Path {
        &self.noraftd
    }

    /// The harness.
    pub(super) fn harness(&self) -> &Path {
        &self.harness
    }

    /// The harness with a verb.
    pub(super) fn command(&self, verb: &str) -> Child {
        let mut command = Command::new(&self.harness);
        command.arg(GUARD_VERB).arg(std::process::id().to_string());
        command.arg(&self.harness).arg(verb);
        // A group of its own: the terminal sends Ctrl-C to the campaign, which decides what becomes of its children.
        command.process_group(0).stdin(Stdio::null()).kill_on_drop(true);
        Child(command)
    }
}

/// A process that is about to start.
#[derive(Debug)]
pub(super) struct Child(Command);

impl Child {
    pub(super) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.0.arg(arg);
        self
    }

    pub(super) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.0.args(args);
        self
    }

    /// Runs it to its end, or ends it when `patience` is over. An error is how the harness failed.
    pub(super) async fn output(mut self, patience: Duration) -> Result<Output, String> {
        match timeout(patience, self.0.output()).await {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(error)) => Err(format!("the harness could not be started: {error}")),
            Err(_) => Err(format!("no end after {} s", patience.as_secs())),
        }
    }
}

/// How a process ended that gave no verdict, with the last that it said.
pub(super) fn no_verdict(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().collect();
    let last = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
    format!("no verdict ({}): {}", output.status, last.join("\n"))
}

fn build_of(program: &Path) -> std::io::Result<String> {
    let digest = Sha256::digest(std::fs::read(program)?);
    Ok(digest
        .iter()
        .take(BUILD_BYTES)
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// Enough to tell builds apart.
const BUILD_BYTES: usize = 6;
const LINES_SHOWN: usize = 5;

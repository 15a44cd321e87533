//! A node that runs elsewhere: what is done to it is done by commands of the shell.
//!
//! Invariant: an act has worked when its command has ended with code 0. What the harness believes of the node is what it has
//! asked for last; nothing else is known of it.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::process::ProcessError;
use super::{PROBE_MAX, PROBE_STEP};
use crate::client::{Door, Protocol};
use crate::systems::{External, Template, Values};

/// A node whose processes are not ours.
#[derive(Debug)]
pub struct Elsewhere {
    external: External,
    /// What the placeholders of its commands stand for.
    values: Values,
    /// Takes the output of the commands, appended.
    log: PathBuf,
    state: Mutex<State>,
}

/// What was asked for last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    Paused,
    Down,
}

impl Elsewhere {
    /// The node that `values` describe.
    pub fn new(external: External, values: Values, log: PathBuf, is_up: bool) -> Self {
        Self {
            external,
            values,
            log,
            state: Mutex::new(if is_up { State::Up } else { State::Down }),
        }
    }

    /// Whether it was not asked to be down.
    pub fn is_up(&self) -> bool {
        self.state() != State::Down
    }

    /// Whether it was asked to stand still.
    pub fn is_still(&self) -> bool {
        self.state() == State::Paused
    }

    /// The file with the output of its commands.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Starts it. Whether it comes up, its answer shows: the command is not waited for.
    pub(super) fn start(&self) -> Result<(), ProcessError> {
        if self.is_up() {
            return Err(ProcessError::Running);
        }
        let mut command = self.command(self.external.start.as_ref(), "start", &self.values)?;
        let child = command.spawn().map_err(|source| ProcessError::Start {
            program: "sh".into(),
            source,
        })?;
        self.become_state(State::Up);
        tokio::spawn(async move {
            let mut child = child;
            child.wait().await
        });
        Ok(())
    }

    pub(super) async fn kill(&self) -> Result<String, ProcessError> {
        if !self.is_up() {
            return Err(ProcessError::NotRunning);
        }
        let shown = self
            .run(self.external.kill.as_ref(), "kill", &self.values)
            .await?;
        self.become_state(State::Down);
        Ok(shown)
    }

    pub(super) async fn pause(&self) -> Result<String, ProcessError> {
        let shown = self
            .run(self.external.pause.as_ref(), "pause", &self.values)
            .await?;
        self.become_state(State::Paused);
        Ok(shown)
    }

    pub(super) async fn resume(&self) -> Result<String, ProcessError> {
        let shown = self
            .run(self.external.resume.as_ref(), "resume", &self.values)
            .await?;
        self.become_state(State::Up);
        Ok(shown)
    }

    /// Keeps it from hearing the node at the address `peer`, or lets it hear that one again.
    ///
    /// # Errors
    ///
    /// When the command fails.
    pub async fn hear(&self, peer: &str, is_heard: bool) -> Result<String, ProcessError> {
        let values = self.values.clone().with("peer_address", peer);
        let (name, command) = if is_heard {
            ("heal", &self.external.heal)
        } else {
            ("cut", &self.external.cut)
        };
        self.run(command.as_ref(), name, &values).await
    }

    /// Sets its clock off by so much from the right time.
    ///
    /// # Errors
    ///
    /// When the command fails.
    pub async fn set_clock(&self, offset_ms: i64) -> Result<String, ProcessError> {
        let values = self.values.clone().with("offset_ms", offset_ms);
        self.run(self.external.clock.as_ref(), "clock", &values).await
    }

    /// Puts its disk into trouble; `none` ends it.
    ///
    /// # Errors
    ///
    /// When the command fails.
    pub async fn trouble_disk(&self, trouble: &str) -> Result<String, ProcessError> {
        let values = self.values.clone().with("trouble", trouble);
        self.run(self.external.disk.as_ref(), "disk", &values).await
    }

    async fn run(
        &self,
        command: Option<&Template>,
        name: &'static str,
        values: &Values,
    ) -> Result<String, ProcessError> {
        let failed = |how: String| ProcessError::Command { name, how };
        let mut command = self.command(command, name, values)?;
        let ended = timeout(COMMAND_MAX, command.status()).await;
        let status = ended
            .map_err(|_| failed(format!("has not ended within {COMMAND_MAX:?}")))?
            .map_err(|error| failed(error.to_string()))?;
        if status.success() {
            Ok(format!("by `{name}`"))
        } else {
            Err(failed(format!(
                "ended with {status}; its output is in {}",
                self.log.display()
            )))
        }
    }

    fn command(
        &self,
        command: Option<&Template>,
        name: &'static str,
        values: &Values,
    ) -> Result<Command, ProcessError> {
        let failed = |how: String| ProcessError::Command { name, how };
        let text = command
            .ok_or_else(|| failed("is not given".to_owned()))?
            .fill(values);
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.map_err(|error| failed(format!("{}: {error}", self.log.display())))?;
        let errors = log.try_clone().map_err(|error| failed(error.to_string()))?;
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(text)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        Ok(command)
    }

    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn become_state(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// A command may go over a slow line to another machine.
const COMMAND_MAX: Duration = Duration::from_secs(60);

/// One that was started a moment ago is not to be started again.
pub(super) async fn answers_soon(protocol: Protocol, door: Door) -> bool {
    let deadline = Instant::now() + SILENT_MAX;
    loop {
        if protocol.answers(door, PROBE_MAX).await {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        sleep(PROBE_STEP).await;
    }
}

/// One that is silent for longer is taken to be down.
const SILENT_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn node(folder: &Path, commands: &str) -> Elsewhere {
        let text = format!("addresses = [\"10.0.0.1\"]\n{commands}");
        let external: External = toml::from_str(&text).unwrap();
        let values = Values::default().with("id", 1).with("address", "10.0.0.1");
        Elsewhere::new(external, values, folder.join("log"), true)
    }

    #[tokio::test]
    async fn a_command_gets_its_values_and_its_end_decides() {
        let folder = tempfile::tempdir().unwrap();
        let node = node(
            folder.path(),
            "kill = \"echo killed {id} at {address}\"\nstart = \"true\"\ncut = \"echo cut {peer_address}; false\"\n",
        );
        assert_eq!(node.kill().await.unwrap(), "by `kill`");
        assert!(!node.is_up() && matches!(node.kill().await, Err(ProcessError::NotRunning)));
        node.start().unwrap();
        assert!(node.is_up() && !node.is_still());
        let error = node.hear("10.0.0.2", false).await.unwrap_err().to_string();
        assert!(error.contains("`cut` ended with exit status: 1"), "{error}");
        let error = node.set_clock(5).await.unwrap_err().to_string();
        assert_eq!(error, "the command `clock` is not given");
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        assert_eq!(log, "killed 1 at 10.0.0.1\ncut 10.0.0.2\n");
    }
}

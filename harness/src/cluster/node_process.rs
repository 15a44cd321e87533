//! What runs of a node: its processes here, or something elsewhere that obeys commands.
//!
//! Invariant: a node's processes are started, killed and stopped together, as if they were a machine of their own.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use super::elsewhere::Elsewhere;
use super::form::Form;
use super::life::Life;
use super::obituary::Crash;
use tokio::process::Command;

use super::process::{Process, ProcessError, process_state};

/// What runs of a node.
#[derive(Debug)]
pub enum NodeProcess {
    /// One process or several, all in the hands of this harness.
    Here(Vec<Process>),
    /// A node of a cluster that somebody else runs.
    Elsewhere(Arc<Elsewhere>),
}

impl NodeProcess {
    /// Whether all of it runs, or stands still.
    pub fn is_up(&self) -> bool {
        match self {
            Self::Here(processes) => processes
                .iter()
                .all(|process| matches!(process.life(), Life::Up { .. })),
            Self::Elsewhere(node) => node.is_up(),
        }
    }

    /// Whether all of it was ended by us, or not started.
    pub fn is_down(&self) -> bool {
        match self {
            Self::Here(processes) => processes.iter().all(|process| process.life() == Life::Down),
            Self::Elsewhere(node) => !node.is_up(),
        }
    }

    /// Whether one of its processes has ended by itself.
    pub fn has_crashed(&self) -> bool {
        self.here().iter().any(|process| process.life() == Life::Crashed)
    }

    /// Whether it was stopped by SIGSTOP.
    pub fn is_still(&self) -> bool {
        match self {
            Self::Here(_) => self.pids().into_iter().any(|pid| process_state(pid) == Some('T')),
            Self::Elsewhere(node) => node.is_still(),
        }
    }

    /// The id of its first process, while that runs here.
    pub fn pid(&self) -> Option<i32> {
        self.here().first().and_then(Process::pid)
    }

    /// How the processes here have ended by themselves, in order of the processes.
    pub fn crashes(&self) -> Vec<Crash> {
        self.here().iter().flat_map(Process::crashes).collect()
    }

    /// The file that takes its output.
    pub fn log(&self) -> &Path {
        match self {
            Self::Here(processes) => processes.first().expect("a node has a process").log(),
            Self::Elsewhere(node) => node.log(),
        }
    }

    /// What it is, for a message: that it runs, or how it ended.
    pub fn describe(&self) -> String {
        if self.is_up() {
            return "it is still running".to_owned();
        }
        match self.crashes().pop() {
            Some(crash) => format!("it {}", crash.how),
            None => "it was killed".to_owned(),
        }
    }

    /// From now on it is no crash when a process ends with one of these codes; it is down then.
    pub fn tolerate(&self, codes: &'static [i32]) {
        self.here().iter().for_each(|process| process.tolerate(codes));
    }

    /// The exit code with which its first process ended the last time.
    pub fn exit_code(&self) -> Option<i32> {
        self.here().first().and_then(Process::exit_code)
    }

    /// Another verb of its program, with the arguments that it is started with; `None` of a system that a file declares.
    pub fn own_verb(&self, verb: &str) -> Option<Command> {
        self.here().first().and_then(|process| process.own_verb(verb))
    }

    /// Its program as a tool; `None` of a node elsewhere.
    pub fn tool<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Option<Command> {
        self.here().first().map(|process| process.tool(arguments))
    }

    /// The next start is with these arguments, which it may end after with these exit codes.
    pub(super) fn take_seat(&self, arguments: &[OsString], ends: &'static [i32]) {
        for process in self.here() {
            process.give_arguments(arguments.to_vec());
            process.expect_to_end(ends);
        }
    }

    /// The next start is in `form`, and every one after it.
    pub fn become_form(&self, form: Form) {
        self.here().iter().for_each(|process| process.become_form(form));
    }

    /// Starts what does not run.
    ///
    /// # Errors
    ///
    /// When all of it runs already, or one cannot be started.
    pub fn start(&self) -> Result<(), ProcessError> {
        if self.is_up() {
            return Err(ProcessError::Running);
        }
        match self {
            Self::Here(processes) => processes
                .iter()
                .filter(|process| process.pid().is_none())
                .try_for_each(Process::start),
            Self::Elsewhere(node) => node.start(),
        }
    }

    /// SIGKILL; returns when all of it is gone, and says which processes these were.
    ///
    /// # Errors
    ///
    /// When nothing runs, or does not go.
    pub async fn kill(&self) -> Result<String, ProcessError> {
        match self {
            Self::Here(_) => {
                let pids = self.strike()?;
                self.until_gone(&pids).await
            }
            Self::Elsewhere(node) => node.kill().await,
        }
    }

    /// Asks it to end, one process after the other, the last one first; each has to end as its system says.
    ///
    /// # Errors
    ///
    /// When nothing runs, or one does not go, or goes otherwise.
    pub async fn stop(&self) -> Result<String, ProcessError> {
        let (mut stopped, mut failed) = (Vec::new(), None);
        for process in self.running() {
            match process.stop().await {
                Ok(pid) => stopped.push(pid),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or_else(|| which(&stopped), Err)
    }

    /// SIGKILL, without waiting for its effect: several nodes can be killed at the same moment.
    ///
    /// # Errors
    ///
    /// When nothing runs here.
    pub fn strike(&self) -> Result<Vec<i32>, ProcessError> {
        let running = self.running();
        let killed: Vec<i32> = running.filter_map(|process| process.strike().ok()).collect();
        if killed.is_empty() {
            return Err(ProcessError::NotRunning);
        }
        Ok(killed)
    }

    /// Waits until the processes `pids`, which were killed, are gone.
    ///
    /// # Errors
    ///
    /// When one does not go.
    pub async fn until_gone(&self, pids: &[i32]) -> Result<String, ProcessError> {
        for process in self.here() {
            // One that is gone already is as good.
            if let Some(pid) = process.pid().filter(|pid| pids.contains(pid)) {
                process.until_gone(pid).await?;
            }
        }
        which(pids)
    }

    /// SIGSTOP; returns when all of it stands still.
    ///
    /// # Errors
    ///
    /// When nothing runs, or does not stop.
    pub async fn pause(&self) -> Result<String, ProcessError> {
        match self {
            Self::Here(_) => {
                let pids = self.halt()?;
                self.until_still(&pids).await
            }
            Self::Elsewhere(node) => node.pause().await,
        }
    }

    /// SIGSTOP, without waiting for its effect.
    ///
    /// # Errors
    ///
    /// When nothing runs here.
    pub fn halt(&self) -> Result<Vec<i32>, ProcessError> {
        let halted: Vec<i32> = self.running().filter_map(|process| process.halt().ok()).collect();
        if halted.is_empty() {
            return Err(ProcessError::NotRunning);
        }
        Ok(halted)
    }

    /// Waits until the processes `pids`, which were halted, stand still.
    ///
    /// # Errors
    ///
    /// When one does not stop.
    pub async fn until_still(&self, pids: &[i32]) -> Result<String, ProcessError> {
        for process in self.here() {
            if let Some(pid) = process.pid().filter(|pid| pids.contains(pid)) {
                process.until_still(pid).await?;
            }
        }
        which(pids)
    }

    /// SIGCONT; returns when all of it goes on.
    ///
    /// # Errors
    ///
    /// When nothing runs, or does not go on.
    pub async fn resume(&self) -> Result<String, ProcessError> {
        match self {
            Self::Here(_) => {
                let mut resumed = Vec::new();
                for process in self.running() {
                    resumed.push(process.resume().await?);
                }
                which(&resumed)
            }
            Self::Elsewhere(node) => node.resume().await,
        }
    }

    /// Whatever ends it from now on was our doing.
    pub fn condemn(&self) {
        self.here().iter().for_each(Process::condemn);
    }

    /// The node, if it runs elsewhere.
    pub fn elsewhere(&self) -> Option<&Elsewhere> {
        match self {
            Self::Here(_) => None,
            Self::Elsewhere(node) => Some(node),
        }
    }

    fn here(&self) -> &[Process] {
        match self {
            Self::Here(processes) => processes,
            Self::Elsewhere(_) => &[],
        }
    }

    /// Those that run, the last one first: what came last leans on what came before.
    fn running(&self) -> impl Iterator<Item = &Process> {
        self.here().iter().rev().filter(|process| process.pid().is_some())
    }

    fn pids(&self) -> Vec<i32> {
        self.here().iter().filter_map(Process::pid).collect()
    }
}

/// Processes, for evidence.
fn which(pids: &[i32]) -> Result<String, ProcessError> {
    let shown: Vec<String> = pids.iter().map(i32::to_string).collect();
    match shown.as_slice() {
        [] => Err(ProcessError::NotRunning),
        [pid] => Ok(format!("pid {pid}")),
        pids => Ok(format!("pids {}", pids.join(" and "))),
    }
}

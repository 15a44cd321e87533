//! One node's process: started, killed, paused, watched.
//!
//! Invariant: a signal is reported as having worked only when the kernel shows it (the process was reaped
//! with that signal; its state is `T`). A process that ends without having been asked to is a [`Crash`].

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::life::Life;
use super::obituary::{Crash, LAST_WORDS_MAX, Obituary, describe, is_own_fault, last_lines};

use super::form::{Form, Forms};
use super::guard::{GUARD_NAMESPACE, GUARD_VERB};
use crate::systems::{Exit, Stop, StopSignal};

/// How to start a node.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The `harness` program, which makes its children die with it; see [`super::guard`].
    pub guard: PathBuf,
    /// The network namespace it runs in, if not ours.
    pub namespace: Option<PathBuf>,
    /// The daemon, in each form.
    pub forms: Forms,
    /// Its arguments at first, in every form.
    pub arguments: Vec<OsString>,
    /// Takes its output, appended.
    pub log: PathBuf,
    /// What asks it to end, and how it ends then.
    pub stop: Stop,
}

/// A node's process, over all its lives.
#[derive(Debug)]
pub struct Process {
    launch: Launch,
    /// Those of the next start.
    arguments: Mutex<Vec<OsString>>,
    form: Mutex<Form>,
    life: watch::Sender<Life>,
    crashes: Arc<Mutex<Vec<Crash>>>,
    /// How it ended the last time.
    ended: Arc<Mutex<Option<ExitStatus>>>,
    /// Exit codes with which it may end by itself: because of a fault, and because of what it is to do.
    tolerated: Arc<Mutex<[&'static [i32]; 2]>>,
}

/// A signal without the wanted effect.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// There is no process to signal.
    #[error("the process is not running")]
    NotRunning,
    /// It is running already.
    #[error("the process is running already")]
    Running,
    /// The program could not be started.
    #[error("cannot start {program}: {source}", program = program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The signal was sent, and did not show.
    #[error("{signal} did not show within {patience:?}")]
    NoEffect {
        /// The signal.
        signal: &'static str,
        /// How long it had.
        patience: Duration,
    },
    /// It went when asked to, but not in order.
    #[error("it {how}")]
    Disorder {
        /// Its exit code or signal, in words.
        how: String,
    },
    /// A command that acts on a node elsewhere did not do so.
    #[error("the command `{name}` {how}")]
    Command {
        /// Its key in the file of the system.
        name: &'static str,
        /// What became of it.
        how: String,
    },
    /// The kernel refused the signal.
    #[error("{signal}: {errno}")]
    Signal {
        /// The signal.
        signal: &'static str,
        /// The kernel's reason.
        errno: nix::errno::Errno,
    },
}

impl Process {
    /// A process that is not started yet.
    pub fn new(launch: Launch) -> Self {
        Self {
            arguments: Mutex::new(launch.arguments.clone()),
            launch,
            form: Mutex::new(Form::Present),
            life: watch::Sender::new(Life::Down),
            crashes: Arc::default(),
            ended: Arc::default(),
            tolerated: Arc::default(),
        }
    }

    /// The next start is in `form`, and every one after it.
    pub fn become_form(&self, form: Form) {
        *self.form.lock().unwrap_or_else(PoisonError::into_inner) = form;
    }

    /// Another verb of its program, with the arguments that it is started with; `None` when that is not with a verb.
    pub fn own_verb(&self, verb: &str) -> Option<Command> {
        let arguments = self.arguments();
        let (first, rest) = arguments.split_first()?;
        if first != SERVE {
            return None;
        }
        let form = *self.form.lock().unwrap_or_else(PoisonError::into_inner);
        let (program, more) = self.launch.forms.of(form);
        let mut command = Command::new(program);
        command.arg(verb).args(rest).args(more).stdin(Stdio::null());
        Some(command)
    }

    /// Its program as a tool: with these arguments, and with what proves to a node that it is an operator who asks.
    pub fn tool<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let form = *self.form.lock().unwrap_or_else(PoisonError::into_inner);
        let (program, _) = self.launch.forms.of(form);
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        if let Some(secret) = self.launch.forms.secret_in(form) {
            command.arg("--peer-secret-file").arg(secret);
        }
        command
    }

    /// The next start is with these arguments, and every one after it.
    pub fn give_arguments(&self, arguments: Vec<OsString>) {
        *self.arguments.lock().unwrap_or_else(PoisonError::into_inner) = arguments;
    }

    fn arguments(&self) -> Vec<OsString> {
        let arguments = self.arguments.lock();
        arguments.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it is doing.
    pub fn life(&self) -> Life {
        *self.life.borrow()
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<i32> {
        match self.life() {
            Life::Up { pid, .. } => Some(pid),
            Life::Down | Life::Crashed => None,
        }
    }

    /// Every time it ended by itself, in order.
    pub fn crashes(&self) -> Vec<Crash> {
        self.crashes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The file that takes its output.
    pub fn log(&self) -> &Path {
        &self.launch.log
    }

    /// Starts it, in a process group of its own, so that a Ctrl-C at the terminal reaches us alone.
    ///
    /// # Errors
    ///
    /// When it runs already, or the system cannot start it. A daemon that starts and then gives up is a crash.
    pub fn start(&self) -> Result<(), ProcessError> {
        if self.pid().is_some() {
            return Err(ProcessError::Running);
        }
        let started = self.command().and_then(|mut command| command.spawn());
        let child = started.map_err(|source| ProcessError::Start {
            program: self.launch.forms.program.clone(),
            source,
        })?;
        // The id is known until the child is reaped, which only the task below does.
        let pid = child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .ok_or(ProcessError::NotRunning)?;
        self.life.send_replace(Life::Up {
            pid,
            condemned: false,
        });
        let obituary = Obituary {
            life: self.life.clone(),
            crashes: Arc::clone(&self.crashes),
            ended: Arc::clone(&self.ended),
            tolerated: Arc::clone(&self.tolerated),
            log: self.launch.log.clone(),
        };
        tokio::spawn(obituary.wait(child));
        Ok(())
    }

    fn command(&self) -> io::Result<Command> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.launch.log)?;
        let form = *self.form.lock().unwrap_or_else(PoisonError::into_inner);
        let (program, more) = self.launch.forms.of(form);
        let mut command = Command::new(&self.launch.guard);
        command.arg(GUARD_VERB);
        if let Some(namespace) = &self.launch.namespace {
            command.arg(GUARD_NAMESPACE).arg(namespace);
        }
        command.arg(std::process::id().to_string());
        command.arg(program).args(self.arguments()).args(more);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.process_group(0).kill_on_drop(true);
        Ok(command)
    }

    /// SIGKILL; returns when the process is gone.
    ///
    /// # Errors
    ///
    /// When there is none, or it does not go.
    pub async fn kill(&self) -> Result<i32, ProcessError> {
        let pid = self.strike()?;
        self.until_gone(pid).await
    }

    /// Asks it to end; returns when the process is gone. Where it has to end with code 0, anything else is a crash.
    ///
    /// # Errors
    ///
    /// When there is none, when it does not go, or goes otherwise.
    pub async fn stop(&self) -> Result<i32, ProcessError> {
        let pid = self.pid().ok_or(ProcessError::NotRunning)?;
        self.condemn();
        let signal = match self.launch.stop.signal {
            StopSignal::Term => Signal::SIGTERM,
            StopSignal::Int => Signal::SIGINT,
            StopSignal::Quit => Signal::SIGQUIT,
        };
        send(pid, signal)?;
        self.until_ended(pid, signal.as_str(), STOP_MAX).await?;
        let ended = *self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        match ended {
            Some(status) if status.code() == Some(0) || self.launch.stop.exit == Exit::Any => Ok(pid),
            Some(status) => {
                let last_words = last_lines(&self.launch.log, LAST_WORDS_MAX);
                let how = format!("was asked to stop, and {}", describe(&status));
                let own_fault = is_own_fault(status, &last_words);
                let crash = Crash {
                    how: how.clone(),
                    own_fault,
                    last_words,
                };
                self.crashes
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(crash);
                Err(ProcessError::Disorder { how })
            }
            None => Err(ProcessError::NotRunning),
        }
    }

    /// From now on it is no crash when it ends with one of these codes; it is down then.
    pub fn tolerate(&self, codes: &'static [i32]) {
        self.tolerated.lock().unwrap_or_else(PoisonError::into_inner)[0] = codes;
    }

    /// The same, because of what it is to do, whatever faults come and go meanwhile.
    pub fn expect_to_end(&self, codes: &'static [i32]) {
        self.tolerated.lock().unwrap_or_else(PoisonError::into_inner)[1] = codes;
    }

    /// The exit code with which it ended the last time.
    pub fn exit_code(&self) -> Option<i32> {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.as_ref().and_then(ExitStatus::code)
    }

    /// Whatever ends it from now on was our doing.
    pub fn condemn(&self) {
        self.life.send_if_modified(|life| match life {
            Life::Up { condemned, .. } => !std::mem::replace(condemned, true),
            Life::Down | Life::Crashed => false,
        });
    }

    /// SIGKILL, without waiting for its effect: several nodes can be killed at the same moment.
    ///
    /// # Errors
    ///
    /// When there is no process.
    pub fn strike(&self) -> Result<i32, ProcessError> {
        let pid = self.pid().ok_or(ProcessError::NotRunning)?;
        self.life.send_replace(Life::Up { pid, condemned: true });
        send(pid, Signal::SIGKILL)?;
        Ok(pid)
    }

    /// Waits until the process `pid`, which was killed, is gone.
    ///
    /// # Errors
    ///
    /// When it does not go.
    pub async fn until_gone(&self, pid: i32) -> Result<i32, ProcessError> {
        self.until_ended(pid, "SIGKILL", OBSERVE_MAX).await
    }

    async fn until_ended(
        &self,
        pid: i32,
        signal: &'static str,
        patience: Duration,
    ) -> Result<i32, ProcessError> {
        let mut life = self.life.subscribe();
        let ended = life.wait_for(|life| !matches!(life, Life::Up { .. }));
        match timeout(patience, ended).await {
            Ok(Ok(_)) => Ok(pid),
            Ok(Err(_)) | Err(_) => Err(ProcessError::NoEffect { signal, patience }),
        }
    }

    /// SIGSTOP; returns when the process is stopped.
    ///
    /// # Errors
    ///
    /// When there is none, or it does not stop.
    pub async fn pause(&self) -> Result<i32, ProcessError> {
        let pid = self.halt()?;
        self.until_still(pid).await
    }

    /// SIGSTOP, without waiting for its effect.
    ///
    /// # Errors
    ///
    /// When there is no process.
    pub fn halt(&self) -> Result<i32, ProcessError> {
        let pid = self.pid().ok_or(ProcessError::NotRunning)?;
        send(pid, Signal::SIGSTOP)?;
        Ok(pid)
    }

    /// Waits until the process `pid`, which was halted, is stopped.
    ///
    /// # Errors
    ///
    /// When it does not stop.
    pub async fn until_still(&self, pid: i32) -> Result<i32, ProcessError> {
        self.observe(pid, "SIGSTOP", |state| state == 'T').await
    }

    /// SIGCONT; returns when the process goes on.
    ///
    /// # Errors
    ///
    /// When there is none, or it does not go on.
    pub async fn resume(&self) -> Result<i32, ProcessError> {
        let pid = self.pid().ok_or(ProcessError::NotRunning)?;
        send(pid, Signal::SIGCONT)?;
        self.observe(pid, "SIGCONT", |state| state != 'T').await
    }

    async fn observe(
        &self,
        pid: i32,
        signal: &'static str,
        wanted: impl Fn(char) -> bool,
    ) -> Result<i32, ProcessError> {
        let poll = async {
            loop {
                match process_state(pid) {
                    Some(state) if wanted(state) => return Ok(pid),
                    Some(_) => sleep(OBSERVE_STEP).await,
                    None => return Err(ProcessError::NotRunning),
                }
            }
        };
        timeout(OBSERVE_MAX, poll)
            .await
            .unwrap_or(Err(ProcessError::NoEffect {
                signal,
                patience: OBSERVE_MAX,
            }))
    }
}

fn send(pid: i32, signal: Signal) -> Result<(), ProcessError> {
    kill(Pid::from_raw(pid), signal).map_err(|errno| ProcessError::Signal {
        signal: signal.as_str(),
        errno,
    })
}

/// The state letter of proc(5), `/proc/PID/stat`; `None` when there is no such process.
pub fn process_state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name before it may contain anything, parentheses too.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.trim_start().chars().next()
}

/// The verb that starts a node of noraftd.
const SERVE: &str = "serve";
/// A signal shows within microseconds; this long only on a machine that has come to a standstill.
const OBSERVE_MAX: Duration = Duration::from_secs(5);
/// The daemon answers what is under way within a second, and gives its disk five.
const STOP_MAX: Duration = Duration::from_secs(15);
const OBSERVE_STEP: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_process_is_read_past_any_name() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(process_state(own).is_some_and(|state| "RSD".contains(state)));
        assert_eq!(process_state(-5), None);
    }
}

//! The processes of `noraftd dev`.
//!
//! Invariant: each node runs at most once; one that gives up says why and takes the cluster with it, one that was killed
//! is an experiment and may be started again.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use super::super::complain;
use crate::exit::Exit;

/// What the nodes are started with.
#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) count: u16,
    pub(super) dir: PathBuf,
    pub(super) port_base: u16,
    pub(super) log: String,
}

/// The nodes and how it will end.
#[derive(Debug)]
pub(super) struct Nodes {
    recipe: Recipe,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// One place a node, from node 1: its process, while it runs.
    children: Vec<Option<Child>>,
    is_stopping: bool,
    exit: Exit,
}

/// Where clients reach a node.
pub(super) fn client_address(port_base: u16, id: u16) -> String {
    format!("127.0.0.1:{}", port_base + id - 1)
}

impl Nodes {
    /// None of them runs yet.
    pub(super) fn new(recipe: Recipe) -> Self {
        let children = (0..recipe.count).map(|_| None).collect();
        Self {
            recipe,
            state: Mutex::new(State {
                children,
                is_stopping: false,
                exit: Exit::Done,
            }),
        }
    }

    /// Starts node `id`; returns its process id.
    ///
    /// # Errors
    ///
    /// When there is no such node, when it runs, or when the system cannot start it.
    pub(super) fn start(&self, id: u16) -> io::Result<u32> {
        let count = self.recipe.count;
        let mut state = self.lock();
        if state.is_stopping {
            return Err(io::Error::other("the cluster is being stopped"));
        }
        let place = usize::from(id)
            .checked_sub(1)
            .and_then(|at| state.children.get_mut(at))
            .ok_or_else(|| io::Error::other(format!("there are the nodes 1 to {count}")))?;
        if let Some(child) = place
            && child.try_wait()?.is_none()
        {
            return Err(io::Error::other(format!("it runs already (pid {})", child.id())));
        }
        let mut child = self.command(id)?.spawn()?;
        let pid = child.id();
        if let Some(log) = child.stderr.take() {
            std::thread::spawn(move || pass_on(id, log));
        }
        *place = Some(child);
        Ok(pid)
    }

    fn command(&self, id: u16) -> io::Result<Command> {
        use std::os::unix::process::CommandExt;
        let Recipe {
            count,
            dir,
            port_base,
            log,
        } = &self.recipe;
        let mut command = Command::new(std::env::current_exe()?);
        // Relative to `dir`: the path of a Unix socket has to be short.
        command.current_dir(dir).args([
            "serve",
            "--cluster",
            "dev",
            "--allow-flush",
            "--auto-upgrade",
            "--log",
            log,
        ]);
        command.args(["--id", &id.to_string(), "--data-dir", &format!("node-{id}")]);
        command.args([
            "--listen",
            &client_address(*port_base, id),
            "--listen",
            &format!("unix:client-{id}.sock"),
        ]);
        for peer in 1..=*count {
            command.args(["--peer", &format!("{peer}=unix:peer-{peer}.sock")]);
        }
        command.args(["--peer-secret-file", super::SECRET_FILE]);
        command.args(["--parent", &std::process::id().to_string()]);
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        // A group of its own: Ctrl-C reaches this process, which then stops the nodes in order.
        command.process_group(0);
        Ok(command)
    }

    /// The nodes that run, with their process ids.
    pub(super) fn running(&self) -> Vec<(u16, u32)> {
        let state = self.lock();
        let places = (1..).zip(&state.children);
        places
            .filter_map(|(id, child)| Some((id, child.as_ref()?.id())))
            .collect()
    }

    /// True from the first order to stop on.
    pub(super) fn is_stopping(&self) -> bool {
        self.lock().is_stopping
    }

    /// Asks every node to stop.
    pub(super) fn stop(&self, exit: Exit) {
        self.lock().stop(exit);
    }

    /// Waits for the order to stop, and then until every node has ended.
    ///
    /// # Errors
    ///
    /// When the system does not report signals or children.
    pub(super) fn watch(&self, signals: &SigSet) -> io::Result<Exit> {
        self.lock().reap()?;
        loop {
            {
                let state = self.lock();
                if state.is_stopping && state.children.iter().all(Option::is_none) {
                    return Ok(state.exit);
                }
            }
            let signal = signals.wait()?;
            let mut state = self.lock();
            match signal {
                Signal::SIGCHLD => state.reap()?,
                _ if state.is_stopping => state.signal_all(Signal::SIGKILL),
                _ => state.stop(Exit::Done),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Looks which nodes have ended, and says so.
    fn reap(&mut self) -> io::Result<()> {
        let mut failure = None;
        let mut ended = false;
        for (id, place) in (1..).zip(&mut self.children) {
            let Some(child) = place else { continue };
            let Some(status) = child.try_wait()? else { continue };
            *place = None;
            ended = true;
            if !self.is_stopping {
                complain(format_args!("node {id} ended: {status}"));
            }
            failure = failure.or_else(|| failure_of(status));
        }
        if self.is_stopping {
            return Ok(());
        }
        if let Some(exit) = failure {
            self.stop(exit);
        } else if ended && self.children.iter().all(Option::is_none) {
            complain("no node runs any more: `noraftd dev start N` starts one, Ctrl-C ends this");
        }
        Ok(())
    }

    fn stop(&mut self, exit: Exit) {
        self.exit = exit;
        self.is_stopping = true;
        self.signal_all(Signal::SIGTERM);
    }

    fn signal_all(&self, signal: Signal) {
        for child in self.children.iter().flatten() {
            let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id fits"));
            // It fails only for a process that has ended.
            let _ = kill(pid, signal);
        }
    }
}

/// A node that gave up says why and takes the cluster with it; one that was killed is an experiment.
fn failure_of(status: ExitStatus) -> Option<Exit> {
    let code = status.code()?;
    let known = [
        Exit::Usage,
        Exit::Data,
        Exit::Unavailable,
        Exit::CannotCreate,
        Exit::Disk,
        Exit::InUse,
        Exit::UnknownEntry,
        Exit::Config,
    ];
    (code != 0).then(|| {
        known
            .into_iter()
            .find(|exit| *exit as i32 == code)
            .unwrap_or(Exit::Software)
    })
}

/// Prints what a node logs, line by line, with the node's name before it, until it ends.
fn pass_on(id: u16, log: impl Read) {
    let mut log = BufReader::new(log);
    let mut line = Vec::new();
    loop {
        line.clear();
        match log.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                // The reader may have closed the pipe.
                let _ = writeln!(io::stderr(), "node {id}: {}", text.trim_end());
            }
        }
    }
}

/// A longer line is shown in pieces.
const LINE_BYTES_MAX: u64 = 64 << 10;

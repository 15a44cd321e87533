//! A stalled disk: the threads that write a node's disk are stopped, the rest of the process goes on.
//!
//! To the node this is a device that does not answer, for as long as we like, without any privileges: ptrace(2)
//! stops single threads of our own children. What was handed to the disk and not yet written is lost when
//! the process is killed meanwhile, which SIGKILL alone hardly ever achieves.
//!
//! Invariant: stopped threads go on when their [`Stall`] is dropped, or with the harness's end.

use std::fs;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// The thread of noraftd that writes and syncs the log.
const DISK_THREAD: &str = "disk-writer";

/// The one that does so for votes, beside it; an older noraftd has none.
const VOTES_THREAD: &str = "disk-votes";

/// How often a stopped thread is looked after: one whose process was killed has to be reaped by its tracer.
const LOOK_STEP: Duration = Duration::from_millis(2);

/// A disk that is stalled until this is dropped.
#[derive(Debug)]
pub struct Stall {
    /// Dropping them is the word to go on.
    _holds: Vec<Sender<()>>,
}

/// Why a disk cannot be made to stand still.
#[derive(Debug, thiserror::Error)]
pub enum StallError {
    /// The process has no such thread.
    #[error("process {pid} has no thread named {DISK_THREAD}")]
    NoThread {
        /// The process.
        pid: i32,
    },
    /// The kernel refuses.
    #[error("cannot stop thread {tid}: {errno}")]
    Refused {
        /// The thread.
        tid: i32,
        /// Its reason.
        errno: Errno,
    },
    /// No thread could be started to do it.
    #[error("no thread to stop another with")]
    NoTracer,
}

impl Stall {
    /// Stops the disk threads of `pid`; returns when they stand still.
    ///
    /// # Errors
    ///
    /// When there is no such thread, or it may not be traced.
    pub fn begin(pid: i32) -> Result<Self, StallError> {
        let writer = thread_named(pid, DISK_THREAD).ok_or(StallError::NoThread { pid })?;
        let threads = [Some(writer), thread_named(pid, VOTES_THREAD)];
        let holds = threads.into_iter().flatten().map(hold_still);
        Ok(Self {
            _holds: holds.collect::<Result<_, _>>()?,
        })
    }
}

/// Stops one thread, until what is returned is dropped.
fn hold_still(tid: Pid) -> Result<Sender<()>, StallError> {
    let (hold, held) = mpsc::channel();
    let (say, said) = mpsc::channel();
    // The kernel takes all requests for a traced thread from one and the same thread of the tracer.
    let tracer = thread::Builder::new().name("disk-stall".to_owned());
    tracer
        .spawn(move || trace(tid, &say, &held))
        .map_err(|_| StallError::NoTracer)?;
    match said.recv() {
        Ok(Ok(())) => Ok(hold),
        Ok(Err(errno)) => Err(StallError::Refused {
            tid: tid.as_raw(),
            errno,
        }),
        Err(_) => Err(StallError::NoTracer),
    }
}

fn trace(tid: Pid, say: &Sender<Result<(), Errno>>, held: &Receiver<()>) {
    let stopped = stop(tid);
    // A missing receiver means that the stall is not wanted any more; `held` says the same.
    let _ = say.send(stopped);
    if stopped.is_ok() {
        hold(tid, held);
    }
}

fn stop(tid: Pid) -> Result<(), Errno> {
    ptrace::seize(tid, ptrace::Options::empty())?;
    ptrace::interrupt(tid)?;
    waitpid(tid, Some(WaitPidFlag::__WALL)).map(drop)
}

fn hold(tid: Pid, held: &Receiver<()>) {
    while held.recv_timeout(LOOK_STEP) == Err(RecvTimeoutError::Timeout) {
        let look = waitpid(tid, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG));
        if look != Ok(WaitStatus::StillAlive) {
            return;
        }
    }
    // Fails only when the process was killed at this moment: then it is to be reaped, and goes nowhere.
    if ptrace::detach(tid, None).is_err() {
        let _ = waitpid(tid, Some(WaitPidFlag::__WALL));
    }
}

fn thread_named(pid: i32, wanted: &str) -> Option<Pid> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let is_wanted = |thread: &fs::DirEntry| {
        fs::read_to_string(thread.path().join("comm")).is_ok_and(|name| name.trim() == wanted)
    };
    let thread = threads.filter_map(Result::ok).find(is_wanted)?;
    thread.file_name().to_str()?.parse().ok().map(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_a_disk_thread_is_told_so() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(matches!(Stall::begin(own), Err(StallError::NoThread { .. })));
    }
}

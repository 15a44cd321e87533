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
use nix::libc;
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use noraftd::shell::clock::system_now;

use super::kernel::call_entered;

/// The thread of noraftd that writes and syncs the log.
const DISK_THREAD: &str = "disk-writer";

/// The one that does so for votes, beside it; an older noraftd has none.
const VOTES_THREAD: &str = "disk-votes";

/// How often a stopped thread is looked after: one whose process was killed has to be reaped by its tracer.
const LOOK_STEP: Duration = Duration::from_millis(2);
/// How often a thread that goes on from one call to the next is looked at.
const LOOK_SOON: Duration = Duration::from_micros(20);

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

/// A disk that has been given something and is about to be asked to keep it: it is not asked until this is dropped.
#[derive(Debug)]
pub(super) struct Unsynced {
    _hold: Sender<()>,
}

impl Unsynced {
    /// Lets the disk thread of `pid` go on until it has written and is about to sync, and stops it there. `None` when it does not come
    /// to that within `patience`. Blocks.
    ///
    /// # Errors
    ///
    /// When there is no such thread, or it may not be traced.
    pub(super) fn catch(pid: i32, patience: Duration) -> Result<Option<Self>, StallError> {
        let writer = thread_named(pid, DISK_THREAD).ok_or(StallError::NoThread { pid })?;
        let (is_caught, hold) = stop_when(writer, move |tid| run_to_sync(tid, patience))?;
        Ok(is_caught.then_some(Self { _hold: hold }))
    }
}

/// Stops one thread, until what is returned is dropped.
fn hold_still(tid: Pid) -> Result<Sender<()>, StallError> {
    stop_when(tid, |_| Ok(())).map(|((), hold)| hold)
}

/// Stops a thread, does something with it, and keeps it until the sender is dropped.
fn stop_when<T: Send + 'static>(
    tid: Pid,
    then: impl FnOnce(Pid) -> Result<T, Errno> + Send + 'static,
) -> Result<(T, Sender<()>), StallError> {
    let (hold, held) = mpsc::channel();
    let (say, said) = mpsc::channel();
    // The kernel takes all requests for a traced thread from one and the same thread of the tracer.
    let tracer = thread::Builder::new().name("disk-stall".to_owned());
    let trace = move || {
        let stopped = stop(tid).and_then(|()| then(tid));
        let is_stopped = stopped.is_ok();
        // A missing receiver means that the stall is not wanted any more; `held` says the same.
        let _ = say.send(stopped);
        if is_stopped {
            hold_until(tid, &held);
        }
    };
    tracer.spawn(trace).map_err(|_| StallError::NoTracer)?;
    match said.recv() {
        Ok(Ok(done)) => Ok((done, hold)),
        Ok(Err(errno)) => Err(StallError::Refused {
            tid: tid.as_raw(),
            errno,
        }),
        Err(_) => Err(StallError::NoTracer),
    }
}

/// Lets a stopped thread go on from one system call to the next, until one is to sync a file; true when it stands before that one, and
/// false when it was stopped elsewhere because that takes too long.
fn run_to_sync(tid: Pid, patience: Duration) -> Result<bool, Errno> {
    let deadline = system_now() + patience;
    loop {
        ptrace::syscall(tid, None)?;
        while waitpid(tid, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG))? == WaitStatus::StillAlive {
            if system_now() >= deadline {
                // It waits for something to do.
                ptrace::interrupt(tid)?;
                waitpid(tid, Some(WaitPidFlag::__WALL))?;
                return Ok(false);
            }
            thread::park_timeout(LOOK_SOON);
        }
        if is_before_sync(tid)? {
            return Ok(true);
        }
    }
}

/// Whether a stopped thread is about to enter fsync(2) or fdatasync(2).
fn is_before_sync(tid: Pid) -> Result<bool, Errno> {
    let entered = call_entered(tid)?.and_then(|number| i64::try_from(number).ok());
    Ok(entered.is_some_and(|number| [libc::SYS_fsync, libc::SYS_fdatasync].contains(&number)))
}

fn stop(tid: Pid) -> Result<(), Errno> {
    // With it, the kernel says of which system call a stop is.
    ptrace::seize(tid, ptrace::Options::PTRACE_O_TRACESYSGOOD)?;
    ptrace::interrupt(tid)?;
    waitpid(tid, Some(WaitPidFlag::__WALL)).map(drop)
}

fn hold_until(tid: Pid, held: &Receiver<()>) {
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

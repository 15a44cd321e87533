//! Makes a child process die with the harness, whatever ends the harness.
//!
//! The harness starts a daemon through itself: this step asks the kernel for SIGKILL at the parent's
//! death (prctl(2), PR_SET_PDEATHSIG), which survives the exec that follows, and becomes the daemon.
//!
//! In a network of namespaces the step also enters the one of its node.
//!
//! Invariant: between the request and the exec the parent is checked again, so that a parent that
//! died too early for the signal is noticed too.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::Signal;
use nix::unistd::getppid;

/// The hidden verb of the `harness` program that ends up here.
pub const GUARD_VERB: &str = "become";
/// Its option that names a network namespace.
pub const GUARD_NAMESPACE: &str = "--namespace";

/// Ties this process to the life of `parent`, moves it to the network namespace that is named, and turns it into `program`.
/// Returns only when that fails.
pub fn become_child_of(
    parent: i32,
    namespace: Option<&Path>,
    program: &OsString,
    arguments: &[OsString],
) -> io::Error {
    if let Err(errno) = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL) {
        return errno.into();
    }
    if getppid().as_raw() != parent {
        return io::Error::other("the harness died before its child could start");
    }
    if let Some(Err(error)) = namespace.map(enter) {
        return error;
    }
    Command::new(program).args(arguments).exec()
}

fn enter(namespace: &Path) -> io::Result<()> {
    let namespace = File::open(namespace)?;
    Ok(setns(namespace, CloneFlags::CLONE_NEWNET)?)
}

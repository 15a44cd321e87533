//! Gives this process a network of its own, in which it is the router between its nodes.
//!
//! Invariant: a process moves only where a child of it has been before, and has done everything there that a run needs; so one that is
//! refused is still where it was, and goes on with proxies.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid};

use super::{Namespaces, ip};
use crate::cluster::link::CutId;
use crate::plan::{CutMode, LinkEffect};

/// The hidden verb of the `harness` program that ends up in [`try_out`].
pub const TRIAL_VERB: &str = "try-namespaces";

/// Whether this process has a network of its own, or why not.
static ENTERED: OnceLock<Result<(), String>> = OnceLock::new();

/// Gives this process a network of its own, if that is possible. Call it before any other thread is started: they stay where they are.
pub(in crate::cluster) fn own_network(harness: &Path) {
    ENTERED.get_or_init(|| {
        send_ahead(harness)?;
        enter()
    });
}

/// Lets a child try it out first; what it says when that fails.
fn send_ahead(harness: &Path) -> Result<(), String> {
    let trial = Command::new(harness).arg(TRIAL_VERB).output();
    let trial = trial.map_err(|error| format!("{}: {error}", harness.display()))?;
    if trial.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&trial.stderr);
    let line = said.lines().next().unwrap_or("a trial of it failed");
    Err(line.trim_start_matches("harness: ").to_owned())
}

/// Whether this process has a network of its own, or why not.
pub(in crate::cluster) fn entered() -> Result<(), String> {
    let asked = ENTERED.get().cloned();
    asked.unwrap_or_else(|| Err("this process was not asked to have a network of its own".to_owned()))
}

/// Does once what runs do: enters a network of its own, makes namespaces, cuts in every way, reads counters.
///
/// # Errors
///
/// The first thing that is not possible.
pub async fn try_out() -> Result<(), String> {
    enter()?;
    let namespaces = Namespaces::lay(&[1, 2]).await?;
    for (id, mode) in (1..).map(CutId).zip(CutMode::ALL) {
        namespaces.cut(id, mode, &[(1, 2)]).await?;
    }
    for (id, effect) in (11..).map(CutId).zip([LinkEffect::Loss, LinkEffect::Narrow]) {
        namespaces.trouble(id, (effect, 0), &[(2, 1)]).await?;
    }
    namespaces.stats(&[(1, 2)]).await?;
    namespaces.heal_all().await
}

fn enter() -> Result<(), String> {
    match unshare(CloneFlags::CLONE_NEWNET) {
        Err(Errno::EPERM) => enter_as_user()?,
        other => other.map_err(|errno| format!("a network of its own: {errno}"))?,
    }
    ip(&[], "link set lo up\n")?;
    write(FORWARDING, "1")
}

/// Without root: in a user namespace, where this user is called root and may do what concerns that namespace alone.
fn enter_as_user() -> Result<(), String> {
    let (user, group) = (Uid::effective(), Gid::effective());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)
        .map_err(|errno| format!("it takes root, or user namespaces: {errno}"))?;
    // Groups may be mapped only by those who cannot drop one (user_namespaces(7)).
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &format!("0 {user} 1"))?;
    write("/proc/self/gid_map", &format!("0 {group} 1"))
}

fn write(path: &str, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{path}: {error}"))
}

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_never_asked_has_no_network_of_its_own() {
        assert!(entered().unwrap_err().contains("was not asked"));
    }
}

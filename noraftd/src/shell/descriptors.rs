//! File descriptors: how many there are, and how many of them clients may have.
//!
//! Invariant: what the log, the snapshots and the other nodes need is never given to clients. It is set aside at the
//! start, so that no number of idle clients keeps a segment from being made or a peer from being connected to.

use std::cell::Cell;
use std::fs;
use std::io;
use std::rc::Rc;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Connections of clients at once, whatever the system allows; each costs some KiB.
const CLIENTS_MAX: u64 = 10_000;

/// The segment that is written and the next one, snapshots in each direction, a directory that is listed. Segments that are
/// only read hold none.
const FILES: u64 = 64;

/// One in each direction, two lanes, and the same again while one connection takes the place of another.
const FOR_EACH_PEER: u64 = 8;

/// Connections to the peer port that have not introduced themselves yet.
pub(super) const STRANGERS: u64 = 32;

/// Connections to `admin.sock`: operators get in, however many clients there are.
pub(super) const OPERATORS: u64 = 8;

/// Connections for HTTP at once, where that is served: probes and a few that collect metrics.
pub(super) const HTTP_CONNECTIONS: u64 = 32;

/// With fewer than this beyond those that are open at the start, a node cannot work.
const LEAST: u64 = 48;

/// Where the reserve would leave clients nothing, they get one in this many.
const LEAST_SHARE: u64 = 4;

/// Seats for clients: a connection holds its seat as long as its socket is open, whatever else still refers to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Seats(Rc<Cell<u64>>);

impl Seats {
    /// How many are taken.
    pub(super) fn taken(&self) -> u64 {
        self.0.get()
    }

    /// Takes one, until it is dropped.
    pub(super) fn take(&self) -> Seat {
        self.0.set(self.0.get() + 1);
        Seat(Rc::clone(&self.0))
    }
}

/// A seat that is taken.
#[derive(Debug)]
pub(super) struct Seat(Rc<Cell<u64>>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// The system lets this process have too few.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the limit of open files is {limit}, and {open} are open already; a node needs {} or more: raise it (ulimit -n, \
     LimitNOFILE=)", open + LEAST
)]
pub struct TooFew {
    limit: u64,
    open: u64,
}

/// Takes as many as the system's hard limit lets this process have; gives that limit.
///
/// # Errors
///
/// When the system does not report its limits.
pub(super) fn raise_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = hard.max(soft);
    match setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) {
        Ok(()) => Ok(wanted),
        Err(errno) => {
            tracing::warn!("cannot raise the limit of open files from {soft} to {wanted}: {errno}");
            Ok(soft)
        }
    }
}

/// How many clients there may be at once, beside `peers` other nodes, those who watch over HTTP, and what is open now.
///
/// # Errors
///
/// When not even the node itself can work.
pub(super) fn clients_max(limit: u64, peers: usize, serves_http: bool) -> Result<u64, TooFew> {
    let http = if serves_http { HTTP_CONNECTIONS } else { 0 };
    let share = share(limit, open_now(), FOR_EACH_PEER * peers as u64 + http)?;
    tracing::info!("the limit of open files is {limit}: at most {share} clients at once");
    Ok(share)
}

fn share(limit: u64, open: u64, others: u64) -> Result<u64, TooFew> {
    let left = limit.saturating_sub(open);
    if left < LEAST {
        return Err(TooFew { limit, open });
    }
    let reserve = FILES + STRANGERS + OPERATORS + others;
    let share = left.saturating_sub(reserve).max(left / LEAST_SHARE);
    Ok(share.min(CLIENTS_MAX))
}

/// What this process has open.
fn open_now() -> u64 {
    match fs::read_dir("/proc/self/fd") {
        Ok(entries) => entries.count() as u64,
        Err(_) => OPEN_AT_START,
    }
}

/// About what a node has open before it serves a client, where the system does not report it.
const OPEN_AT_START: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_what_is_left_over() {
        assert_eq!(share(1024, 24, 16), Ok(1024 - 24 - 104 - 16));
        assert_eq!(share(1 << 20, 24, 16), Ok(CLIENTS_MAX));
    }

    #[test]
    fn a_small_limit_is_shared() {
        assert_eq!(share(100, 20, 16), Ok(20));
    }

    #[test]
    fn too_small_a_limit_is_refused_with_the_number_that_would_do() {
        let error = share(64, 20, 0).expect_err("too few").to_string();
        assert!(error.contains("is 64") && error.contains("needs 68"), "{error}");
    }

    #[test]
    fn open_descriptors_are_counted() {
        let before = open_now();
        let _held = fs::File::open("/dev/null").expect("it is there");
        // Other tests open and close files meanwhile: at least the standard streams are there.
        assert!(before >= 3 && open_now() >= 3);
    }
}

//! A disk that is slow all the time: it is stalled ([`Stall`]), lets through what is there, and is stalled again.
//!
//! To the node this is a device that answers once in an interval, so that a sync takes up to one interval.
//!
//! Invariant: the disk is as fast as before when its [`SlowDisk`] is dropped.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use super::stall::{Stall, StallError};

/// A disk that is slow until this is dropped.
#[derive(Debug)]
pub struct SlowDisk {
    /// Dropping it is the word to be fast again.
    _slow: Sender<()>,
}

impl SlowDisk {
    /// Slows the disk of the process `pid` down; returns when it is stalled for the first time. It ends with the process.
    ///
    /// # Errors
    ///
    /// When there is no disk thread, or it may not be traced.
    pub fn begin(pid: i32, interval: Duration) -> Result<Self, StallError> {
        let first = Stall::begin(pid)?;
        let (slow, ended) = mpsc::channel();
        let thread = thread::Builder::new().name("disk-slow".to_owned());
        thread
            .spawn(move || stand_still_often(pid, first, interval, &ended))
            .map_err(|_| StallError::NoTracer)?;
        Ok(Self { _slow: slow })
    }
}

fn stand_still_often(pid: i32, first: Stall, interval: Duration, ended: &Receiver<()>) {
    let lasts = |time| ended.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
    let mut stall = Some(first);
    while let Some(still) = stall {
        if !lasts(interval) {
            return;
        }
        drop(still);
        if !lasts(OPEN) {
            return;
        }
        // It fails when the process is gone, and its disk with it.
        stall = Stall::begin(pid).ok();
    }
}

/// Time for what waits to get through, on a busy machine too.
const OPEN: Duration = Duration::from_millis(10);

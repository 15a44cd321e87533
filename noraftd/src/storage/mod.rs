//! The disk's driver: jobs in, inputs for the replica out.
//!
//! What is decided here: when the log is marked as idle, what a full disk means and when it is tried again, which
//! error ends the process, what becomes of a damaged entry. The daemon's threads and the simulation both call it, so
//! that the simulation meets what the daemon does.
//!
//! Invariant: no thread, no clock, no log line. Time is an argument, and the caller decides what waits for what.

pub mod driver;
pub mod job;
pub mod reading;
pub mod room;
pub mod snapshots;
pub mod votes;

pub use driver::{Driver, Retry, Step, Stop};
pub use job::WriteJob;
pub use reading::{Fetch, FetchStep, ReadDriver};
pub use snapshots::{SnapshotJob, SnapshotStep};
pub use votes::{VOTE_PAUSE, VoteJob, VoteStep};

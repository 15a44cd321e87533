//! noraftd: a standalone consensus daemon.
//!
//! Data flows one way: client bytes -> `protocol` -> `replica` -> `store` -> peers -> `replica` ->
//! `machine` -> client bytes. `shell` carries it between sockets, disk and replica; `cli` starts it.
//!
//! # The contract of use
//!
//! This crate is a program first. As a library it gives its parts to a tester, which runs the same code in virtual time:
//! [`replica::Replica`] decides, and has no clock, socket, file or thread. The driver of a replica has these duties:
//!
//! 1. **Order.** Outputs are executed in the order in which they are polled. Inputs may be handled in groups before the outputs
//!    are polled: that is how batching works.
//! 2. **Storage.** One [`Persist`](replica::event::Output::Persist) at a time goes to a [`store::Store`]; its answer comes back as an input
//!    when the batch is durable, not before. An error of the disk ends the node.
//! 3. **Time.** `now` never goes back, and the deadline that the replica names is answered with a call at that time or later.
//! 4. **Transport.** A connection between nodes keeps its order or ends, and both ends learn of its end.
//! 5. **Start.** A store is opened first; what it recovered, and the state that was restored from its snapshot, start the replica.
//!
//! The loop: wait for an input or the deadline; handle it; poll the outputs until there is none. [`shell`] does that with
//! threads and sockets, the simulation with a queue of events.

pub mod admission;
mod c_format;
pub mod chain;
pub mod cli;
pub mod config;
pub mod endpoint;
pub mod exit;
pub mod histogram;
pub mod level;
pub mod local;
pub mod log;
mod lua;
pub mod machine;
pub mod memory;
pub mod prng;
pub mod protocol;
pub mod record;
pub mod recovered;
pub mod replica;
pub mod secret;
pub mod shell;
pub mod snapshot;
pub mod storage;
pub mod store;
pub mod test_clock;
pub mod time;
pub mod tls;
mod units;

//! The replica: consensus, batching, reads and forwarding as a state machine without I/O.
//!
//! Invariant: no clock, no socket, no file, no thread. `event.rs` is the whole interface.

pub mod event;

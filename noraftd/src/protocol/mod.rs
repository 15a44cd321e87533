//! Bytes on sockets: RESP for clients, frames for peers.
//!
//! Invariant: parse, don't validate. What leaves this folder is valid; no bytes from outside panic.

pub mod command;
pub mod frame;
pub mod gate;
pub(crate) mod glob;
pub mod http;
pub mod outcome;
pub mod peer;
pub(crate) mod read;
pub mod resp;
pub mod seal;

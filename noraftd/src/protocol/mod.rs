//! Bytes on sockets: RESP for clients, frames for peers.
//!
//! Invariant: parse, don't validate. What leaves this folder is valid; no bytes from outside panic.

pub mod command;
pub mod peer;
pub mod resp;

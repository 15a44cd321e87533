//! noraftd: a standalone consensus daemon.
//!
//! Data flows one way: client bytes -> `protocol` -> `replica` -> `store` -> peers -> `replica` ->
//! `machine` -> client bytes. `shell` carries it between sockets, disk and replica; `cli` starts it.

pub mod chain;
pub mod cli;
pub mod config;
pub mod endpoint;
pub mod exit;
pub mod local;
pub mod machine;
pub mod memory;
pub mod prng;
pub mod protocol;
pub mod record;
pub mod replica;
pub mod secret;
pub mod shell;
pub mod snapshot;
pub mod store;
pub mod time;
mod units;

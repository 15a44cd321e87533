//! Tests of what this crate says and understands on sockets, and of the state machine behind it, through
//! the public interface.

mod against_redis;
mod command;
mod machine;
mod peer;
mod peer_samples;
mod redis_semantics;
mod resp;
mod session;
mod support;

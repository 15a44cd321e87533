//! A Jepsen-style tester: it drives real daemons, records every operation, checks the history
//! and explains what went wrong.

pub mod client;
pub mod cluster;
pub mod history;
pub mod op;
pub mod plan;
pub mod results;

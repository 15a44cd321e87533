//! A Jepsen-style tester: it drives real daemons, records every operation, checks the history
//! and explains what went wrong.

pub mod bugs;
pub mod checker;
pub mod client;
pub mod cluster;
pub mod formats;
pub mod generator;
pub mod history;
pub mod interpreter;
pub mod model;
pub mod nemesis;
pub mod op;
pub mod plan;
pub mod recorder;
pub mod report;
pub mod results;
pub mod run;
pub mod sim;
pub mod workload;

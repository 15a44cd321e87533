//! A Jepsen-style tester: it drives real daemons, records every operation, checks the history
//! and explains what went wrong.

pub mod checker;
pub mod formats;
pub mod generator;
pub mod history;
pub mod model;
pub mod op;
pub mod report;
pub mod results;

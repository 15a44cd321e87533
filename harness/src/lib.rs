//! A Jepsen-style tester: it drives real daemons, records every operation, checks the history
//! and explains what went wrong.
//!
//! # The contract of use
//!
//! Most people use the program. As a library, [`checker::decide`] checks any system for which there is a [`model::Model`]. The duties of the
//! caller:
//!
//! 1. **The model** is a sequential specification: `step` is a function of its arguments, and gives `None` exactly when an operation
//!    cannot have had its result in that state.
//! 2. **Calls** carry what the caller saw. Only the order of their ends counts, and no two ends are equal. An operation whose
//!    outcome is unknown returns at [`checker::NEVER`]: it may take effect at any later time, or never.
//! 3. **Leave out** what was certainly not done. An operation that was reported as failed, but may have been done, makes every verdict
//!    worthless.
//! 4. **The budget** bounds memory and steps. Running out of it is the verdict *unknown*.
//!
//! `examples/own_model.rs` is a whole model with two histories. [`formats::read_path`] reads histories of other tools, and
//! [`checker::check`] decides those of the models that are built in.

pub mod browse;
pub mod bugs;
pub mod campaign;
pub mod checker;
pub mod client;
pub mod cluster;
pub mod crash_points;
pub mod damage;
pub mod formats;
pub mod generator;
pub mod golden;
pub mod history;
pub mod interpreter;
pub mod jepsen;
pub mod keyspace;
pub mod model;
pub mod nemesis;
pub mod nodes;
pub mod op;
pub mod plan;
pub mod recorder;
pub mod recording;
pub mod replay;
pub mod report;
pub mod results;
pub mod run;
pub mod series;
pub mod shard;
pub mod sim;
pub mod systems;
pub mod tally;
pub mod workload;

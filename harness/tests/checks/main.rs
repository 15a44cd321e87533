//! Histories, and what the checkers say about them.

mod cli_check;
mod common;
mod differential;
mod explanations;
mod formats;
mod frontier;
mod golden;
mod imports;
mod jepsen;
mod known_verdicts;
mod own_model;
mod porcupine;
mod semantics;
#[path = "../../../noraftd/tests/daemon/support/skip.rs"]
mod skip;
mod small;
mod spellings;
mod verdicts;
mod workloads;

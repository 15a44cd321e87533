//! The store, attacked: what it acknowledged must be there, or a verdict must say why not.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where the test fails")]

mod after_cuts;
mod basics;
mod beginning;
mod beginning_again;
mod common;
mod compaction;
mod counters;
mod crash;
mod cuts;
mod damage;
mod direct;
mod driver;
mod early_ends;
mod going_on;
mod golden;
mod lost;
mod making;
mod misplaced;
mod numbers;
mod patches;
mod rejoining;
mod reopening;
mod replaced;
mod rows;
mod setting_up;
mod settings;
#[path = "../daemon/support/skip.rs"]
mod skip;

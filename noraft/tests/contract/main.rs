//! The rules of the paper, one test a sentence, on single nodes and on logs.

mod actions;
mod elections;
mod example;
mod extremes;
mod invariants;
mod kit;
mod log;
mod membership;
mod merging;
mod paper;
mod repair;
mod replication;
mod snapshot;
mod three_nodes;
mod weak_points;

//! Real daemons: what clients, peers and operators see of a process.

mod clients;
mod cluster;
mod disk;
mod expiry;
mod file_sizes;
mod growing;
mod handing_over;
mod help_examples;
mod levels;
mod libraries;
mod limits;
mod members;
mod operating;
mod reads;
mod refusals;
mod rejoin;
mod rolling;
mod secrets;
mod security;
mod single;
mod slow_link;
mod snapshots;
mod support;
mod tools;
mod transactions;
mod voters;

//! Plans from start to verdict, with real processes and simulated, and what runs are made of.

mod plans;
mod power;
mod proxy;
mod run;
mod sim;
#[path = "../../../noraftd/tests/daemon/support/skip.rs"]
mod skip;

//! Plans from start to verdict, with real processes and simulated, and what runs are made of.

mod book;
mod browse;
mod campaign;
mod coverage;
mod crash_points;
mod deploy;
mod namespaces;
mod plans;
mod power;
mod proxy;
mod reference;
mod regressions;
mod replay;
mod report;
mod run;
mod sim;
mod site;
#[path = "../../../noraftd/tests/daemon/support/skip.rs"]
mod skip;
mod slurm;
mod steer;
mod systems;
mod topologies;
mod troubles;

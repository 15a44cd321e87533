//! Recorded runs, repeated and made smaller.
//!
//! A run of the simulation is repeated event by event: plan and seed name one trace, which is compared. On real processes
//! the recorded schedule is carried out again, with the same faults on the same nodes at the same times, and clients
//! with the same seed; what the processes make of it differs, so what is repeated is a failure, and at a rate.
//!
//! | module | what it owns |
//! |-|-|
//! | `recorded` | the folder of a run, read back |
//! | `rate` | how often, and how sure that is |
//! | `processes` | a schedule on real processes |
//! | `simulated` | a trace, compared |
//! | `shrink` | a smaller plan and schedule that fail as often |
//! | `expected` | what a smaller run has to come to |
//!
//! Invariant: a run failed again when it broke the rule that the recorded one broke; any other failure is counted
//! apart, and so is a run without a verdict.

mod expected;
mod processes;
mod rate;
mod recorded;
mod shrink;
mod simulated;

pub use expected::Expected;
pub use processes::{Ended, Replays};
pub use rate::Rate;
pub use recorded::{Origin, Recorded, RecordedError, RecordedProgram};
pub use shrink::{Case, Trial, shrink};
pub use simulated::{Difference, Repeated, repeat};

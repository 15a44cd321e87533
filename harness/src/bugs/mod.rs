//! The seeded-bug scorecard: real, documented bugs are put into the daemon one by one, and have to be caught.
//!
//! It is the proof of every other claim that the harness makes: a checker that never saw a bug is a rumour. A bug
//! is a file in `harness/bugs/`, and production code carries no trace of it.
//!
//! | module | what it owns |
//! |-|-|
//! | `catalog` | the files: which bugs there are, and which rows of the list are left out |
//! | `scratch` | a copy of the sources, edited and built |
//! | `hunt` | plans run on what was built, in either world, until something is caught |
//! | `test_programs` | programs of tests in the place of plans |
//! | `campaign` | the order of it all: the unmutated daemon first, then each bug |
//! | `progress` | how far that is |
//! | `parts` | hunts in parts, and the joining of what they found |
//! | `check` | whether every edit applies and compiles, without a hunt |
//! | `scorecard` | the table |
//! | `steering` | whether coverage that steers finds bugs in less time |
//!
//! Invariant: the unmutated daemon has passed every seed that a bug is hunted with, so what is caught is the bug.

mod campaign;
mod catalog;
mod check;
mod hunt;
mod parts;
mod progress;
mod scorecard;
mod scratch;
pub mod steering;
mod test_programs;

pub use campaign::{Hunts, HuntsError, run};
pub use catalog::{Bug, Catalog, CatalogError, Edit, EditError, HELD_OUT, KINDS, LeftOut, ROWS};
pub use check::check;
pub use hunt::{Catch, Found, World};
pub use parts::{PartError, join};
pub use scorecard::{Control, Line, Scorecard};
pub use scratch::{Scratch, ScratchError};

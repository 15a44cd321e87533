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
//! | `campaign` | the order of it all: the unmutated daemon first, then each bug |
//! | `scorecard` | the table |
//!
//! Invariant: the unmutated daemon has passed every seed that a bug is hunted with, so what is caught is the bug.

mod campaign;
mod catalog;
mod hunt;
mod scorecard;
mod scratch;

pub use campaign::{Hunts, run};
pub use catalog::{Bug, Catalog, CatalogError, Edit, EditError, KINDS, LeftOut, ROWS};
pub use hunt::{Catch, Found, World};
pub use scorecard::{Control, Line, Scorecard};
pub use scratch::{Scratch, ScratchError};

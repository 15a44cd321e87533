//! Histories and results as Jepsen and the tools around it take them: in EDN.
//!
//! Invariant: a history that was exported and is read again has the same operations, with the same numbers of events, and
//! so the same verdict. What Jepsen's maps have no field for is in keys of our own, `:noraft/...`, which other
//! tools pass over.

mod edn;
mod history;
mod results;

pub use history::{ExportError, export};
pub use results::results_edn;

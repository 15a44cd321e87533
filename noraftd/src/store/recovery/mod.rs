//! From the files of a directory to a store that can be used, or to the reason why it must not be.
//!
//! `setup` (what a directory is), `scan` (one segment), `noted` (what its records say), `tail` (what comes after its last whole batch), `salvage` (what a damaged
//! batch still says), `replay` (the log that the batches add up to), `judge` (what all of it means: the table), `verdict` (in words),
//! `open` (in which order files are read), `assemble` (what is done about it).

mod assemble;
pub(super) mod create;
pub(super) mod judge;
pub(super) mod lock;
mod noted;
pub(super) mod open;
pub(super) mod replay;
mod restore;
pub(super) mod salvage;
pub(super) mod scan;
pub(super) mod setup;
pub(super) mod tail;
pub(super) mod verdict;

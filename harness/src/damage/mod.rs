//! Damage to the files of a node: what it does to the bytes, and what may come of it.
//!
//! Invariant: nothing here reads or writes a file, so that disks in memory and directories are damaged alike.

pub(crate) mod atlas;
pub(crate) mod corruption;

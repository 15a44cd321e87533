//! What a person does with a directory while no node uses it: look, verify, replace the log, rejoin, begin a cluster again.

pub(super) mod begin_again;
pub mod inspect;
pub(super) mod rejoin;
pub(super) mod replace;
pub mod verify;

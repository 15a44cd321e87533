//! Makers of operations and histories.

pub mod random;
pub mod synthetic;

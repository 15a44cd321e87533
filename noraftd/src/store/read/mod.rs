//! Durable entries for another thread: what peers ask for, and the scrub.
//!
//! Invariant: no byte leaves without its crc checked.

pub(super) mod reader;
pub(super) mod scrub;

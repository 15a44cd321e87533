//! What the bytes of a segment, a batch and the file with term and vote mean.
//!
//! Invariant: what is decoded here is whole (its crc fits) and within the limits of the format; nothing here panics on
//! any bytes, and nothing here reads or writes a file on its own account.

pub(super) mod batch;
pub(super) mod check;
pub(super) mod codec;
pub(super) mod hard_state;
pub mod layout;
pub(super) mod page_buffer;
pub(super) mod seal;
pub(super) mod segment;

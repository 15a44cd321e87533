//! The state machine: what committed entries do to the key space and the streams.
//!
//! Invariant: a pure function of the entries in order. No clock, no randomness, no hash order.

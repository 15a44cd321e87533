//! Reports a person reads: why a history has no order, in words.

pub mod words;

pub use words::explain;

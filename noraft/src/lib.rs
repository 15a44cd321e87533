//! The Raft algorithm with no I/O and no dependencies.
#![no_std]
#![forbid(unsafe_code)]

//! Reports that people read.

pub mod run;

//! Whole clusters and arbitrary calls: everything is a function of its seed.

mod differential;
mod fuzz;
mod random;
mod scenarios;
mod support;

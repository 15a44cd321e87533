//! Transactions that have to precede each other: a graph, and either an order of it or a short cycle in words.
//!
//! Shared by the checkers of transactions, which differ in how they find out which one precedes which.
//! (Adya, Liskov, O'Neil 2000 for the names of cycles; Kingsbury & Alvaro, Elle, 2020 for the inference.)

mod cycles;
mod graph;

pub(super) use cycles::{Draft, SHOWN_MAX, Words, order, path};
pub(super) use graph::{Edge, Graph, Kind};

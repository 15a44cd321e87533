//! What is measured: every combination of clients, keys, unknown outcomes, values and verdict.

use harness::generator::synthetic::{Planted, Spec, Values};

/// A row of the table: everything but the number of operations.
#[derive(Clone, Copy)]
pub(super) struct Series {
    pub(super) name: &'static str,
    pub(super) clients: usize,
    pub(super) keys: usize,
    pub(super) info: f64,
    values: Values,
    cas: f64,
    violation: Option<Planted>,
}

/// How often the same values are written.
const REPEATED: Values = Values::Repeated(5);

/// All series; those that are alike but for clients and unknown outcomes follow one another, easier ones
/// first.
pub(super) fn all() -> Vec<Series> {
    let kinds = [
        ("unique", Values::Unique, None),
        ("unique, invalid", Values::Unique, Some(Planted::StaleRead)),
        ("5 values", REPEATED, None),
        ("5 values, invalid", REPEATED, Some(Planted::StaleRead)),
    ];
    let mut all = Vec::new();
    for (name, values, violation) in kinds {
        for keys in [1, 10, 100] {
            for info in [0.0, 0.01] {
                all.extend([5, 20, 50].map(|clients| Series {
                    name,
                    clients,
                    keys,
                    info,
                    values,
                    cas: 0.2,
                    violation,
                }));
            }
        }
    }
    all
}

impl Series {
    /// The history of this series with `operations` operations.
    pub(super) fn spec(&self, operations: u64) -> Spec {
        Spec {
            operations,
            clients: self.clients,
            keys: self.keys,
            info: self.info,
            cas: self.cas,
            values: self.values,
            seed: 1,
            violation: self.violation,
            ..Spec::default()
        }
    }

    /// True when nothing about `other` is harder than here.
    pub(super) fn is_as_hard_as(&self, other: &Self) -> bool {
        self.name == other.name
            && self.keys <= other.keys
            && self.clients >= other.clients
            && self.info >= other.info
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.is_as_hard_as(other) && other.is_as_hard_as(self)
    }

    /// The hardest of its kind.
    pub(super) fn is_hardest(&self) -> bool {
        self.clients == 50 && self.info > 0.0 && self.keys == 1
    }
}

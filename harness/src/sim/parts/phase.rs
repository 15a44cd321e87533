//! How far a simulated run is.

/// How far the run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Clients and faults.
    Disturbed,
    /// Nothing is disturbed any more; the last operations end.
    Draining,
    /// Every node has to serve everything.
    Finale,
    /// All nodes have to come to the same state.
    Converging,
    Over,
}

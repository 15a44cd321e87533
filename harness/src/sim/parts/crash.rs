//! How a simulated process ends.

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    /// Everything that it wrote is there.
    Kill,
    /// Of what it had not synced, some is lost.
    Power,
}

//! A node that has answered.

use super::Examined;
use crate::cli::query::QueryError;
use crate::local::status::StatusReport;
use crate::local::vitals::VitalsReport;

/// A node that has answered, and what it said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) id: u64,
    pub(super) status: &'a StatusReport,
    /// What an earlier version does not say.
    pub(super) vitals: Option<&'a VitalsReport>,
    /// True when it answers, but not to the question that takes a look at its file system.
    pub(super) hangs: bool,
    /// How far its wall clock is ahead of the one here, in milliseconds, and by how much that may be wrong.
    pub(super) clock: (i64, u64),
}

impl<'a> Known<'a> {
    /// `None` of a node that has not answered.
    pub(super) fn of(node: &'a Examined) -> Option<Self> {
        let status = node.status.as_ref().ok()?;
        Some(Self {
            id: status.id,
            status,
            vitals: node.vitals.as_ref().ok(),
            hangs: matches!(node.vitals, Err(QueryError::Unreachable(..))),
            clock: node.clock,
        })
    }
}

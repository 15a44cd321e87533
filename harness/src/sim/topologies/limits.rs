//! What is demanded of a topology, and how long it takes: in election timeouts, which are a tenth of a second here.

use crate::sim::parts::MILLI;

/// How long the links stay cut.
pub const HELD: u64 = 20;
/// A write succeeds within so many election timeouts.
pub const SERVES_WITHIN: u64 = 10;
/// And the highest term grows by at most this: leaders that are replaced, and a few votes that are split.
pub const TERMS_MAX: u64 = 5;
/// A node without a quorum leads for at most so many election timeouts.
pub const LEADS_WITHIN: u64 = 3;
/// The election timeout, in virtual nanoseconds.
pub(super) const TIMEOUT: u64 = 100 * MILLI;
/// How often clients and rules are looked at; a write takes less.
pub(super) const TICK: u64 = 5 * MILLI;

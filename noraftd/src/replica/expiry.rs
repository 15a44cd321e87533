//! When a key is due and nothing is being written, the leader lets the log's clock go on, with an entry that says nothing else.
//!
//! Invariant: at most ten of these entries a second, and none at a level that does not know them.

use std::time::Duration;

use crate::level::Level;
use crate::protocol::command::Request;
use crate::time::{Instant, Stamp};

use super::Replica;

#[derive(Debug, Default)]
pub(super) struct Expiry {
    /// When this node may append such an entry again.
    next: Instant,
}

impl Replica {
    /// Appends an entry when a key is due and no other will bring the time.
    pub(super) fn expire_when_due(&mut self) {
        let Some(deadline) = self.awaited_deadline() else {
            return;
        };
        if self.now < self.expiry.next || self.clock.stamp() < deadline {
            return;
        }
        if self.append_own(Request::for_clock().body).is_some() {
            self.expiry.next = self.now + PAUSE;
        }
    }

    /// When to look whether a key is due.
    pub(super) fn expiry_deadline(&self) -> Option<Instant> {
        let deadline = self.awaited_deadline()?;
        Some(self.clock.earliest(deadline).max(self.expiry.next))
    }

    /// When the next key goes, if this node is to see to it: what is being written brings the time itself.
    fn awaited_deadline(&self) -> Option<Stamp> {
        let may = self.level() >= Level::EXPIRY
            && self.node.log().last_position().index == self.applied.index()
            && !self.durability.is_in_flight()
            && self.has_committed_in_term()
            && self.space.is_plenty()
            && !self.is_handing_over();
        may.then(|| self.applied.machine().next_deadline())?
    }
}

/// Ten a second: what a thousand keys an entry make of it is more than most write.
const PAUSE: Duration = Duration::from_millis(100);

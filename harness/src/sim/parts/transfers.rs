//! Which transfers of leadership were asked for, and what is not answered yet.
//!
//! Invariant: a request of ours has a number that no client's has.

use std::collections::BTreeMap;

use noraftd::replica::event::RequestId;

/// What was asked for.
#[derive(Debug, Default)]
pub(crate) struct Transfers {
    asked: u64,
    open: BTreeMap<u64, Asked>,
}

/// A transfer that a fault asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) lane: usize,
    /// The decision of the lane.
    pub(crate) decision: u64,
    /// The node that was asked stops as soon as it is answered.
    pub(crate) leaves: bool,
}

impl Transfers {
    pub(crate) fn ask(&mut self, asked: Asked) -> RequestId {
        self.asked += 1;
        self.open.insert(self.asked, asked);
        RequestId(TRANSFER | self.asked)
    }

    pub(crate) fn answered(&mut self, id: RequestId) -> Option<Asked> {
        self.open.remove(&(id.0 & !TRANSFER))
    }
}

/// True when a request is one of ours, and no client's.
pub(crate) fn is_transfer(id: RequestId) -> bool {
    id.0 & KINDS == TRANSFER
}

/// Marks the requests that are no client's.
const TRANSFER: u64 = 1 << 59;
/// All marks of requests, of which each has one.
const KINDS: u64 = 0x1f << 59;

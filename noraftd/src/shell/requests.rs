//! Which client waits for which request.
//!
//! Invariant: a [`RequestId`] is never used twice while the process lives: its low bits name a slot, its
//! high bits count how often the slot was used. So a late answer finds no waiter, and never the
//! wrong one.

use std::rc::Rc;

use tokio::sync::oneshot;

use super::connection::Connection;
use crate::protocol::command::Class;
use crate::protocol::outcome::Outcome;
use crate::replica::event::RequestId;
use crate::time::Instant;

/// Requests of all clients of this node under way at once; more are refused (they would only wait).
pub(super) const REQUESTS_MAX: usize = 65_536;

/// Bytes of all requests under way at once: what clients can make this node hold before it refuses.
pub(super) const REQUEST_BYTES_MAX: usize = 256 << 20;

/// A request that waits for its answer.
#[derive(Debug)]
pub(super) struct Waiter {
    /// Where the answer goes.
    pub(super) asker: Asker,
    /// The request's class.
    pub(super) class: Class,
    /// The request's size.
    pub(super) bytes: usize,
    /// The command's name.
    pub(super) command: &'static str,
    /// When the whole of it was here.
    pub(super) since: Instant,
}

/// What waits for an answer.
#[derive(Debug)]
pub(super) enum Asker {
    /// A client: its connection, and the request's number there.
    Client(Rc<Connection>, u64),
    /// A task that goes on with it.
    Task(oneshot::Sender<Outcome>),
}

/// The requests under way.
#[derive(Debug, Default)]
pub(super) struct Requests {
    slots: Vec<Slot>,
    free: Vec<u32>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Slot {
    uses: u64,
    waiter: Option<Waiter>,
}

impl Requests {
    /// How many are under way.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Names a new request, or gives the waiter back when too much is under way.
    pub(super) fn insert(&mut self, waiter: Waiter) -> Result<RequestId, Waiter> {
        if self.len() >= REQUESTS_MAX || (self.bytes > 0 && self.bytes + waiter.bytes > REQUEST_BYTES_MAX) {
            return Err(waiter);
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("there are at most REQUESTS_MAX slots")
        });
        let slot = self.slots.get_mut(index as usize).expect("a free slot exists");
        slot.uses += 1;
        self.bytes += waiter.bytes;
        slot.waiter = Some(waiter);
        Ok(RequestId(slot.uses << SLOT_BITS | u64::from(index)))
    }

    /// Takes out what waits for `id`; `None` when it was answered before.
    pub(super) fn remove(&mut self, id: RequestId) -> Option<Waiter> {
        let index = u32::try_from(id.0 & SLOT_MASK).expect("a masked number is small");
        let slot = self.slots.get_mut(index as usize)?;
        if slot.uses != id.0 >> SLOT_BITS {
            return None;
        }
        let waiter = slot.waiter.take()?;
        self.bytes -= waiter.bytes;
        self.free.push(index);
        Some(waiter)
    }

    /// Takes out all that wait.
    pub(super) fn remove_all(&mut self) -> Vec<Waiter> {
        let ids = self
            .slots
            .iter()
            .zip(0..)
            .filter(|(slot, _)| slot.waiter.is_some());
        let ids: Vec<_> = ids
            .map(|(slot, index)| RequestId(slot.uses << SLOT_BITS | index))
            .collect();
        ids.into_iter().filter_map(|id| self.remove(id)).collect()
    }
}

/// Enough for [`REQUESTS_MAX`] slots; the rest of the 64 bits count uses, which no process exhausts.
const SLOT_BITS: u32 = 20;
const SLOT_MASK: u64 = (1 << SLOT_BITS) - 1;
const _: () = assert!(REQUESTS_MAX <= 1 << SLOT_BITS);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn waiter(sequence: u64) -> Waiter {
        Waiter {
            asker: Asker::Client(Connection::detached(), sequence),
            class: Class::Write,
            bytes: 10,
            command: "set",
            since: Instant::ZERO,
        }
    }

    #[test]
    fn an_id_is_never_used_twice() {
        let mut requests = Requests::default();
        let mut seen = BTreeSet::new();
        for round in 0..100 {
            let ids: Vec<_> = (0..5)
                .map(|n| requests.insert(waiter(n)).expect("room"))
                .collect();
            assert!(ids.iter().all(|id| seen.insert(*id)), "round {round}");
            for (id, n) in ids.iter().zip(0..) {
                let asker = requests.remove(*id).map(|waiter| waiter.asker);
                assert!(matches!(asker, Some(Asker::Client(_, sequence)) if sequence == n));
                assert!(requests.remove(*id).is_none(), "a late answer finds no waiter");
            }
        }
        assert_eq!((requests.len(), requests.bytes), (0, 0));
    }

    #[test]
    fn too_many_requests_are_given_back() {
        let mut requests = Requests::default();
        let ids: Vec<_> = (0..REQUESTS_MAX as u64)
            .map(|n| requests.insert(waiter(n)).expect("room"))
            .collect();
        assert!(requests.insert(waiter(0)).is_err());
        requests.remove(ids[7]).expect("under way");
        assert!(requests.insert(waiter(0)).is_ok());
        assert_eq!(requests.remove_all().len(), REQUESTS_MAX);
    }

    #[test]
    fn too_many_bytes_are_given_back_but_one_large_request_passes() {
        let mut requests = Requests::default();
        let large = || Waiter {
            bytes: REQUEST_BYTES_MAX + 1,
            ..waiter(0)
        };
        let id = requests.insert(large()).expect("alone");
        assert!(requests.insert(waiter(1)).is_err());
        requests.remove(id).expect("under way");
        assert!(requests.insert(waiter(1)).is_ok());
        assert!(requests.insert(large()).is_err());
    }
}

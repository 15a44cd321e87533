//! What happens next: events by virtual time, and in the order of scheduling where times are equal.
//!
//! Invariant: time never runs backwards, and no two events share a key; so the order is a function of what
//! was scheduled, and of nothing else.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use noraft::{LogIndex, LogPosition};
use noraftd::protocol::command::Request;
use noraftd::protocol::peer::PeerMessage;
use noraftd::protocol::resp::Reply;

/// Something that happens at its time.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message arrives at the end of a link, unless the connection it was sent on is gone.
    Deliver {
        link: usize,
        epoch: u64,
        message: Box<PeerMessage>,
    },
    /// A frame arrives with flipped bits.
    Garbled { link: usize, epoch: u64 },
    /// A link's connection is made.
    Connect { link: usize, epoch: u64 },
    /// A node learns that its connection to another one has ended.
    Disconnect { node: usize, life: u64, peer: usize },
    /// A node gets around to what has arrived.
    Round { node: usize, life: u64 },
    /// A node's own deadline may have come.
    Wake { node: usize, life: u64, at: u64 },
    /// A node's disk has done what it was asked.
    DiskDone { node: usize, life: u64 },
    /// A full disk is tried again.
    DiskRetry { node: usize, life: u64 },
    /// A node's disk has read what it was asked.
    FetchDone {
        node: usize,
        life: u64,
        from: LogIndex,
        to: LogIndex,
        bytes_max: usize,
    },
    /// A node's disk has read a part of a snapshot.
    SnapshotRead {
        node: usize,
        life: u64,
        position: LogPosition,
        offset: u64,
        bytes_max: usize,
    },
    /// A node may have written nothing for a while.
    Idle { node: usize, life: u64 },
    /// A node reads a part of its log again.
    Scrub { node: usize, life: u64 },
    /// A process is started.
    Start { node: usize, attempt: u64 },
    /// A client begins its next operation.
    Next { client: usize, turn: u64 },
    /// A client's request arrives at its node.
    Request { client: usize, turn: u64, life: u64 },
    /// A reply arrives at the client.
    Answer {
        client: usize,
        turn: u64,
        reply: Box<Reply>,
    },
    /// The client's connection breaks.
    Lost { client: usize, turn: u64 },
    /// The client may have waited long enough.
    GiveUp { client: usize },
    /// A client that does not wait for answers sends its next requests.
    Burst { pipeline: usize },
    /// They arrive at the node.
    Pipelined {
        node: usize,
        life: u64,
        connection: u64,
        requests: Vec<(u64, Request)>,
    },
    /// A lane of the nemesis begins its next fault.
    Begin { lane: usize },
    /// A lane's fault ends.
    End { lane: usize, decision: u64 },
    /// Links that flap change.
    Flip { lane: usize, decision: u64 },
    /// A leader is cut off as it rises, or heard again.
    Coup { node: usize, begins: bool },
    /// States are compared.
    Compare,
    /// The disturbed part of the run is over.
    Calm,
    /// The end of the run is looked at again.
    Settle,
}

/// Events to come.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// When the last event that was taken happens, in virtual nanoseconds since the run began.
    now: u64,
    heap: BinaryHeap<Reverse<(u64, u64, usize)>>,
    /// The events of the heap's entries; free places are reused.
    events: Vec<Option<Event>>,
    free: Vec<usize>,
    scheduled: u64,
}

impl Queue {
    /// Virtual nanoseconds since the run began.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// Lets `event` happen at `at`.
    pub(crate) fn push(&mut self, at: u64, event: Event) {
        let place = match self.free.pop() {
            Some(place) => {
                self.events[place] = Some(event);
                place
            }
            None => {
                self.events.push(Some(event));
                self.events.len() - 1
            }
        };
        self.heap.push(Reverse((at, self.scheduled, place)));
        self.scheduled += 1;
    }

    /// The next event; it is its time now.
    pub(crate) fn pop(&mut self) -> Option<Event> {
        let Reverse((at, _, place)) = self.heap.pop()?;
        self.free.push(place);
        debug_assert!(self.now <= at, "time runs backwards");
        self.now = at;
        Some(self.events[place].take().expect("a place in the heap is filled"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_in_order_of_scheduling() {
        let mut queue = Queue::default();
        for (at, node) in [(5, 1), (3, 2), (5, 3), (3, 4)] {
            queue.push(at, Event::Round { node, life: 0 });
        }
        let mut order = Vec::new();
        while let Some(event) = queue.pop() {
            match event {
                Event::Round { node, .. } => order.push((queue.now(), node)),
                other => panic!("{other:?} was never scheduled"),
            }
        }
        assert_eq!(order, [(3, 2), (3, 4), (5, 1), (5, 3)]);
    }
}

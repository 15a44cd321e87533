//! What happens next: events by virtual time, and in the order of scheduling where times are equal.
//!
//! Invariant: time never runs backwards, and no two events share a key; so the order is a function of what
//! was scheduled, and of nothing else.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::event::Event;

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

    /// Lets `event` happen in `delay` nanoseconds.
    pub(crate) fn after(&mut self, delay: u64, event: Event) {
        self.push(self.now + delay, event);
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
    use crate::sim::parts::event::NodeEvent;

    #[test]
    fn events_come_by_time_and_then_in_order_of_scheduling() {
        let mut queue = Queue::default();
        for (at, node) in [(5, 1), (3, 2), (5, 3), (3, 4)] {
            queue.push(at, Event::node(node, 0, NodeEvent::Round));
        }
        let mut order = Vec::new();
        while let Some(event) = queue.pop() {
            match event {
                Event::Node { node, .. } => order.push((queue.now(), node)),
                other => panic!("{other:?} was never scheduled"),
            }
        }
        assert_eq!(order, [(3, 2), (3, 4), (5, 1), (5, 3)]);
    }
}

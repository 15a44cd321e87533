//! Clients of `READONLY`: they read what their nodes have, and each of them says how old that may be.
//!
//! Invariant: what each is answered is a state that has everything which was committed before the bound that it asked for, counted
//! by its node's own clock back from the arrival of the read, and that is no earlier than what its connection saw before. Answers
//! are looked at in the order of their requests.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use noraftd::prng::Prng;
use noraftd::protocol::outcome::Outcome;
use noraftd::protocol::resp::Reply;
use noraftd::replica::event::RequestId;

use crate::plan::Plan;

/// All of them.
#[derive(Debug)]
pub(crate) struct StaleReaders {
    pub(crate) list: Vec<StaleReader>,
    connections: u64,
    /// Answers that were looked at.
    pub(crate) reads: u64,
    /// Those of a state that was older than what was committed when the read came.
    pub(crate) old: u64,
}

/// One client.
#[derive(Debug)]
pub(crate) struct StaleReader {
    pub(crate) node: usize,
    /// The process of the node that it is connected to.
    pub(crate) life: Option<u64>,
    pub(crate) connection: u64,
    /// How old what it reads may be.
    pub(crate) staleness_max: Option<Duration>,
    pub(crate) prng: Prng,
    /// The number of the first request in `asked`.
    first: u64,
    pub(crate) asked: VecDeque<StaleRead>,
    /// The earliest index whose state, and states before it, explain what the connection saw.
    seen: u64,
}

/// A read without an answer that was looked at.
#[derive(Debug)]
pub(crate) struct StaleRead {
    body: Bytes,
    /// What the answer has to have, and what was committed when it came, as indexes.
    floor: u64,
    since: u64,
    outcome: Option<Outcome>,
}

/// An answer that is to be looked at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) body: Bytes,
    pub(crate) reply: Reply,
    /// Of no earlier index.
    pub(crate) from: u64,
    since: u64,
}

impl StaleReaders {
    pub(crate) fn new(plan: &Plan, prng: &Prng) -> Self {
        let list = (0..plan.clients.stale as u64).map(|slot| StaleReader {
            node: 0,
            life: None,
            connection: 0,
            staleness_max: None,
            prng: prng.fork(slot),
            first: 0,
            asked: VecDeque::new(),
            seen: 0,
        });
        Self {
            list: list.collect(),
            connections: 0,
            reads: 0,
            old: 0,
        }
    }

    pub(crate) fn are_there(&self) -> bool {
        !self.list.is_empty()
    }

    /// The client takes another connection, to a node of `nodes`, with a bound of its own.
    pub(crate) fn reconnect(&mut self, at: usize, nodes: u64) {
        self.connections += 1;
        let reader = &mut self.list[at];
        reader.first += reader.asked.len() as u64;
        reader.asked.clear();
        reader.seen = 0;
        reader.connection = CONNECTIONS | self.connections;
        reader.node = reader.prng.below(nodes) as usize;
        let bounds = [None, Some(1), Some(30), Some(300), Some(1000), Some(5000)];
        let bound = reader.prng.choose(&bounds).copied().flatten();
        reader.staleness_max = bound.map(|most| Duration::from_millis(reader.prng.between(0, most)));
    }

    /// An answer was looked at: it is the state of this index.
    pub(crate) fn looked_at(&mut self, at: usize, seen: &Seen, index: u64) {
        self.list[at].seen = index;
        self.reads += 1;
        self.old += u64::from(index < seen.since);
    }
}

impl StaleReader {
    /// Notes a read that is on its way; gives its name.
    pub(crate) fn note(&mut self, at: usize, body: Bytes) -> u64 {
        let number = self.first + self.asked.len() as u64;
        self.asked.push_back(StaleRead {
            body,
            floor: 0,
            since: 0,
            outcome: None,
        });
        STALE | (at as u64) << NUMBER_BITS | number
    }

    fn of(&mut self, number: u64) -> Option<&mut StaleRead> {
        let place = number.checked_sub(self.first)?;
        self.asked.get_mut(place as usize)
    }

    /// A read comes to its node: the answer has to have what is at `floor`, and `since` is committed.
    pub(crate) fn came(&mut self, number: u64, (floor, since): (u64, u64)) {
        if let Some(read) = self.of(number) {
            (read.floor, read.since) = (floor, since);
        }
    }

    pub(crate) fn answered(&mut self, number: u64, outcome: Outcome) {
        if let Some(read) = self.of(number) {
            read.outcome = Some(outcome);
        }
    }

    /// The next answer whose turn has come.
    pub(crate) fn next_answer(&mut self) -> Option<Seen> {
        while self.asked.front()?.outcome.is_some() {
            let read = self.asked.pop_front()?;
            self.first += 1;
            if let Some(Outcome::Done(reply)) = read.outcome {
                return Some(Seen {
                    body: read.body,
                    reply,
                    from: read.floor.max(self.seen),
                    since: read.since,
                });
            }
        }
        None
    }
}

/// The client and the number of the request, when it is one of ours.
pub(crate) fn stale_read(id: RequestId) -> Option<(usize, u64)> {
    let is_ours = id.0 & STALE != 0;
    is_ours.then_some((((id.0 & !STALE) >> NUMBER_BITS) as usize, id.0 & NUMBER_MASK))
}

/// Distinguishes these requests from those of clients; others with this bit have one above it, too.
const STALE: u64 = 1 << 58;
/// Distinguishes these connections from others.
const CONNECTIONS: u64 = 1 << 58;
/// A [`RequestId`] names a client and the number of its request.
const NUMBER_BITS: u32 = 40;
const NUMBER_MASK: u64 = (1 << NUMBER_BITS) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_looked_at_in_the_order_of_their_requests() {
        let mut reader = StaleReader {
            node: 0,
            life: None,
            connection: 1,
            staleness_max: None,
            prng: Prng::new(1),
            first: 7,
            asked: VecDeque::new(),
            seen: 5,
        };
        let names: Vec<_> = (0..3).map(|_| reader.note(2, Bytes::new())).collect();
        let numbers: Vec<_> = names.iter().map(|id| stale_read(RequestId(*id))).collect();
        assert_eq!(numbers, [Some((2, 7)), Some((2, 8)), Some((2, 9))]);
        (7..10).for_each(|number| reader.came(number, (number, 20)));
        reader.answered(9, Outcome::Done(Reply::Null));
        assert_eq!(reader.next_answer(), None, "two are before it");
        reader.answered(
            8,
            Outcome::Refused(noraftd::protocol::outcome::Refusal::ReadTimeout),
        );
        reader.answered(7, Outcome::Done(Reply::Null));
        let from = |reader: &mut StaleReader| reader.next_answer().map(|seen| seen.from);
        assert_eq!(from(&mut reader), Some(7));
        reader.seen = 11;
        assert_eq!(from(&mut reader), Some(11), "what was seen is not seen again");
        assert_eq!(from(&mut reader), None);
    }
}

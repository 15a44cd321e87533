//! Reads that need not be current: from this node's own state, as old as the client allows.
//!
//! How old a state is, is the time since this node sent the newest question for the index, or began the newest round, whose index it
//! has applied, by its own monotonic clock: whatever was acknowledged before that is in the state. What a leader says by itself
//! proves nothing of the kind, for it may have been on its way for long. Before the first answer the age has no limit.
//! A read for which the state is too old asks as any other does, and its answer makes the state young again.
//!
//! Invariant: the reads of one connection that come here are answered from states that do not go back: all of them by this node, and
//! none while an earlier one waits.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use noraft::LogIndex;

use crate::protocol::command::Request;
use crate::protocol::outcome::Outcome;
use crate::time::Instant;

use super::Replica;
use super::event::{ConnectionId, RequestId};
use super::pending::Origin;
use super::queue::pop_front_when;

/// Answers that wait for the state to get so far; of more, the newest replaces the one before it.
const COMING_MAX: usize = 64;

/// How young this node's state is known to be, and which reads wait for it to be younger.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    /// Indexes that the leader named and that are not applied, with the instants at which it was asked; both rise.
    coming: VecDeque<(LogIndex, Instant)>,
    /// When the newest question was sent whose index is applied.
    since: Option<Instant>,
    /// Reads that were not answered at once.
    open: BTreeMap<RequestId, ConnectionId>,
    /// How many of them each connection has.
    waiting: BTreeMap<ConnectionId, usize>,
}

impl Freshness {
    /// The state at `index` has everything that was acknowledged before `asked`.
    pub(super) fn note(&mut self, index: LogIndex, asked: Instant) {
        if self.coming.len() == COMING_MAX {
            self.coming.pop_back();
        }
        self.coming.push_back((index, asked));
    }

    /// The state is at `applied`.
    pub(super) fn reach(&mut self, applied: LogIndex) {
        while let Some((_, asked)) = pop_front_when(&mut self.coming, |(index, _)| *index <= applied) {
            self.since = self.since.max(Some(asked));
        }
    }

    fn begin(&mut self, id: RequestId, connection: ConnectionId) {
        self.open.insert(id, connection);
        *self.waiting.entry(connection).or_default() += 1;
    }

    /// A request is answered.
    pub(super) fn over(&mut self, id: RequestId) {
        if let Some(connection) = self.open.remove(&id)
            && let Some(count) = self.waiting.get_mut(&connection)
        {
            *count -= 1;
            if *count == 0 {
                self.waiting.remove(&connection);
            }
        }
    }
}

impl Replica {
    /// How old this node's state is at `now`: everything that any node had acknowledged so long before is in it. `None` while
    /// nothing is known of that.
    pub fn staleness(&self, now: Instant) -> Option<Duration> {
        self.freshness.since.map(|since| now.saturating_since(since))
    }

    /// Answers a read from this node's own state, now if that is young enough, and nothing of its connection is on its way.
    pub(super) fn accept_stale_read(
        &mut self,
        id: RequestId,
        connection: ConnectionId,
        request: Request,
        staleness_max: Option<Duration>,
    ) {
        let is_within = |max| self.staleness(self.now).is_some_and(|age| age <= max);
        let is_first = !self.freshness.waiting.contains_key(&connection) && self.is_quiet(connection);
        if self.serves() && is_first && staleness_max.is_none_or(is_within) {
            let reply = self.applied.machine().query_drawing(&request.body, id.0);
            return self.answer(Origin::Client(id), Outcome::Done(reply));
        }
        self.freshness.begin(id, connection);
        self.accept_read_here(id, connection, request);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn age_is_counted_from_the_newest_question_whose_index_is_applied() {
        let mut freshness = Freshness::default();
        freshness.reach(LogIndex::new(9));
        assert_eq!(freshness.since, None, "what came unasked proves nothing");
        freshness.note(LogIndex::new(10), at(5));
        freshness.note(LogIndex::new(12), at(7));
        freshness.reach(LogIndex::new(9));
        assert_eq!(freshness.since, None);
        freshness.reach(LogIndex::new(11));
        assert_eq!(freshness.since, Some(at(5)));
        freshness.reach(LogIndex::new(12));
        assert_eq!(freshness.since, Some(at(7)));
    }

    #[test]
    fn a_state_that_gets_nowhere_costs_no_more_than_so_many_answers() {
        let mut freshness = Freshness::default();
        for n in 1..=1000 {
            freshness.note(LogIndex::new(n), at(n));
        }
        assert_eq!(freshness.coming.len(), COMING_MAX);
        freshness.reach(LogIndex::new(2));
        assert_eq!(freshness.since, Some(at(2)));
        freshness.reach(LogIndex::new(1000));
        assert_eq!(freshness.since, Some(at(1000)), "the newest is kept");
    }

    #[test]
    fn a_connection_waits_until_all_its_reads_are_answered() {
        let (mut freshness, connection) = (Freshness::default(), ConnectionId(3));
        freshness.begin(RequestId(1), connection);
        freshness.begin(RequestId(2), connection);
        freshness.over(RequestId(1));
        freshness.over(RequestId(1));
        assert!(freshness.waiting.contains_key(&connection));
        freshness.over(RequestId(2));
        assert!(freshness.waiting.is_empty() && freshness.open.is_empty());
    }
}

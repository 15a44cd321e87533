//! A leader that hears no majority of its voters gives up its office (Raft thesis 6.2): its clients could wait for it without end,
//! and nothing else would make them go to the next leader.
//!
//! Invariant: time is the leader's own, so a clock that runs fast, jumps, or rests while the process is paused excuses nothing;
//! and whatever arrives counts as heard. Not looked at while the disk works, for giving up the office is a write too.

use std::time::Duration;

use noraft::{Node, NodeId};
use noraftd::time::Instant;

use crate::recording::hash::FastMap;
use crate::sim::parts::rule::{Checked, Rule, ensure};

/// When each node heard each other one, by the clock of the one that heard.
#[derive(Debug, Default)]
pub(crate) struct Office {
    heard: FastMap<(u64, u64), Instant>,
    /// By node: the term that it leads, and since when it is in the configuration that it goes by now.
    since: FastMap<u64, (u64, usize, Instant)>,
    /// By node: since when it is seen without a majority. A process that was paused has to be given the time to notice.
    alone: FastMap<u64, Instant>,
}

impl Office {
    /// A message of `from` arrives at `to`.
    pub(crate) fn arrived(&mut self, from: NodeId, to: NodeId, now: Instant) {
        self.heard.insert((to.get(), from.get()), now);
    }

    /// A node was driven; elections take `timeout`.
    pub(crate) fn check(&mut self, node: &Node, now: Instant, timeout: Duration) -> Checked {
        let id = node.id().get();
        if !node.role().is_leader() {
            self.since.remove(&id);
            self.alone.remove(&id);
            return Ok(());
        }
        let (term, config) = (node.current_term().get(), node.config());
        let members = config.voters.len() + (config.new_voters.len() << 8);
        let since = self.since.entry(id).or_insert((term, members, now));
        if (since.0, since.1) != (term, members) {
            *since = (term, members, now);
        }
        let limit = timeout * (TIMEOUTS - 1);
        let is_new = now - since.2 <= limit;
        let heard = |other: &&NodeId| {
            let last = self.heard.get(&(id, other.get()));
            other.get() == id || last.is_some_and(|last| now - *last <= limit)
        };
        let has_majority = [&config.voters, &config.new_voters].into_iter().all(|voters| {
            let count = voters.iter().filter(heard).count();
            voters.is_empty() || count > voters.len() / 2
        });
        if is_new || has_majority {
            self.alone.remove(&id);
            return Ok(());
        }
        let alone = *self.alone.entry(id).or_insert(now);
        ensure(now - alone <= timeout, Rule::LeadsAMajority, || {
            format!(
                "n{id} still leads term {term}, and has not heard a majority of {:?} and {:?} for {TIMEOUTS} election timeouts",
                config.voters, config.new_voters
            )
        })
    }
}

/// A leader looks once in each timeout, and a message may have come just after it did; one more is for what is noticed late.
const TIMEOUTS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(100);

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    /// Node 1 of three has won the election of term 1.
    fn leader() -> Node {
        let ids = [1, 2, 3].map(NodeId::new);
        let mut node = Node::start(ids[0]);
        node.create_cluster(&ids);
        while !node.role().is_leader() {
            node.handle_election_timeout();
            let granted = noraft::Message::RequestVoteReply {
                from: ids[1],
                term: node.current_term(),
                vote_granted: true,
            };
            node.handle_message(&granted).expect("it is of this term");
        }
        node
    }

    #[test]
    fn a_leader_that_hears_no_other_is_noticed_after_three_timeouts() {
        let (leader, mut office) = (leader(), Office::default());
        for millis in [0, 201, 301] {
            assert!(office.check(&leader, at(millis), TIMEOUT).is_ok());
        }
        let broken = office.check(&leader, at(302), TIMEOUT).unwrap_err();
        assert_eq!(broken.rule, Rule::LeadsAMajority);
    }

    #[test]
    fn one_of_two_others_is_enough_as_long_as_it_is_heard() {
        let (leader, mut office) = (leader(), Office::default());
        office.arrived(NodeId::new(3), leader.id(), at(200));
        for millis in [0, 400, 401, 501] {
            assert!(office.check(&leader, at(millis), TIMEOUT).is_ok());
        }
        assert!(office.check(&leader, at(502), TIMEOUT).is_err());
    }
}

//! A leader that hears no majority of its voters gives up its office (Raft thesis 6.2): its clients could wait for it without end,
//! and nothing else would make them go to the next leader. So does one that hears a majority, but for long not over the connection
//! that carries entries: pulses alone commit nothing. And one whose disk does not answer keeps silent, so that another is elected.
//!
//! Invariant: time is the leader's own, so a clock that runs fast, jumps, or rests while the process is paused excuses nothing;
//! and whatever arrives counts as heard, over the connection that it came on. Not looked at while the disk works, for giving up the
//! office is a write too.

use std::time::Duration;

use noraft::{Node, NodeId};
use noraftd::protocol::peer::PeerMessage;
use noraftd::time::Instant;

use crate::recording::hash::FastMap;
use crate::sim::parts::rule::{Checked, Rule, ensure};

/// When each node heard each other one, by the clock of the one that heard.
#[derive(Debug, Default)]
pub(crate) struct Office {
    heard: FastMap<(u64, u64), Instant>,
    /// Those of which it was an answer to entries, or to a part of a snapshot.
    answered: FastMap<(u64, u64), Instant>,
    /// By node: the term that it leads, and since when it is in the configuration that it goes by now.
    since: FastMap<u64, (u64, usize, Instant)>,
    /// By node: since when it is seen without a majority. A process that was paused has to be given the time to notice.
    alone: FastMap<u64, Instant>,
}

impl Office {
    /// A message of `from` arrives at `to`.
    pub(crate) fn arrived(&mut self, from: NodeId, to: NodeId, now: Instant, message: &PeerMessage) {
        let key = (to.get(), from.get());
        self.heard.insert(key, now);
        if matches!(
            message,
            PeerMessage::Appended { .. } | PeerMessage::SnapshotReply { .. }
        ) {
            self.answered.insert(key, now);
        }
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
        let led_for = now - since.2;
        let lacks_majority = |last: &FastMap<(u64, u64), Instant>, timeouts: u32| {
            let limit = timeout * (timeouts - 1);
            let hears = |other: &&NodeId| {
                let last = last.get(&(id, other.get()));
                other.get() == id || last.is_some_and(|last| now - *last <= limit)
            };
            let mut sets = [&config.voters, &config.new_voters].into_iter();
            let has_majority = sets
                .all(|voters| voters.is_empty() || voters.iter().filter(hears).count() > voters.len() / 2);
            led_for > limit && !has_majority
        };
        let silent_for = [(&self.heard, TIMEOUTS), (&self.answered, TIMEOUTS_OF_ENTRIES)]
            .into_iter()
            .find(|(last, timeouts)| lacks_majority(last, *timeouts));
        let Some((_, timeouts)) = silent_for else {
            self.alone.remove(&id);
            return Ok(());
        };
        let alone = *self.alone.entry(id).or_insert(now);
        ensure(now - alone <= timeout, Rule::LeadsAMajority, || {
            let what = if timeouts == TIMEOUTS {
                ""
            } else {
                " over the connection of the log"
            };
            format!(
                "n{id} still leads term {term}, and has not heard a majority of {:?} and {:?}{what} for {timeouts} election timeouts",
                config.voters, config.new_voters
            )
        })
    }
}

/// A leader of which a batch of entries has been on its way to the disk for `writes_for` sends this. One whose disk has not answered
/// for an election timeout may be of no use any more: nothing that it says may keep the others from electing.
pub(crate) fn check_silence(
    leader: NodeId,
    message: &PeerMessage,
    writes_for: Option<Duration>,
    timeout: Duration,
) -> Checked {
    let keeps_in_office = matches!(message, PeerMessage::Append { .. } | PeerMessage::Pulse { .. });
    let is_stalled = writes_for.is_some_and(|time| time >= timeout);
    ensure(!(keeps_in_office && is_stalled), Rule::StalledIsSilent, || {
        format!(
            "n{} says that it leads, and a batch has been on its way to its disk for {:?}; elections take {timeout:?}",
            leader.get(),
            writes_for.unwrap_or_default()
        )
    })
}

/// A leader looks once in each timeout, and a message may have come just after it did; one more is for what is noticed late.
const TIMEOUTS: u32 = 3;
/// A batch of the largest entries takes a slow link its time, and its answer waits for as long again: a leader has patience for twenty.
const TIMEOUTS_OF_ENTRIES: u32 = 23;

#[cfg(test)]
mod tests {
    use noraft::Term;

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

    fn pulsed() -> PeerMessage {
        PeerMessage::Pulsed {
            term: Term::new(1),
            pulse: 1,
        }
    }

    #[test]
    fn pulses_keep_no_leader_in_office_that_no_entry_of_is_answered() {
        let (leader, mut office) = (leader(), Office::default());
        let mut looks = (0..=25).map(|hundreds| {
            office.arrived(NodeId::new(3), leader.id(), at(hundreds * 100), &pulsed());
            office.check(&leader, at(hundreds * 100), TIMEOUT)
        });
        assert!(looks.by_ref().take(25).all(|look| look.is_ok()));
        let broken = looks.next().unwrap().unwrap_err();
        assert!(
            broken.detail.contains("connection of the log"),
            "{}",
            broken.detail
        );
    }

    #[test]
    fn a_leader_whose_disk_does_not_answer_says_nothing_that_keeps_it_in_office() {
        let pulse = PeerMessage::Pulse {
            term: Term::new(1),
            pulse: 1,
            last_index: noraft::LogIndex::new(1),
        };
        let answer = pulsed();
        let check = |message, millis: u64| {
            let writes_for = Some(Duration::from_millis(millis));
            check_silence(NodeId::new(1), message, writes_for, TIMEOUT)
        };
        assert!(check(&pulse, 99).is_ok());
        assert!(check(&answer, 100).is_ok());
        assert_eq!(check(&pulse, 100).unwrap_err().rule, Rule::StalledIsSilent);
        assert!(check_silence(NodeId::new(1), &pulse, None, TIMEOUT).is_ok());
    }

    #[test]
    fn one_of_two_others_is_enough_as_long_as_it_is_heard() {
        let (leader, mut office) = (leader(), Office::default());
        office.arrived(NodeId::new(3), leader.id(), at(200), &pulsed());
        for millis in [0, 400, 401, 501] {
            assert!(office.check(&leader, at(millis), TIMEOUT).is_ok());
        }
        assert!(office.check(&leader, at(502), TIMEOUT).is_err());
    }
}

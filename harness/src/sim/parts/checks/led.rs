//! A majority that lacks nothing has a leader: who hears its leader does not campaign, and where no node leads, one does before long
//! (Raft 5.2).
//!
//! The end of a run does not show it, for there is time for many elections then.
//!
//! Invariant: whatever may hold an election up counts: a disk in trouble, a clock that runs at another rate, a node that forgot what it
//! had, a connection between two of the nodes that is cut; and so does any change of that.

use std::time::Duration;

use noraft::{Node, NodeId};
use noraftd::protocol::peer::PeerMessage;
use noraftd::time::Instant;

use crate::recording::hash::FastMap;
use crate::sim::parts::rule::{Checked, Rule, ensure};

/// What each node has heard of its leader, and which nodes could elect one.
#[derive(Debug, Default)]
pub(crate) struct Led {
    /// By node: what it heard last of a leader, and handled.
    heard: FastMap<u64, Heard>,
    /// By node: what has arrived since it was driven.
    arrived: FastMap<u64, Heard>,
    /// The nodes that lack nothing, and since when these are the ones, and none of them leads.
    able: Vec<(NodeId, u64)>,
    since: u64,
}

/// A leader, its term, and when it was heard, by the clock of the one that heard it.
type Heard = (NodeId, u64, Instant);

impl Led {
    /// A message of `from` arrives at `to`.
    pub(crate) fn arrived(&mut self, from: NodeId, to: NodeId, now: Instant, message: &PeerMessage) {
        let (PeerMessage::Append { term, .. } | PeerMessage::Pulse { term, .. }) = message else {
            return;
        };
        let (term, latest) = (term.get(), self.arrived.get(&to.get()));
        if latest.is_none_or(|(_, latest, _)| *latest <= term) {
            self.arrived.insert(to.get(), (from, term, now));
        }
    }

    /// `node` was driven: it has handled what had arrived, unless it `writes`, for then that waits for its disk.
    pub(crate) fn driven(&mut self, node: NodeId, writes: bool) {
        if let Some(heard) = self.arrived.remove(&node.get()).filter(|_| !writes) {
            self.heard.insert(node.get(), heard);
        }
    }

    /// The process of `node` is gone.
    pub(crate) fn ended(&mut self, node: NodeId) {
        self.heard.remove(&node.get());
        self.arrived.remove(&node.get());
    }

    /// `node` learns that its connection to `peer` has ended: it need not wait for it any longer.
    pub(crate) fn lost(&mut self, node: NodeId, peer: NodeId) {
        for known in [&mut self.heard, &mut self.arrived] {
            if known.get(&node.get()).is_some_and(|(leader, ..)| *leader == peer) {
                known.remove(&node.get());
            }
        }
    }

    /// A message leaves: it is no beginning of a campaign of a node that hears its leader.
    pub(crate) fn sent(
        &self,
        sender: &Node,
        now: Instant,
        timeout: Duration,
        message: &PeerMessage,
    ) -> Checked {
        let PeerMessage::PreVote { .. } = message else {
            return Ok(());
        };
        let Some((leader, term, heard)) = self.heard.get(&sender.id().get()) else {
            return Ok(());
        };
        let hears = *term == sender.current_term().get() && now - *heard < timeout;
        ensure(!hears, Rule::HearsItsLeader, || {
            format!(
                "n{} asks for pre-votes, and heard n{}, the leader of its term {term}, {:?} ago; elections take {timeout:?}",
                sender.id().get(),
                leader.get(),
                now - *heard
            )
        })
    }

    /// A node leads: a majority that waits for one has waited since now at most.
    pub(crate) fn is_led(&mut self, now: u64) {
        self.since = now;
    }

    /// Looks at the nodes that lack nothing, each with the number of its process; `is_led` when one of them leads, or they are not a
    /// majority of the voters that any of them goes by.
    pub(crate) fn look(
        &mut self,
        now: u64,
        timeout: Duration,
        able: Vec<(NodeId, u64)>,
        is_led: bool,
    ) -> Checked {
        if is_led || able != self.able {
            (self.able, self.since) = (able, now);
            return Ok(());
        }
        let limit = timeout * TIMEOUTS + GRACE;
        let waits = Duration::from_nanos(now - self.since);
        ensure(waits <= limit, Rule::HasALeader, || {
            let nodes: Vec<String> = self.able.iter().map(|(id, _)| format!("n{}", id.get())).collect();
            format!(
                "{} are a majority, lack nothing, and have had no leader for {waits:?}; elections take {timeout:?}",
                nodes.join(", ")
            )
        })
    }
}

/// Two or three are what an election takes; some are lost to others that campaign at the same time, and to lost messages.
const TIMEOUTS: u32 = 20;
/// For what takes its time however short the election timeouts are: slow syncs, a connection that is made again.
const GRACE: Duration = Duration::from_millis(800);

#[cfg(test)]
mod tests {
    use noraft::{LogIndex, Term};

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(100);
    const IDS: [NodeId; 2] = [NodeId::new(1), NodeId::new(2)];

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    fn pulse(term: u64) -> PeerMessage {
        PeerMessage::Pulse {
            term: Term::new(term),
            pulse: 1,
            last_index: LogIndex::new(1),
        }
    }

    fn pre_vote() -> PeerMessage {
        PeerMessage::PreVote {
            term: Term::new(1),
            last_position: noraft::LogPosition::ZERO,
            canvass: 1,
            abstain: noraftd::record::Abstain::No,
        }
    }

    #[test]
    fn who_hears_the_leader_of_its_term_does_not_campaign() {
        let node = Node::start(IDS[0]);
        let mut led = Led::default();
        let asks = |led: &Led, millis| led.sent(&node, at(millis), TIMEOUT, &pre_vote());
        assert!(asks(&led, 0).is_ok());
        led.arrived(IDS[1], IDS[0], at(10), &pulse(0));
        assert!(asks(&led, 20).is_ok(), "it has not handled it yet");
        led.driven(IDS[0], false);
        assert_eq!(asks(&led, 109).unwrap_err().rule, Rule::HearsItsLeader);
        assert!(asks(&led, 110).is_ok());
        led.lost(IDS[0], IDS[1]);
        assert!(asks(&led, 20).is_ok(), "the connection is gone");
        led.arrived(IDS[1], IDS[0], at(10), &pulse(3));
        led.driven(IDS[0], false);
        assert!(asks(&led, 20).is_ok(), "it leads another term");
        led.arrived(IDS[1], IDS[0], at(10), &pulse(0));
        led.driven(IDS[0], true);
        assert!(asks(&led, 20).is_ok(), "that waits for the disk");
        led.arrived(IDS[1], IDS[0], at(10), &pulse(0));
        led.lost(IDS[0], IDS[1]);
        led.driven(IDS[0], false);
        assert!(asks(&led, 20).is_ok(), "it handles both at once");
    }

    #[test]
    fn a_majority_that_lacks_nothing_has_a_leader_before_long() {
        let mut led = Led::default();
        let able = vec![(IDS[0], 1), (IDS[1], 1)];
        let mut look = |millis: u64, able: &[(NodeId, u64)], is_led| {
            led.look(millis * 1_000_000, TIMEOUT, able.to_vec(), is_led)
        };
        assert!(look(0, &able, false).is_ok() && look(2800, &able, false).is_ok());
        assert_eq!(look(2801, &able, false).unwrap_err().rule, Rule::HasALeader);
        assert!(look(2802, &able, true).is_ok() && look(5000, &able, false).is_ok());
        led.is_led(6_000_000_000);
        let mut look = |millis: u64, able: &[(NodeId, u64)], is_led| {
            led.look(millis * 1_000_000, TIMEOUT, able.to_vec(), is_led)
        };
        assert!(look(8800, &able, false).is_ok(), "one led in between");
        assert!(look(8801, &able, false).is_err());
        let other = [(IDS[0], 1), (IDS[1], 2)];
        assert!(look(9000, &other, false).is_ok(), "one of them began again");
    }
}

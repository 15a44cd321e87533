//! What is sent is kept: while a snapshot is on its way to a follower, its sender's log does not begin later, for that removes the
//! snapshot, and the follower has to begin again with another one.
//!
//! A cluster that takes snapshots faster than it sends them would never bring a follower back.
//!
//! Invariant: only a transfer that its sender certainly has is looked at: the same term, a receiver that has been a peer all the time,
//! progress within fifteen election timeouts, and no part that could not be read.

use std::collections::BTreeMap;
use std::time::Duration;

use noraft::{Node, NodeId};
use noraftd::protocol::peer::PeerMessage;

use crate::sim::parts::rule::{Checked, Rule, ensure};

/// Snapshots on their way, by sender and receiver.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    transfers: BTreeMap<(u64, u64), Transfer>,
}

#[derive(Debug, Clone, Copy)]
struct Transfer {
    term: u64,
    /// The entry that the snapshot is of.
    index: u64,
    bytes: u64,
    offset: u64,
    /// When a part left that had not left before.
    progressed: u64,
}

impl Sending {
    /// A message leaves.
    pub(crate) fn sent(&mut self, now: u64, from: NodeId, to: NodeId, message: &PeerMessage) {
        let PeerMessage::SnapshotChunk {
            term,
            snapshot,
            offset,
            ..
        } = message
        else {
            return;
        };
        let mut transfer = Transfer {
            term: term.get(),
            index: snapshot.position.index.get(),
            bytes: snapshot.bytes,
            offset: *offset,
            progressed: now,
        };
        let before = self.transfers.get(&(from.get(), to.get()));
        let same = before.filter(|before| (before.term, before.index) == (transfer.term, transfer.index));
        if let Some(before) = same.filter(|before| before.offset >= transfer.offset) {
            transfer.progressed = before.progressed;
        }
        self.transfers.insert((from.get(), to.get()), transfer);
    }

    /// A message of `from` arrives at `to`.
    pub(crate) fn arrived(&mut self, from: NodeId, to: NodeId, message: &PeerMessage) {
        let PeerMessage::SnapshotReply { next, .. } = message else {
            return;
        };
        let link = (to.get(), from.get());
        if self
            .transfers
            .get(&link)
            .is_some_and(|transfer| *next >= transfer.bytes)
        {
            self.transfers.remove(&link);
        }
    }

    /// The process of `node` is gone, or a snapshot of it could not be read.
    pub(crate) fn forget(&mut self, node: NodeId) {
        self.transfers.retain(|(from, _), _| *from != node.get());
    }

    /// A node was driven.
    pub(crate) fn check(&mut self, now: u64, timeout: Duration, node: &Node) -> Checked {
        if self.transfers.is_empty() || !node.role().is_leader() {
            return Ok(());
        }
        // A node that is removed and added again gets another one.
        let is_peer = |to: u64| node.peers().any(|peer| peer.get() == to);
        self.transfers
            .retain(|(from, to), _| *from != node.id().get() || is_peer(*to));
        let base = node.log().snapshot_position().index.get();
        let recent = u64::try_from((timeout * TIMEOUTS).as_nanos()).unwrap_or(u64::MAX);
        let lost = self.transfers.iter().find(|((from, _), transfer)| {
            *from == node.id().get()
                && transfer.term == node.current_term().get()
                && transfer.index < base
                && now - transfer.progressed < recent
        });
        ensure(lost.is_none(), Rule::SentIsKept, || {
            let said = lost.map(|((from, to), transfer)| {
                format!(
                    "the log of n{from} begins after entry {base} now, and its snapshot of entry {} is on its way to n{to}",
                    transfer.index
                )
            });
            said.unwrap_or_default()
        })
    }
}

/// A sender gives up after twenty without progress.
const TIMEOUTS: u32 = 15;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use noraft::{Log, LogEntries, LogIndex, LogPosition, NodeGeneration, Term};
    use noraftd::record::{SnapshotId, genesis_config};

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(100);
    const IDS: [NodeId; 2] = [NodeId::new(1), NodeId::new(2)];
    const MILLI: u64 = 1_000_000;

    fn position(index: u64) -> LogPosition {
        LogPosition::new(Term::new(1), LogIndex::new(index))
    }

    /// A leader of itself and another node, whose log begins after the entry `base`.
    fn leader(base: u64) -> Node {
        let config = genesis_config(IDS);
        let log = Log::new(config, LogEntries::new(position(base)));
        let mut node = Node::restart(IDS[0], NodeGeneration::new(0), Term::new(1), None, log);
        while !node.role().is_leader() {
            node.handle_election_timeout();
            let granted = noraft::Message::RequestVoteReply {
                from: IDS[1],
                term: node.current_term(),
                vote_granted: true,
            };
            node.handle_message(&granted).expect("it is of this term");
        }
        node
    }

    fn part(term: Term, index: u64, offset: u64) -> PeerMessage {
        PeerMessage::SnapshotChunk {
            term,
            snapshot: SnapshotId {
                position: position(index),
                bytes: 100,
                hash: 0,
            },
            chain: None,
            offset,
            bytes: Bytes::new(),
        }
    }

    fn reply(term: Term, next: u64) -> PeerMessage {
        PeerMessage::SnapshotReply {
            term,
            position: position(2),
            next,
        }
    }

    #[test]
    fn a_log_does_not_begin_later_while_an_older_snapshot_is_on_its_way() {
        let node = leader(3);
        let term = node.current_term();
        let check = |sending: &mut Sending, millis: u64| sending.check(millis * MILLI, TIMEOUT, &node);
        let mut sending = Sending::default();
        assert!(check(&mut sending, 0).is_ok());
        sending.sent(0, IDS[0], IDS[1], &part(term, 3, 0));
        assert!(check(&mut sending, 1).is_ok(), "it is kept");
        sending.sent(0, IDS[0], IDS[1], &part(term, 2, 0));
        assert_eq!(check(&mut sending, 1499).unwrap_err().rule, Rule::SentIsKept);
        assert!(check(&mut sending, 1500).is_ok(), "given up, perhaps");
        sending.sent(1000 * MILLI, IDS[0], IDS[1], &part(term, 2, 0));
        assert!(check(&mut sending, 1500).is_ok(), "the same part is no progress");
        sending.sent(1000 * MILLI, IDS[0], IDS[1], &part(term, 2, 50));
        assert!(check(&mut sending, 1500).is_err());
        sending.arrived(IDS[1], IDS[0], &reply(term, 99));
        assert!(check(&mut sending, 1500).is_err());
        sending.arrived(IDS[1], IDS[0], &reply(term, 100));
        assert!(check(&mut sending, 1500).is_ok(), "it is whole");
        sending.sent(1000 * MILLI, IDS[0], IDS[1], &part(Term::new(99), 2, 0));
        assert!(check(&mut sending, 1001).is_ok(), "another term");
        sending.sent(1000 * MILLI, IDS[0], IDS[1], &part(term, 2, 0));
        assert!(check(&mut sending, 1001).is_err());
        sending.forget(IDS[0]);
        assert!(check(&mut sending, 1001).is_ok());
    }

    #[test]
    fn a_receiver_that_is_removed_and_added_again_gets_another_snapshot() {
        let mut node = leader(3);
        let learner = NodeId::new(3);
        let without = node.config().clone();
        let mut with = without.clone();
        with.non_voters.insert(learner);
        node.propose_config(with.clone());
        let mut sending = Sending::default();
        sending.sent(0, IDS[0], learner, &part(node.current_term(), 2, 0));
        assert!(sending.check(MILLI, TIMEOUT, &node).is_err());
        for (config, peers) in [(without, 1), (with, 2)] {
            node.propose_config(config);
            assert_eq!(node.peers().count(), peers);
            assert!(sending.check(2 * MILLI, TIMEOUT, &node).is_ok());
        }
    }
}

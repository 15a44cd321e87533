//! A node grants its vote, and the pre-vote, only to one whose log ends where its own does or later (Raft 5.4.1), and a leader
//! grants no pre-vote at all (thesis 9.6).
//!
//! What a wrong grant leads to needs a majority of them, and a log that is shorter in just the wrong place. The grant itself is
//! wrong at once.
//!
//! Invariant: a vote is compared with the log as it was when the node was asked for it, or when it gives it, whichever is shorter:
//! between the two the log may change.

use std::collections::BTreeMap;

use noraft::{LogPosition, Node, NodeId};
use noraftd::protocol::peer::PeerMessage;

use crate::sim::parts::rule::{Checked, Rule, ensure};

/// Where the logs of candidates end, as they say.
#[derive(Debug, Default)]
pub(crate) struct Granting {
    /// By candidate and term: the last position that it has said.
    votes: BTreeMap<(NodeId, u64), LogPosition>,
    pre_votes: BTreeMap<(NodeId, u64), LogPosition>,
    /// By giver, candidate and term: where the giver's log ended when it was asked.
    asked: BTreeMap<(NodeId, NodeId, u64), LogPosition>,
}

impl Granting {
    /// A message leaves.
    pub(crate) fn sent(&mut self, sender: &Node, to: NodeId, message: &PeerMessage) -> Checked {
        let from = sender.id();
        match message {
            PeerMessage::RequestVote {
                term, last_position, ..
            } => note(&mut self.votes, (from, term.get()), *last_position),
            PeerMessage::PreVote {
                term, last_position, ..
            } => note(&mut self.pre_votes, (from, term.get()), *last_position),
            PeerMessage::PreVoted {
                term, granted: true, ..
            } => return self.check_pre_vote(sender, (to, term.get())),
            PeerMessage::Vote { term, granted: true } => return self.check_vote(sender, (to, term.get())),
            _ => {}
        }
        Ok(())
    }

    fn check_pre_vote(&self, sender: &Node, to: (NodeId, u64)) -> Checked {
        let id = sender.id().get();
        ensure(!sender.role().is_leader(), Rule::Grants, || {
            format!("n{id} grants n{} the pre-vote and leads itself", to.0.get())
        })?;
        let (said, last) = (self.pre_votes.get(&to), sender.log().last_position());
        ensure(said.is_none_or(|said| *said >= last), Rule::Grants, || {
            format!(
                "n{id}, whose log ends at {last:?}, grants n{} the pre-vote of term {}, whose log ends at {said:?}",
                to.0.get(),
                to.1
            )
        })
    }

    /// A message arrives at `node`.
    pub(crate) fn arrived(&mut self, from: NodeId, node: &Node, message: &PeerMessage) {
        if let PeerMessage::RequestVote { term, .. } = message {
            let last = node.log().last_position();
            let asked = self.asked.entry((node.id(), from, term.get())).or_insert(last);
            *asked = last.min(*asked);
        }
    }

    fn check_vote(&self, sender: &Node, to: (NodeId, u64)) -> Checked {
        let (said, asked) = (self.votes.get(&to), self.asked.get(&(sender.id(), to.0, to.1)));
        let (Some(said), Some(asked)) = (said, asked) else {
            return Ok(());
        };
        let last = sender.log().last_position().min(*asked);
        ensure(*said >= last, Rule::Grants, || {
            format!(
                "n{}, whose log ends at {last:?}, votes in term {} for n{}, whose log ends at {said:?}",
                sender.id().get(),
                to.1,
                to.0.get()
            )
        })
    }
}

/// A candidate may say a later position in the same term, after a part of its log was lost or repaired.
fn note(list: &mut BTreeMap<(NodeId, u64), LogPosition>, of: (NodeId, u64), last: LogPosition) {
    let said = list.entry(of).or_insert(last);
    *said = last.max(*said);
}

#[cfg(test)]
mod tests {
    use noraft::{LogIndex, Term};

    use super::*;

    fn position(term: u64, index: u64) -> LogPosition {
        LogPosition {
            term: Term::new(term),
            index: LogIndex::new(index),
        }
    }

    /// Node 1, alone, leads a term and has an entry of it.
    fn with_an_entry() -> Node {
        let mut node = Node::start(NodeId::new(1));
        node.create_cluster(&[NodeId::new(1)]);
        assert!(node.log().last_position().index > LogIndex::ZERO);
        node
    }

    fn asks(last_position: LogPosition) -> PeerMessage {
        PeerMessage::PreVote {
            term: Term::new(9),
            last_position,
            canvass: 1,
            abstain: noraftd::record::Abstain::No,
        }
    }

    fn grants() -> PeerMessage {
        PeerMessage::PreVoted {
            term: Term::new(9),
            granted: true,
            abstain: noraftd::record::Abstain::No,
            canvass: 1,
        }
    }

    #[test]
    fn a_leader_grants_no_pre_vote() {
        let (leader, other) = (with_an_entry(), NodeId::new(2));
        let broken = Granting::default().sent(&leader, other, &grants()).unwrap_err();
        assert_eq!(broken.rule, Rule::Grants);
    }

    #[test]
    fn a_grant_goes_to_a_log_that_is_as_long() {
        let (asker, giver) = (Node::start(NodeId::new(2)), Node::start(NodeId::new(1)));
        let mut granting = Granting::default();
        granting
            .sent(&asker, giver.id(), &asks(LogPosition::ZERO))
            .expect("asking is no grant");
        assert!(granting.sent(&giver, asker.id(), &grants()).is_ok());
        assert!(granting.pre_votes[&(asker.id(), 9)] < position(1, 1));
    }
    #[test]
    fn a_vote_for_a_shorter_log_is_noticed_unless_it_was_not_shorter_when_asked_for() {
        let (candidate, giver) = (Node::start(NodeId::new(2)), with_an_entry());
        let request = PeerMessage::RequestVote {
            term: Term::new(9),
            last_position: LogPosition::ZERO,
            unanimous: false,
        };
        let vote = PeerMessage::Vote {
            term: Term::new(9),
            granted: true,
        };
        let mut granting = Granting::default();
        granting
            .sent(&candidate, giver.id(), &request)
            .expect("asking is no grant");
        granting.arrived(candidate.id(), &giver, &request);
        let broken = granting.sent(&giver, candidate.id(), &vote).unwrap_err();
        assert_eq!(broken.rule, Rule::Grants);
        granting.arrived(candidate.id(), &Node::start(giver.id()), &request);
        assert!(granting.sent(&giver, candidate.id(), &vote).is_ok());
    }
}

//! A node grants its vote, and the pre-vote, only to one whose log ends where its own does or later (Raft 5.4.1), and a leader
//! grants no pre-vote at all (thesis 9.6). And a vote that is not given has one of Raft's reasons: the term is over, the vote is
//! another's, the log is longer, or the node abstains.
//!
//! What a wrong grant leads to needs a majority of them, and a log that is shorter in just the wrong place; what a wrong refusal
//! leads to is an election that another node decides. The grant and the refusal themselves are wrong at once.
//!
//! Invariant: what is granted is compared with the giver as it was when it was asked, and as it is when its answer leaves: between the
//! two its log may change, and it may be elected.

use std::collections::BTreeMap;

use noraft::{LogPosition, Node, NodeId, Term};
use noraftd::protocol::peer::PeerMessage;
use noraftd::replica::Replica;
use noraftd::replica::glance::Syncing;

use crate::sim::parts::rule::{Checked, Rule, ensure};

/// What candidates say, and who is asked by them.
#[derive(Debug, Default)]
pub(crate) struct Granting {
    /// Where the log of a candidate ends: the last position that it has said.
    said: BTreeMap<(NodeId, Asks), LogPosition>,
    /// By giver and candidate: the giver as it was when it was asked.
    asked: BTreeMap<(NodeId, NodeId, Asks), Giver>,
    /// Votes that were asked for, of whom and by whom, and that are not given yet: where the candidate's log ends.
    open: BTreeMap<(NodeId, NodeId, Term), LogPosition>,
}

/// What a candidate asks for, and in which term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Asks {
    PreVote(Term),
    Vote(Term),
}

#[derive(Debug, Clone, Copy)]
struct Giver {
    last: LogPosition,
    leads: bool,
}

impl Giver {
    fn of(node: &Node) -> Self {
        Self {
            last: node.log().last_position(),
            leads: node.role().is_leader(),
        }
    }

    /// What it was at both times.
    fn at_both(self, other: Self) -> Self {
        Self {
            last: self.last.min(other.last),
            leads: self.leads && other.leads,
        }
    }
}

impl Granting {
    /// A message leaves.
    pub(crate) fn sent(&mut self, sender: &Node, to: NodeId, message: &PeerMessage) -> Checked {
        if let Some((asks, last)) = asks(message) {
            note(&mut self.said, (sender.id(), asks), last);
        }
        match message {
            PeerMessage::PreVoted {
                term, granted: true, ..
            } => self.check(sender, to, Asks::PreVote(*term)),
            PeerMessage::Vote { term, granted: true } => self.check(sender, to, Asks::Vote(*term)),
            _ => Ok(()),
        }
    }

    /// A message arrives at `node`.
    pub(crate) fn arrived(&mut self, from: NodeId, node: &Node, message: &PeerMessage) {
        if let Some((asks, _)) = asks(message) {
            let now = Giver::of(node);
            let before = self.asked.entry((node.id(), from, asks)).or_insert(now);
            *before = before.at_both(now);
        }
        if let PeerMessage::RequestVote {
            term, last_position, ..
        } = message
            && now_or_later(node, *term)
        {
            self.open.insert((node.id(), from, *term), *last_position);
        }
    }

    /// A process of `node` begins: it knows nothing of what an earlier one was asked.
    pub(crate) fn started(&mut self, node: NodeId) {
        self.open.retain(|(giver, ..), _| *giver != node);
    }

    /// A process was driven: what it was asked for it has given, or there is a reason not to.
    pub(crate) fn driven(&mut self, replica: &Replica) -> Checked {
        let (node, glance) = (replica.node(), replica.glance());
        if replica.abstains() {
            // What it is asked for meanwhile it does not hear, and the term in it neither.
            self.started(node.id());
            return Ok(());
        }
        if glance.sync != Syncing::Nothing {
            // What is asked for meanwhile may wait for that.
            return Ok(());
        }
        let mut refused = None;
        self.open.retain(|(giver, candidate, term), last| {
            if *giver != node.id() {
                return true;
            }
            if node.current_term() < *term {
                // It has not looked at it yet: that would show it the term.
                return true;
            }
            let is_over = node.current_term() > *term;
            let is_longer = node.log().last_position() > *last;
            if !is_over && node.voted_for().is_none() && !is_longer {
                refused = Some((*candidate, *term, *last));
            }
            false
        });
        ensure(refused.is_none(), Rule::Grants, || {
            format!(
                "n{}, whose log ends at {:?}, does not give the vote that it is asked for, and has no reason: {refused:?}",
                node.id().get(),
                node.log().last_position()
            )
        })
    }

    fn check(&self, sender: &Node, to: NodeId, asks: Asks) -> Checked {
        let asked = self.asked.get(&(sender.id(), to, asks));
        let (Some(said), Some(asked)) = (self.said.get(&(to, asks)), asked) else {
            return Ok(());
        };
        let now = Giver::of(sender);
        if now.last.term > asked.last.term {
            // A later leader has changed its log meanwhile, which may have been shorter for a moment.
            return Ok(());
        }
        let giver = asked.at_both(now);
        let (from, to) = (sender.id().get(), to.get());
        let may_lead = matches!(asks, Asks::Vote(_));
        ensure(may_lead || !giver.leads, Rule::Grants, || {
            format!("n{from} leads, and grants n{to} what it asks: {asks:?}")
        })?;
        ensure(*said >= giver.last, Rule::Grants, || {
            format!(
                "n{from}, whose log ends at {:?}, grants n{to}, whose log ends at {said:?}, what it asks: {asks:?}",
                giver.last
            )
        })
    }
}

fn now_or_later(node: &Node, term: Term) -> bool {
    node.current_term() <= term
}

fn asks(message: &PeerMessage) -> Option<(Asks, LogPosition)> {
    match message {
        PeerMessage::RequestVote {
            term, last_position, ..
        } => Some((Asks::Vote(*term), *last_position)),
        PeerMessage::PreVote {
            term, last_position, ..
        } => Some((Asks::PreVote(*term), *last_position)),
        _ => None,
    }
}

/// A candidate may say a later position in the same term, after a part of its log was lost or repaired.
fn note(list: &mut BTreeMap<(NodeId, Asks), LogPosition>, of: (NodeId, Asks), last: LogPosition) {
    let said = list.entry(of).or_insert(last);
    *said = last.max(*said);
}

#[cfg(test)]
mod tests {
    use noraft::LogIndex;

    use super::*;

    const TERM: Term = Term::new(9);

    /// Node 1, alone, leads a term and has an entry of it.
    fn leader() -> Node {
        let mut node = Node::start(NodeId::new(1));
        node.create_cluster(&[NodeId::new(1)]);
        assert!(node.role().is_leader() && node.log().last_position().index > LogIndex::ZERO);
        node
    }

    fn request(last_position: LogPosition) -> PeerMessage {
        PeerMessage::RequestVote {
            term: TERM,
            last_position,
            unanimous: false,
        }
    }

    fn pre_vote(last_position: LogPosition) -> PeerMessage {
        PeerMessage::PreVote {
            term: TERM,
            last_position,
            canvass: 1,
            abstain: noraftd::record::Abstain::No,
        }
    }

    fn granted(asks: &PeerMessage) -> PeerMessage {
        match asks {
            PeerMessage::RequestVote { .. } => PeerMessage::Vote {
                term: TERM,
                granted: true,
            },
            _ => PeerMessage::PreVoted {
                term: TERM,
                granted: true,
                abstain: noraftd::record::Abstain::No,
                canvass: 1,
            },
        }
    }

    /// Node 2 asks; `when_asked` grants it, and is `then` when that leaves.
    fn grant(asks: &PeerMessage, when_asked: &Node, then: &Node) -> Checked {
        let (asker, mut granting) = (Node::start(NodeId::new(2)), Granting::default());
        granting.sent(&asker, then.id(), asks)?;
        granting.arrived(asker.id(), when_asked, asks);
        granting.sent(then, asker.id(), &granted(asks))
    }

    #[test]
    fn a_leader_grants_no_pre_vote() {
        let (leader, before) = (leader(), Node::start(NodeId::new(1)));
        let asks = pre_vote(leader.log().last_position());
        assert_eq!(grant(&asks, &leader, &leader).unwrap_err().rule, Rule::Grants);
        assert!(
            grant(&asks, &before, &leader).is_ok(),
            "it led nothing when it was asked"
        );
    }

    #[test]
    fn a_grant_goes_to_a_log_that_is_as_long() {
        let (long, short) = (leader(), Node::start(NodeId::new(1)));
        for asks in [request(LogPosition::ZERO), pre_vote(LogPosition::ZERO)] {
            assert_eq!(grant(&asks, &long, &long).unwrap_err().rule, Rule::Grants);
            assert!(
                grant(&asks, &short, &long).is_ok(),
                "it was as short when it was asked"
            );
            assert!(grant(&asks, &long, &short).is_ok(), "it is as short now");
        }
        assert!(grant(&request(long.log().last_position()), &long, &long).is_ok());
    }
}

//! Who has followed the leader of a term is no candidate in it (Raft 5.2).
//!
//! A node says so itself: its reply to AppendEntries names the last one of that term that it handled. A pulse says nothing
//! about entries, and a candidate that answers one is still a candidate.

use noraft::{Node, NodeId};
use noraftd::protocol::peer::PeerMessage;

use super::Checks;
use crate::sim::parts::rule::{Checked, Rule, ensure};

impl Checks {
    /// A node sends a message, which may say that it follows the leader of a term.
    pub(super) fn note_following(&mut self, from: NodeId, message: &PeerMessage) {
        let PeerMessage::Appended { term, round, .. } = message else {
            return;
        };
        let followed = self.followed.get_mut(from.get() as usize - 1);
        if let Some(followed) = followed.filter(|_| *round > 0) {
            *followed = (*followed).max(term.get());
        }
    }

    /// A node was driven.
    pub(crate) fn follows(&self, at: usize, node: &Node) -> Checked {
        let term = node.current_term().get();
        let campaigns = node.role().is_candidate() && self.followed[at] >= term;
        ensure(!campaigns, Rule::FollowsInItsTerm, || {
            format!(
                "n{} is a candidate in term {term}, after it accepted entries of the leader of term {}",
                at + 1,
                self.followed[at]
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use noraft::{LogEntries, LogIndex, LogPosition, NodeGeneration, Term};
    use noraftd::record::genesis_config;

    use super::*;

    fn candidate(term: u64) -> Node {
        let config = genesis_config((1..=3).map(NodeId::new));
        let log = noraft::Log::new(config, LogEntries::new(LogPosition::ZERO));
        let (id, generation) = (NodeId::new(2), NodeGeneration::new(1));
        let mut node = Node::restart(id, generation, Term::new(term - 1), None, log);
        node.handle_election_timeout();
        assert!(node.role().is_candidate() && node.current_term() == Term::new(term));
        node
    }

    fn appended(term: u64, round: u64) -> PeerMessage {
        PeerMessage::Appended {
            term: Term::new(term),
            generation: 1,
            last_position: LogPosition {
                term: Term::new(1),
                index: LogIndex::new(1),
            },
            round,
        }
    }

    #[test]
    fn a_candidate_has_followed_no_leader_of_its_term() {
        let mut checks = Checks::new(3);
        checks.note_following(NodeId::new(2), &appended(6, 0));
        checks
            .follows(1, &candidate(6))
            .expect("round 0 is no round of that term");
        checks.note_following(NodeId::new(2), &appended(5, 3));
        checks.follows(1, &candidate(6)).expect("that was another term");
        checks.note_following(NodeId::new(1), &appended(6, 1));
        checks.follows(1, &candidate(6)).expect("that was another node");
        checks.note_following(NodeId::new(2), &appended(6, 1));
        let broken = checks.follows(1, &candidate(6)).unwrap_err();
        assert_eq!(broken.rule, Rule::FollowsInItsTerm);
    }
}

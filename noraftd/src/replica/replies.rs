//! The one way by which an answer leaves: to a client of this node, or to the node that forwarded its request.

use super::Replica;
use super::pending::Origin;
use crate::protocol::outcome::{Doubt, Outcome, Refusal};
use crate::protocol::peer::PeerMessage;

impl Replica {
    /// Answers the request of `origin`.
    pub(super) fn answer(&mut self, origin: Origin, outcome: Outcome) {
        let outcome = match (outcome, origin) {
            // What this node's state says is not to be believed.
            (Outcome::Done(_), _) if !self.serves() => Outcome::Indefinite(Doubt::LeadershipLost),
            // The other node asks the leader of that time.
            (Outcome::Refused(Refusal::Divergent), Origin::Peer { .. }) => {
                Outcome::Refused(Refusal::NotLeader)
            }
            (outcome, _) => outcome,
        };
        match origin {
            Origin::Client(id) => {
                self.freshness.over(id);
                self.outputs.reply(id, outcome);
            }
            Origin::Peer { node, boot, id } => self
                .outputs
                .send(node, PeerMessage::Forwarded { id, boot, outcome }),
        }
    }
}

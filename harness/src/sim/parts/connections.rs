//! Which connections to other nodes a process knows of.
//!
//! Invariant: what it learned in the round in which it sends counts both ways, for it may have sent before or after.

use noraft::NodeId;
use noraftd::protocol::peer::PeerMessage;
use noraftd::replica::event::Input;

use super::rule::{Checked, Rule, ensure};

/// By the numbers of the other nodes, a bit each.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Connections {
    now: u64,
    in_this_round: u64,
}

impl Connections {
    /// The process handles these next.
    pub(crate) fn handles(&mut self, inputs: &[Input]) {
        self.in_this_round = self.now;
        for input in inputs {
            match input {
                Input::Connected { peer, .. } => self.now |= bit(*peer),
                Input::Disconnected { peer } => self.now &= !bit(*peer),
                _ => continue,
            }
            self.in_this_round |= self.now;
        }
    }

    /// A request that is passed on goes to a node that there is a connection to: else it is lost, and with a write what became of it.
    pub(crate) fn check(&self, from: NodeId, to: NodeId, message: &PeerMessage) -> Checked {
        let is_passed_on = matches!(message, PeerMessage::Forward { .. });
        let is_reached = self.in_this_round & bit(to) != 0;
        ensure(!is_passed_on || is_reached, Rule::PassedOnOverAConnection, || {
            let (from, to) = (from.get(), to.get());
            format!("n{from} passes a request on to n{to}, and has no connection to it")
        })
    }
}

fn bit(node: NodeId) -> u64 {
    1 << (node.get() % u64::from(u64::BITS))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use noraft::Term;
    use noraftd::protocol::command::{Parsed, parse};
    use noraftd::protocol::peer::Features;

    use super::*;

    #[test]
    fn a_request_is_passed_on_only_over_a_connection() {
        let Ok(Parsed::Replicated(request)) =
            parse(vec![Bytes::from_static(b"GET"), Bytes::from_static(b"a")])
        else {
            panic!("GET is a command for the state machine");
        };
        let forward = PeerMessage::Forward {
            id: 1,
            boot: 1,
            term: Term::new(1),
            request,
        };
        let (own, peer) = (NodeId::new(1), NodeId::new(2));
        let mut known = Connections::default();
        let check = |known: &Connections| known.check(own, peer, &forward).map_err(|broken| broken.rule);
        assert_eq!(check(&known), Err(Rule::PassedOnOverAConnection));
        known.handles(&[Input::Deadline]);
        assert_eq!(check(&known), Err(Rule::PassedOnOverAConnection));
        let features = Features::SUPPORTED;
        known.handles(&[Input::Connected { peer, features }, Input::Disconnected { peer }]);
        assert_eq!(check(&known), Ok(()), "it may have been sent between the two");
        known.handles(&[Input::UrgentConnected { peer }]);
        assert_eq!(check(&known), Err(Rule::PassedOnOverAConnection));
        known.handles(&[Input::Connected { peer, features }]);
        known.handles(&[Input::Disconnected { peer }]);
        assert_eq!(check(&known), Ok(()));
        assert!(known.check(own, NodeId::new(3), &forward).is_err());
    }
}

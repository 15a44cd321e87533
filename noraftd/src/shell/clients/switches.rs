//! Clients that listen hear when another node leads.
//!
//! Invariant: a change is said once, when the address of the new leader is known; a client that does not read what it
//! listens to is disconnected, and asks again.

use std::rc::Rc;

use bytes::Bytes;
use noraft::NodeId;

use super::Clients;
use crate::local::facts::ClientAddress;
use crate::local::sentinel::{SWITCH_CHANNEL, switch_text};
use crate::shell::connection::Connection;

/// The leaders that clients were referred to.
#[derive(Debug, Default)]
pub(super) struct Leaders {
    /// The one that leads, if its address is known.
    now: Option<NodeId>,
    /// Where the last one was that was known.
    last: Option<ClientAddress>,
}

impl Clients {
    /// Takes note of the leader that this node knows, and says so to those who listen when it is another.
    pub(in crate::shell) fn note_leader(&self, leader: Option<NodeId>) {
        let mut leaders = self.leaders.borrow_mut();
        if leaders.now == leader {
            return;
        }
        let address = leader.and_then(|id| self.node.client_address(id));
        leaders.now = leader.filter(|_| address.is_some());
        let Some(to) = address else { return };
        let from = leaders.last.replace(to.clone());
        if let Some(from) = from.filter(|from| *from != to) {
            let text = switch_text(&self.node.config.cluster, &from, &to);
            self.publish(&Bytes::from_static(SWITCH_CHANNEL.as_bytes()), &text.into());
        }
    }

    fn publish(&self, channel: &Bytes, text: &Bytes) {
        let connections: Vec<Rc<Connection>> = self.connections.borrow().values().cloned().collect();
        for connection in connections {
            let heard = connection.session.borrow().subscriptions.hear(channel, text);
            let Some(heard) = heard else { continue };
            if !connection.has_room() {
                connection.close();
            } else if connection.answer_now(heard) {
                self.dirty.borrow_mut().push(connection);
            }
        }
    }
}

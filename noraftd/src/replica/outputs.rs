//! What the replica wants done, in the order in which it wants it.
//!
//! Handlers that borrow only some parts of the replica say by this one what they may cause.

use std::collections::VecDeque;

use noraft::NodeId;

use crate::protocol::outcome::Outcome;
use crate::protocol::peer::PeerMessage;

use super::event::{Output, RequestId};

#[derive(Debug, Default)]
pub(super) struct Outputs(VecDeque<Output>);

impl Outputs {
    pub(super) fn push(&mut self, output: Output) {
        self.0.push_back(output);
    }

    pub(super) fn extend(&mut self, outputs: impl IntoIterator<Item = Output>) {
        self.0.extend(outputs);
    }

    /// Says `message` to another node.
    pub(super) fn send(&mut self, to: NodeId, message: PeerMessage) {
        self.push(Output::Send { to, message });
    }

    /// Answers a client of this node.
    pub(super) fn reply(&mut self, id: RequestId, outcome: Outcome) {
        self.push(Output::Reply { id, outcome });
    }

    pub(super) fn pop(&mut self) -> Option<Output> {
        self.0.pop_front()
    }
}

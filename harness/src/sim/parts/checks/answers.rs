//! What is asked is answered: what a client asks, by the process that it came to; what that passes on, by the leader that it was
//! meant for, or by the same process once it leads no more.
//!
//! A node that says nothing keeps the client waiting until it gives up, and the outcome is then unknown though nothing was
//! begun. No history shows that, for an unknown outcome is always right.
//!
//! Invariant: only what certainly has to be answered is expected: the request arrived at a process that leads or has led
//! the term it is meant for and no later one, and it is no copy and was not overtaken.

use std::collections::BTreeMap;

use noraft::NodeId;
use noraftd::protocol::peer::PeerMessage;
use noraftd::replica::event::RequestId;

use crate::sim::parts::rule::{Checked, Rule, ensure};

/// What was passed on and has arrived.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// By node: the last term that its process has led.
    led: BTreeMap<NodeId, u64>,
    /// By node, and by the process that passed it on: the highest id that has arrived.
    last: BTreeMap<(NodeId, NodeId, u64), u64>,
    /// When what is not answered arrived.
    open: BTreeMap<Passed, u64>,
    /// By node and request: when what a client asked arrived, and is not answered.
    asked: BTreeMap<(NodeId, RequestId), u64>,
}

/// A request that was passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Passed {
    to: NodeId,
    from: NodeId,
    boot: u64,
    id: u64,
}

impl Answers {
    /// The process of `node` leads `term`. What it has not answered yet is of an earlier one.
    pub(crate) fn leads(&mut self, node: NodeId, term: u64) {
        self.forget(node);
        self.led.insert(node, term);
    }

    /// The process of `node` is gone, or is a new one.
    pub(crate) fn ended(&mut self, node: NodeId) {
        self.asked.retain(|(asked, _), _| *asked != node);
        self.forget(node);
    }

    fn forget(&mut self, node: NodeId) {
        self.led.remove(&node);
        self.last.retain(|(to, _, _), _| *to != node);
        self.open.retain(|passed, _| passed.to != node);
    }

    /// A message arrives at the process of `to`.
    pub(crate) fn arrived(&mut self, now: u64, from: NodeId, to: NodeId, message: &PeerMessage) {
        let PeerMessage::Forward { id, boot, term, .. } = message else {
            return;
        };
        let last = self.last.entry((to, from, *boot)).or_insert(0);
        let is_next = *id > *last;
        *last = (*last).max(*id);
        if is_next && self.led.get(&to) == Some(&term.get()) {
            let passed = Passed {
                to,
                from,
                boot: *boot,
                id: *id,
            };
            self.open.insert(passed, now);
        }
    }

    /// A message leaves.
    pub(crate) fn sent(&mut self, from: NodeId, to: NodeId, message: &PeerMessage) {
        if let PeerMessage::Forwarded { id, boot, .. } = message {
            let (boot, id) = (*boot, *id);
            let passed = Passed {
                to: from,
                from: to,
                boot,
                id,
            };
            self.open.remove(&passed);
        }
    }

    /// A request of a client arrives at a process.
    pub(crate) fn asked(&mut self, now: u64, node: NodeId, id: RequestId) {
        self.asked.insert((node, id), now);
    }

    /// A process answers one.
    pub(crate) fn answered(&mut self, node: NodeId, id: RequestId) {
        self.asked.remove(&(node, id));
    }

    /// At the end: everything that arrived before `by` is answered.
    pub(crate) fn check(&self, by: u64) -> Checked {
        let left = self.asked.iter().find(|(_, arrived)| **arrived < by);
        ensure(left.is_none(), Rule::AskedIsAnswered, || {
            let said = left.map(|((node, id), arrived)| {
                format!(
                    "n{} has not answered the request {:#x} of a client, which arrived at {arrived} ns",
                    node.get(),
                    id.0
                )
            });
            said.unwrap_or_default()
        })?;
        let left = self.open.iter().find(|(_, arrived)| **arrived < by);
        ensure(left.is_none(), Rule::AskedIsAnswered, || {
            let said = left.map(|(passed, arrived)| {
                format!(
                    "n{} has not answered request {} that n{} passed on to it, which arrived at {arrived} ns",
                    passed.to.get(),
                    passed.id,
                    passed.from.get()
                )
            });
            said.unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use noraft::Term;
    use noraftd::protocol::command::{Parsed, Request, parse};
    use noraftd::protocol::outcome::{Outcome, Refusal};

    use super::*;

    fn request() -> Request {
        let words = ["GET", "key"].map(|word| Bytes::from_static(word.as_bytes()));
        match parse(words.to_vec()) {
            Ok(Parsed::Replicated(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    fn forward(id: u64, term: u64) -> PeerMessage {
        PeerMessage::Forward {
            id,
            boot: 3,
            term: Term::new(term),
            request: request(),
        }
    }

    fn forwarded(id: u64) -> PeerMessage {
        PeerMessage::Forwarded {
            id,
            boot: 3,
            outcome: Outcome::Refused(Refusal::NotLeader),
        }
    }

    const LEADER: NodeId = NodeId::new(1);
    const OTHER: NodeId = NodeId::new(2);

    #[test]
    fn what_a_leader_or_former_leader_does_not_answer_is_noticed() {
        let mut answers = Answers::default();
        answers.leads(LEADER, 4);
        answers.arrived(10, OTHER, LEADER, &forward(1, 4));
        assert!(answers.check(10).is_ok(), "it has only just come");
        assert_eq!(answers.check(11).unwrap_err().rule, Rule::AskedIsAnswered);
        answers.sent(LEADER, OTHER, &forwarded(1));
        assert!(answers.check(11).is_ok());
    }

    #[test]
    fn copies_other_terms_and_other_processes_need_no_answer() {
        let mut answers = Answers::default();
        answers.arrived(1, OTHER, LEADER, &forward(1, 4));
        answers.leads(LEADER, 4);
        answers.arrived(2, OTHER, LEADER, &forward(2, 3));
        answers.arrived(3, OTHER, LEADER, &forward(3, 4));
        answers.sent(LEADER, OTHER, &forwarded(3));
        answers.arrived(4, OTHER, LEADER, &forward(3, 4));
        answers.arrived(5, OTHER, LEADER, &forward(2, 4));
        assert!(answers.check(100).is_ok());
        answers.arrived(6, OTHER, LEADER, &forward(4, 4));
        assert!(answers.check(100).is_err());
        answers.ended(LEADER);
        assert!(answers.check(100).is_ok());
    }
    #[test]
    fn a_client_is_answered_by_the_process_that_it_asked() {
        let mut answers = Answers::default();
        let (first, second) = (RequestId(1), RequestId(2));
        answers.asked(1, LEADER, first);
        answers.asked(1, LEADER, second);
        answers.answered(LEADER, first);
        answers.leads(LEADER, 5);
        assert_eq!(answers.check(2).unwrap_err().rule, Rule::AskedIsAnswered);
        answers.ended(LEADER);
        assert!(answers.check(2).is_ok());
    }
}

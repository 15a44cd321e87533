//! The example of the documentation's front page, as a program: one node of three is driven through
//! the founding of a cluster by a scripted network, with exactly the calls the documentation shows.

#![allow(
    unused_must_use,
    reason = "the example calls handle_message as a plain statement, and has to compile unchanged"
)]

use std::cell::RefCell;
use std::collections::VecDeque;

use noraft::{Action, LogIndex, LogPosition, Message, Node, NodeId, Term};

/// The other two nodes of the example, which answer what node 0 sends.
struct Others {
    nodes: Vec<Node>,
    inbox: VecDeque<Message>,
}

thread_local! {
    static OTHERS: RefCell<Others> = RefCell::new(Others {
        nodes: vec![Node::start(NodeId::new(1)), Node::start(NodeId::new(2))],
        inbox: VecDeque::new(),
    });
}

fn deliver(to: impl Fn(NodeId) -> bool, message: &Message) {
    OTHERS.with_borrow_mut(|others| {
        let Others { nodes, inbox } = others;
        for node in nodes.iter_mut().filter(|node| to(node.id())) {
            node.handle_message(message)
                .expect("a correct leader is not contradicted");
            inbox.extend(node.actions_mut().filter_map(|action| match action {
                Action::SendMessage(_, reply) => Some(reply),
                Action::SetElectionTimeout
                | Action::SaveCurrentTerm
                | Action::SaveVotedFor
                | Action::BroadcastMessage(_)
                | Action::AppendLogEntries(_)
                | Action::InstallSnapshot(_) => None,
            }));
        }
    });
}

fn receive_message() -> Option<Message> {
    OTHERS.with_borrow_mut(|others| others.inbox.pop_front())
}

fn is_election_timeout_expired() -> bool {
    false
}

#[test]
fn the_front_page_example_runs() {
    let mut node = Node::start(NodeId::new(0));
    let commit_position = node.create_cluster(&[NodeId::new(0), NodeId::new(1), NodeId::new(2)]);

    while node.get_commit_status(commit_position).is_in_progress() {
        for action in node.actions_mut() {
            match action {
                Action::SetElectionTimeout => {}
                Action::SaveCurrentTerm => {}
                Action::SaveVotedFor => {}
                Action::BroadcastMessage(message) => deliver(|_| true, &message),
                Action::AppendLogEntries(_) => {}
                Action::SendMessage(node_id, message) => deliver(|id| id == node_id, &message),
                Action::InstallSnapshot(_) => {}
            }
        }
        if is_election_timeout_expired() {
            node.handle_election_timeout();
        }
        while let Some(message) = receive_message() {
            node.handle_message(&message);
        }
    }

    let next_commit_position = node.propose_command();

    assert_eq!(commit_position, LogPosition::new(Term::ZERO, LogIndex::new(1)));
    assert!(node.get_commit_status(commit_position).is_committed());
    assert_eq!(
        next_commit_position,
        LogPosition::new(Term::new(1), LogIndex::new(3))
    );
}

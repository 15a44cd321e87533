//! Numbers at the ends of their range, in every message, role and stored log: nothing panics, wraps
//! or takes a commit back (contract section 0).

use crate::kit::*;
use noraft::{ClusterConfig, Log, LogEntries, LogPosition, Message, Node, NodeGeneration};

const MAX: u64 = u64::MAX;

/// No message, however extreme its numbers, makes any node panic, wrap or move its commit index back.
#[test]
fn extreme_numbers_in_every_message_and_role() {
    let numbers = [0, 1, 3, 4, MAX - 1, MAX];
    let positions: Vec<_> = numbers.iter().flat_map(|a| numbers.map(|b| pos(*a, b))).collect();
    for make in [follower as fn() -> Node, candidate, leader, solo_leader] {
        for in_term in [1, 2, MAX] {
            for position in &positions {
                let run = run(*position, [C, t(MAX), cfg([]), t(0), C]);
                let messages = [
                    vote_call(1, in_term, *position),
                    reply_of_generation(1, in_term, MAX, *position),
                    call(1, in_term, MAX, LogEntries::new(*position)),
                    call(2, in_term, MAX, run),
                ];
                for message in messages {
                    survive(make(), &message, *position);
                }
            }
        }
    }
}

fn survive(mut node: Node, message: &Message, position: LogPosition) {
    let committed = node
        .log()
        .entries()
        .since(LogPosition::ZERO)
        .expect("no snapshot yet");
    let commit = node.commit_index();
    let refused = node.handle_message(message).is_err();
    node.handle_election_timeout();
    node.propose_command();
    let installed = node.handle_snapshot_installed(position, ClusterConfig::new());
    node.handle_election_timeout();
    assert!(node.commit_index() >= commit && node.commit_index() <= node.log().last_position().index);
    let kept = node.get_commit_status(LogPosition::new(
        committed.get_term(commit).expect("within"),
        commit,
    ));
    assert!(
        kept.is_committed() || kept.is_unknown(),
        "{message:?} refused {refused} installed {installed}"
    );
    assert!(node.actions_mut().count() < 10);
}

/// A node that was restarted from storage no validation has seen is as robust as any other.
#[test]
fn a_restart_from_falling_terms_does_not_panic() {
    let strange = Log::new(
        ClusterConfig::new(),
        run(pos(9, 3), [t(5), cfg([0, 1]), t(2), C, t(7), C]),
    );
    for in_term in [0, 5, 7, MAX - 1] {
        let mut node = Node::restart(
            id(0),
            NodeGeneration::new(MAX),
            term(in_term),
            None,
            strange.clone(),
        );
        node.handle_election_timeout();
        let at = node.current_term().get();
        hear(&mut node, &vote_reply(1, at, true));
        for last in [
            pos(5, 4),
            pos(2, 6),
            pos(1, 5),
            pos(8, 8),
            pos(0, 0),
            pos(MAX, MAX),
        ] {
            hear(&mut node, &reply(1, at, last));
        }
        assert!(node.actions_mut().count() > 0);
    }
}

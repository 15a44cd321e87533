//! How undrained actions merge (contract 2.7, scenarios 21-23), and how they may be taken.

use crate::kit::*;
use noraft::{Action, Actions, ClusterConfig, LogEntries, LogPosition, Message, Node};

/// Contract 21: later entries at an inner anchor truncate and extend the pending ones.
#[test]
fn scenario_21_pending_entries_are_overwritten_from_the_later_anchor_on() {
    let mut node = follower();
    hear(&mut node, &call(1, 1, 0, run(pos(1, 3), [C, C, C])));
    hear(&mut node, &call(2, 2, 0, run(pos(1, 4), [t(2), C])));
    assert_eq!(
        acts(&mut node),
        "Timer; SaveTerm; SaveVote; Append (1,3)+[C T2 C]; Send 1 AEReply t1 (1,6); Send 2 AEReply t2 (2,6)"
    );
}

/// Contract 22: of two broadcasts of different kind the later stays; sends come out by rising node
/// id; the same snapshot request counts once.
#[test]
fn scenario_22_actions_set() {
    let mut node = candidate();
    node.handle_election_timeout();
    hear(&mut node, &vote_reply(1, 3, true));
    let pending = node
        .actions()
        .broadcast_message
        .clone()
        .expect("a leader announces itself");
    assert_eq!(show_message(&pending), "AECall t3 c0 (1,3)+[T3]");
    acts(&mut node);

    hear(&mut node, &reply(2, 3, pos(1, 3)));
    hear(&mut node, &reply(1, 3, pos(1, 2)));
    assert_eq!(
        acts(&mut node),
        "Send 1 AECall t3 c0 (1,2)+[C T3]; Send 2 AECall t3 c0 (1,3)+[T3]"
    );

    let mut node = compacted_leader();
    hear(&mut node, &reply(2, 2, pos(1, 3)));
    hear(&mut node, &reply(2, 2, pos(1, 3)));
    assert_eq!(acts(&mut node), "Snap 2");
}

/// Contract 23: `actions_iter_prioritizes_log_append_before_broadcast`.
#[test]
fn scenario_23_the_append_comes_before_the_broadcast() {
    let mut node = leader();
    node.propose_command();
    let actions: Vec<_> = node.actions_mut().collect();
    assert!(matches!(
        actions[..],
        [
            Action::SetElectionTimeout,
            Action::AppendLogEntries(_),
            Action::BroadcastMessage(_)
        ]
    ));
}

/// Contract 23: `solo_voter_with_non_voter_yields_log_append_before_committed_broadcast`.
#[test]
fn scenario_23_a_solo_voter_with_non_voter_stores_before_it_publishes_the_commit() {
    let mut node = solo_leader();
    let mut config = node.config().clone();
    config.non_voters.insert(id(1));
    node.propose_config(config);
    acts(&mut node);

    let position = node.propose_command();
    let actions: Vec<_> = node.actions_mut().collect();
    let [
        Action::SetElectionTimeout,
        Action::AppendLogEntries(_),
        Action::BroadcastMessage(Message::AppendEntriesCall { commit_index, .. }),
    ] = &actions[..]
    else {
        panic!("unexpected: {}", show(actions));
    };
    assert_eq!(*commit_index, position.index);
}

#[test]
fn actions_are_fields_that_may_be_taken_singly_or_whole() {
    let mut node = leader();
    node.propose_command();
    hear(&mut node, &reply(1, 2, pos(1, 3)));
    assert!(std::mem::take(&mut node.actions_mut().set_election_timeout));
    let sent = node
        .actions_mut()
        .send_messages
        .remove(&id(1))
        .expect("the follower is behind");
    assert_eq!(show_message(&sent), "AECall t2 c0 (1,3)+[T2 C]");
    let rest: Actions = std::mem::take(node.actions_mut());
    assert!(node.actions().is_empty() && !rest.is_empty());
    assert_eq!(show(rest), "Append (2,4)+[C]; Bcast AECall t2 c0 (2,4)+[C]");
}

#[test]
fn a_later_call_that_continues_the_queued_one_joins_it_and_any_other_replaces_it() {
    let mut node = leader();
    hear(&mut node, &reply(1, 2, pos(1, 3)));
    node.propose_command();
    hear(&mut node, &reply(1, 2, pos(2, 4)));
    assert_eq!(
        acts(&mut node),
        "Timer; Append (2,4)+[C]; Bcast AECall t2 c0 (2,4)+[C]; Send 1 AECall t2 c4 (1,3)+[T2 C]",
        "the second call to node 1 begins inside the first"
    );

    hear(&mut node, &reply(2, 2, pos(1, 3)));
    hear(&mut node, &reply(2, 2, pos(1, 4)));
    assert_eq!(
        acts(&mut node),
        "Send 2 AECall t2 c4 (1,3)+[T2]",
        "a probe inside a queued call ends it there"
    );
}

#[test]
fn an_empty_cluster_or_a_second_one_is_refused() {
    let mut node = Node::start(id(0));
    assert!(node.create_cluster(&[]).is_invalid());
    assert_eq!(acts(&mut node), "");
    assert_eq!(node.create_cluster(&ids([1, 2, 1])), pos(0, 1));
    assert_eq!(
        acts(&mut node),
        "Append (0,0)+[{1,2}]",
        "a founder outside the cluster does not campaign"
    );
    assert!(node.create_cluster(&ids([0])).is_invalid());
    assert_eq!(node.config(), &voters([1, 2]));

    let mut node = Node::restart(
        id(0),
        noraft::NodeGeneration::ZERO,
        term(0),
        None,
        noraft::Log::new(voters([0]), LogEntries::new(LogPosition::ZERO)),
    );
    assert!(
        node.create_cluster(&ids([0])).is_invalid(),
        "a configured node founds nothing"
    );
    assert_ne!(node.config(), &ClusterConfig::new());
}

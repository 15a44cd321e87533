//! The numbered scenarios of the contract: restart and snapshots (34-43).

use crate::kit::*;
use noraft::{ClusterConfig, CommitStatus, Error, Log, LogEntries, LogPosition, Node, NodeGeneration};

#[test]
fn scenario_34_restart_of_a_follower_mid_tenure() {
    let mut net = Net::led_by_node_0(3);
    let old = &net.nodes[1];
    let again = Node::restart(
        old.id(),
        NodeGeneration::new(1),
        old.current_term(),
        old.voted_for(),
        old.log().clone(),
    );
    net.nodes[1] = again;
    assert_eq!(acts(&mut net.nodes[1]), "Timer");
    let position = net.nodes[0].propose_command();
    net.settle();
    net.beat(0);
    assert!(
        net.nodes
            .iter()
            .all(|node| node.get_commit_status(position).is_committed())
    );
}

#[test]
fn scenario_35_snapshot_at_the_tail_of_all_nodes() {
    let mut net = Net::led_by_node_0(3);
    for node in &mut net.nodes {
        let tail = node.log().last_position();
        assert!(compact(node, tail.index.get()));
        assert_eq!(node.log().snapshot_position(), tail);
        assert_eq!(node.log().last_position(), tail);
        assert_eq!(node.commit_index(), tail.index);
        assert_eq!(node.config(), &voters([0, 1, 2]));
        assert_eq!(acts(node), "");
    }
    let position = net.nodes[0].propose_command();
    net.settle();
    assert!(net.nodes[0].get_commit_status(position).is_committed());
}

#[test]
fn scenario_36_empty_new_node_and_a_leader_with_a_snapshot() {
    let mut leader = solo_leader();
    let mut config = leader.config().clone();
    config.non_voters.insert(id(1));
    leader.propose_config(config.clone());
    assert!(compact(&mut leader, 3));
    leader.propose_command();
    acts(&mut leader);
    leader.heartbeat();
    assert_eq!(acts(&mut leader), "Timer; Bcast AECall t1 c4 (1,4)+[]");

    let mut node = Node::start(id(1));
    let beat = call(0, 1, 4, LogEntries::new(pos(1, 4)));
    assert_eq!(
        hears(&mut node, &beat),
        "Timer; SaveTerm; SaveVote; Send 0 AEReply t1 (0,0)"
    );
    assert_eq!(hears(&mut leader, &reply(1, 1, LogPosition::ZERO)), "Snap 1");
    assert!(node.handle_snapshot_installed(pos(1, 3), config));
    assert_eq!(acts(&mut node), "", "the follower sends no reply of its own");
    assert_eq!(
        hears(&mut node, &beat),
        "Timer; Send 0 AEReply t1 (1,3)",
        "still failed once"
    );
    assert_eq!(
        hears(&mut leader, &reply(1, 1, pos(1, 3))),
        "Send 1 AECall t1 c4 (1,3)+[C]"
    );
    let delta = call(0, 1, 4, run(pos(1, 3), [C]));
    assert_eq!(
        hears(&mut node, &delta),
        "Timer; Append (1,3)+[C]; Send 0 AEReply t1 (1,4)"
    );
    assert_eq!(node.commit_index(), index(4));
}

#[test]
fn scenario_37_snapshot_preserves_pending_append_suffix() {
    let mut node = follower();
    hear(&mut node, &call(1, 1, 4, run(pos(1, 3), [C, C])));
    assert!(compact(&mut node, 4));
    assert_eq!(
        acts(&mut node),
        "Timer; Append (1,4)+[C]; Send 1 AEReply t1 (1,5)"
    );
    assert_eq!(show_log(&node), "(1,4)+[C]");
    assert_eq!(node.commit_index(), index(4));
}

#[test]
fn scenario_38_snapshot_discards_incompatible_pending_append_entries() {
    let mut node = restarted(0, 2, Some(1), log([cfg([0, 1, 2]), t(1), C]));
    hear(&mut node, &call(1, 2, 0, run(pos(1, 3), [C, C])));
    assert!(node.handle_snapshot_installed(pos(2, 4), voters([0, 1, 2])));
    assert_eq!(node.actions().append_log_entries, None);
    assert_eq!(node.commit_index(), index(4));
    assert_eq!(show_log(&node), "(2,4)+[]");
}

#[test]
fn pending_entries_behind_a_snapshot_that_replaces_their_log_are_discarded() {
    let mut node = restarted(0, 2, Some(1), log([cfg([0, 1, 2]), t(1), C]));
    hear(&mut node, &call(1, 2, 0, run(pos(1, 3), [C])));
    assert!(node.handle_snapshot_installed(pos(2, 2), voters([0, 1, 2])));
    assert_eq!(node.actions().append_log_entries, None);
    assert_eq!(show_log(&node), "(2,2)+[]");
}

#[test]
fn scenario_39_local_snapshot_mismatch_returns_error() {
    let log = Log::new(voters([0, 1]), run(pos(2, 5), [C]));
    let mut node = restarted(0, 3, Some(1), log.clone());
    let error = node
        .handle_message(&call(1, 3, 9, LogEntries::new(pos(3, 5))))
        .expect_err("contradiction");
    assert_eq!(error, Error::LocalSnapshotMismatch);
    assert_eq!(
        error.to_string(),
        "local snapshot position conflicts with leader log"
    );
    assert_eq!(node.log(), &log);
    assert_eq!(acts(&mut node), "");
    let spanning = call(1, 3, 9, run(pos(1, 4), [C, C, C]));
    assert_eq!(node.handle_message(&spanning), Err(Error::LocalSnapshotMismatch));
    assert_eq!(node.log(), &log);
    assert_eq!(acts(&mut node), "");
}

#[test]
fn scenario_40_which_snapshots_are_accepted() {
    let mut node = follower();
    let before = format!("{node:?}");
    assert!(
        !node.handle_snapshot_installed(pos(2, 9), voters([0])),
        "a term that is not reached yet"
    );
    assert_eq!(before, format!("{node:?}"));
    assert!(node.handle_snapshot_installed(pos(1, 9), voters([0])));
    assert!(
        node.handle_snapshot_installed(pos(1, 9), voters([0])),
        "the same again"
    );
    assert!(
        !node.handle_snapshot_installed(pos(1, 9), voters([1])),
        "with another configuration"
    );
    assert!(
        !node.handle_snapshot_installed(pos(1, 8), voters([0])),
        "below the snapshot"
    );

    let mut node = follower();
    hear(&mut node, &call(1, 1, 3, LogEntries::new(pos(1, 3))));
    assert!(compact(&mut node, 2));
    assert_eq!(
        node.commit_index(),
        index(3),
        "compaction below the commit index does not move it"
    );
    assert!(
        !node.handle_snapshot_installed(pos(0, 3), voters([0, 1, 2])),
        "another term at a committed index"
    );
    assert!(compact(&mut node, 3));
    let again = Node::restart(
        id(0),
        NodeGeneration::new(1),
        term(1),
        Some(id(1)),
        node.log().clone(),
    );
    assert_eq!(again.commit_index(), node.commit_index());
    assert_eq!(again.get_commit_status(pos(1, 3)), CommitStatus::Committed);
}

#[test]
fn scenario_40_a_leader_refuses_a_snapshot_beyond_its_commit_index() {
    let mut node = leader();
    assert!(!node.handle_snapshot_installed(pos(1, 3), voters([0, 1, 2])));
    hear(&mut node, &reply(1, 2, pos(2, 4)));
    assert!(node.handle_snapshot_installed(pos(1, 3), voters([0, 1, 2])));
    assert_eq!(node.follower_match_index(id(1)), Some(index(4)));
}

#[test]
fn scenario_41_queued_messages_keep_their_term_and_lift_their_positions() {
    let mut node = follower();
    hear(&mut node, &call(1, 1, 0, LogEntries::new(pos(1, 3))));
    node.handle_election_timeout();
    acts_after_snapshot(
        &mut node,
        pos(2, 9),
        "SaveTerm; SaveVote; Bcast RVCall t2 (2,9); Send 1 AEReply t1 (2,9)",
    );

    let mut node = leader();
    hear(&mut node, &reply(1, 2, pos(2, 4)));
    hear(&mut node, &reply(2, 2, pos(0, 1)));
    node.propose_command();
    acts_after_snapshot(
        &mut node,
        pos(1, 3),
        "Append (2,4)+[C]; Bcast AECall t2 c4 (2,4)+[C]; Send 2 AECall t2 c4 (1,3)+[T2]",
    );
    hear(&mut node, &reply(2, 2, pos(1, 3)));
    node.heartbeat();
    hear(&mut node, &reply(1, 2, pos(2, 5)));
    acts_after_snapshot(
        &mut node,
        pos(2, 5),
        "Bcast AECall t2 c4 (2,5)+[]; Send 2 AECall t2 c4 (2,5)+[]",
    );
}

fn acts_after_snapshot(node: &mut Node, position: LogPosition, expected: &str) {
    assert!(node.handle_snapshot_installed(position, voters([0, 1, 2])));
    assert_eq!(acts(node), format!("Timer; {expected}"));
}

#[test]
fn scenario_42_demotion_to_a_higher_term_purges_queued_calls_but_keeps_replies() {
    let mut node = leader();
    hear(&mut node, &vote_call(1, 1, pos(9, 9)));
    hear(&mut node, &reply(2, 2, pos(1, 3)));
    node.propose_command();
    assert_eq!(
        hears(&mut node, &vote_reply(2, 3, false)),
        "Timer; SaveTerm; SaveVote; Append (2,4)+[C]; Send 1 RVReply t2 false"
    );
    let mut node = follower();
    node.handle_election_timeout();
    assert_eq!(
        hears(&mut node, &vote_reply(2, 3, false)),
        "Timer; SaveTerm; SaveVote"
    );

    let mut node = follower();
    node.handle_election_timeout();
    assert_eq!(
        hears(&mut node, &call(2, 2, 0, LogEntries::new(pos(1, 3)))),
        "Timer; SaveTerm; SaveVote; Bcast RVCall t2 (1,3); Send 2 AEReply t2 (1,3)",
        "stepping down within the term keeps them"
    );
}

#[test]
fn scenario_43_follower_match_index() {
    assert_eq!(follower().follower_match_index(id(1)), None);
    assert_eq!(candidate().follower_match_index(id(1)), None);
    let mut node = leader();
    assert_eq!(node.follower_match_index(id(0)), None, "itself");
    assert_eq!(node.follower_match_index(id(9)), None, "unknown");
    assert_eq!(node.follower_match_index(id(1)), Some(index(0)));
    for (reported, expected) in [
        (pos(1, 4), 0),
        (pos(1, 3), 3),
        (pos(0, 1), 3),
        (pos(2, 4), 4),
        (pos(2, 9), 4),
    ] {
        hear(&mut node, &reply(1, 2, reported));
        assert_eq!(
            node.follower_match_index(id(1)),
            Some(index(expected)),
            "after {reported:?}"
        );
    }
    let mut with_learner = node.config().clone();
    with_learner.non_voters.insert(id(5));
    node.propose_config(with_learner);
    assert_eq!(node.follower_match_index(id(5)), Some(index(0)));
    assert_eq!(
        node.follower_match_index(id(1)),
        Some(index(4)),
        "kept over a change"
    );
    node.propose_config(voters([0, 1, 2]));
    assert_eq!(node.follower_match_index(id(5)), None, "removed");
    hear(&mut node, &vote_reply(1, 3, false));
    assert_eq!(node.follower_match_index(id(1)), None, "no longer leader");
    node.handle_election_timeout();
    hear(&mut node, &vote_reply(1, 4, true));
    assert_eq!(node.follower_match_index(id(1)), Some(index(0)), "a new tenure");
}

#[test]
fn a_snapshot_of_another_term_than_the_local_entry_drops_the_suffix() {
    let mut node = restarted(0, 3, Some(1), log([cfg([0, 1, 2]), t(1), C, C, C]));
    assert!(node.handle_snapshot_installed(pos(3, 4), voters([0, 1])));
    assert_eq!(show_log(&node), "(3,4)+[]");
    assert_eq!(node.config(), &voters([0, 1]));
}

#[test]
fn an_anchor_below_the_snapshot_is_answered_with_the_tail() {
    let mut node = restarted(0, 2, Some(1), Log::new(ClusterConfig::new(), run(pos(2, 5), [C])));
    let late = call(1, 2, 9, run(pos(1, 2), [C]));
    assert_eq!(hears(&mut node, &late), "Timer; Send 1 AEReply t2 (2,6)");
    let spanning = call(1, 2, 9, run(pos(1, 3), [t(2), C, C, C]));
    assert_eq!(hears(&mut node, &spanning), "Timer; Send 1 AEReply t2 (2,6)");
}

#[test]
fn a_follower_behind_the_snapshot_lacks_entries_and_contradicts_none() {
    let mut leader = compacted_leader();
    let beyond = reported_by_node_2(&mut leader, pos(1, 3));
    assert_eq!(
        beyond,
        ("Snap 2".to_owned(), 0),
        "its log ends before ours begins"
    );
    let mut leader = compacted_leader();
    let apart = reported_by_node_2(&mut leader, pos(1, 4));
    assert_eq!(
        apart,
        ("Snap 2".to_owned(), 1),
        "another entry is where ours begins"
    );
}

/// What a leader does when the log of node 2 ends at `position`, and the divergences that it counts.
fn reported_by_node_2(leader: &mut Node, position: LogPosition) -> (String, u64) {
    let done = hears(leader, &reply(2, 2, position));
    (done, leader.metrics().log_divergences_detected_by_leader)
}

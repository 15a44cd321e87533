//! The numbered scenarios of the contract: replication (14-20, 24-26). Scenarios 21-23 are in
//! `actions.rs`.

use crate::kit::*;
use noraft::{ClusterConfig, CommitStatus, LogEntries, LogPosition, Message, Node, NodeGeneration};

#[test]
fn scenario_14_heartbeat_at_equal_tails() {
    let mut net = Net::led_by_node_0(3);
    let tail = net.nodes[0].log().last_position();
    assert!(net.nodes[0].heartbeat());
    let by_call = acts(&mut net.nodes[0]);
    net.nodes[0].handle_election_timeout();
    assert_eq!(by_call, acts(&mut net.nodes[0]), "the timer does the same");
    assert_eq!(by_call, "Timer; Bcast AECall t1 c2 (1,2)+[]");
    assert_eq!(
        hears(&mut net.nodes[1], &call(0, 1, 2, LogEntries::new(tail))),
        "Timer; Send 0 AEReply t1 (1,2)"
    );
    assert_eq!(hears(&mut net.nodes[0], &reply(1, 1, tail)), "");
}

#[test]
fn scenario_15_a_proposal_carries_the_commit_index_before_it() {
    let mut net = Net::led_by_node_0(3);
    assert_eq!(net.nodes[0].propose_command(), pos(1, 3));
    assert_eq!(
        acts(&mut net.nodes[0]),
        "Timer; Append (1,2)+[C]; Bcast AECall t1 c2 (1,2)+[C]"
    );
    hear(&mut net.nodes[1], &call(0, 1, 2, run(pos(1, 2), [C])));
    assert_eq!(net.nodes[1].commit_index(), index(2));
    hear(&mut net.nodes[1], &call(0, 1, 9, run(pos(1, 3), [C])));
    assert_eq!(net.nodes[1].commit_index(), index(4), "never beyond the own tail");
}

#[test]
fn scenario_16_the_first_positive_reply_of_three_commits() {
    let mut net = Net::led_by_node_0(3);
    let leader = &mut net.nodes[0];
    let position = leader.propose_command();
    acts(leader);
    assert_eq!(hears(leader, &reply(2, 1, position)), "");
    assert_eq!(leader.get_commit_status(position), CommitStatus::Committed);
    assert_eq!(hears(leader, &reply(1, 1, position)), "");
    assert_eq!(leader.commit_index(), position.index);
}

#[test]
fn scenario_17_a_failed_call_is_answered_with_the_tail_alone() {
    for (anchor, tail) in [(pos(1, 8), "(1,3)"), (pos(2, 3), "(1,2)")] {
        let mut node = follower();
        let failed = call(1, 2, 9, run(anchor, [C]));
        assert_eq!(
            hears(&mut node, &failed),
            format!("Timer; SaveTerm; SaveVote; Send 1 AEReply t2 {tail}")
        );
        assert_eq!(node.commit_index(), index(0));
        let heard_again = hears(&mut node, &call(1, 2, 9, LogEntries::new(pos(2, 9))));
        assert_eq!(
            heard_again,
            format!("Timer; Send 1 AEReply t2 {tail}"),
            "saved only when changed"
        );
    }
}

#[test]
fn scenario_18_same_index_different_term_tail_is_truncated_before_replication() {
    let mut leader = restarted(0, 3, None, log([cfg([0, 1]), t(1), t(2)]));
    leader.handle_election_timeout();
    hear(&mut leader, &vote_reply(1, 4, true));
    acts(&mut leader);
    let mut follower = restarted(1, 4, Some(0), log([cfg([0, 1]), t(1), t(2), t(3)]));
    assert_eq!(leader.log().last_position(), pos(4, 4));

    assert_eq!(
        hears(&mut leader, &reply(1, 4, pos(3, 4))),
        "Send 1 AECall t4 c0 (4,4)+[]"
    );
    let probe = call(0, 4, 0, LogEntries::new(pos(4, 4)));
    assert_eq!(hears(&mut follower, &probe), "Timer; Send 0 AEReply t4 (2,3)");
    assert_eq!(
        hears(&mut leader, &reply(1, 4, pos(2, 3))),
        "Send 1 AECall t4 c0 (2,3)+[T4]"
    );
    let repair = call(0, 4, 0, run(pos(2, 3), [t(4)]));
    assert_eq!(
        hears(&mut follower, &repair),
        "Timer; Append (2,3)+[T4]; Send 0 AEReply t4 (4,4)"
    );
    hear(&mut leader, &reply(1, 4, pos(4, 4)));
    assert_eq!(leader.commit_index(), index(4));
}

#[test]
fn scenario_19_follower_rewrites_from_common_prefix() {
    let mut node = restarted(1, 3, None, log([t(1), C, C, t(3)]));
    let repair = call(0, 4, 6, run(pos(1, 3), [C, C, t(2)]));
    assert_eq!(
        hears(&mut node, &repair),
        "Timer; SaveTerm; SaveVote; Append (1,3)+[C C T2]; Send 0 AEReply t4 (2,6)"
    );
    assert_eq!(show_log(&node), "(0,0)+[T1 C C C C T2]");
    assert_eq!(node.commit_index(), index(6));
}

#[test]
fn scenario_20_only_what_is_new_is_appended() {
    let mut node = restarted(1, 1, Some(0), log([t(1), C, C]));
    let partly_known = call(0, 1, 0, run(pos(1, 1), [C, C, C]));
    assert_eq!(
        hears(&mut node, &partly_known),
        "Timer; Append (1,3)+[C]; Send 0 AEReply t1 (1,4)"
    );

    let mut node = restarted(1, 3, Some(0), log([t(1), C, t(2), C]));
    let divergent_inside = call(0, 3, 0, run(pos(1, 1), [C, t(3), C, C]));
    assert_eq!(
        hears(&mut node, &divergent_inside),
        "Timer; Append (1,2)+[T3 C C]; Send 0 AEReply t3 (3,5)"
    );

    let mut node = restarted(1, 3, Some(0), log([t(1), C, t(2), C]));
    let divergent_without_term = call(0, 3, 0, run(pos(1, 1), [C, C, C, C]));
    assert_eq!(
        hears(&mut node, &divergent_without_term),
        "Timer; Append (1,2)+[C C C]; Send 0 AEReply t3 (1,5)"
    );
    assert_eq!(show_log(&node), "(0,0)+[T1 C C C C]");
}

#[test]
fn scenario_24_strip_append_entries_prefix() {
    let entries = run(pos(1, 3), [C, t(2), cfg([0]), C]);
    let original = call(0, 5, 7, entries.clone());
    for (sent, rest) in [
        (0, entries.clone()),
        (1, run(pos(1, 4), [t(2), cfg([0]), C])),
        (2, run(pos(2, 5), [cfg([0]), C])),
        (3, run(pos(2, 6), [C])),
        (4, LogEntries::new(pos(2, 7))),
        (usize::MAX, LogEntries::new(pos(2, 7))),
    ] {
        let mut message = original.clone();
        assert!(message.strip_append_entries_prefix(sent));
        assert_eq!(message, call(0, 5, 7, rest), "after {sent}");
    }
    for other in [
        vote_call(0, 1, pos(0, 0)),
        vote_reply(0, 1, true),
        reply(0, 1, pos(0, 0)),
    ] {
        let mut message = other.clone();
        assert!(!message.strip_append_entries_prefix(1));
        assert_eq!(message, other);
    }
}

#[test]
fn scenario_25_replies_that_say_nothing_new_do_nothing() {
    let mut node = leader();
    hear(&mut node, &reply(1, 2, pos(2, 4)));
    node.propose_command();
    acts(&mut node);
    let ignored = [
        reply(9, 2, pos(2, 5)),
        reply(1, 1, pos(2, 5)),
        reply(1, 2, pos(2, 99)),
        reply(1, 2, pos(1, 3)),
        reply(1, 2, LogPosition::ZERO),
    ];
    for message in ignored {
        assert_eq!(hears(&mut node, &message), "", "{message:?}");
        assert_eq!(node.commit_index(), index(4));
    }
    assert_eq!(hears(&mut follower(), &reply(1, 1, pos(1, 3))), "");
    let metrics = node.metrics();
    assert_eq!(metrics.append_entries_replies_ignored_from_unknown_nodes, 1);
    assert_eq!(metrics.append_entries_replies_ignored_from_old_terms, 1);
    assert_eq!(metrics.append_entries_replies_ahead_of_leader, 1);
    assert_eq!(metrics.append_entries_replies_ignored_behind_match_index, 2);
}

/// Followers come back empty, with a higher generation, under a living leader.
fn wipe_followers(net: &mut Net) {
    for node in &mut net.nodes[1..] {
        let empty = noraft::Log::new(ClusterConfig::new(), LogEntries::new(LogPosition::ZERO));
        let generation = NodeGeneration::new(node.generation().get() + 1);
        *node = Node::restart(node.id(), generation, node.current_term(), Some(id(0)), empty);
    }
}

#[test]
fn scenario_26_a_follower_of_a_new_generation_is_fed_again() {
    let mut net = Net::led_by_node_0(3);
    let proposed: Vec<_> = (0..5).map(|_| net.nodes[0].propose_command()).collect();
    net.settle();
    for _ in 0..3 {
        wipe_followers(&mut net);
        net.beat(0);
        net.beat(0);
        let tail = net.nodes[0].log().last_position();
        assert!(net.nodes.iter().all(|node| node.log().last_position() == tail));
        for position in &proposed {
            assert!(
                net.nodes
                    .iter()
                    .all(|node| node.get_commit_status(*position).is_committed())
            );
        }
    }
    assert!(!net.nodes[0].propose_command().is_invalid());
    net.settle();
    assert_eq!(
        net.nodes[0].commit_index(),
        net.nodes[0].log().last_position().index
    );
}

#[test]
fn scenario_26_a_follower_of_a_new_generation_is_fed_again_from_a_snapshot() {
    let mut net = Net::led_by_node_0(3);
    let proposed: Vec<_> = (0..5).map(|_| net.nodes[0].propose_command()).collect();
    net.settle();
    assert!(compact(&mut net.nodes[0], 5));
    wipe_followers(&mut net);
    for _ in 0..3 {
        net.beat(0);
    }
    let tail = net.nodes[0].log().last_position();
    for node in &net.nodes {
        assert_eq!(node.log().last_position(), tail);
        assert_eq!(node.get_commit_status(proposed[0]), CommitStatus::Unknown);
        assert_eq!(node.get_commit_status(proposed[4]), CommitStatus::Committed);
    }
}

#[test]
fn scenario_26_a_lower_generation_is_an_old_reply() {
    let mut node = leader();
    hear(&mut node, &reply_of_generation(1, 2, 3, pos(1, 3)));
    acts(&mut node);
    assert_eq!(hears(&mut node, &reply_of_generation(1, 2, 2, pos(2, 4))), "");
    assert_eq!(node.follower_match_index(id(1)), Some(index(3)));
    assert_eq!(
        hears(&mut node, &reply_of_generation(1, 2, 3, pos(0, 1))),
        "",
        "delayed"
    );
    assert_eq!(
        hears(&mut node, &reply_of_generation(1, 2, 4, pos(0, 1))),
        "Send 1 AECall t2 c0 (0,1)+[T1 C T2]"
    );
    assert_eq!(node.follower_match_index(id(1)), Some(index(1)));
    let in_reply = hears(&mut node, &call(1, 3, 0, LogEntries::new(pos(2, 4))));
    assert_eq!(in_reply, "Timer; SaveTerm; SaveVote; Send 1 AEReply t3 (2,4)");
}

#[test]
fn a_reply_carries_the_generation_of_its_sender() {
    let mut node = Node::restart(id(0), NodeGeneration::new(6), term(1), None, log([t(1)]));
    hear(&mut node, &call(1, 1, 0, LogEntries::new(pos(1, 1))));
    let sent = node
        .actions_mut()
        .send_messages
        .remove(&id(1))
        .expect("a call is answered");
    let Message::AppendEntriesReply { generation, .. } = sent else {
        panic!("{sent:?}")
    };
    assert_eq!(generation, NodeGeneration::new(6));
}

#[test]
fn a_known_tail_moves_the_commit_index_only_if_it_is_the_own_tail_too() {
    let mut node = follower();
    hear(&mut node, &call(1, 1, 3, run(pos(0, 1), [t(1)])));
    assert_eq!(
        node.commit_index(),
        index(0),
        "entries after (1,2) are not vouched for"
    );
    hear(&mut node, &call(1, 1, 3, LogEntries::new(pos(1, 3))));
    assert_eq!(node.commit_index(), index(3));
    hear(&mut node, &call(1, 1, 1, LogEntries::new(pos(1, 3))));
    assert_eq!(node.commit_index(), index(3), "it never falls");
}

#[test]
fn commit_status_of_any_position_on_any_node() {
    let mut net = Net::led_by_node_0(3);
    (0..4).for_each(|_| assert!(!net.nodes[0].propose_command().is_invalid()));
    net.settle();
    let node = &mut net.nodes[0];
    assert!(compact(node, 3));
    let pending = node.propose_command();
    for (position, status) in [
        (pos(1, 2), CommitStatus::Unknown),
        (pos(1, 3), CommitStatus::Committed),
        (pos(7, 3), CommitStatus::Rejected),
        (pos(1, 6), CommitStatus::Committed),
        (pos(2, 6), CommitStatus::Rejected),
        (pending, CommitStatus::InProgress),
        (pos(1, 99), CommitStatus::InProgress),
        (pos(0, 99), CommitStatus::Rejected),
    ] {
        assert_eq!(node.get_commit_status(position), status, "{position:?}");
    }
}

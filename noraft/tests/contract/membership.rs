//! The numbered scenarios of the contract: membership (27-31, and the fixed part of 33).

use std::collections::BTreeSet;

use crate::kit::*;
use noraft::{ClusterConfig, LogEntries, NodeId, Role};

#[test]
fn scenario_27_two_old_acks_commit_nothing_without_the_new_set() {
    let mut net = Net::led_by_node_0(3);
    let node = &mut net.nodes[0];
    let joint = node.config().to_joint_consensus(&[id(3)], &ids([1, 2]));
    assert_eq!(show_config(&joint), "{0,1,2>0,3}");
    let position = node.propose_config(joint);
    acts(node);
    hear(node, &reply(1, 1, position));
    hear(node, &reply(2, 1, position));
    assert!(node.get_commit_status(position).is_in_progress());
    hear(node, &reply(3, 1, position));
    assert!(node.get_commit_status(position).is_committed());
}

#[test]
fn scenario_28_a_committed_joint_configuration_becomes_final_in_the_same_call() {
    let mut net = Net::led_by_node_0(3);
    let node = &mut net.nodes[0];
    let position = node.propose_config(node.config().to_joint_consensus(&[id(3)], &ids([1, 2])));
    acts(node);
    hear(node, &reply(3, 1, position));
    assert_eq!(acts(node), "");
    assert_eq!(
        hears(node, &reply(1, 1, position)),
        "Timer; Append (1,3)+[{0,3}]; Bcast AECall t1 c3 (1,3)+[{0,3}]"
    );
    assert_eq!(node.commit_index(), position.index);
    assert!(node.peers().eq([id(3)]));
    assert_eq!(
        hears(node, &reply(1, 1, position)),
        "",
        "a removed node is unknown"
    );
    assert_eq!(hears(node, &reply(2, 1, pos(1, 2))), "");
}

#[test]
fn scenario_28_a_removed_node_behind_the_tail_is_sent_nothing() {
    let mut net = Net::led_by_node_0(3);
    let node = &mut net.nodes[0];
    let joint = node.propose_config(node.config().to_joint_consensus(&[id(3)], &ids([1, 2])));
    node.propose_command();
    acts(node);
    hear(node, &reply(3, 1, joint));
    acts(node);
    assert_eq!(
        hears(node, &reply(1, 1, joint)),
        "Timer; Append (1,4)+[{0,3}]; Bcast AECall t1 c3 (1,4)+[{0,3}]"
    );
    assert_eq!(hears(node, &reply(1, 1, joint)), "", "from then on it is unknown");
}

#[test]
fn scenario_29_leader_commits_after_shrinking_to_self_only_voter() {
    let mut net = Net::led_by_node_0(2);
    let node = &mut net.nodes[0];
    let joint = node.propose_config(node.config().to_joint_consensus(&[], &[id(1)]));
    acts(node);
    assert_eq!(
        hears(node, &reply(1, 1, joint)),
        "Timer; Append (1,3)+[{0}]",
        "no peers, no broadcast"
    );
    assert_eq!(node.commit_index(), index(4));
    let next = node.propose_command();
    assert!(node.get_commit_status(next).is_committed());
}

#[test]
fn scenario_30_to_joint_consensus_is_set_arithmetic() {
    let base = {
        let mut config = voters([1, 2, 3]);
        config.non_voters.extend(ids([4, 5]));
        config
    };
    let untouched = base.clone();
    for adding in 0..64_u64 {
        for removing in 0..64_u64 {
            let (adding, removing) = (subset(adding), subset(removing));
            let joint = base.to_joint_consensus(&adding, &removing);
            let expected: BTreeSet<_> = base
                .voters
                .iter()
                .chain(&adding)
                .copied()
                .filter(|id| !removing.contains(id))
                .collect();
            assert_eq!(joint.voters, base.voters);
            assert_eq!(joint.new_voters, expected);
            let kept: BTreeSet<_> = base.non_voters.difference(&expected).copied().collect();
            assert_eq!(joint.non_voters, kept, "promoted nodes leave the non-voters");
        }
    }
    assert_eq!(base, untouched);
    let unchanged = base.to_joint_consensus(&[], &[]);
    assert!(unchanged.is_joint_consensus());
    assert_eq!(unchanged.new_voters, base.voters);
}

fn subset(bits: u64) -> Vec<NodeId> {
    (0..6).filter(|n| bits >> n & 1 == 1).map(|n| id(n + 1)).collect()
}

#[test]
fn scenario_30_unique_nodes_is_the_sorted_union() {
    for bits in 0..4096_u64 {
        let config = ClusterConfig {
            voters: subset(bits & 15).into_iter().collect(),
            new_voters: subset(bits >> 4 & 15).into_iter().collect(),
            non_voters: subset(bits >> 8).into_iter().collect(),
        };
        let union: BTreeSet<_> = [&config.voters, &config.new_voters, &config.non_voters]
            .into_iter()
            .flatten()
            .copied()
            .collect();
        assert!(config.unique_nodes().eq(union.iter().copied()));
        assert!((0..9).all(|n| config.contains(id(n)) == union.contains(&id(n))));
    }
}

#[test]
fn scenario_31_promotion_of_a_non_voter_end_to_end() {
    let mut net = Net::of([solo_leader(), noraft::Node::start(id(1))]);
    let leader = &mut net.nodes[0];
    let mut with_learner = leader.config().clone();
    with_learner.non_voters.insert(id(1));
    let registered = leader.propose_config(with_learner);
    assert!(
        leader.get_commit_status(registered).is_committed(),
        "a solo leader commits at once"
    );
    net.settle();
    net.beat(0);
    let tail = net.nodes[0].log().last_position();
    assert_eq!(net.nodes[1].log().last_position(), tail);
    assert_eq!(net.nodes[1].role(), Role::Follower);
    net.nodes[1].handle_election_timeout();
    assert!(net.nodes[1].actions().is_empty(), "a non-voter does not campaign");

    let leader = &mut net.nodes[0];
    let joint = leader.propose_config(leader.config().to_joint_consensus(&[id(1)], &[]));
    assert!(
        leader.get_commit_status(joint).is_in_progress(),
        "the joint entry needs the new voter"
    );
    net.settle();
    net.beat(0);
    let expected = voters([0, 1]);
    assert!(
        net.nodes
            .iter()
            .all(|node| *node.config() == expected && node.commit_index() == index(5))
    );
}

#[test]
fn scenario_33_solo_leader() {
    let mut node = solo_leader();
    let same = node.propose_config(node.config().clone());
    assert!(node.get_commit_status(same).is_committed());
    assert!(node.heartbeat(), "also without peers");
    acts(&mut node);
    assert_eq!(
        hears(&mut node, &vote_call(7, 9, pos(0, 0))),
        "Timer; SaveTerm; SaveVote"
    );
    assert_eq!((node.role(), node.current_term()), (Role::Follower, term(9)));
    node.handle_election_timeout();
    assert_eq!((node.role(), node.current_term()), (Role::Leader, term(10)));
    assert_eq!(node.commit_index(), node.log().last_position().index);
}

#[test]
fn a_no_op_joint_change_of_a_solo_leader_ends_in_its_final_entry() {
    let mut node = solo_leader();
    let position = node.propose_config(node.config().to_joint_consensus(&[], &[]));
    assert_eq!(position, pos(1, 4));
    assert!(node.get_commit_status(position).is_committed());
    assert_eq!(acts(&mut node), "Timer; Append (1,2)+[{0>0} {0}]");
}

#[test]
fn a_configuration_is_refused_for_each_reason_the_contract_names() {
    let mut node = leader();
    let current = node.config().clone();
    let joint = current.to_joint_consensus(&[id(3)], &[]);
    let with = |change: fn(&mut ClusterConfig)| {
        let mut config = current.clone();
        change(&mut config);
        config
    };
    for refused in [
        with(|c| c.voters = voters([0, 1]).voters),
        with(|c| c.voters = BTreeSet::new()),
        with(|c| c.non_voters = voters([1]).voters),
        with(|c| {
            c.new_voters = voters([0, 3]).voters;
            c.non_voters = voters([3]).voters;
        }),
    ] {
        assert!(node.propose_config(refused.clone()).is_invalid(), "{refused:?}");
    }
    assert_eq!(acts(&mut node), "");
    assert!(!node.propose_config(joint.clone()).is_invalid());
    assert!(node.propose_config(joint).is_invalid(), "one change at a time");
}

#[test]
fn the_next_change_may_follow_as_soon_as_the_final_configuration_is_appended() {
    let mut net = Net::led_by_node_0(3);
    let node = &mut net.nodes[0];
    let joint = node.propose_config(node.config().to_joint_consensus(&[], &[id(2)]));
    hear(node, &reply(1, 1, joint));
    assert_eq!(show_config(node.config()), "{0,1}");
    assert!(node.commit_index() < node.log().last_position().index);
    assert!(
        !node
            .propose_config(node.config().to_joint_consensus(&[id(2)], &[]))
            .is_invalid()
    );
}

#[test]
fn a_truncated_configuration_is_taken_back() {
    let mut node = leader();
    node.propose_config(node.config().to_joint_consensus(&[id(3)], &[]));
    assert_eq!(show_config(node.config()), "{0,1,2>0,1,2,3}");
    hear(&mut node, &call(1, 3, 0, run(pos(2, 4), [t(3)])));
    assert_eq!(show_config(node.config()), "{0,1,2}");
    assert!(node.peers().eq(ids([1, 2])));
}

#[test]
fn a_later_leader_finishes_the_joint_change_it_inherits() {
    let mut joint = voters([0, 1, 2]);
    joint.new_voters.extend(ids([0, 1]));
    let mut node = restarted(
        0,
        1,
        None,
        log([cfg([0, 1, 2]), t(1), noraft::LogEntry::ClusterConfig(joint)]),
    );
    node.handle_election_timeout();
    hear(&mut node, &vote_reply(1, 2, true));
    acts(&mut node);
    hear(&mut node, &reply(1, 2, pos(1, 3)));
    assert_eq!(
        node.commit_index(),
        index(0),
        "an entry of an earlier term is not counted"
    );
    acts(&mut node);
    assert_eq!(
        hears(&mut node, &reply(1, 2, pos(2, 4))),
        "Timer; Append (2,4)+[{0,1}]; Bcast AECall t2 c4 (2,4)+[{0,1}]"
    );
}

#[test]
fn a_candidate_of_a_joint_configuration_needs_both_majorities() {
    let mut joint = voters([0, 1, 2]);
    joint.new_voters.extend(ids([0, 3, 4]));
    let mut node = restarted(0, 1, None, log([noraft::LogEntry::ClusterConfig(joint), t(1)]));
    node.handle_election_timeout();
    hear(&mut node, &vote_reply(1, 2, true));
    hear(&mut node, &vote_reply(2, 2, true));
    assert!(node.role().is_candidate());
    hear(&mut node, &vote_reply(4, 2, true));
    assert!(node.role().is_leader());
}

#[test]
fn peers_are_all_other_nodes_once() {
    let mut config = voters([0, 2]);
    config.new_voters.extend(ids([0, 1]));
    config.non_voters.insert(id(5));
    let log = noraft::Log::new(config, LogEntries::new(pos(1, 1)));
    assert!(restarted(0, 1, None, log).peers().eq(ids([1, 2, 5])));
}

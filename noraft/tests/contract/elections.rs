//! The numbered scenarios of the contract: cluster start and elections (1-13).

use crate::kit::*;
use noraft::{LogEntries, LogPosition, Node, NodeGeneration, Role};

#[test]
fn scenario_01_single_node_start() {
    let mut node = Node::start(id(0));
    let position = node.create_cluster(&[id(0)]);
    assert_eq!(
        acts(&mut node),
        "Timer; SaveTerm; SaveVote; Append (0,0)+[{0} T1]"
    );
    assert_eq!(node.role(), Role::Leader);
    assert_eq!(position, pos(1, 2));
    assert_eq!(node.commit_index(), index(2));
    assert!(node.get_commit_status(position).is_committed());
    assert!(node.create_cluster(&[id(0)]).is_invalid());
}

#[test]
fn scenario_02_start_with_several_voters() {
    let mut node = Node::start(id(0));
    assert_eq!(
        node.create_cluster(&ids([0, 1, 2, 1])),
        pos(0, 1),
        "duplicates collapse"
    );
    assert_eq!(
        acts(&mut node),
        "Timer; SaveTerm; SaveVote; Append (0,0)+[{0,1,2}]; Bcast RVCall t1 (0,1)"
    );
    assert_eq!(
        (node.role(), node.current_term(), node.voted_for()),
        (Role::Candidate, term(1), Some(id(0)))
    );
    assert!(node.get_commit_status(pos(0, 1)).is_in_progress());
}

#[test]
fn scenario_03_create_two_nodes_cluster() {
    let mut a = Node::start(id(0));
    let mut b = Node::start(id(1));
    a.create_cluster(&ids([0, 1]));
    acts(&mut a);
    a.handle_election_timeout();
    assert_eq!(acts(&mut a), "Timer; SaveTerm; SaveVote; Bcast RVCall t2 (0,1)");

    assert_eq!(
        hears(&mut b, &vote_call(0, 2, pos(0, 1))),
        "Timer; SaveTerm; SaveVote; Send 0 RVReply t2 true"
    );
    assert_eq!(
        hears(&mut a, &vote_reply(1, 2, true)),
        "Timer; Append (0,1)+[T2]; Bcast AECall t2 c0 (0,1)+[T2]"
    );
    assert_eq!(
        hears(&mut b, &call(0, 2, 0, run(pos(0, 1), [t(2)]))),
        "Timer; Send 0 AEReply t2 (0,0)"
    );
    assert_eq!(
        hears(&mut a, &reply(1, 2, LogPosition::ZERO)),
        "Send 1 AECall t2 c0 (0,0)+[{0,1} T2]"
    );
    let whole = run(LogPosition::ZERO, [cfg([0, 1]), t(2)]);
    assert_eq!(
        hears(&mut b, &call(0, 2, 0, whole)),
        "Timer; Append (0,0)+[{0,1} T2]; Send 0 AEReply t2 (2,2)"
    );
    assert_eq!(
        hears(&mut a, &reply(1, 2, pos(2, 2))),
        "",
        "an up-to-date reply queues nothing"
    );
    assert_eq!(a.commit_index(), index(2));
    assert_eq!(a.config(), b.config());
}

#[test]
fn scenario_04_the_second_vote_of_three_changes_nothing() {
    let mut node = Node::start(id(0));
    node.create_cluster(&ids([0, 1, 2]));
    acts(&mut node);
    assert_eq!(
        hears(&mut node, &vote_reply(1, 1, true)),
        "Timer; Append (0,1)+[T1]; Bcast AECall t1 c0 (0,1)+[T1]"
    );
    let log = node.log().clone();
    assert_eq!(hears(&mut node, &vote_reply(2, 1, true)), "");
    assert_eq!(
        (node.role(), node.current_term(), node.log()),
        (Role::Leader, term(1), &log)
    );
}

#[test]
fn scenario_05_election_with_a_split_vote() {
    let mut net = Net::led_by_node_0(3);
    let [a, b, c] = &mut net.nodes[..] else {
        panic!("three nodes")
    };
    b.handle_election_timeout();
    c.handle_election_timeout();
    acts(b);
    acts(c);
    assert_eq!(hears(b, &vote_call(2, 2, pos(1, 2))), "");
    assert_eq!(hears(c, &vote_call(1, 2, pos(1, 2))), "");
    c.handle_election_timeout();
    assert_eq!(acts(c), "Timer; SaveTerm; SaveVote; Bcast RVCall t3 (1,2)");
    assert_eq!(
        hears(b, &vote_call(2, 3, pos(1, 2))),
        "Timer; SaveTerm; SaveVote; Send 2 RVReply t3 true"
    );
    assert_eq!(
        hears(c, &vote_reply(1, 3, true)),
        "Timer; Append (1,2)+[T3]; Bcast AECall t3 c2 (1,2)+[T3]"
    );
    assert_eq!(
        hears(a, &call(2, 3, 2, run(pos(1, 2), [t(3)]))),
        "Timer; SaveTerm; SaveVote; Append (1,2)+[T3]; Send 2 AEReply t3 (3,3)",
        "the old leader follows in one go"
    );
    assert_eq!((a.role(), a.voted_for()), (Role::Follower, Some(id(2))));
}

#[test]
fn scenario_06_self_request_vote_call_is_ignored() {
    let mut node = candidate();
    let before = format!(
        "{:?}",
        (node.role(), node.current_term(), node.voted_for(), node.log())
    );
    for in_term in [1, 2, 9] {
        assert_eq!(hears(&mut node, &vote_call(0, in_term, pos(9, 9))), "");
    }
    assert_eq!(
        before,
        format!(
            "{:?}",
            (node.role(), node.current_term(), node.voted_for(), node.log())
        )
    );
    assert_eq!(node.metrics().self_messages_ignored, 3);
}

#[test]
fn scenario_07_high_term_candidate_with_stale_log_is_rejected() {
    let mut node = restarted(0, 5, Some(0), log([cfg([0, 1]), t(2), t(3), t(5)]));
    assert_eq!(node.log().last_position(), pos(5, 4));
    let actions = hears(&mut node, &vote_call(1, 7, pos(3, 100)));
    assert!(!actions.contains("RVReply"), "{actions}");
    assert_eq!((node.current_term(), node.voted_for()), (term(7), None));
}

#[test]
fn scenario_08_disruptive_request_vote_is_processed_without_prefilter() {
    let mut node = follower();
    let request = vote_call(2, 2, pos(1, 3));
    assert!(node.could_be_disruptive_request_vote(&request));
    assert_eq!(
        hears(&mut node, &request),
        "Timer; SaveTerm; SaveVote; Send 2 RVReply t2 true"
    );
}

#[test]
fn scenario_09_what_could_be_disruptive() {
    let mut node = follower();
    assert!(node.could_be_disruptive_request_vote(&vote_call(2, 2, pos(0, 0))));
    assert!(
        !node.could_be_disruptive_request_vote(&vote_call(1, 2, pos(0, 0))),
        "from the leader itself"
    );
    assert!(
        !node.could_be_disruptive_request_vote(&vote_call(2, 1, pos(0, 0))),
        "not a higher term"
    );
    assert!(!node.could_be_disruptive_request_vote(&call(2, 2, 0, LogEntries::new(pos(1, 3)))));
    assert!(!candidate().could_be_disruptive_request_vote(&vote_call(2, 9, pos(1, 3))));
    assert!(leader().could_be_disruptive_request_vote(&vote_call(2, 9, pos(1, 3))));
    assert!(
        !Node::start(id(0)).could_be_disruptive_request_vote(&vote_call(2, 9, pos(1, 3))),
        "no vote"
    );
    assert_eq!(acts(&mut node), "", "asking queues nothing");
}

#[test]
fn scenario_10_truncate_log() {
    let mut net = Net::led_by_node_0(3);
    let lost = net.nodes[0].propose_command();
    acts(&mut net.nodes[0]);

    net.nodes[1].handle_election_timeout();
    acts(&mut net.nodes[1]);
    let request = vote_call(1, 2, pos(1, 2));
    assert!(
        net.nodes[0].could_be_disruptive_request_vote(&request),
        "the old leader does not hear of it"
    );
    hear(&mut net.nodes[2], &request);
    net.nodes[2].actions_mut().send_messages.clear();
    hear(&mut net.nodes[1], &vote_reply(2, 2, true));
    assert_eq!(
        acts(&mut net.nodes[1]),
        "Timer; Append (1,2)+[T2]; Bcast AECall t2 c2 (1,2)+[T2]"
    );

    let old = &mut net.nodes[0];
    hear(old, &call(1, 2, 2, run(pos(1, 2), [t(2)])));
    assert_eq!(show_log(old), "(0,0)+[{0,1,2} T1 T2]");
    assert!(old.role().is_follower());
    assert!(
        old.get_commit_status(lost).is_in_progress(),
        "not decided before something is committed there"
    );

    net.settle();
    net.beat(1);
    assert!(
        net.nodes
            .iter()
            .all(|node| node.get_commit_status(lost).is_rejected())
    );
}

#[test]
fn scenario_11_candidate_accepts_same_term_append_entries_from_leader() {
    let mut node = candidate();
    assert_eq!(
        hears(&mut node, &call(1, 2, 0, run(pos(1, 3), [t(2)]))),
        "Timer; SaveVote; Append (1,3)+[T2]; Send 1 AEReply t2 (2,4)"
    );
    assert_eq!((node.role(), node.voted_for()), (Role::Follower, Some(id(1))));
    assert_eq!(node.log().last_position(), pos(2, 4));
}

#[test]
fn scenario_12_follower_accepts_append_entries_after_voting_for_another_candidate() {
    let mut node = restarted(0, 2, Some(2), log([cfg([0, 1, 2]), t(1), C]));
    assert_eq!(
        hears(&mut node, &call(1, 2, 0, run(pos(1, 3), [t(2)]))),
        "Timer; SaveVote; Append (1,3)+[T2]; Send 1 AEReply t2 (2,4)"
    );
    assert_eq!(node.voted_for(), Some(id(1)));
}

#[test]
fn scenario_13_only_a_vote_or_a_real_demotion_sets_the_timer() {
    let behind = vote_call(2, 9, pos(1, 1));
    hear_without_timer(follower(), &behind);
    assert!(hears(&mut candidate(), &behind).starts_with("Timer"));
    assert!(hears(&mut leader(), &behind).starts_with("Timer"));
    assert!(hears(&mut follower(), &vote_call(2, 9, pos(1, 3))).starts_with("Timer"));
}

fn hear_without_timer(mut node: Node, message: &noraft::Message) {
    assert_eq!(hears(&mut node, message), "SaveTerm; SaveVote");
}

#[test]
fn a_node_without_a_configuration_votes_which_founding_a_cluster_needs() {
    let mut node = Node::start(id(3));
    assert_eq!(
        hears(&mut node, &vote_call(0, 1, pos(0, 1))),
        "Timer; SaveTerm; SaveVote; Send 0 RVReply t1 true"
    );
    node.handle_election_timeout();
    assert_eq!(acts(&mut node), "", "but it does not campaign");
}

#[test]
fn getters_return_what_a_node_was_started_with() {
    let log = log([cfg([0, 1]), t(2)]);
    let node = Node::restart(id(0), NodeGeneration::new(7), term(4), Some(id(1)), log.clone());
    assert_eq!(
        (node.id(), node.generation(), node.role()),
        (id(0), NodeGeneration::new(7), Role::Follower)
    );
    assert_eq!(
        (node.current_term(), node.voted_for(), node.log()),
        (term(4), Some(id(1)), &log)
    );
    assert_eq!(node.commit_index(), index(0));
    assert!(node.peers().eq([id(1)]));
    let node = Node::start(id(0));
    assert_eq!(
        (node.generation(), node.current_term(), node.voted_for()),
        (NodeGeneration::ZERO, term(0), None)
    );
}

#[test]
fn metrics_count_elections_and_leaderships() {
    let node = solo_leader();
    assert_eq!(
        (
            node.metrics().elections_started,
            node.metrics().leaderships_started
        ),
        (1, 1)
    );
    let mut node = follower();
    hear(&mut node, &vote_reply(1, 0, true));
    hear(&mut node, &reply(1, 0, pos(0, 0)));
    assert_eq!(
        node.metrics().request_vote_replies_ignored_while_not_candidate,
        1,
        "role before term"
    );
    assert_eq!(
        node.metrics().append_entries_replies_ignored_from_old_terms,
        1,
        "term before role"
    );
    node.handle_election_timeout();
    hear(&mut node, &vote_reply(1, 1, true));
    assert_eq!(node.metrics().request_vote_replies_ignored_from_old_terms, 1);
    assert_eq!(
        (
            node.metrics().elections_started,
            node.metrics().leaderships_started
        ),
        (1, 0)
    );
    assert_eq!(node.clone().metrics(), node.metrics(), "copied with the node");
}

#[test]
fn a_leader_steps_down_in_its_term_and_votes_in_the_next() {
    let mut node = leader();
    let (in_term, vote, last) = (node.current_term(), node.voted_for(), node.log().last_position());
    node.propose_command();
    assert!(node.step_down());
    let said = acts(&mut node);
    assert!(
        said.contains("Timer") && said.contains("Append") && !said.contains("AECall"),
        "what was proposed is stored, and not sent: {said}"
    );
    assert_eq!(
        (node.role(), node.current_term(), node.voted_for()),
        (Role::Follower, in_term, vote)
    );
    assert!(!node.step_down() && node.propose_command().is_invalid());
    // An acknowledgement of its tenure commits nothing any more.
    let commit = node.commit_index();
    hear(
        &mut node,
        &reply(1, in_term.get(), pos(in_term.get(), last.index.get() + 1)),
    );
    assert_eq!(node.commit_index(), commit);
    let call = vote_call(1, in_term.get() + 1, pos(in_term.get(), last.index.get() + 9));
    assert!(hears(&mut node, &call).contains("true"));
}

#[test]
fn a_candidate_steps_down_and_leads_by_no_late_vote() {
    let mut node = candidate();
    let in_term = node.current_term();
    assert!(node.step_down());
    hear(&mut node, &vote_reply(1, in_term.get(), true));
    hear(&mut node, &vote_reply(2, in_term.get(), true));
    assert_eq!((node.role(), node.current_term()), (Role::Follower, in_term));
}

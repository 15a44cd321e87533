//! The Raft paper, claim by claim: one test for each thing it says a server does, as far as the core
//! is responsible for it. The section is cited at each test ("figure 2" is the paper's summary).

use crate::kit::*;
use noraft::{CommitStatus, Log, LogEntries, LogEntry, LogPosition, Node, NodeGeneration, Role};

// Section 5.1: terms

/// Raft 5.1: the current term rises over time and never falls.
#[test]
fn the_current_term_never_falls() {
    let mut node = candidate();
    for message in [
        vote_call(1, 1, pos(1, 3)),
        reply(1, 0, pos(1, 3)),
        call(1, 1, 3, LogEntries::new(pos(1, 3))),
    ] {
        hear(&mut node, &message);
        assert_eq!(node.current_term(), term(2));
    }
}

/// Raft 5.1: a server that sees a larger term than its own adopts it, whatever the message.
#[test]
fn a_larger_term_is_adopted_from_every_message() {
    for message in [
        vote_call(1, 9, pos(0, 0)),
        vote_reply(1, 9, false),
        call(1, 9, 0, LogEntries::new(pos(9, 9))),
        reply(1, 9, pos(9, 9)),
    ] {
        let mut node = follower();
        hear(&mut node, &message);
        assert_eq!(node.current_term(), term(9), "{message:?}");
        assert!(node.actions().save_current_term);
    }
}

/// Raft 5.1: a candidate or leader whose term is out of date becomes a follower at once.
#[test]
fn candidates_and_leaders_of_an_old_term_become_followers() {
    for mut node in [candidate(), leader()] {
        hear(&mut node, &vote_reply(1, 9, false));
        assert_eq!((node.role(), node.current_term()), (Role::Follower, term(9)));
    }
}

/// Raft 5.1: a request with an old term is rejected, and the answer carries the newer term.
#[test]
fn requests_of_an_old_term_are_rejected() {
    let mut node = leader();
    assert_eq!(
        hears(&mut node, &vote_call(1, 1, pos(9, 9))),
        "Send 1 RVReply t2 false"
    );
    assert_eq!(
        hears(&mut node, &call(1, 1, 9, run(pos(2, 4), [C]))),
        "Send 1 AEReply t2 (2,4)"
    );
    assert_eq!((node.role(), node.commit_index()), (Role::Leader, index(0)));
}

// Section 5.2: leader election

/// Raft 5.2: servers start as followers, also after a crash as leader.
#[test]
fn servers_start_as_followers() {
    assert!(Node::start(id(0)).role().is_follower());
    let node = leader();
    let again = Node::restart(
        id(0),
        NodeGeneration::new(1),
        node.current_term(),
        node.voted_for(),
        node.log().clone(),
    );
    assert!(again.role().is_follower());
}

/// Raft 5.2: a leader's heartbeat is an append call without entries, to all nodes.
#[test]
fn a_leader_sends_heartbeats_without_entries() {
    let mut node = leader();
    node.handle_election_timeout();
    assert_eq!(acts(&mut node), "Timer; Bcast AECall t2 c0 (2,4)+[]");
    assert!(node.peers().eq(ids([1, 2])));
}

/// Raft 5.2: a follower that hears nothing increments its term, becomes a candidate, votes for
/// itself and asks all others.
#[test]
fn a_timeout_begins_an_election() {
    let mut node = follower();
    node.handle_election_timeout();
    assert_eq!(
        (node.role(), node.current_term(), node.voted_for()),
        (Role::Candidate, term(2), Some(id(0)))
    );
    assert_eq!(
        acts(&mut node),
        "Timer; SaveTerm; SaveVote; Bcast RVCall t2 (1,3)"
    );
}

/// Raft 5.2: votes of a majority of the full cluster win; fewer do not.
#[test]
fn a_majority_of_the_full_cluster_wins() {
    let mut node = restarted(0, 1, None, log([cfg([0, 1, 2, 3, 4]), t(1)]));
    node.handle_election_timeout();
    hear(&mut node, &vote_reply(1, 2, true));
    hear(&mut node, &vote_reply(1, 2, true));
    assert!(node.role().is_candidate(), "one server's vote counts once");
    hear(&mut node, &vote_reply(2, 2, true));
    assert!(node.role().is_leader());
}

/// Raft 5.2: the votes must be for the same term.
#[test]
fn votes_of_another_term_do_not_count() {
    let mut node = candidate();
    node.handle_election_timeout();
    hear(&mut node, &vote_reply(1, 2, true));
    assert!(node.role().is_candidate());
    hear(&mut node, &vote_reply(1, 3, true));
    assert!(node.role().is_leader());
}

/// Raft 5.2: at most one vote a term, first come first served; also over a restart.
#[test]
fn at_most_one_vote_in_a_term() {
    let mut node = restarted(0, 1, None, log([cfg([0, 1, 2]), t(1)]));
    assert!(hears(&mut node, &vote_call(1, 2, pos(1, 2))).contains("RVReply t2 true"));
    assert_eq!(hears(&mut node, &vote_call(2, 2, pos(1, 9))), "");
    let vote = node.voted_for().map(|id| id.get());
    let mut again = restarted(0, node.current_term().get(), vote, node.log().clone());
    assert_eq!(hears(&mut again, &vote_call(2, 2, pos(1, 9))), "");
    assert!(
        hears(&mut again, &vote_call(1, 2, pos(1, 2))).contains("RVReply t2 true"),
        "the same one again"
    );
}

/// Raft 5.2: a new leader announces itself to all others at once.
#[test]
fn a_new_leader_announces_itself() {
    let mut node = candidate();
    assert_eq!(
        hears(&mut node, &vote_reply(1, 2, true)),
        "Timer; Append (1,3)+[T2]; Bcast AECall t2 c0 (1,3)+[T2]"
    );
}

/// Raft 5.2: a candidate recognises a leader whose term is at least its own.
#[test]
fn a_candidate_yields_to_a_leader_of_its_term_or_a_later_one() {
    for in_term in [2, 3] {
        let mut node = candidate();
        hear(&mut node, &call(1, in_term, 0, LogEntries::new(pos(1, 3))));
        assert_eq!((node.role(), node.voted_for()), (Role::Follower, Some(id(1))));
    }
}

/// Raft 5.2: a candidate rejects a leader of an older term and stays a candidate.
#[test]
fn a_candidate_ignores_a_leader_of_an_older_term() {
    let mut node = candidate();
    assert_eq!(
        hears(&mut node, &call(1, 1, 3, run(pos(1, 3), [C]))),
        "Send 1 AEReply t2 (1,3)"
    );
    assert!(node.role().is_candidate());
    assert_eq!(node.log().last_position(), pos(1, 3));
}

/// Raft 5.2: after a split vote a candidate begins again in the next term.
#[test]
fn a_split_vote_is_retried_in_the_next_term() {
    let mut node = candidate();
    node.handle_election_timeout();
    assert_eq!((node.role(), node.current_term()), (Role::Candidate, term(3)));
    hear(&mut node, &vote_reply(1, 3, true));
    assert!(node.role().is_leader());
}

/// Raft 5.2 and figure 2: only a leader's call and a granted vote hold back a follower's election.
#[test]
fn what_sets_a_followers_timer() {
    let sets = |message| hears(&mut follower(), &message).starts_with("Timer");
    assert!(sets(call(1, 1, 0, LogEntries::new(pos(1, 3)))));
    assert!(sets(vote_call(2, 2, pos(1, 3))));
    assert!(!sets(vote_call(2, 2, pos(1, 2))), "a vote not granted");
    assert!(
        !sets(call(1, 0, 0, LogEntries::new(pos(0, 1)))),
        "a leader of an old term"
    );
    assert!(!sets(reply(1, 2, pos(1, 3))));
}

// Section 5.3: log replication

/// Raft 5.3: a leader appends a command to its own log and sends it to all others at once.
#[test]
fn a_leader_appends_and_sends_in_parallel() {
    let mut node = leader();
    assert_eq!(node.propose_command(), pos(2, 5));
    assert_eq!(node.log().last_position(), pos(2, 5));
    assert_eq!(
        acts(&mut node),
        "Timer; Append (2,4)+[C]; Bcast AECall t2 c0 (2,4)+[C]"
    );
}

/// Raft 5.3: calls are repeated for as long as a follower lacks entries, even when all is committed.
#[test]
fn a_follower_that_lacks_entries_is_sent_them_until_it_has_them() {
    let mut node = leader();
    hear(&mut node, &reply(1, 2, pos(2, 4)));
    for _ in 0..3 {
        assert_eq!(
            hears(&mut node, &reply(2, 2, pos(1, 3))),
            "Send 2 AECall t2 c4 (1,3)+[T2]"
        );
    }
}

/// Raft 5.3: an entry is committed once a majority has it; a slow minority does not matter.
#[test]
fn an_entry_on_a_majority_is_committed() {
    let mut net = Net::led_by_node_0(5);
    let node = &mut net.nodes[0];
    let position = node.propose_command();
    hear(node, &reply(1, 1, position));
    assert_eq!(node.get_commit_status(position), CommitStatus::InProgress);
    hear(node, &reply(2, 1, position));
    assert_eq!(node.get_commit_status(position), CommitStatus::Committed);
}

/// Raft 5.3: committing an entry commits all before it, also those of earlier leaders.
#[test]
fn earlier_entries_are_committed_along() {
    let mut node = leader();
    let earlier = pos(1, 3);
    assert!(node.get_commit_status(earlier).is_in_progress());
    hear(&mut node, &reply(1, 2, pos(2, 4)));
    assert!(node.get_commit_status(earlier).is_committed());
}

/// Raft 5.3: later calls carry the commit index, and followers follow it.
#[test]
fn the_commit_index_travels_with_later_calls() {
    let mut net = Net::led_by_node_0(3);
    let position = net.nodes[0].propose_command();
    net.settle();
    assert!(net.nodes[1].commit_index() < position.index);
    net.beat(0);
    assert!(net.nodes.iter().all(|node| node.commit_index() == position.index));
}

/// Raft 5.3, log matching: a call names the entry before its own, and a follower without that entry
/// takes nothing.
#[test]
fn a_follower_refuses_entries_whose_predecessor_it_lacks() {
    for anchor in [pos(1, 4), pos(2, 3), pos(0, 2)] {
        let mut node = follower();
        hear(&mut node, &call(1, 2, 0, run(anchor, [C])));
        assert!(node.log().last_position().index <= index(3), "{anchor:?}");
        assert_eq!(node.actions().append_log_entries, None);
    }
}

/// Raft 5.3: a leader makes the followers' logs equal to its own. The followers are those of
/// figure 7: missing entries, extra uncommitted entries, or both.
#[test]
fn followers_logs_are_forced_to_match() {
    let leaders = terms([1, 1, 1, 4, 4, 5, 5, 6, 6, 6]);
    for own in [
        terms([1, 1, 1, 4, 4, 5, 5, 6, 6]),
        terms([1, 1, 1, 4]),
        terms([1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]),
        terms([1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]),
        terms([1, 1, 1, 4, 4, 4, 4]),
        terms([1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]),
    ] {
        let mut node = restarted(0, 7, None, figure_7(&leaders));
        node.handle_election_timeout();
        hear(&mut node, &vote_reply(2, 8, true));
        let mut net = Net::of([node, restarted(1, 7, None, figure_7(&own))]);
        net.settle();
        assert_eq!(
            net.nodes[1].log().entries(),
            net.nodes[0].log().entries(),
            "{own:?}"
        );
        assert_eq!(net.nodes[0].commit_index(), index(12));
    }
}

fn terms<const N: usize>(numbers: [u64; N]) -> Vec<u64> {
    numbers.to_vec()
}

/// A configuration of three, then one entry for each number, of that term.
fn figure_7(terms: &[u64]) -> Log {
    let mut entries = run(LogPosition::ZERO, [cfg([0, 1, 2])]);
    for number in terms {
        let begins = entries.last_position().term != term(*number);
        entries.push(if begins { t(*number) } else { C });
    }
    Log::new(noraft::ClusterConfig::new(), entries)
}

/// Raft 5.3, leader append-only: a leader's own log only grows, whatever followers say.
#[test]
fn a_leader_never_changes_its_own_entries() {
    let mut node = leader();
    let before = node.log().clone();
    for message in [
        reply(1, 2, pos(1, 4)),
        reply(1, 2, pos(1, 99)),
        reply(2, 2, pos(0, 0)),
        call(2, 2, 9, run(pos(1, 2), [t(2), C])),
        vote_call(2, 2, pos(2, 99)),
    ] {
        hear(&mut node, &message);
        assert_eq!(node.log(), &before, "{message:?}");
    }
}

/// Raft figure 2: entries already in the log are not appended again, and a late, shorter call cuts
/// nothing off.
#[test]
fn a_late_call_removes_nothing() {
    let mut node = follower();
    hear(&mut node, &call(1, 1, 0, run(pos(1, 3), [C, C, C])));
    acts(&mut node);
    assert_eq!(
        hears(&mut node, &call(1, 1, 0, run(pos(1, 3), [C]))),
        "Timer; Send 1 AEReply t1 (1,6)"
    );
}

/// Raft figure 2: the commit index is the smaller of the leader's and the last new entry.
#[test]
fn the_commit_index_never_passes_the_log() {
    let mut node = follower();
    hear(&mut node, &call(1, 1, 100, run(pos(1, 3), [C])));
    assert_eq!(node.commit_index(), index(4));
}

// Section 5.4: safety

/// Raft 5.4.1: a vote is denied to a candidate whose log is behind: by the last term first, by
/// length within the same term.
#[test]
fn votes_go_to_logs_that_are_at_least_as_up_to_date() {
    for (last, granted) in [
        (pos(1, 4), true),
        (pos(1, 3), true),
        (pos(1, 2), false),
        (pos(2, 1), true),
        (pos(0, 100), false),
    ] {
        let answered = hears(&mut follower(), &vote_call(2, 2, last)).contains("RVReply t2 true");
        assert_eq!(answered, granted, "{last:?}");
    }
}

/// Raft 5.4.2 and figure 8: an entry of an earlier term is not committed by counting replicas, only
/// along with an entry of the leader's own term.
#[test]
fn entries_of_earlier_terms_are_not_committed_by_counting() {
    let mut node = restarted(0, 3, None, log([cfg([0, 1, 2, 3, 4]), t(1), t(2)]));
    node.handle_election_timeout();
    hear(&mut node, &vote_reply(1, 4, true));
    hear(&mut node, &vote_reply(2, 4, true));
    for follower in [1, 2, 3] {
        hear(&mut node, &reply(follower, 4, pos(2, 3)));
    }
    assert_eq!(
        node.commit_index(),
        index(0),
        "on four of five, and still not committed"
    );
    hear(&mut node, &reply(1, 4, pos(4, 4)));
    hear(&mut node, &reply(2, 4, pos(4, 4)));
    assert_eq!(node.commit_index(), index(4));
}

/// Raft 5.5: messages may be repeated: the second changes nothing.
#[test]
fn messages_are_idempotent() {
    let vote = vote_call(2, 2, pos(1, 3));
    let entries = call(1, 2, 4, run(pos(1, 3), [t(2), C]));
    for message in [vote, entries] {
        let mut node = follower();
        hear(&mut node, &message);
        let once = (
            node.log().clone(),
            node.current_term(),
            node.voted_for(),
            node.commit_index(),
        );
        hear(&mut node, &message);
        assert_eq!(
            once,
            (
                node.log().clone(),
                node.current_term(),
                node.voted_for(),
                node.commit_index()
            )
        );
    }
}

// Section 6: cluster membership changes

/// Raft 6: a configuration counts from the moment it is in the log, committed or not.
#[test]
fn the_latest_configuration_in_the_log_is_in_force() {
    let mut node = follower();
    hear(&mut node, &call(1, 1, 0, run(pos(1, 3), [cfg([0, 1, 2, 3, 4])])));
    assert_eq!(node.config(), &voters([0, 1, 2, 3, 4]));
    assert!(node.get_commit_status(pos(1, 4)).is_in_progress());
}

/// Raft 6: in the joint phase entries go to the servers of both configurations.
#[test]
fn joint_entries_go_to_both_configurations() {
    let mut node = leader();
    node.propose_config(node.config().to_joint_consensus(&[id(3)], &[id(2)]));
    assert!(node.peers().eq(ids([1, 2, 3])));
}

/// Raft 6: any server of either configuration may lead in the joint phase.
#[test]
fn a_server_of_either_configuration_may_lead() {
    for own in [1, 3] {
        let mut joint = voters([0, 1, 2]);
        joint.new_voters.extend(ids([0, 2, 3]));
        let mut node = restarted(own, 1, None, log([LogEntry::ClusterConfig(joint), t(1)]));
        node.handle_election_timeout();
        hear(&mut node, &vote_reply(0, 2, true));
        assert!(node.role().is_candidate(), "node {own} lacks one majority");
        hear(&mut node, &vote_reply(2, 2, true));
        assert!(node.role().is_leader(), "node {own}");
    }
}

/// Raft 6: commits in the joint phase need a majority of each configuration by itself.
#[test]
fn joint_commits_need_both_majorities() {
    for (acknowledging, committed) in [(vec![1, 2], false), (vec![3, 4], false), (vec![1, 3], true)] {
        let mut net = Net::led_by_node_0(3);
        let node = &mut net.nodes[0];
        let position = node.propose_config(node.config().to_joint_consensus(&ids([3, 4]), &ids([1, 2])));
        for follower in &acknowledging {
            hear(node, &reply(*follower, 1, position));
        }
        assert_eq!(
            node.get_commit_status(position).is_committed(),
            committed,
            "{acknowledging:?}"
        );
    }
}

/// Raft 6: a leader outside the new configuration replicates without counting itself, and steps
/// down when the new configuration is committed.
#[test]
fn a_leader_outside_the_new_configuration_manages_it_and_then_leaves() {
    let mut net = Net::led_by_node_0(3);
    let node = &mut net.nodes[0];
    let joint = node.propose_config(node.config().to_joint_consensus(&[], &[id(0)]));
    hear(node, &reply(1, 1, joint));
    hear(node, &reply(2, 1, joint));
    assert_eq!(node.config(), &voters([1, 2]));
    let last = node.log().last_position();
    hear(node, &reply(1, 1, last));
    assert!(
        node.role().is_leader(),
        "itself and one of two are no majority of the two"
    );
    hear(node, &reply(2, 1, last));
    assert_eq!((node.role(), node.current_term()), (Role::Follower, term(1)));
    assert!(node.get_commit_status(last).is_committed());
}

/// Raft 6: servers that join as non-voting members get the log but do not count.
#[test]
fn non_voting_members_replicate_without_counting() {
    let mut net = Net::led_by_node_0(3);
    let node = &mut net.nodes[0];
    let mut config = node.config().clone();
    config.non_voters.extend(ids([3, 4]));
    let position = node.propose_config(config);
    hear(node, &reply(3, 1, position));
    hear(node, &reply(4, 1, position));
    assert!(node.get_commit_status(position).is_in_progress());
    acts(node);
    assert_eq!(
        hears(node, &reply(3, 1, LogPosition::ZERO)),
        "",
        "known to be ahead of that"
    );
    assert_eq!(hears(node, &reply(3, 1, position)), "");
    assert_eq!(node.follower_match_index(id(3)), Some(position.index));
}

/// Raft 6: a server that believes in its leader recognizes requests that would only disrupt.
#[test]
fn disruptive_vote_requests_are_recognised() {
    assert!(follower().could_be_disruptive_request_vote(&vote_call(2, 9, pos(1, 3))));
}

// Section 7: log compaction

/// Raft 7: a snapshot keeps the last included position, for the consistency check of the next call,
/// and the configuration there.
#[test]
fn a_snapshot_keeps_position_and_configuration() {
    let mut node = follower();
    hear(&mut node, &call(1, 1, 3, LogEntries::new(pos(1, 3))));
    assert!(compact(&mut node, 3));
    assert_eq!(node.log().snapshot_position(), pos(1, 3));
    assert_eq!(node.config(), &voters([0, 1, 2]));
    hear(&mut node, &call(1, 1, 3, run(pos(1, 3), [C])));
    assert_eq!(node.log().last_position(), pos(1, 4));
}

/// Raft 7: a follower that lags behind the leader's log is sent the snapshot.
#[test]
fn a_follower_behind_the_log_is_sent_the_snapshot() {
    let mut node = leader();
    hear(&mut node, &reply(1, 2, pos(2, 4)));
    assert!(compact(&mut node, 4));
    assert_eq!(hears(&mut node, &reply(2, 2, pos(1, 3))), "Snap 2");
}

/// Raft 7: a snapshot of what the follower does not have replaces its whole log.
#[test]
fn a_snapshot_with_news_replaces_the_log() {
    let mut node = follower();
    assert!(node.handle_snapshot_installed(pos(1, 9), voters([0, 1, 2])));
    assert_eq!(show_log(&node), "(1,9)+[]");
    assert_eq!(node.commit_index(), index(9));
}

/// Raft 7: of a log that extends a received snapshot, the entries after it stay.
#[test]
fn a_snapshot_of_a_prefix_keeps_the_rest() {
    let mut node = follower();
    assert!(node.handle_snapshot_installed(pos(1, 2), voters([0, 1, 2])));
    assert_eq!(show_log(&node), "(1,2)+[C]");
}

// Section 8: client interaction

/// Raft 8: a leader begins its term with an entry of its own, from which it learns what is committed.
#[test]
fn a_leader_begins_its_term_with_an_entry() {
    let mut node = leader();
    assert_eq!(node.log().entries().get_entry(index(4)), Some(t(2)));
    hear(&mut node, &reply(1, 2, pos(2, 4)));
    assert_eq!(
        node.log().entries().get_term(node.commit_index()),
        Some(node.current_term())
    );
}

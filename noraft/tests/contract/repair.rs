//! Weak point 4.4.29: a divergent log is repaired in a number of round trips that grows with the
//! terms in it, not with its entries; and nothing that matches is ever cut on the way.

use crate::kit::*;
use noraft::{Action, ClusterConfig, Log, LogEntries, LogPosition, Message, Node};

/// A log whose entries have these terms, after a configuration entry of term 0.
fn log_of_terms(terms: &[u64]) -> Log {
    let mut entries = run(LogPosition::ZERO, [cfg([0, 1, 2])]);
    for number in terms {
        let begins = entries.last_position().term != term(*number);
        entries.push(if begins { t(*number) } else { C });
    }
    Log::new(ClusterConfig::new(), entries)
}

/// Makes node 0 the leader with one log, lets node 1 have the other, and exchanges messages until
/// both agree. Returns the leader's calls. `matching` is the last index both logs have in common.
fn repair(leaders: &[u64], followers: &[u64], matching: u64) -> usize {
    let latest = leaders.iter().chain(followers).max().copied().unwrap_or(0);
    let mut leader = restarted(0, latest, None, log_of_terms(leaders));
    let mut follower = restarted(1, latest, None, log_of_terms(followers));
    leader.handle_election_timeout();
    hear(&mut leader, &vote_reply(2, latest + 1, true));
    let mut calls = 0;
    while let Some(message) = take_message(&mut leader) {
        calls += 1;
        hear(&mut follower, &message);
        assert!(
            follower.log().last_position().index >= index(matching),
            "a matching entry was cut"
        );
        let answer = take_message(&mut follower).expect("a call is answered");
        hear(&mut leader, &answer);
        assert!(calls < 10_000, "the repair does not end");
    }
    assert_eq!(follower.log().entries(), leader.log().entries());
    assert_eq!(leader.commit_index(), leader.log().last_position().index);
    calls
}

fn take_message(node: &mut Node) -> Option<Message> {
    let messages = node.actions_mut().filter_map(|action| match action {
        Action::BroadcastMessage(message) | Action::SendMessage(_, message) => Some(message),
        Action::SetElectionTimeout
        | Action::SaveCurrentTerm
        | Action::SaveVotedFor
        | Action::AppendLogEntries(_)
        | Action::InstallSnapshot(_) => None,
    });
    messages.last()
}

#[test]
fn point_29_a_long_divergent_tail_of_one_term_takes_as_many_round_trips_as_a_short_one() {
    let common = [1, 1, 1];
    let leaders = [&common[..], &[4; 20]].concat();
    for divergent in [1, 20, 200, 5000] {
        let followers = [&common[..], &vec![3; divergent]].concat();
        assert!(repair(&leaders, &followers, 4) <= 4, "{divergent} entries");
    }
}

#[test]
fn point_29_random_histories() {
    for seed in 1..=3000_u64 {
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut below = |n: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % n
        };
        let mut common = Vec::new();
        let mut number = 1;
        for _ in 0..below(6) {
            number += below(2);
            common.push(number);
        }
        // After the logs part, no term has entries in both: a term has one leader, and so one line.
        let (mut leaders, mut followers) = (common.clone(), common.clone());
        let mut distinct = 0;
        for _ in 0..below(12) {
            number += 1;
            let entries = vec![number; 1 + below(5) as usize];
            if below(2) == 0 {
                leaders.extend(entries);
            } else {
                followers.extend(entries);
                distinct += 1;
            }
        }
        let matching = common.len() as u64 + 1;
        let calls = repair(&leaders, &followers, matching);
        assert!(
            calls <= distinct + 4,
            "seed {seed}: {calls} calls for {distinct} terms, {leaders:?} against {followers:?}; repeat with: \
             cargo test -p noraft@0.1.0 --test contract repair::"
        );
    }
}

#[test]
fn point_29_a_follower_cuts_all_that_the_anchor_excludes() {
    let mut node = restarted(1, 5, None, log_of_terms(&[1, 2, 2, 4, 4, 5]));
    assert_eq!(
        hears(&mut node, &call(0, 6, 0, LogEntries::new(pos(2, 7)))),
        "Timer; SaveTerm; SaveVote; Send 0 AEReply t6 (2,4)"
    );
}

#[test]
fn point_29_a_leader_probes_where_the_logs_can_first_differ() {
    let mut node = restarted(0, 5, None, log_of_terms(&[1, 1, 3, 3, 5, 5]));
    node.handle_election_timeout();
    hear(&mut node, &vote_reply(2, 6, true));
    acts(&mut node);
    for (reported, probe) in [(pos(2, 7), "(3,4)"), (pos(4, 7), "(5,6)"), (pos(4, 5), "(3,5)")] {
        assert_eq!(
            hears(&mut node, &reply(1, 6, reported)),
            format!("Send 1 AECall t6 c0 {probe}+[]")
        );
    }
}

#[test]
fn point_29_a_follower_older_than_the_snapshot_is_sent_it_at_once() {
    let mut node = leader();
    hear(&mut node, &reply(2, 2, pos(2, 4)));
    (0..4).for_each(|_| assert!(!node.propose_command().is_invalid()));
    hear(&mut node, &reply(2, 2, pos(2, 8)));
    assert!(compact(&mut node, 6));
    acts(&mut node);
    assert_eq!(hears(&mut node, &reply(1, 2, pos(1, 7))), "Snap 1");
}

#[test]
fn point_29_a_cut_stops_at_the_commit_index() {
    let mut node = restarted(0, 3, Some(1), log_of_terms(&[1, 2, 2, 3]));
    hear(&mut node, &call(1, 3, 3, LogEntries::new(pos(3, 5))));
    assert_eq!(node.commit_index(), index(3));
    hear(&mut node, &call(1, 3, 3, LogEntries::new(pos(1, 5))));
    assert_eq!(node.log().last_position(), pos(2, 3));
}

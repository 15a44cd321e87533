//! The weak points of the reference (contract section 4), each with the behaviour that replaces it.
//! The number in a test's name is the point's. What costs memory is in `memory.rs`, the speed of
//! divergence repair (4.4.29) in `repair.rs`, extreme numbers everywhere in `extremes.rs`.

use crate::kit::*;
use noraft::{Action, ClusterConfig, CommitStatus, Error, Log, LogEntries, LogEntry, Node, Role};

const MAX: u64 = u64::MAX;

/// What a node has stored, if it executes every append.
struct Disk(LogEntries);

impl Disk {
    fn of(node: &Node) -> Self {
        Self(node.log().entries().clone())
    }

    fn execute(&mut self, node: &mut Node) {
        for action in node.actions_mut() {
            if let Action::AppendLogEntries(entries) = action {
                assert!(
                    self.0.append_suffix(&entries),
                    "a hole in storage before {entries:?}"
                );
            }
        }
    }
}

/// 4.1.1: a pending append is overwritten as a whole by one that is anchored below it; otherwise an
/// entry is acknowledged that never reaches storage.
#[test]
fn point_01_an_append_below_the_pending_one_replaces_it() {
    let mut node = restarted(0, 1, None, log([t(1), C]));
    let mut disk = Disk::of(&node);
    hear(&mut node, &call(1, 2, 0, run(pos(1, 2), [t(2)])));
    hear(&mut node, &call(2, 3, 0, run(pos(1, 1), [t(3)])));
    let reply = node.actions().send_messages.get(&id(2)).map(show_message);
    assert_eq!(reply.as_deref(), Some("AEReply t3 (3,2)"));
    disk.execute(&mut node);
    assert_eq!(&disk.0, node.log().entries());
    assert_eq!(show_entries(&disk.0), "(0,0)+[T1 T3]");
}

/// 4.1.1, with the log cut in memory in between.
#[test]
fn point_01_after_a_cut_below_the_pending_append() {
    let mut node = restarted(0, 1, None, log([t(1), C, C]));
    let mut disk = Disk::of(&node);
    hear(&mut node, &call(1, 2, 0, run(pos(1, 3), [t(2), C])));
    hear(&mut node, &call(2, 3, 0, LogEntries::new(pos(0, 2))));
    assert_eq!(
        show_log(&node),
        "(0,0)+[]",
        "everything of a higher term than the anchor is cut"
    );
    hear(&mut node, &call(2, 3, 0, run(pos(0, 0), [C, C, t(3)])));
    disk.execute(&mut node);
    assert_eq!(&disk.0, node.log().entries());
}

/// 4.1.2: a crash after a cut in memory brings the old tail back; the repair still leaves exactly
/// the leader's entries, in the log and in storage.
#[test]
fn point_02_a_repair_over_a_tail_that_came_back() {
    let stored = log([t(1), C, t(2), C]);
    let mut node = restarted(0, 2, None, stored.clone());
    hear(&mut node, &call(1, 3, 0, LogEntries::new(pos(3, 4))));
    hear(&mut node, &call(1, 3, 0, LogEntries::new(pos(1, 3))));
    assert_eq!(node.log().last_position(), pos(1, 2));
    assert_eq!(node.actions().append_log_entries, None, "cut in memory only");

    let mut node = restarted(0, 3, Some(1), stored);
    let mut disk = Disk::of(&node);
    let repair = run(pos(1, 2), [C, t(3)]);
    hear(&mut node, &call(1, 3, 0, repair.clone()));
    disk.execute(&mut node);
    assert_eq!(node.log().entries().since(pos(1, 2)), Some(repair));
    assert_eq!(&disk.0, node.log().entries());
}

/// 4.1.3: the last term there is ends campaigning; it neither overflows nor wraps to zero.
#[test]
fn point_03_no_candidacy_beyond_the_last_term() {
    let mut node = follower();
    hear(&mut node, &vote_reply(1, MAX, false));
    acts(&mut node);
    node.handle_election_timeout();
    assert_eq!((node.role(), node.current_term()), (Role::Follower, term(MAX)));
    assert_eq!(acts(&mut node), "");

    let mut node = follower();
    hear(&mut node, &vote_reply(1, MAX - 1, false));
    node.handle_election_timeout();
    assert_eq!(
        (node.role(), node.current_term()),
        (Role::Candidate, term(MAX)),
        "the last one is usable"
    );
}

/// 4.1.4: a run ends at the last index; iterating, truncating and measuring it work there too.
#[test]
fn point_04_runs_at_the_end_of_the_number_range() {
    let mut entries = run(pos(1, MAX - 2), [C, t(7), C, C, t(8), cfg([1])]);
    assert_eq!((entries.len(), entries.last_position()), (2, pos(7, MAX)));
    assert!(entries.iter().eq([C, t(7)]));
    let full = LogEntries::from_iter(pos(1, MAX), [C, t(9)]);
    assert_eq!(full, LogEntries::new(pos(1, MAX)));
    assert_eq!(full.iter().count(), 0);
    entries.truncate(usize::MAX);
    assert_eq!(entries.len(), 2);
    entries.truncate(1);
    assert_eq!(entries, run(pos(1, MAX - 2), [C]));
}

/// 4.1.4: a leader whose log is full refuses proposals; a candidate does not become one.
#[test]
fn point_04_a_full_log_takes_no_proposals() {
    let full = |prev| Log::new(voters([0, 1]), LogEntries::new(prev));
    let mut node = restarted(0, 1, None, full(pos(1, MAX - 1)));
    node.handle_election_timeout();
    hear(&mut node, &vote_reply(1, 2, true));
    assert_eq!(node.log().last_position(), pos(2, MAX));
    assert!(node.propose_command().is_invalid());
    assert!(node.propose_config(node.config().clone()).is_invalid());
    assert!(node.heartbeat());
    hear(&mut node, &reply(1, 2, pos(2, MAX)));
    hear(&mut node, &reply(1, 2, pos(1, MAX)));
    assert_eq!(node.commit_index(), index(MAX));

    let mut node = restarted(0, 1, None, full(pos(1, MAX)));
    node.handle_election_timeout();
    assert_eq!((node.role(), acts(&mut node).as_str()), (Role::Follower, ""));
}

/// 4.1.5: a snapshot of a term that is not reached yet is refused, so no queued message can be
/// lifted to a term above its own.
#[test]
fn point_05_a_snapshot_of_a_future_term_is_refused() {
    let mut node = follower();
    hear(&mut node, &call(1, 1, 0, LogEntries::new(pos(1, 3))));
    assert!(!node.handle_snapshot_installed(pos(5, 9), voters([0, 1, 2])));
    assert_eq!(
        hears(&mut node, &call(1, 1, 0, run(pos(1, 3), [C]))),
        "Timer; Append (1,3)+[C]; Send 1 AEReply t1 (1,4)"
    );
}

/// 4.1.6: a configuration without voters, or with a node in two roles, elects no leader and harms no node.
#[test]
fn point_06_a_hostile_configuration_makes_no_leader() {
    let mut overlapping = voters([0, 1]);
    overlapping.new_voters.extend(ids([0]));
    overlapping.non_voters.extend(ids([0, 1]));
    for config in [ClusterConfig::new(), overlapping] {
        let mut node = follower();
        hear(
            &mut node,
            &call(1, 1, 4, run(pos(1, 3), [LogEntry::ClusterConfig(config)])),
        );
        node.handle_election_timeout();
        let at = node.current_term().get();
        hear(&mut node, &vote_reply(2, at, true));
        hear(&mut node, &vote_reply(9, at, true));
        assert!(!node.role().is_leader());
        hear(&mut node, &call(1, 9, 4, run(pos(1, 4), [t(9), cfg([0, 1, 2])])));
        assert_eq!(node.config(), &voters([0, 1, 2]), "a later entry repairs it");
    }
}

/// 4.1.6: messages of different senders and terms to one peer follow each other in any order.
#[test]
fn point_06_messages_merge_whatever_their_order() {
    let messages = [
        vote_call(1, 1, pos(1, 9)),
        call(1, 2, 0, run(pos(1, 3), [t(2)])),
        call(2, 2, 0, run(pos(1, 2), [t(2)])),
        vote_call(1, 3, pos(9, 9)),
        reply(1, 3, pos(1, 1)),
        call(1, 3, 2, LogEntries::new(pos(0, 0))),
    ];
    for first in &messages {
        for second in &messages {
            for third in &messages {
                let mut node = follower();
                for message in [first, second, third] {
                    let outcome = node.handle_message(message);
                    assert!(outcome.is_ok() || node.commit_index() > index(0), "{outcome:?}");
                }
                assert!(node.commit_index() <= node.log().last_position().index);
            }
        }
    }
}

/// 4.2.8: a forged or damaged call of the current term cuts nothing at or below the commit index.
#[test]
fn point_08_committed_entries_are_never_cut_or_overwritten() {
    let mut node = follower();
    hear(&mut node, &call(1, 1, 3, run(pos(1, 3), [C, C])));
    hear(&mut node, &call(1, 1, 4, LogEntries::new(pos(1, 5))));
    assert_eq!(node.commit_index(), index(4));
    acts(&mut node);
    let before = node.log().clone();
    for forged in [
        LogEntries::new(pos(0, 3)),
        LogEntries::new(pos(0, 4)),
        run(pos(0, 1), [C, C]),
        run(pos(1, 3), [t(1), C, C]),
        run(pos(0, 0), [cfg([0]), t(1), C, C, C, C]),
    ] {
        let outcome = node.handle_message(&call(1, 1, 99, forged.clone()));
        assert_eq!(outcome, Err(Error::CommittedEntryMismatch), "{forged:?}");
        assert_eq!((node.log(), node.commit_index()), (&before, index(4)));
        assert_eq!(acts(&mut node), "", "no reply to {forged:?}");
    }
    hear(&mut node, &call(1, 1, 4, LogEntries::new(pos(0, 5))));
    assert_eq!(
        node.log().last_position(),
        pos(1, 4),
        "above it, a contradiction still cuts"
    );
}

/// 4.2.9: a leader that was removed keeps its vote, and gives no second one in its term.
#[test]
fn point_09_a_removed_leader_keeps_its_vote() {
    let mut net = Net::led_by_node_0(3);
    let node = &mut net.nodes[0];
    node.propose_config(node.config().to_joint_consensus(&[], &[id(0)]));
    for at in [3, 4] {
        hear(node, &reply(1, 1, pos(1, at)));
        hear(node, &reply(2, 1, pos(1, at)));
    }
    assert!(node.role().is_follower());
    acts(node);
    assert_eq!(node.voted_for(), Some(id(0)));
    assert_eq!(hears(node, &vote_call(1, 1, pos(1, 99))), "");
}

/// 4.2.10: a longer log of an older term is not up to date.
#[test]
fn point_10_the_vote_check_compares_terms_before_lengths() {
    assert_eq!(
        hears(&mut follower(), &vote_call(2, 9, pos(0, 1000))),
        "SaveTerm; SaveVote"
    );
}

/// 4.2.11: a new generation never counts more than is verified, even if its log diverges.
#[test]
fn point_11_a_new_generation_does_not_over_count() {
    for (reported, counted) in [(pos(1, 4), 0), (pos(2, 99), 0), (pos(1, 3), 3), (pos(2, 4), 4)] {
        let mut node = leader();
        hear(&mut node, &reply(1, 2, pos(2, 4)));
        (0..3).for_each(|_| assert!(!node.propose_command().is_invalid()));
        hear(&mut node, &reply_of_generation(1, 2, 1, reported));
        assert_eq!(
            node.follower_match_index(id(1)),
            Some(index(counted)),
            "{reported:?}"
        );
        assert_eq!(node.commit_index(), index(4), "what is committed stays so");
    }
}

/// 4.2.11: a divergent follower of a new generation must not help to commit.
#[test]
fn point_11_a_divergent_new_generation_commits_nothing() {
    let mut node = restarted(0, 1, Some(0), log([cfg([0, 1, 2, 3, 4]), t(1)]));
    node.handle_election_timeout();
    hear(&mut node, &vote_reply(1, 2, true));
    hear(&mut node, &vote_reply(2, 2, true));
    (0..5).for_each(|_| assert!(!node.propose_command().is_invalid()));
    hear(&mut node, &reply(1, 2, pos(2, 8)));
    hear(&mut node, &reply_of_generation(2, 2, 1, pos(1, 8)));
    hear(&mut node, &reply(3, 2, pos(2, 3)));
    assert_eq!(
        node.commit_index(),
        index(3),
        "nodes 0, 1 and 3 have it, and nothing later has three"
    );
}

/// 4.2.12: a contradiction at the snapshot leaves log, configuration and commit index alone.
#[test]
fn point_12_a_conflict_at_the_snapshot_wipes_nothing() {
    let log = Log::new(voters([0, 1]), run(pos(2, 5), [C, C]));
    let mut node = restarted(0, 3, Some(1), log.clone());
    let conflict = call(1, 3, 0, run(pos(1, 5), [t(3)]));
    assert_eq!(node.handle_message(&conflict), Err(Error::LocalSnapshotMismatch));
    assert_eq!((node.log(), node.commit_index()), (&log, index(5)));
}

/// 4.2.13: a snapshot inside a pending append leaves the rest of it pending.
#[test]
fn point_13_a_snapshot_loses_no_pending_entry() {
    for at in 4..=5 {
        let mut node = follower();
        hear(&mut node, &call(1, 1, 6, run(pos(1, 3), [C, C, C])));
        assert!(compact(&mut node, at));
        let left = Some(node.log().entries()).filter(|entries| !entries.is_empty());
        assert_eq!(
            node.actions().append_log_entries.as_ref(),
            left,
            "after a snapshot at {at}"
        );
    }
    let mut node = follower();
    hear(&mut node, &call(1, 1, 6, run(pos(1, 3), [C, C, C])));
    assert!(compact(&mut node, 6));
    assert_eq!(
        node.actions().append_log_entries,
        None,
        "the snapshot holds all of it"
    );
    let mut node = follower();
    hear(&mut node, &call(1, 1, 6, run(pos(1, 3), [C, C, C])));
    assert!(compact(&mut node, 2));
    let pending = node.actions().append_log_entries.as_ref().map(show_entries);
    assert_eq!(
        pending.as_deref(),
        Some("(1,3)+[C C C]"),
        "a snapshot below leaves it alone"
    );
}

/// 4.2.14: what a snapshot holds is committed.
#[test]
fn point_14_a_snapshot_raises_the_commit_index() {
    let mut node = follower();
    assert!(node.handle_snapshot_installed(pos(1, 8), voters([0, 1, 2])));
    assert_eq!(node.commit_index(), index(8));
    assert_eq!(node.get_commit_status(pos(1, 8)), CommitStatus::Committed);
}

/// 4.2.15: entries whose terms fall, or exceed the term of their leader, are refused.
#[test]
fn point_15_malformed_entries_are_refused() {
    for entries in [
        run(pos(1, 3), [t(0)]),
        run(pos(1, 3), [t(2), C, t(1)]),
        run(pos(1, 3), [t(3)]),
        run(pos(1, 3), [t(MAX)]),
        LogEntries::new(pos(3, 3)),
    ] {
        let mut node = restarted(0, 2, Some(1), log([cfg([0, 1, 2]), t(1), C]));
        assert_eq!(
            node.handle_message(&call(1, 2, 9, entries)),
            Err(Error::MalformedEntries)
        );
        assert_eq!(
            (show_log(&node).as_str(), acts(&mut node).as_str()),
            ("(0,0)+[{0,1,2} T1 C]", "")
        );
    }
}

/// 4.2.16: a leader stores before it publishes: the append comes out first, always.
#[test]
fn point_16_no_message_precedes_the_append_it_relies_on() {
    for mut node in [candidate(), leader()] {
        hear(&mut node, &vote_reply(1, 2, true));
        node.propose_command();
        hear(&mut node, &reply(1, 2, pos(1, 3)));
        let actions: Vec<_> = node.actions_mut().collect();
        let appended = actions
            .iter()
            .position(|action| matches!(action, Action::AppendLogEntries(_)));
        let sent = actions
            .iter()
            .position(|action| matches!(action, Action::BroadcastMessage(_) | Action::SendMessage(..)));
        assert!(appended.is_some() && appended < sent, "{}", show(actions));
    }
}

/// 4.2.17: a cut takes the configuration back with it: none is remembered beside the log.
#[test]
fn point_17_the_configuration_is_derived_from_the_log() {
    let mut node = follower();
    hear(&mut node, &call(1, 1, 0, run(pos(1, 3), [cfg([0, 1, 2, 3])])));
    assert!(node.peers().eq(ids([1, 2, 3])));
    hear(&mut node, &call(2, 2, 0, LogEntries::new(pos(2, 4))));
    assert_eq!(node.log().last_position(), pos(1, 3));
    assert!(node.peers().eq(ids([1, 2])));
}

/// 4.2.18: the term is saved before the vote, so a crash between the two only costs a vote.
#[test]
fn point_18_the_term_is_saved_before_the_vote() {
    let mut node = follower();
    hear(&mut node, &vote_call(2, 2, pos(1, 3)));
    let actions: Vec<_> = node.actions_mut().collect();
    let at = |wanted: &Action| {
        actions
            .iter()
            .position(|action| action == wanted)
            .expect("queued")
    };
    assert!(at(&Action::SaveCurrentTerm) < at(&Action::SaveVotedFor));
    let sent = actions
        .iter()
        .position(|action| matches!(action, Action::SendMessage(..)));
    assert!(Some(at(&Action::SaveVotedFor)) < sent);
}

/// 4.2.19: a granted vote that waits to be sent is not taken back by the refusal of an old request.
#[test]
fn point_19_a_granted_vote_is_not_overwritten() {
    let mut node = follower();
    hear(&mut node, &vote_call(2, 3, pos(1, 3)));
    hear(&mut node, &vote_call(2, 2, pos(1, 3)));
    assert_eq!(
        acts(&mut node),
        "Timer; SaveTerm; SaveVote; Send 2 RVReply t3 true"
    );

    let mut node = follower();
    hear(&mut node, &vote_call(2, 3, pos(1, 3)));
    hear(&mut node, &vote_reply(1, 4, false));
    hear(&mut node, &vote_call(2, 3, pos(1, 3)));
    assert!(
        acts(&mut node).ends_with("Send 2 RVReply t4 false"),
        "a later term is worth more"
    );
}

/// 4.3.21: a leader that has lost its majority is demoted by a reply of a higher term.
#[test]
fn point_21_a_synthetic_vote_reply_demotes_a_leader() {
    let mut node = leader();
    let next = node.current_term().get() + 1;
    hear(&mut node, &vote_reply(1, next, false));
    assert_eq!(
        (node.role(), node.current_term(), node.voted_for()),
        (Role::Follower, term(3), None)
    );
}

/// 4.3.22: before a leader has committed in its term, its commit index may be old; the term at the
/// commit index shows it.
#[test]
fn point_22_the_commit_index_of_a_fresh_leader_may_be_old() {
    let mut node = leader();
    let settled =
        |node: &Node| node.log().entries().get_term(node.commit_index()) == Some(node.current_term());
    assert!(!settled(&node));
    hear(&mut node, &reply(1, 2, pos(2, 4)));
    assert!(settled(&node));
}

/// 4.3.26 and 27: a commit queues nothing, a heartbeat carries it; a follower below the snapshot is
/// asked for again at every reply.
#[test]
fn points_26_and_27_commits_and_snapshots_are_published_on_request() {
    let mut node = leader();
    assert_eq!(hears(&mut node, &reply(1, 2, pos(2, 4))), "");
    assert!(node.heartbeat());
    assert_eq!(acts(&mut node), "Timer; Bcast AECall t2 c4 (2,4)+[]");
    assert!(compact(&mut node, 4));
    for _ in 0..2 {
        assert_eq!(hears(&mut node, &reply(2, 2, pos(0, 1))), "Snap 2");
    }
}

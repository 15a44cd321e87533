//! The checker itself: each history here breaks one rule, or only seems to, and the checker has to know which.
//!
//! Nodes are built in states that a correct node never comes to; what `random.rs` cannot show, because there
//! the nodes are correct but for one planted bug.

use crate::kit::*;
use noraft::invariants::{Durable, Invariant, Invariants, Violation};
use noraft::{Log, LogEntries, LogEntry, LogPosition, Node};

fn durable(in_term: u64, vote: Option<u64>, synced: u64) -> Durable {
    Durable {
        term: term(in_term),
        voted_for: vote.map(id),
        synced: index(synced),
    }
}

/// A checker that has seen these nodes, everything of them on disk.
fn having_seen<const N: usize>(nodes: [&Node; N]) -> Invariants {
    let mut checker = Invariants::new();
    for node in nodes {
        checker
            .observe(node, &Durable::everything(node))
            .expect("a history that breaks nothing yet");
    }
    checker
}

fn broken(checked: Result<(), Violation>) -> Option<Invariant> {
    checked.err().map(|violation| violation.invariant)
}

/// Node `own` with a log of `entries`, as follower.
fn node<const N: usize>(own: u64, in_term: u64, vote: Option<u64>, entries: [LogEntry; N]) -> Node {
    restarted(own, in_term, vote, log(entries))
}

#[test]
fn a_violation_is_described_in_words() {
    let before = node(1, 3, Some(2), [cfg([0, 1, 2]), t(1), C]);
    let after = node(1, 2, None, [cfg([0, 1, 2]), t(1), C]);
    let said = having_seen([&before])
        .observe(&after, &Durable::everything(&after))
        .expect_err("a term fell")
        .to_string();
    assert!(
        said.starts_with("Term violated: ") && said.contains("falls"),
        "{said}"
    );
}

#[test]
fn a_crash_takes_neither_term_nor_vote_nor_synced_entries() {
    let log = || [cfg([0, 1, 2]), t(1), C];
    let before = node(1, 3, Some(2), log());
    let cases = [
        (node(1, 3, Some(2), log()), None, "all is there"),
        (node(1, 4, None, log()), None, "a later term was being written"),
        (
            node(1, 3, None, log()),
            Some(Invariant::Durability),
            "the vote is gone",
        ),
        (
            node(1, 3, Some(0), log()),
            Some(Invariant::Durability),
            "the vote is another",
        ),
        (
            node(1, 2, Some(2), log()),
            Some(Invariant::Durability),
            "the term fell",
        ),
        (
            node(1, 3, Some(2), [cfg([0, 1, 2]), t(1)]),
            Some(Invariant::Durability),
            "an entry is gone",
        ),
        (
            node(1, 3, Some(2), [cfg([0, 1, 2]), t(1), t(2)]),
            Some(Invariant::Durability),
            "an entry is another",
        ),
    ];
    for (after, expected, what) in cases {
        let checked = having_seen([&before]).restarted(&after);
        assert_eq!(broken(checked), expected, "{what}");
    }
}

#[test]
fn a_vote_that_was_being_written_may_be_there_after_a_crash() {
    let before = node(1, 3, None, [cfg([0, 1, 2])]);
    let after = node(1, 3, Some(0), [cfg([0, 1, 2])]);
    assert_eq!(broken(having_seen([&before]).restarted(&after)), None);
}

#[test]
fn a_follower_may_come_back_with_the_leader_of_its_term_for_its_vote() {
    let log = || [cfg([0, 1, 2]), t(1), C];
    for (vote, expected) in [(0, None), (1, Some(Invariant::Durability))] {
        let before = node(2, 2, Some(2), log());
        let mut checker = having_seen([&leader(), &before]);
        let after = node(2, 2, Some(vote), log());
        assert_eq!(broken(checker.restarted(&after)), expected, "vote for {vote}");
    }
}

#[test]
fn a_snapshot_that_contradicts_the_one_entry_below_it_is_noticed() {
    let before = node(1, 3, None, [cfg([0, 1, 2]), t(1), C]);
    let elsewhere = Log::new(voters([0, 1, 2]), LogEntries::new(pos(2, 3)));
    let after = restarted(1, 3, None, elsewhere);
    let checked = having_seen([&before]).restarted(&after);
    assert_eq!(broken(checked), Some(Invariant::Durability));
}

#[test]
fn the_first_entry_that_differs_is_named() {
    let common = [cfg([0, 1, 2]), t(1), C, C, C, C];
    let before = node(1, 5, None, common.clone());
    for differs_at in 3..=6 {
        let kept = common.iter().take(differs_at - 1).cloned();
        let others = [t(2), C, C, C].into_iter().take(7 - differs_at);
        let entries = LogEntries::from_iter(LogPosition::ZERO, kept.chain(others));
        let mut after = restarted(
            1,
            5,
            None,
            Log::new(noraft::ClusterConfig::new(), entries.clone()),
        );
        let mut checker = having_seen([&before]);
        checker.wiped(id(1));
        // Committed by the node that wrote it, and as something else by the one that came back.
        let mut first = node(2, 5, None, common.clone());
        hear(&mut first, &call(0, 5, 6, run(pos(1, 6), [])));
        acts(&mut first);
        checker.observe(&first, &Durable::everything(&first)).unwrap();
        hear(
            &mut after,
            &call(0, 5, 6, LogEntries::new(entries.last_position())),
        );
        acts(&mut after);
        let said = checker.observe(&after, &Durable::everything(&after)).unwrap_err();
        let place = format!("Some(LogIndex({differs_at}))");
        assert!(said.detail.contains(&place), "{differs_at}: {said}");
    }
}

/// Node 0 leads term 2 with a log up to (2,4); node 1 follows it with `entries`.
fn leader_and_follower<const N: usize>(in_term: u64, entries: [LogEntry; N]) -> Invariants {
    having_seen([&leader(), &node(1, in_term, Some(0), entries)])
}

#[test]
fn an_acknowledgement_promises_what_is_on_disk() {
    let whole = || [cfg([0, 1, 2]), t(1), C, t(2)];
    let sent = |mut checker: Invariants, durable: Durable| {
        broken(checker.sent(id(0), &reply(1, 2, pos(2, 4)), &durable))
    };
    let synced = durable(2, Some(0), 4);
    let behind = durable(2, Some(0), 3);
    assert_eq!(sent(leader_and_follower(2, whole()), synced), None);
    assert_eq!(
        sent(leader_and_follower(2, whole()), behind),
        Some(Invariant::Durability),
        "the sync has not returned"
    );
    assert_eq!(
        sent(leader_and_follower(2, [cfg([0, 1, 2]), t(1), C, C]), synced),
        Some(Invariant::Durability),
        "another entry is on disk"
    );
}

#[test]
fn an_acknowledgement_that_no_leader_counts_promises_nothing() {
    let entries = [cfg([0, 1, 2]), t(1), C, t(2)];
    let behind = durable(3, None, 0);
    let mut later = leader_and_follower(3, entries.clone());
    assert_eq!(
        broken(later.sent(id(0), &reply(1, 2, pos(2, 4)), &behind)),
        None,
        "the follower is in a later term, and the reply of the earlier one is old"
    );
    let behind = durable(2, Some(0), 0);
    let mut other = leader_and_follower(2, entries);
    assert_eq!(
        broken(other.sent(id(2), &reply(1, 2, pos(2, 4)), &behind)),
        None,
        "it goes to a node that does not lead"
    );
}

/// The leader of term 2 after node 1 has acknowledged its whole log.
fn leader_that_counts_node_1() -> Node {
    let mut leader = leader();
    hear(&mut leader, &reply(1, 2, pos(2, 4)));
    acts(&mut leader);
    leader
}

#[test]
fn what_a_leader_counts_is_held_by_the_follower() {
    let leader = leader_that_counts_node_1();
    let all = Durable::everything(&leader);
    let short = || [cfg([0, 1, 2]), t(1), C];
    let mut checker = having_seen([&node(1, 2, Some(0), short())]);
    assert_eq!(
        broken(checker.observe(&leader, &all)),
        Some(Invariant::MatchIndex)
    );

    let whole = node(1, 2, Some(0), [cfg([0, 1, 2]), t(1), C, t(2)]);
    let mut checker = having_seen([]);
    checker.observe(&whole, &durable(2, Some(0), 3)).unwrap();
    assert_eq!(
        broken(checker.observe(&leader, &all)),
        Some(Invariant::MatchIndex),
        "the follower has the entry, but not on disk"
    );

    let mut checker = having_seen([&node(1, 3, None, short())]);
    assert_eq!(
        broken(checker.observe(&leader, &all)),
        None,
        "the follower is in a later term"
    );

    let mut checker = having_seen([&node(1, 2, Some(0), short())]);
    checker.wiped(id(1));
    assert_eq!(
        broken(checker.observe(&leader, &all)),
        None,
        "the follower's disk was lost"
    );
}

#[test]
fn a_match_index_falls_once_for_each_restart_of_the_follower() {
    let follower = node(1, 2, Some(0), [cfg([0, 1, 2]), t(1), C, t(2)]);
    let forgetful = |mut leader: Node| {
        hear(&mut leader, &reply_of_generation(1, 2, 1, pos(1, 3)));
        acts(&mut leader);
        leader
    };
    let counted = leader_that_counts_node_1();
    let fallen = forgetful(counted.clone());
    assert!(fallen.follower_match_index(id(1)) < counted.follower_match_index(id(1)));
    let all = Durable::everything(&counted);

    let mut checker = having_seen([&follower, &counted]);
    assert_eq!(
        broken(checker.observe(&fallen, &all)),
        Some(Invariant::MatchIndex)
    );

    let mut checker = having_seen([&follower, &counted]);
    checker.restarted(&follower).expect("it kept everything");
    assert_eq!(broken(checker.observe(&fallen, &all)), None, "it has restarted");
    assert_eq!(broken(checker.observe(&counted, &all)), None);
    assert_eq!(
        broken(checker.observe(&fallen, &all)),
        Some(Invariant::MatchIndex),
        "once"
    );
}

#[test]
fn logs_that_share_a_position_and_differ_below_are_noticed_whenever_that_becomes_so() {
    let one = node(1, 3, None, [cfg([0, 1, 2]), t(1), C, t(3)]);
    let other = node(2, 3, None, [cfg([0, 1, 2]), t(1), t(2), t(3)]);
    let same = node(2, 3, None, [cfg([0, 1, 2]), t(1), C, t(3)]);
    let matching = Some(Invariant::LogMatching);

    let mut checker = having_seen([&one]);
    let all = durable(3, None, 4);
    assert_eq!(broken(checker.observe(&other, &all)), matching, "at first sight");

    let mut checker = having_seen([&one]);
    assert_eq!(
        broken(checker.observe(&other, &durable(3, None, 2))),
        None,
        "what is not on disk may be anything"
    );
    assert_eq!(
        broken(checker.observe(&other, &all)),
        matching,
        "when it is synced"
    );

    let mut checker = having_seen([&one, &same]);
    assert_eq!(broken(checker.observe(&same, &all)), None, "nothing has changed");
    assert_eq!(
        broken(checker.observe(&other, &all)),
        matching,
        "when another log is there"
    );
}

/// A node that cannot read an entry takes a configuration for a command.
#[test]
fn a_configuration_that_cannot_be_read_is_not_another_entry_and_what_can_be_read_is_compared() {
    let readable = node(1, 3, None, [cfg([0, 1, 2]), t(1), cfg([0, 1]), t(3)]);
    let unread = node(2, 3, None, [cfg([0, 1, 2]), t(1), C, t(3)]);
    let (all, matching) = (durable(3, None, 4), Some(Invariant::LogMatching));

    let mut checker = having_seen([&readable]);
    checker.unread(id(2), [index(3)]);
    assert_eq!(broken(checker.observe(&unread, &all)), None);
    checker.unread(id(2), []);
    assert_eq!(
        broken(checker.observe(&unread, &all)),
        matching,
        "as soon as it can be read"
    );

    let mut checker = having_seen([&readable]);
    checker.unread(id(2), [index(4)]);
    assert_eq!(
        broken(checker.observe(&unread, &all)),
        matching,
        "another entry is meant"
    );

    let mut checker = having_seen([&readable]);
    let term = node(2, 3, None, [cfg([0, 1, 2]), t(1), t(2), t(3)]);
    checker.unread(id(2), [index(3)]);
    assert_eq!(
        broken(checker.observe(&term, &all)),
        matching,
        "its term is known"
    );
}

#[test]
fn what_a_node_cannot_read_is_not_what_was_committed() {
    let unread = committed(2, 3, [cfg([0, 1, 2]), t(1), C, t(3)]);
    let readable = committed(1, 3, [cfg([0, 1, 2]), t(1), cfg([0, 1]), t(3)]);
    let mut checker = Invariants::new();
    checker.unread(id(2), [index(3)]);
    for node in [&unread, &readable] {
        assert_eq!(broken(checker.observe(node, &Durable::everything(node))), None);
    }
    assert_eq!(
        checker.committed().last_position(),
        readable.log().last_position()
    );
    assert_eq!(checker.committed().get_entry(index(3)), Some(cfg([0, 1])));
}

/// A node that has become the leader of the term after `in_term` with the vote of node 1, its own first entry at
/// the end of `entries`.
fn elected<const N: usize>(own: u64, in_term: u64, entries: [LogEntry; N]) -> Node {
    let mut node = node(own, in_term, None, entries);
    node.handle_election_timeout();
    hear(&mut node, &vote_reply(1, in_term + 1, true));
    acts(&mut node);
    assert!(node.role().is_leader());
    node
}

/// A node with `entries` that has learned from the leader of `in_term` that all of them are committed.
fn committed<const N: usize>(own: u64, in_term: u64, entries: [LogEntry; N]) -> Node {
    let mut node = node(own, in_term, None, entries);
    let last = node.log().last_position();
    hear(
        &mut node,
        &call(0, in_term, last.index.get(), LogEntries::new(last)),
    );
    acts(&mut node);
    assert_eq!(node.commit_index(), last.index);
    node
}

#[test]
fn a_later_leader_that_lacks_what_was_committed_before_is_noticed_when_the_commit_is() {
    let late = elected(2, 2, [cfg([0, 1, 2]), t(1), C]);
    let commits = committed(1, 2, [cfg([0, 1, 2]), t(1), C, t(2)]);
    let all = Durable::everything(&commits);
    let completeness = Some(Invariant::LeaderCompleteness);
    assert_eq!(broken(having_seen([&late]).observe(&commits, &all)), completeness);

    let other = committed(1, 2, [cfg([0, 1, 2]), t(1), C]);
    let mut checker = having_seen([&late, &other]);
    assert_eq!(
        broken(checker.observe(&commits, &all)),
        completeness,
        "when it rises"
    );

    let has_it = elected(2, 2, [cfg([0, 1, 2]), t(1), C, t(2)]);
    assert_eq!(broken(having_seen([&has_it]).observe(&commits, &all)), None);
    let earlier = elected(2, 1, [cfg([0, 1, 2]), t(1), C]);
    let commits = committed(1, 3, [cfg([0, 1, 2]), t(1), C, t(3)]);
    let all = Durable::everything(&commits);
    assert_eq!(
        broken(having_seen([&earlier]).observe(&commits, &all)),
        None,
        "a leader of an earlier term need not have it"
    );
}

#[test]
fn a_leader_of_another_term_counts_its_followers_again() {
    let follower = node(1, 2, Some(0), [cfg([0, 1, 2]), t(1), C, t(2)]);
    let counted = leader_that_counts_node_1();
    let mut checker = having_seen([&follower, &counted]);
    let mut again = counted.clone();
    hear(&mut again, &call(2, 3, 4, LogEntries::new(pos(2, 4))));
    again.handle_election_timeout();
    hear(&mut again, &vote_reply(1, 4, true));
    acts(&mut again);
    assert!(again.role().is_leader());
    assert!(again.follower_match_index(id(1)) < counted.follower_match_index(id(1)));
    assert_eq!(
        broken(checker.observe(&again, &Durable::everything(&again))),
        None
    );
}

#[test]
fn a_snapshot_takes_the_place_of_what_is_below_it_and_of_nothing_else() {
    let compacted = Log::new(voters([0, 1, 2]), LogEntries::new(pos(1, 4)));
    let follower = restarted(1, 2, Some(0), compacted);
    let sent = |position| {
        let mut checker = having_seen([&follower, &leader()]);
        broken(checker.sent(id(0), &reply(1, 2, position), &durable(2, Some(0), 4)))
    };
    assert_eq!(sent(pos(1, 3)), None, "below it");
    assert_eq!(
        sent(pos(2, 4)),
        Some(Invariant::Durability),
        "another entry is where it ends"
    );
}

/// What is said when a node that was seen as `before` is seen as `after`.
fn said_of(before: &Node, after: &Node) -> String {
    let said = having_seen([before]).observe(after, &Durable::everything(after));
    said.expect_err("a rule was broken").to_string()
}

#[test]
fn a_node_that_rewrites_what_it_committed_is_named() {
    let before = committed(1, 3, [cfg([0, 1, 2]), t(1), C, t(3)]);
    let after = committed(1, 3, [cfg([0, 1, 2]), t(1), t(2), t(3)]);
    let said = said_of(&before, &after);
    assert!(said.contains("has rewritten Some(LogIndex(3))"), "{said}");
}

#[test]
fn a_leader_only_appends() {
    let append_only = |after: &Node| {
        let longer = {
            let mut node = leader();
            node.propose_command();
            acts(&mut node);
            node
        };
        let seen = having_seen([&longer]).observe(after, &Durable::everything(after));
        broken(seen)
    };
    let violated = Some(Invariant::LeaderAppendOnly);
    assert_eq!(append_only(&leader()), violated, "an entry is gone");
    let mut other = elected(0, 1, [cfg([0, 1, 2]), t(1), t(1)]);
    other.propose_command();
    acts(&mut other);
    assert_eq!(append_only(&other), violated, "an entry is another");
    let later = elected(0, 2, [cfg([0, 1, 2]), t(1), C]);
    assert_eq!(append_only(&later), None, "it was elected again meanwhile");
}

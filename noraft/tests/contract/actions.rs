//! The action matrix (contract 2.10): what each input queues, in order, on voters 0, 1, 2 seen from
//! node 0. How undrained actions merge is in `merging.rs`.

use crate::kit::*;
use noraft::{LogEntries, LogEntry, Node};

/// A name, the node, the input, the actions.
type Row = (&'static str, fn() -> Node, fn(&mut Node), &'static str);

fn check(rows: &[Row]) {
    for (name, node, input, expected) in rows {
        let mut node = node();
        input(&mut node);
        assert_eq!(acts(&mut node), *expected, "{name}");
        assert!(node.actions().is_empty());
    }
}

fn non_voter() -> Node {
    let mut config = voters([1, 2]);
    config.non_voters.insert(id(0));
    restarted(0, 1, Some(1), log([LogEntry::ClusterConfig(config), t(1), C]))
}

fn fresh_vote() -> Node {
    restarted(0, 1, None, log([cfg([0, 1, 2]), t(1), C]))
}

fn joint_leader(new_voters: [u64; 2]) -> Node {
    let mut node = leader();
    let mut joint = node.config().clone();
    joint.new_voters.extend(ids(new_voters));
    assert_eq!(node.propose_config(joint), pos(2, 5));
    acts(&mut node);
    node
}

const LOCAL_INPUTS: &[Row] = &[
    (
        "F timeout",
        follower,
        |n| n.handle_election_timeout(),
        "Timer; SaveTerm; SaveVote; Bcast RVCall t2 (1,3)",
    ),
    (
        "C timeout",
        candidate,
        |n| n.handle_election_timeout(),
        "Timer; SaveTerm; SaveVote; Bcast RVCall t3 (1,3)",
    ),
    (
        "non-voter timeout",
        non_voter,
        |n| n.handle_election_timeout(),
        "",
    ),
    ("F heartbeat", follower, |n| assert!(!n.heartbeat()), ""),
    ("C heartbeat", candidate, |n| assert!(!n.heartbeat()), ""),
    (
        "F propose",
        follower,
        |n| assert!(n.propose_command().is_invalid()),
        "",
    ),
    (
        "C propose",
        candidate,
        |n| assert!(n.propose_command().is_invalid()),
        "",
    ),
    (
        "F config",
        follower,
        |n| assert!(n.propose_config(n.config().clone()).is_invalid()),
        "",
    ),
    (
        "L timeout",
        leader,
        |n| n.handle_election_timeout(),
        "Timer; Bcast AECall t2 c0 (2,4)+[]",
    ),
    (
        "L heartbeat",
        leader,
        |n| assert!(n.heartbeat()),
        "Timer; Bcast AECall t2 c0 (2,4)+[]",
    ),
    (
        "L propose",
        leader,
        |n| assert_eq!(n.propose_command(), pos(2, 5)),
        "Timer; Append (2,4)+[C]; Bcast AECall t2 c0 (2,4)+[C]",
    ),
    (
        "L config",
        leader,
        |n| assert_eq!(n.propose_config(n.config().clone()), pos(2, 5)),
        "Timer; Append (2,4)+[{0,1,2}]; Bcast AECall t2 c0 (2,4)+[{0,1,2}]",
    ),
    (
        "L 3 x propose, heartbeat",
        leader,
        |n| {
            (0..3).for_each(|_| assert!(!n.propose_command().is_invalid()));
            assert!(n.heartbeat());
        },
        "Timer; Append (2,4)+[C C C]; Bcast AECall t2 c0 (2,4)+[C C C]",
    ),
    (
        "snapshot",
        follower,
        |n| assert!(n.handle_snapshot_installed(pos(1, 3), voters([0, 1, 2]))),
        "",
    ),
];

#[test]
fn matrix_of_local_inputs() {
    assert!(
        Node::start(id(0)).actions().is_empty(),
        "and `follower` saw that a restart sets the timer"
    );
    check(LOCAL_INPUTS);
}

fn stale(node: &mut Node) {
    hear(node, &vote_call(1, 0, pos(1, 3)));
}

fn denied(node: &mut Node) {
    hear(node, &vote_call(2, 7, pos(1, 2)));
}

const VOTE_MESSAGES: &[Row] = &[
    ("F stale call", follower, stale, "Send 1 RVReply t1 false"),
    ("C stale call", candidate, stale, "Send 1 RVReply t2 false"),
    ("L stale call", leader, stale, "Send 1 RVReply t2 false"),
    (
        "F granted",
        fresh_vote,
        |n| hear(n, &vote_call(2, 1, pos(1, 3))),
        "Timer; SaveVote; Send 2 RVReply t1 true",
    ),
    (
        "F granted again",
        follower,
        |n| hear(n, &vote_call(1, 1, pos(1, 3))),
        "Timer; Send 1 RVReply t1 true",
    ),
    (
        "F granted, higher term",
        follower,
        |n| hear(n, &vote_call(2, 2, pos(1, 3))),
        "Timer; SaveTerm; SaveVote; Send 2 RVReply t2 true",
    ),
    (
        "F voted for another",
        follower,
        |n| hear(n, &vote_call(2, 1, pos(1, 9))),
        "",
    ),
    (
        "F log behind",
        fresh_vote,
        |n| hear(n, &vote_call(2, 1, pos(1, 2))),
        "",
    ),
    (
        "C same term",
        candidate,
        |n| hear(n, &vote_call(2, 2, pos(1, 3))),
        "",
    ),
    (
        "L same term",
        leader,
        |n| hear(n, &vote_call(2, 2, pos(2, 9))),
        "",
    ),
    (
        "F denied by log, higher term",
        follower,
        denied,
        "SaveTerm; SaveVote",
    ),
    (
        "C denied by log, higher term",
        candidate,
        denied,
        "Timer; SaveTerm; SaveVote",
    ),
    (
        "L denied by log, higher term",
        leader,
        denied,
        "Timer; SaveTerm; SaveVote",
    ),
    (
        "C majority",
        candidate,
        |n| hear(n, &vote_reply(2, 2, true)),
        "Timer; Append (1,3)+[T2]; Bcast AECall t2 c0 (1,3)+[T2]",
    ),
    ("C refused", candidate, |n| hear(n, &vote_reply(2, 2, false)), ""),
    ("C stale", candidate, |n| hear(n, &vote_reply(2, 1, true)), ""),
    ("C outsider", candidate, |n| hear(n, &vote_reply(9, 2, true)), ""),
    ("F reply", follower, |n| hear(n, &vote_reply(2, 1, true)), ""),
    ("L reply", leader, |n| hear(n, &vote_reply(2, 2, true)), ""),
    (
        "F reply, higher term",
        follower,
        |n| hear(n, &vote_reply(2, 5, false)),
        "SaveTerm; SaveVote",
    ),
    (
        "C reply, higher term",
        candidate,
        |n| hear(n, &vote_reply(2, 5, false)),
        "Timer; SaveTerm; SaveVote",
    ),
    (
        "L reply, higher term",
        leader,
        |n| hear(n, &reply(2, 5, pos(2, 4))),
        "Timer; SaveTerm; SaveVote",
    ),
];

#[test]
fn matrix_of_vote_messages() {
    check(VOTE_MESSAGES);
}

const APPEND_CALLS: &[Row] = &[
    (
        "F stale",
        follower,
        |n| hear(n, &call(1, 0, 0, LogEntries::new(pos(0, 1)))),
        "Send 1 AEReply t1 (1,3)",
    ),
    (
        "C stale",
        candidate,
        |n| hear(n, &call(1, 1, 0, LogEntries::new(pos(1, 3)))),
        "Send 1 AEReply t2 (1,3)",
    ),
    (
        "L stale",
        leader,
        |n| hear(n, &call(1, 1, 0, LogEntries::new(pos(1, 3)))),
        "Send 1 AEReply t2 (2,4)",
    ),
    (
        "F up to date",
        follower,
        |n| hear(n, &call(1, 1, 0, LogEntries::new(pos(1, 3)))),
        "Timer; Send 1 AEReply t1 (1,3)",
    ),
    (
        "F late",
        follower,
        |n| hear(n, &call(1, 1, 0, run(pos(0, 1), [t(1)]))),
        "Timer; Send 1 AEReply t1 (1,3)",
    ),
    (
        "F gap",
        follower,
        |n| hear(n, &call(1, 1, 0, run(pos(1, 7), [C]))),
        "Timer; Send 1 AEReply t1 (1,3)",
    ),
    (
        "F cut, first contact",
        follower,
        |n| hear(n, &call(2, 3, 0, LogEntries::new(pos(2, 3)))),
        "Timer; SaveTerm; SaveVote; Send 2 AEReply t3 (1,2)",
    ),
    (
        "F appended",
        follower,
        |n| hear(n, &call(1, 1, 0, run(pos(1, 3), [C]))),
        "Timer; Append (1,3)+[C]; Send 1 AEReply t1 (1,4)",
    ),
    (
        "F appended, higher term",
        follower,
        |n| hear(n, &call(2, 2, 0, run(pos(1, 3), [t(2)]))),
        "Timer; SaveTerm; SaveVote; Append (1,3)+[T2]; Send 2 AEReply t2 (2,4)",
    ),
    (
        "C same term",
        candidate,
        |n| hear(n, &call(2, 2, 0, run(pos(1, 3), [t(2)]))),
        "Timer; SaveVote; Append (1,3)+[T2]; Send 2 AEReply t2 (2,4)",
    ),
    (
        "L same term",
        leader,
        |n| hear(n, &call(2, 2, 0, run(pos(2, 4), [C]))),
        "",
    ),
];

#[test]
fn matrix_of_append_calls() {
    check(APPEND_CALLS);
}

const APPEND_REPLIES: &[Row] = &[
    ("L at tail", leader, |n| hear(n, &reply(1, 2, pos(2, 4))), ""),
    (
        "L behind",
        leader,
        |n| hear(n, &reply(1, 2, pos(0, 1))),
        "Send 1 AECall t2 c0 (0,1)+[T1 C T2]",
    ),
    (
        "L divergent",
        leader,
        |n| hear(n, &reply(1, 2, pos(1, 4))),
        "Send 1 AECall t2 c0 (2,4)+[]",
    ),
    (
        "L below snapshot",
        compacted_leader,
        |n| hear(n, &reply(2, 2, pos(1, 3))),
        "Snap 2",
    ),
    ("L ahead", leader, |n| hear(n, &reply(1, 2, pos(2, 9))), ""),
    ("L unknown", leader, |n| hear(n, &reply(9, 2, pos(2, 4))), ""),
    ("L stale", leader, |n| hear(n, &reply(1, 1, pos(2, 4))), ""),
    (
        "L regress",
        compacted_leader,
        |n| hear(n, &reply(1, 2, pos(1, 3))),
        "",
    ),
    ("F reply", follower, |n| hear(n, &reply(1, 1, pos(1, 3))), ""),
    ("C reply", candidate, |n| hear(n, &reply(1, 2, pos(1, 3))), ""),
    (
        "L commits a joint configuration",
        || joint_leader([0, 1]),
        |n| hear(n, &reply(1, 2, pos(2, 5))),
        "Timer; Append (2,5)+[{0,1}]; Bcast AECall t2 c5 (2,5)+[{0,1}]",
    ),
    (
        "L commits a final configuration without itself",
        || joint_leader([1, 2]),
        |n| {
            hear(n, &reply(1, 2, pos(2, 5)));
            hear(n, &reply(2, 2, pos(2, 5)));
            assert_eq!(
                acts(n),
                "Timer; Append (2,5)+[{1,2}]; Bcast AECall t2 c5 (2,5)+[{1,2}]"
            );
            hear(n, &reply(1, 2, pos(2, 6)));
            assert!(n.role().is_leader());
            hear(n, &reply(2, 2, pos(2, 6)));
            assert!(n.role().is_follower());
        },
        "Timer; SaveTerm; SaveVote",
    ),
];

#[test]
fn matrix_of_append_replies() {
    check(APPEND_REPLIES);
}

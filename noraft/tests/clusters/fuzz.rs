//! Arbitrary calls with arbitrary arguments: a node must not panic, wrap a number, loop, or lose a commit.
//!
//! [`run`] decodes bytes into calls, so that a fuzzer can drive it; the tests feed it seeded bytes. In a
//! debug build the overflow checks are on; run it with `--release` too, where a wrap would be silent.
use noraft::{
    ClusterConfig, Log, LogEntries, LogEntry, LogIndex, LogPosition, Message, Node, NodeGeneration, NodeId,
    Term,
};

use crate::support::for_each_seed;
use crate::support::rng::Rng;

/// Bytes as a source of choices; when they end, every choice is 0.
struct Bytes<'a>(std::slice::Iter<'a, u8>);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    fn below(&mut self, end: u8) -> u8 {
        self.byte() % end
    }

    /// A number that is small, near `known`, or at the far end.
    fn number(&mut self, known: u64) -> u64 {
        let choice = self.byte();
        let small = u64::from(choice >> 3);
        match choice & 7 {
            0 | 1 => small,
            2 | 3 => known.wrapping_add(small & 3),
            4 | 5 => known.wrapping_sub(small & 3),
            6 => u64::MAX - (small & 3),
            _ => u64::MAX >> small,
        }
    }

    fn id(&mut self) -> NodeId {
        match self.below(16) {
            15 => NodeId::new(u64::MAX),
            number => NodeId::new(u64::from(number % 5)),
        }
    }

    fn ids(&mut self) -> Vec<NodeId> {
        (0..self.below(5)).map(|_| self.id()).collect()
    }

    fn term(&mut self, node: &Node) -> Term {
        // Mostly near the present one: at the end of all terms there are no more elections.
        let current = node.current_term().get();
        match self.below(16) {
            0 => Term::new(self.number(current)),
            1..=3 => Term::new(current.saturating_sub(u64::from(self.below(3)))),
            4..=6 => Term::new(current.saturating_add(u64::from(self.below(3)))),
            _ => Term::new(current),
        }
    }

    fn index(&mut self, node: &Node) -> LogIndex {
        let known = match self.below(3) {
            0 => node.commit_index(),
            1 => node.log().last_position().index,
            _ => node.log().snapshot_position().index,
        };
        LogIndex::new(self.number(known.get()))
    }

    /// Any position, or one that the log has.
    fn position(&mut self, node: &Node) -> LogPosition {
        let index = self.index(node);
        match node.log().entries().get_term(index) {
            Some(term) if self.below(4) > 0 => LogPosition { term, index },
            Some(_) | None => LogPosition {
                term: self.term(node),
                index,
            },
        }
    }

    fn config(&mut self) -> ClusterConfig {
        ClusterConfig {
            voters: self.ids().into_iter().collect(),
            new_voters: if self.below(2) == 0 {
                Default::default()
            } else {
                self.ids().into_iter().collect()
            },
            non_voters: if self.below(2) == 0 {
                Default::default()
            } else {
                self.ids().into_iter().collect()
            },
        }
    }

    fn entries(&mut self, node: &Node) -> LogEntries {
        let mut entries = LogEntries::new(self.position(node));
        for _ in 0..self.below(9) {
            entries.push(match self.below(6) {
                0 => LogEntry::Term(self.term(node)),
                1 => LogEntry::ClusterConfig(self.config()),
                _ => LogEntry::Command,
            });
        }
        entries
    }

    fn message(&mut self, node: &Node) -> Message {
        let (from, term) = (self.id(), self.term(node));
        match self.below(6) {
            0 => Message::RequestVoteCall {
                from,
                term,
                last_position: self.position(node),
            },
            1 => Message::RequestVoteReply {
                from,
                term,
                vote_granted: self.below(4) > 0,
            },
            2 | 3 => {
                let commit_index = self.index(node);
                Message::AppendEntriesCall {
                    from,
                    term,
                    commit_index,
                    entries: self.entries(node),
                }
            }
            _ => {
                let generation = NodeGeneration::new(self.number(0));
                Message::AppendEntriesReply {
                    from,
                    term,
                    generation,
                    last_position: self.position(node),
                }
            }
        }
    }
}

/// Decodes `data` into calls and checks the node after each. Panics if the node breaks a promise.
fn run(data: &[u8]) {
    let mut bytes = Bytes(data.iter());
    let mut node = Node::start(NodeId::new(0));
    node.create_cluster(&bytes.ids());
    while !bytes.0.as_slice().is_empty() {
        let before = node.clone();
        let restarted = call(&mut node, &mut bytes);
        check_getters(&node, &mut bytes);
        if !restarted {
            check_step(&before, &node);
        }
    }
}

/// Makes one call; returns whether the node is a new one now.
fn call(node: &mut Node, bytes: &mut Bytes<'_>) -> bool {
    let choice = bytes.below(64);
    match choice {
        0 => restart(node, bytes),
        1 => _ = node.create_cluster(&bytes.ids()),
        2 | 3 => _ = node.propose_command(),
        4 | 5 => _ = node.propose_config(bytes.config()),
        6 => {
            let config = node.config().to_joint_consensus(&bytes.ids(), &bytes.ids());
            _ = node.propose_config(config);
        }
        7 => _ = node.heartbeat(),
        8 | 9 => node.handle_election_timeout(),
        10 | 11 => {
            let (position, config) = (bytes.position(node), bytes.config());
            _ = node.handle_snapshot_installed(position, config);
        }
        12 => {
            let taken = node
                .log()
                .get_position_and_config(bytes.index(node))
                .map(|(at, config)| (at, config.clone()));
            if let Some((position, config)) = taken {
                _ = node.handle_snapshot_installed(position, config);
            }
        }
        13 | 14 => node.actions_mut().for_each(drop),
        15..=20 => win_election(node, bytes),
        _ => {
            let message = bytes.message(node);
            _ = node.could_be_disruptive_request_vote(&message);
            // An error is a fine answer to nonsense; what it may not do is checked by the caller.
            _ = node.handle_message(&message);
        }
    }
    choice == 0
}

/// Brings the node back from a disk of any content.
fn restart(node: &mut Node, bytes: &mut Bytes<'_>) {
    let log = Log::new(bytes.config(), bytes.entries(node));
    let vote = (bytes.below(2) == 1).then(|| bytes.id());
    *node = Node::restart(
        NodeId::new(0),
        NodeGeneration::new(u64::MAX),
        bytes.term(node),
        vote,
        log,
    );
}

/// Has all nodes vote for the node, so that leaders are met often.
fn win_election(node: &mut Node, bytes: &mut Bytes<'_>) {
    node.handle_election_timeout();
    let term = node.current_term();
    for from in node.peers().collect::<Vec<_>>() {
        _ = node.handle_message(&Message::RequestVoteReply {
            from,
            term,
            vote_granted: true,
        });
    }
    if bytes.below(2) == 1 {
        let last_position = node.log().last_position();
        let generation = NodeGeneration::ZERO;
        for from in node.peers().collect::<Vec<_>>() {
            _ = node.handle_message(&Message::AppendEntriesReply {
                from,
                term,
                generation,
                last_position,
            });
        }
    }
}

/// Every accessor must take any argument.
fn check_getters(node: &Node, bytes: &mut Bytes<'_>) {
    let (position, index) = (bytes.position(node), bytes.index(node));
    let entries = node.log().entries();
    _ = node.get_commit_status(position);
    _ = node.follower_match_index(bytes.id());
    _ = node.log().get_position_and_config(index);
    assert_eq!(entries.get_term(index).is_some(), entries.contains_index(index));
    assert_eq!(entries.since(position).is_some(), entries.contains(position));
    assert_eq!(entries.iter().count(), entries.len());
    assert_eq!(entries.is_empty(), entries.iter().next().is_none());
    let mut some = bytes.entries(node);
    let length = some.len();
    some.truncate(usize::try_from(bytes.number(3)).unwrap_or(usize::MAX));
    assert!(some.len() <= length);
    let mut log = node.log().clone();
    assert_eq!(log.append_suffix(&some), entries.contains(some.prev_position()));
    let mut call = bytes.message(node);
    let is_call = matches!(call, Message::AppendEntriesCall { .. });
    let stripped = usize::try_from(bytes.number(3)).unwrap_or(usize::MAX);
    assert_eq!(call.strip_append_entries_prefix(stripped), is_call);
}

/// What no call may do, however wrong its arguments are.
fn check_step(before: &Node, after: &Node) {
    assert!(after.current_term() >= before.current_term(), "a term falls");
    assert!(
        after.commit_index() >= before.commit_index(),
        "a commit index falls"
    );
    let log = after.log();
    assert!(
        after.commit_index() <= log.last_position().index,
        "a commit beyond the log"
    );
    assert!(
        log.snapshot_position().index <= after.commit_index(),
        "a snapshot beyond the commit"
    );
    let (old, new) = (before.log().entries(), log.entries());
    let first = old.prev_position().index.max(new.prev_position().index);
    for index in first.get()..=before.commit_index().get() {
        let index = LogIndex::new(index);
        assert_eq!(
            old.get_term(index),
            new.get_term(index),
            "a committed entry is rewritten"
        );
        if index > first {
            assert_eq!(
                old.get_entry(index),
                new.get_entry(index),
                "a committed entry is rewritten"
            );
        }
    }
}

fn random_bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    (0..length).map(|_| rng.next().to_le_bytes()[0]).collect()
}

#[test]
fn arbitrary_calls_break_no_promise() {
    for_each_seed("fuzz", "arbitrary_calls_break_no_promise", 20_000, |seed| {
        let data = random_bytes(seed, 500);
        let outcome = std::panic::catch_unwind(|| run(&data));
        outcome.map_err(|_| format!("seed {seed} breaks a promise"))
    });
}

#[test]
fn the_empty_input_does_nothing() {
    run(&[]);
}

#[test]
fn leaders_are_met_often() {
    let led = |seed: &u64| {
        let data = random_bytes(*seed, 500);
        let mut bytes = Bytes(data.iter());
        let mut node = Node::start(NodeId::new(0));
        node.create_cluster(&bytes.ids());
        while !bytes.0.as_slice().is_empty() && !node.role().is_leader() {
            call(&mut node, &mut bytes);
        }
        node.role().is_leader()
    };
    let leaders = (0..200).filter(led).count();
    assert!(leaders >= 60, "{leaders} of 200 runs had a leader");
}

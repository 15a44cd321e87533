//! Damaged entries that were never committed: cut off when the other voters' logs prove it, and not before.

use std::time::Duration;

use noraft::{Log, LogEntries, LogEntry, LogIndex, LogPosition, NodeId, Term};
use noraftd::protocol::peer::PeerMessage;
use noraftd::protocol::resp::Reply;
use noraftd::record::{Abstain, HardState, Hole, genesis_config};
use noraftd::recovered::Recovered;
use noraftd::replica::event::{Input, Output};
use noraftd::replica::{Replica, ReplicaConfig};
use noraftd::time::{Instant, Stamp};

use super::world::{Faults, World};
use super::{SECOND, done, outcome};

/// `voters` nodes, of which only the leader has the last entries; those are not committed, and the first is damaged.
fn uncommitted_hole(voters: u64) -> (World, u64) {
    let mut world = World::new(1, voters, Faults::NONE);
    world.run_for(SECOND * 3);
    let leader = world.leader().expect("a calm cluster elects a leader");
    world.request(leader, 1, &["SET", "k", "v"]);
    world.run_for(SECOND);
    assert_eq!(done(&world, 1), Reply::Status("OK"));
    let committed = world.on_disk(leader).len() as u64;
    world.partition(&[leader], false);
    for id in 2..=4 {
        world.request(leader, id, &["SET", "k", "w"]);
        world.run_for(Duration::from_millis(1));
    }
    world.kill(leader);
    assert!(world.on_disk(leader).len() as u64 > committed);
    world.damage(leader, [committed + 1]);
    world.reconnect();
    (world, leader)
}

#[test]
fn two_voters_go_on_without_an_entry_that_only_one_had_and_lost() {
    let (mut world, holed) = uncommitted_hole(2);
    world.start(holed);
    world.run_for(SECOND * 10);
    let leader = world
        .leader()
        .expect("the other's log proves that it was not committed");
    world.request(leader, 10, &["GET", "k"]);
    world.run_for(SECOND);
    assert_eq!(done(&world, 10), Reply::Bulk("v".into()));
    assert!((1..=2).all(|node| {
        world
            .replica(node)
            .is_some_and(|replica| replica.status().damage.holes == 0)
    }));
}

#[test]
fn half_of_four_voters_go_on_without_an_entry_that_none_of_them_can_read() {
    let (mut world, holed) = uncommitted_hole(4);
    let gone = (1..=4).find(|node| *node != holed).expect("there are others");
    world.kill(gone);
    world.start(holed);
    world.run_for(SECOND * 15);
    let leader = world.leader().expect("three of four are there");
    world.request(leader, 10, &["GET", "k"]);
    world.run_for(SECOND);
    assert_eq!(done(&world, 10), Reply::Bulk("v".into()));
}

#[test]
fn an_entry_that_a_silent_voter_may_have_is_waited_for() {
    let (mut world, holed) = uncommitted_hole(3);
    let gone = (1..=3).find(|node| *node != holed).expect("there are others");
    world.kill(gone);
    world.start(holed);
    world.run_for(SECOND * 15);
    world.request(holed, 10, &["GET", "k"]);
    world.run_for(SECOND);
    assert!(
        outcome(&world, 10)
            .is_none_or(|outcome| !matches!(outcome, noraftd::protocol::outcome::Outcome::Done(_)))
    );
    world.start(gone);
    world.run_for(SECOND * 5);
    world.request(holed, 11, &["GET", "k"]);
    world.run_for(SECOND);
    assert_eq!(done(&world, 11), Reply::Bulk("v".into()));
}

/// Node 1 of two in term 3, whose entry 3 of term 1 is damaged, and where its log ends.
struct Holed {
    replica: Replica,
}

impl Holed {
    fn new() -> Self {
        let at = |index| LogPosition::new(Term::new(1), LogIndex::new(index));
        let entries = [LogEntry::Term(Term::new(1)), LogEntry::Command, LogEntry::Command];
        let recovered = Recovered {
            hard_state: HardState {
                term: 3,
                voted_for: None,
            },
            log: Log::new(
                genesis_config([1, 2].map(NodeId::new)),
                LogEntries::from_iter(LogPosition::ZERO, entries),
            ),
            abstain: Abstain::No,
            holes: vec![Hole {
                position: at(3),
                kind: None,
                payload_crc: None,
            }],
            chain: noraftd::chain::Chain::after(noraft::LogIndex::ZERO, None),
            stamp: noraftd::time::Stamp::default(),
        };
        let mut settings = ReplicaConfig::new(NodeId::new(1));
        settings.members = [1, 2].map(NodeId::new).into();
        Self {
            replica: Replica::recover(&settings, 1, recovered, None),
        }
    }

    /// The other node, in `term`, asks for a pre-vote; gives the term of the answer, if it is a refusal.
    fn asked(&mut self, term: u64, last: u64, abstain: Abstain) -> Option<u64> {
        let message = PeerMessage::PreVote {
            term: Term::new(term + 1),
            last_position: LogPosition::new(Term::new(1), LogIndex::new(last)),
            canvass: 1,
            abstain,
        };
        let from = NodeId::new(2);
        let (mut refused, mut inputs) = (None, vec![Input::Peer { from, message }]);
        while let Some(input) = inputs.pop() {
            self.replica.handle(Instant::ZERO, Stamp::default(), input);
            while let Some(output) = self.replica.poll() {
                match output {
                    Output::Persist(batch) => inputs.push(Input::Synced(batch.id)),
                    Output::PersistVote(_) => inputs.push(Input::VoteSynced),
                    Output::Send {
                        message:
                            PeerMessage::PreVoted {
                                term, granted: false, ..
                            },
                        ..
                    } => refused = Some(term.get()),
                    _ => {}
                }
            }
        }
        refused
    }

    fn last(&self) -> u64 {
        self.replica.status().log.last_position.index.get()
    }
}

#[test]
fn who_may_still_be_given_the_entry_in_an_earlier_term_proves_nothing_and_is_led_to_a_later_one() {
    let mut holed = Holed::new();
    assert_eq!(holed.asked(2, 2, Abstain::No), Some(4));
    assert_eq!(holed.asked(3, 2, Abstain::No), Some(4));
    assert_eq!(holed.last(), 3);
    holed.asked(4, 2, Abstain::No);
    assert_eq!(holed.last(), 2);
    assert_eq!(holed.asked(4, 2, Abstain::No), None, "now it would have the vote");
}

#[test]
fn who_may_have_forgotten_the_entry_proves_nothing() {
    for abstain in [Abstain::Tail, Abstain::Loss] {
        let mut holed = Holed::new();
        assert!(holed.asked(9, 2, abstain).is_some());
        assert_eq!(holed.last(), 3);
    }
}

#[test]
fn who_has_the_entry_proves_nothing_and_is_led_to_no_later_term() {
    let mut holed = Holed::new();
    assert_eq!(
        holed.asked(2, 3, Abstain::No),
        Some(3),
        "the term that both could be in"
    );
    holed.asked(9, 3, Abstain::No);
    assert_eq!(holed.last(), 3);
}

//! Which node is elected, and which ones give way.

use std::time::Duration;

use noraft::{Log, LogEntries, LogEntry, LogIndex, LogPosition, NodeId, Term};
use noraftd::protocol::peer::{PeerMessage, TERM_END, TERM_LEAP_MAX};
use noraftd::protocol::resp::Reply;
use noraftd::record::{Abstain, HardState, genesis_config};
use noraftd::recovered::Recovered;
use noraftd::replica::event::{Input, Output, Room};
use noraftd::replica::{Replica, ReplicaConfig};
use noraftd::time::{Instant, Stamp};

use super::world::World;
use super::{SECOND, done, led_world};

/// Node 1 of several, driven by hand; its disk answers at once.
struct Candidate {
    replica: Replica,
    now: Instant,
}

impl Candidate {
    fn new(voters: u64, abstain: Abstain) -> Self {
        let config = genesis_config((1..=voters).map(NodeId::new));
        let entries = [LogEntry::Term(Term::new(1)), LogEntry::Command];
        let recovered = Recovered {
            hard_state: HardState {
                term: 1,
                voted_for: Some(1),
            },
            log: Log::new(config, LogEntries::from_iter(LogPosition::ZERO, entries)),
            abstain,
            holes: Vec::new(),
            chain: noraftd::chain::Chain::after(noraft::LogIndex::ZERO, None),
        };
        let mut settings = ReplicaConfig::new(NodeId::new(1));
        settings.members = (1..=voters).map(NodeId::new).collect();
        Self {
            replica: Replica::recover(&settings, 1, recovered, None),
            now: Instant::ZERO,
        }
    }

    /// What it says to the others about `input`.
    fn handle(&mut self, input: Input) -> Vec<PeerMessage> {
        let (mut said, mut inputs) = (Vec::new(), vec![input]);
        while let Some(input) = inputs.pop() {
            self.replica.handle(self.now, Stamp::default(), input);
            while let Some(output) = self.replica.poll() {
                match output {
                    Output::Persist(batch) => inputs.push(Input::Synced(batch.id)),
                    Output::PersistVote(_) => inputs.push(Input::VoteSynced),
                    Output::Send { message, .. } => said.push(message),
                    _ => {}
                }
            }
        }
        said
    }

    /// Its election timeout passes.
    fn time_out(&mut self) -> Vec<PeerMessage> {
        self.now = self.now + SECOND * 2;
        self.handle(Input::Deadline)
    }

    fn hear(&mut self, from: u64, message: PeerMessage) -> Vec<PeerMessage> {
        let from = NodeId::new(from);
        self.handle(Input::Peer { from, message })
    }
}

fn asks_for_votes(said: &[PeerMessage]) -> bool {
    said.iter()
        .any(|message| matches!(message, PeerMessage::RequestVote { .. }))
}

/// A grant for term 2 that answers `canvass`; zero from a node that does not count them.
fn grant(canvass: u64) -> PeerMessage {
    PeerMessage::PreVoted {
        term: Term::new(2),
        granted: true,
        abstain: Abstain::No,
        canvass,
    }
}

/// The number of the canvass that is being asked for.
fn canvass(said: &[PeerMessage]) -> u64 {
    let mut asked = said.iter().filter_map(|message| match message {
        PeerMessage::PreVote { canvass, .. } => Some(*canvass),
        _ => None,
    });
    asked.next().expect("it asks for pre-votes")
}

#[test]
fn a_grant_of_an_earlier_canvass_does_not_count() {
    let mut candidate = Candidate::new(3, Abstain::Tail);
    let first = canvass(&candidate.time_out());
    assert!(!asks_for_votes(&candidate.hear(2, grant(first))));
    let second = canvass(&candidate.time_out());
    assert_ne!(first, second);
    // The second node has a new log since, or leads; that it was asked before says nothing about it now.
    candidate.hear(3, grant(second));
    assert!(!asks_for_votes(&candidate.hear(2, grant(first))));
    assert!(asks_for_votes(&candidate.hear(2, grant(second))));
}

#[test]
fn a_grant_of_a_node_that_counts_no_canvasses_is_matched_by_its_term() {
    let mut candidate = Candidate::new(3, Abstain::No);
    candidate.time_out();
    assert!(asks_for_votes(&candidate.hear(2, grant(0))));
}

/// What it forgot may be on its way to one of those that have granted, and its sender may still lead.
#[test]
fn of_five_and_six_a_candidate_that_abstains_asks_for_votes_only_with_everyones_grant() {
    for voters in [5, 6] {
        for abstain in [Abstain::Tail, Abstain::Loss] {
            let mut candidate = Candidate::new(voters, abstain);
            let canvass = canvass(&candidate.time_out());
            for other in 2..voters {
                let said = candidate.hear(other, grant(canvass));
                assert!(!asks_for_votes(&said), "{other} of {voters} granted");
            }
            assert!(asks_for_votes(&candidate.hear(voters, grant(canvass))));
        }
    }
}

#[test]
fn of_five_a_candidate_that_is_sure_asks_for_votes_with_a_majority_of_grants() {
    let mut candidate = Candidate::new(5, Abstain::No);
    let canvass = canvass(&candidate.time_out());
    assert!(!asks_for_votes(&candidate.hear(2, grant(canvass))));
    assert!(asks_for_votes(&candidate.hear(3, grant(canvass))));
}

/// Asks `node` for reads all the time until another leads, for at most `time`.
fn read_until_another_leads(world: &mut World, node: u64, time: Duration) -> bool {
    let end = world.now + time.as_nanos() as u64;
    let mut id = 10_000;
    while world.now < end && world.leader() == Some(node) {
        id += 1;
        world.request(node, id, &["GET", "k"]);
        world.run_for(Duration::from_millis(20));
    }
    world.leader() != Some(node)
}

#[test]
fn reads_do_not_keep_a_leader_in_office_whose_disk_stalls() {
    let (mut world, leader) = led_world(3);
    world.slow_disk(leader, SECOND * 60);
    world.request(leader, 1, &["SET", "k", "v"]);
    assert!(read_until_another_leads(&mut world, leader, SECOND * 5));
}

#[test]
fn neither_reads_nor_changes_keep_a_leader_in_office_whose_disk_is_full() {
    for room in [Room::Low, Room::Spent] {
        let (mut world, leader) = led_world(3);
        world.room(leader, room);
        // It is silent for a while even if there is room again at once.
        world.room(leader, Room::Plenty);
        let end = world.now + 3 * SECOND.as_nanos() as u64;
        let mut id = 20_000;
        while world.now < end && world.leader() == Some(leader) {
            id += 1;
            world.change_voters(leader, id, &[1, 2, 3]);
            read_until_another_leads(&mut world, leader, Duration::from_millis(20));
        }
        assert_ne!(world.leader(), Some(leader), "{room:?}");
    }
}

#[test]
fn a_read_is_answered_again_once_the_disk_goes_on() {
    let (mut world, leader) = led_world(1);
    world.slow_disk(leader, SECOND * 2);
    world.request(leader, 1, &["SET", "k", "v"]);
    world.run_for(SECOND);
    world.slow_disk(leader, Duration::from_micros(100));
    world.run_for(SECOND * 2);
    world.request(leader, 2, &["GET", "k"]);
    world.run_for(SECOND);
    assert_eq!(done(&world, 2), Reply::Bulk("v".into()));
}

/// Adopted, such a term would bring the end of the number space nearer for good.
#[test]
fn a_term_that_no_elections_lead_to_has_no_effect() {
    let vote_for = |term| PeerMessage::RequestVote {
        term: Term::new(term),
        last_position: LogPosition {
            term: Term::new(1),
            index: LogIndex::new(99),
        },
        unanimous: true,
    };
    let mut node = Candidate::new(3, Abstain::No);
    node.time_out();
    for term in [TERM_LEAP_MAX + 100, TERM_END.get(), u64::MAX] {
        assert_eq!(node.hear(2, vote_for(term)), [], "no answer to term {term}");
        assert_eq!(node.replica.node().current_term(), Term::new(1));
    }
    assert!(!node.hear(2, vote_for(TERM_LEAP_MAX)).is_empty());
    assert_eq!(node.replica.node().current_term(), Term::new(TERM_LEAP_MAX));
}

/// A node that raised its term alone would void the canvasses of the others, and depose the leader that they elect.
#[test]
fn a_leader_that_hears_no_quorum_steps_down_and_keeps_its_term() {
    let (mut world, leader) = led_world(3);
    let term = |world: &World| world.replica(leader).expect("it is up").status().term;
    let before = term(&world);
    world.partition(&[leader], false);
    world.run_for(SECOND * 20);
    let status = world.replica(leader).expect("it is up").status();
    assert!(!status.role.is_leader());
    assert_eq!(term(&world), before);
    let elected = world.leader().expect("the others elect a leader");
    let term_elected = world.replica(elected).expect("it is up").status().term;
    world.heal();
    world.run_for(SECOND * 5);
    assert_eq!(world.leader(), Some(elected), "it is not deposed");
    assert_eq!(term(&world), term_elected);
}

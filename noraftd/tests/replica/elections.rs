//! Which node is elected, and which ones give way.

use std::time::Duration;

use noraft::{LogIndex, LogPosition, Term};
use noraftd::protocol::peer::{PeerMessage, TERM_END, TERM_LEAP_MAX};
use noraftd::protocol::resp::Reply;
use noraftd::record::Abstain;
use noraftd::replica::ReplicaConfig;
use noraftd::replica::event::Room;

use super::alone::{Alone, Found, TAIL, asks_for_votes, at, canvass, grant_of};
use super::driven::{Driven, Setup, messages};
use super::world::World;
use super::{SECOND, done, led_world};

/// A grant for term 2.
fn grant(canvass: u64) -> PeerMessage {
    grant_of(2, canvass)
}

#[test]
fn a_grant_of_an_earlier_canvass_does_not_count() {
    let mut candidate = Alone::new(3, Abstain::Tail);
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
    let mut candidate = Alone::new(3, Abstain::No);
    candidate.time_out();
    assert!(asks_for_votes(&candidate.hear(2, grant(0))));
}

/// What it forgot may be on its way to one of those that have granted, and its sender may still lead.
#[test]
fn of_five_and_six_a_candidate_that_abstains_asks_for_votes_only_with_everyones_grant() {
    for voters in [5, 6] {
        for abstain in [Abstain::Tail, Abstain::Loss] {
            let mut candidate = Alone::new(voters, abstain);
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
    let mut candidate = Alone::new(5, Abstain::No);
    let canvass = canvass(&candidate.time_out());
    assert!(!asks_for_votes(&candidate.hear(2, grant(canvass))));
    assert!(asks_for_votes(&candidate.hear(3, grant(canvass))));
}

#[test]
fn a_node_grants_no_pre_vote_while_it_hears_a_leader_and_for_an_election_timeout_after() {
    let mut node = Setup::new(3, 4).start();
    let last = node.last();
    let asks = |node: &mut Driven| {
        let said = node.hear(
            3,
            PeerMessage::PreVote {
                term: Term::new(2),
                last_position: last,
                canvass: 7,
                abstain: Abstain::No,
            },
        );
        let mut answers = messages(&said).into_iter().filter_map(|message| match message {
            PeerMessage::PreVoted { granted, canvass, .. } => Some((granted, canvass)),
            _ => None,
        });
        answers.next().expect("a pre-vote is answered")
    };
    assert_eq!(asks(&mut node), (true, 7), "it has heard no leader");
    node.append(2, 1, last, Vec::new(), 1);
    assert_eq!(asks(&mut node), (false, 7));
    node.now = node.now + (ReplicaConfig::ELECTION_TIMEOUT - Duration::from_nanos(1));
    assert_eq!(asks(&mut node), (false, 7));
    node.now = node.now + Duration::from_nanos(1);
    assert_eq!(asks(&mut node), (true, 7));
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
    let mut node = Alone::new(3, Abstain::No);
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

/// What it last acknowledged may be what it lost: until its log holds all that the leader had, it is not sure.
#[test]
fn a_node_that_lost_entries_abstains_until_it_has_what_the_leader_had() {
    let asks_as = |node: &mut Alone| {
        let said = node.time_out();
        let mut asked = said.iter().filter_map(|message| match message {
            PeerMessage::PreVote { abstain, .. } => Some(*abstain),
            _ => None,
        });
        asked.next().expect("it asks for pre-votes")
    };
    for abstain in [Abstain::Tail, Abstain::Loss] {
        let mut node = Alone::new(3, abstain);
        assert_eq!(asks_as(&mut node), abstain);
        assert!(node.replica.abstains());
        assert_eq!(node.replica.glance().abstain, abstain);
        node.hear_leader(2, 2, at(2, 9), 9);
        assert_eq!(asks_as(&mut node), abstain, "it lacks entries");
        node.hear_leader(2, 2, TAIL, 9);
        assert_eq!(asks_as(&mut node), abstain, "what it has is not all");
        node.hear_leader(3, 3, TAIL, TAIL.index.get());
        assert_eq!(asks_as(&mut node), Abstain::No, "it has everything");
        assert!(!node.replica.abstains());
    }
}

#[test]
fn a_node_that_cannot_read_an_entry_asks_for_no_votes() {
    let damaged = Found {
        holes: vec![2],
        ..Found::default()
    };
    let mut node = Alone::start(3, damaged);
    let asks = |said: &[PeerMessage]| {
        said.iter()
            .any(|message| matches!(message, PeerMessage::PreVote { .. }))
    };
    for _ in 0..5 {
        assert!(!asks(&node.time_out()));
    }
    assert!(asks(&Alone::new(3, Abstain::No).time_out()), "a whole one does");
}

/// The logs were other ones then; and a process cannot know what its predecessor asked.
#[test]
fn a_grant_that_an_earlier_process_asked_for_does_not_count() {
    for seed in 1..=20 {
        let process = |seed| {
            let found = Found {
                abstain: Abstain::Tail,
                seed,
                ..Found::default()
            };
            Alone::start(3, found)
        };
        let before = canvass(&process(seed).time_out());
        let mut node = process(seed + 1);
        let now = canvass(&node.time_out());
        node.hear(3, grant(now));
        assert!(
            !asks_for_votes(&node.hear(2, grant(before))),
            "processes {seed} and {}",
            seed + 1
        );
        assert!(asks_for_votes(&node.hear(2, grant(now))));
    }
}

/// Or it would ask for the same old term again and again, which the others refuse.
#[test]
fn a_refused_canvass_teaches_the_later_term() {
    let mut node = Alone::new(3, Abstain::No);
    let canvass = canvass(&node.time_out());
    let refused = PeerMessage::PreVoted {
        term: Term::new(7),
        granted: false,
        abstain: Abstain::No,
        canvass,
    };
    node.hear(2, refused);
    assert_eq!(node.replica.node().current_term(), Term::new(7));
    let said = node.time_out();
    let asks_for = |term| {
        let is_for = |message: &PeerMessage| matches!(message, PeerMessage::PreVote { term: asked, .. } if *asked == Term::new(term));
        said.iter().any(is_for)
    };
    assert!(asks_for(8), "{said:?}");
}

#[test]
fn what_was_granted_before_a_term_in_office_is_not_used_after_it() {
    let mut driven = Setup::new(3, 0).start();
    let asked_for = |driven: &mut Driven| loop {
        let said = messages(&driven.pass(SECOND));
        let asks_for_votes = |message: &PeerMessage| matches!(message, PeerMessage::RequestVote { .. });
        assert!(!said.iter().any(asks_for_votes), "it has no grants: {said:?}");
        let asked = said.iter().find_map(|message| match message {
            PeerMessage::PreVote { term, canvass, .. } => Some((*term, *canvass)),
            _ => None,
        });
        if let Some(asked) = asked {
            break asked;
        }
    };
    let grant = |(term, canvass)| PeerMessage::PreVoted {
        term,
        granted: true,
        abstain: Abstain::No,
        canvass,
    };
    let first = asked_for(&mut driven);
    driven.hear(2, grant(first));
    let second = asked_for(&mut driven);
    driven.hear(
        2,
        PeerMessage::Vote {
            term: first.0,
            granted: true,
        },
    );
    assert!(driven.replica.node().role().is_leader());
    driven.hear(2, grant(second));
    // It hears no majority, steps down, and asks again.
    let third = asked_for(&mut driven);
    assert_eq!((third.0, driven.term()), (second.0, first.0));
}

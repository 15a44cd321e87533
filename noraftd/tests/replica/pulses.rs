//! Leaders and followers whose entries take long on their way, or never arrive, while pulses do.

use std::time::Duration;

use noraft::{LogIndex, Term};
use noraftd::protocol::peer::PeerMessage;
use noraftd::protocol::resp::Reply;

use super::driven::{Driven, Setup, messages};
use super::{SECOND, done, led_world, outcome};

fn term(world: &super::World, node: u64) -> u64 {
    let replica = world.replica(node).expect("it is up");
    replica.node().current_term().get()
}

#[test]
fn a_leader_keeps_its_office_while_entries_crawl() {
    let (mut world, leader) = led_world(3);
    let before = (term(&world, leader), world.sent_records);
    world.first_lane_takes(SECOND * 3);
    world.request(leader, 1, &["SET", "k", "v"]);
    world.run_for(SECOND);
    world.request(leader, 2, &["GET", "k"]);
    world.run_for(SECOND / 2);
    // The first write is not committed yet, and a read does not need it to be: a pulse confirms the leader.
    assert!(matches!(done(&world, 2), Reply::Null | Reply::Bulk(_)));
    world.run_for(SECOND * 8);
    assert_eq!((world.leader(), term(&world, leader)), (Some(leader), before.0));
    assert_eq!(
        world.sent_records - before.1,
        2,
        "pulses that overtake an entry are no sign that it was lost"
    );
    assert!(outcome(&world, 1).is_some());
}

#[test]
fn a_leader_whose_entries_never_arrive_gives_up_in_the_end() {
    let (mut world, leader) = led_world(3);
    let before = term(&world, leader);
    world.first_lane_takes(Duration::from_secs(1000));
    world.run_for(SECOND * 5);
    assert_eq!(term(&world, leader), before, "it may be a slow link");
    world.run_for(SECOND * 10);
    assert!(term(&world, leader) > before, "others may reach each other");
}

#[test]
fn votes_arrive_when_the_second_lane_is_dead_without_a_word() {
    let (mut world, leader) = led_world(3);
    world.lose_second_lane();
    world.run_for(SECOND * 2);
    assert_eq!(world.leader(), Some(leader), "heartbeats are enough");
    world.kill(leader);
    world.run_for(SECOND * 4);
    let new = world.leader().expect("the others elect");
    world.request(new, 1, &["SET", "k", "v"]);
    world.run_for(SECOND);
    world.request(new, 2, &["GET", "k"]);
    world.run_for(SECOND);
    assert_eq!(done(&world, 2), Reply::Bulk("v".into()));
}

#[test]
fn a_pulse_of_a_later_term_makes_a_follower_of_it() {
    let mut driven = Setup::new(3, 0).start();
    let pulse = |driven: &mut Driven, pulse: u64| {
        let (term, last_index) = (Term::new(5), LogIndex::new(1));
        let message = PeerMessage::Pulse {
            term,
            pulse,
            last_index,
        };
        messages(&driven.hear(2, message))
    };
    assert_eq!(pulse(&mut driven, 1), [], "its term is not durable yet");
    assert_eq!(driven.term(), Term::new(5));
    let answer = PeerMessage::Pulsed {
        term: Term::new(5),
        pulse: 2,
    };
    assert_eq!(pulse(&mut driven, 2), [answer]);
}

//! Damaged entries are fetched from the others, and until then nothing relies on them.

use std::collections::VecDeque;
use std::time::Duration;

use noraft::{Log, LogEntries, LogEntry, LogIndex, LogPosition, NodeId, Term};
use noraftd::chain::Chain;
use noraftd::protocol::peer::{Features, PeerMessage};
use noraftd::protocol::resp::Reply;
use noraftd::record::{Abstain, HardState, Hole, Record, RecordKind, encode_config, genesis_config};
use noraftd::recovered::Recovered;
use noraftd::replica::event::{Input, Output};
use noraftd::replica::{Replica, ReplicaConfig};
use noraftd::time::{Instant, Stamp};

use super::alone::{Alone, TAIL, at, request};
use super::world::{Faults, World};
use super::{SECOND, done, led_world, other, outcome};

/// Acknowledged writes on three nodes, and the leader.
fn written(count: u64) -> (World, u64) {
    let (mut world, leader) = led_world(3);
    for id in 1..=count {
        world.request(leader, id, &["XADD", "log", "*", "v", &id.to_string()]);
        world.run_for(Duration::from_micros(300));
    }
    world.run_for(SECOND);
    (1..=count).for_each(|id| assert!(matches!(done(&world, id), Reply::Bulk(_))));
    (world, leader)
}

fn last(world: &World, node: u64) -> u64 {
    world.on_disk(node).last().copied().unwrap_or(0)
}

fn status(world: &World, node: u64) -> noraftd::replica::event::Status {
    world.replica(node).expect("it is up").status()
}

fn length(world: &mut World, node: u64, id: u64) -> Option<i64> {
    world.request(node, id, &["XLEN", "log"]);
    world.run_for(SECOND);
    match outcome(world, id) {
        Some(noraftd::protocol::outcome::Outcome::Done(Reply::Integer(length))) => Some(length),
        _ => None,
    }
}

#[test]
fn a_follower_with_holes_repairs_them_and_applies_everything() {
    let (mut world, leader) = written(100);
    let node = other(&world, leader);
    world.kill(node);
    world.damage(node, (10..=90).step_by(7));
    world.start(node);
    assert!(status(&world, node).damage.holes > 10);
    world.run_for(SECOND * 2);
    assert_eq!((status(&world, node).damage.holes, world.damaged(node)), (0, 0));
    assert!(status(&world, node).damage.repaired > 10);
    assert_eq!(
        status(&world, node).log.applied_index,
        status(&world, leader).log.applied_index
    );
}

#[test]
fn nodes_damaged_in_different_places_help_each_other_before_there_is_a_leader() {
    let (mut world, _) = written(90);
    (1..=3).for_each(|node| world.kill(node));
    // Every entry is whole on two of three disks.
    for node in 1..=3u64 {
        world.damage(node, (1..=90).filter(|index| index % 3 == node - 1));
    }
    (1..=3).for_each(|node| world.start(node));
    assert!(world.leader().is_none());
    world.run_for(SECOND * 4);
    for node in 1..=3 {
        assert_eq!(world.damaged(node), 0, "node {node}");
        assert_eq!(length(&mut world, node, 1000 + node), Some(90));
    }
}

#[test]
fn a_node_with_a_hole_neither_applies_past_it_nor_campaigns() {
    let (mut world, leader) = written(50);
    let node = other(&world, leader);
    world.kill(node);
    world.damage(node, [20]);
    // It gets no answer: nothing leaves the others' side.
    let others: Vec<u64> = (1..=3).filter(|id| *id != node).collect();
    others.iter().for_each(|id| world.kill(*id));
    world.start(node);
    world.run_for(SECOND * 5);
    assert!(status(&world, node).log.applied_index.get() < 20);
    assert_eq!(
        status(&world, node).term,
        world.term_on_disk(leader),
        "it never asked for votes"
    );
    others.iter().for_each(|id| world.start(*id));
    world.run_for(SECOND * 4);
    assert_eq!(world.damaged(node), 0);
    assert_eq!(length(&mut world, node, 1000), Some(50));
}

#[test]
fn a_node_with_a_hole_votes_and_refuses_a_candidate_without_the_entry() {
    let (mut world, leader) = written(30);
    let holed = other(&world, leader);
    let third = 6 - leader - holed;
    // The third misses the last entries; of those two that have them, one is damaged and one is gone.
    world.kill(third);
    for id in 200..220 {
        world.request(leader, id, &["XADD", "log", "*", "v", "late"]);
        world.run_for(Duration::from_millis(1));
    }
    world.run_for(SECOND);
    assert!(matches!(done(&world, 219), Reply::Bulk(_)));
    let late = last(&world, holed);
    world.kill(leader);
    world.kill(holed);
    world.damage(holed, [late - 3]);
    world.start(holed);
    world.start(third);
    world.run_for(SECOND * 6);
    assert!(world.leader().is_none(), "acknowledged entries would be lost");
    assert_eq!(world.damaged(holed), 1);
    world.start(leader);
    world.run_for(SECOND * 4);
    assert_eq!(world.damaged(holed), 0);
    assert_eq!(length(&mut world, third, 1000), Some(50));
}

#[test]
fn damage_that_a_running_leader_finds_while_it_serves_a_peer_is_repaired() {
    let (mut world, leader) = written(10);
    let away = other(&world, leader);
    let helper = 6 - leader - away;
    world.kill(away);
    for id in 300..600 {
        world.request(
            leader,
            id,
            &[
                "XADD",
                "log",
                "*",
                "v",
                "a value of some length, to leave the cache",
            ],
        );
        world.run_for(Duration::from_micros(500));
    }
    world.run_for(SECOND);
    world.damage(leader, 40..60);
    world.start(away);
    world.run_for(SECOND * 4);
    assert_eq!(world.leader(), Some(leader), "it goes on leading");
    assert_eq!(world.damaged(leader), 0);
    assert_eq!(
        status(&world, away).log.applied_index,
        status(&world, helper).log.applied_index
    );
}

/// A node of three whose entry 3 of four is damaged, so that nothing is known of it but its place.
fn with_a_hole() -> Replica {
    let at = |index| LogPosition::new(Term::new(1), LogIndex::new(index));
    let entries = [
        LogEntry::Term(Term::new(1)),
        LogEntry::Command,
        LogEntry::Command,
        LogEntry::Command,
    ];
    let config = genesis_config([1, 2, 3].map(NodeId::new));
    let recovered = Recovered {
        hard_state: HardState {
            term: 1,
            voted_for: Some(1),
        },
        log: Log::new(config, LogEntries::from_iter(LogPosition::ZERO, entries)),
        abstain: Abstain::No,
        holes: vec![Hole {
            position: at(3),
            kind: None,
            payload_crc: None,
        }],
        chain: Chain::after(LogIndex::ZERO, None),
        stamp: noraftd::time::Stamp::default(),
    };
    Replica::recover(&ReplicaConfig::new(NodeId::new(2)), 1, recovered, None)
}

/// An append of the leader of term 1, whose commit index is `commit`, with nothing in it.
fn empty_append(commit: u64) -> PeerMessage {
    PeerMessage::Append {
        term: Term::new(1),
        commit_index: LogIndex::new(commit),
        prev: LogPosition::new(Term::new(1), LogIndex::new(4)),
        chain: None,
        records: Vec::new(),
        round: 1,
        last_index: LogIndex::new(4),
    }
}

/// What such a node acknowledges to a leader whose commit index is `commit`.
fn acknowledged_beside_a_hole(commit: u64) -> u64 {
    let mut replica = with_a_hole();
    let (from, message) = (NodeId::new(1), empty_append(commit));
    replica.handle(Instant::ZERO, Stamp::default(), Input::Peer { from, message });
    let outputs = std::iter::from_fn(|| replica.poll());
    let mut replies = outputs.filter_map(|output| match output {
        Output::Send {
            message: PeerMessage::Appended { last_position, .. },
            ..
        } => Some(last_position.index.get()),
        _ => None,
    });
    replies.next().expect("an append is answered")
}

#[test]
fn an_entry_that_may_not_be_committed_is_not_acknowledged_while_it_is_damaged() {
    assert_eq!(acknowledged_beside_a_hole(2), 2, "what cannot be read is no copy");
    assert_eq!(
        acknowledged_beside_a_hole(4),
        4,
        "others have committed it already"
    );
}

/// The core begins again with the configuration, and what was committed before stays so.
#[test]
fn a_hole_that_turns_out_to_be_a_configuration_does_not_lower_the_commit_index() {
    let mut replica = with_a_hole();
    let from = NodeId::new(1);
    let (mut now, mut inputs) = (Instant::ZERO, VecDeque::new());
    inputs.push_back(Input::Connected {
        peer: from,
        features: Features::SUPPORTED,
    });
    inputs.push_back(Input::Peer {
        from,
        message: empty_append(4),
    });
    let config = genesis_config([1, 2, 3].map(NodeId::new));
    let position = LogPosition::new(Term::new(1), LogIndex::new(3));
    let record = Record::new(
        position,
        RecordKind::Config,
        Stamp::default(),
        encode_config(&config),
    );
    for _ in 0..100 {
        let input = inputs.pop_front().unwrap_or(Input::Deadline);
        replica.handle(now, Stamp::default(), input);
        while let Some(output) = replica.poll() {
            match output {
                Output::Send {
                    message: PeerMessage::RepairRequest { .. },
                    ..
                } => inputs.push_back(Input::Peer {
                    from,
                    message: PeerMessage::Repair {
                        base: LogIndex::ZERO,
                        records: vec![record.clone()],
                    },
                }),
                Output::Patch { id, .. } => inputs.push_back(Input::Synced(id)),
                _ => {}
            }
        }
        if replica.status().damage.repaired == 1 {
            break;
        }
        now = now + Duration::from_millis(10);
    }
    let log = replica.node().log().entries();
    assert_eq!(
        log.get_entry(position.index),
        Some(LogEntry::ClusterConfig(config)),
        "it is repaired"
    );
    assert_eq!(replica.node().commit_index(), LogIndex::new(4));
}

#[test]
fn what_no_log_holds_any_more_comes_with_a_snapshot() {
    let mut world = World::new(1, 3, Faults::COMPACTING);
    world.run_for(SECOND * 3);
    let leader = world.leader().expect("a calm cluster elects a leader");
    let node = other(&world, leader);
    for id in 1..=40 {
        world.request(leader, id, &["XADD", "log", "*", "v", &id.to_string()]);
        world.run_for(Duration::from_millis(1));
    }
    world.run_for(SECOND);
    world.kill(node);
    let first = world.on_disk(node)[0];
    let late = last(&world, node) - 1;
    world.damage(node, [late, first]);
    for id in 41..=400 {
        world.request(leader, id, &["XADD", "log", "*", "v", &id.to_string()]);
        world.run_for(Duration::from_millis(1));
    }
    world.run_for(SECOND);
    assert!(status(&world, leader).log.base_index.get() > last(&world, node));
    world.start(node);
    world.run_for(SECOND * 8);
    assert_eq!(status(&world, node).damage.holes, 0, "{:?}", status(&world, node));
    assert_eq!(length(&mut world, node, 1000), Some(400));
}

#[test]
fn a_peer_that_is_silent_is_not_waited_for_when_the_others_have_a_snapshot() {
    let mut world = World::new(1, 5, Faults::COMPACTING);
    world.run_for(SECOND * 3);
    let leader = world.leader().expect("a calm cluster elects a leader");
    let mut others = (1..=5).filter(|node| *node != leader);
    let (node, silent) = (others.next().unwrap_or(0), others.next().unwrap_or(0));
    world.kill(silent);
    let mut id = 0;
    let mut write = |world: &mut World| {
        id += 1;
        world.request(leader, id, &["XADD", "log", "*", "v", &id.to_string()]);
        world.run_for(Duration::from_millis(2));
        id
    };
    while status(&world, leader).log.base_index < LogIndex::new(40) {
        write(&mut world);
    }
    // Of what the node has not applied after its start, and lets go of as late as the others.
    world.kill(node);
    let until = last(&world, node);
    world.damage(node, [until - 5]);
    while status(&world, leader).log.base_index < LogIndex::new(until - 5) {
        assert!(write(&mut world) < 10_000);
    }
    world.start(node);
    world.run_for(SECOND * 20);
    assert_eq!(status(&world, node).damage.holes, 0, "{:?}", status(&world, node));
    let written = i64::try_from(write(&mut world)).unwrap_or(0);
    world.run_for(SECOND);
    assert_eq!(length(&mut world, node, 100_000), Some(written));
}

/// A leader that finds an entry damaged which it has not applied, and which the others have in snapshots only.
#[test]
fn a_leader_that_needs_a_snapshot_lets_another_lead() {
    let mut led = 0;
    for seed in 1..=12 {
        let mut world = World::new(seed, 3, Faults::NONE);
        world.run_for(SECOND * 3);
        let node = world.leader().expect("a calm cluster elects a leader");
        for id in 1..=60 {
            world.request(node, id, &["XADD", "log", "*", "v", &id.to_string()]);
            world.run_for(Duration::from_millis(1));
            if id == 40 || id == 50 {
                world.run_for(SECOND / 5);
                (1..=3)
                    .filter(|peer| *peer != node)
                    .for_each(|peer| world.take_snapshot(peer));
                world.run_for(SECOND / 5);
            }
        }
        world.run_for(SECOND);
        (1..=3).for_each(|node| world.kill(node));
        (1..=3).for_each(|node| world.start(node));
        world.damage(node, [20]);
        while world.leader().is_none() {
            world.run_for(Duration::from_micros(20));
        }
        led += u64::from(world.leader() == Some(node));
        world.run_for(SECOND * 20);
        assert_eq!(
            status(&world, node).damage.holes,
            0,
            "seed {seed}: {:?}",
            status(&world, node)
        );
        assert_eq!(length(&mut world, node, 1000), Some(60), "seed {seed}");
    }
    assert!(led > 0, "in no seed did the damaged node lead");
}

/// Three nodes with `count` entries, of which one is the only voter; it has a snapshot, is down, and an entry that the
/// snapshot covers is damaged.
fn sole_voter_damaged(count: u64) -> (World, u64) {
    let (mut world, node) = written(count);
    world.take_snapshot(node);
    world.run_for(SECOND / 5);
    world.change_voters(node, 500, &[node]);
    world.run_for(SECOND);
    assert_eq!(done(&world, 500), Reply::Status("OK"));
    world.kill(node);
    world.damage(node, [count / 2]);
    (world, node)
}

#[test]
fn a_sole_voter_is_given_back_what_it_lost_by_nodes_that_do_not_vote() {
    let (mut world, node) = sole_voter_damaged(20);
    world.start(node);
    world.run_for(SECOND * 3);
    assert_eq!(
        (status(&world, node).damage.repaired, world.damaged(node)),
        (1, 0)
    );
    assert_eq!(length(&mut world, node, 1000), Some(20));
}

#[test]
fn a_sole_voter_goes_on_from_its_own_state_when_no_node_gives_an_entry_back() {
    let (mut world, node) = sole_voter_damaged(20);
    (1..=3)
        .filter(|other| *other != node)
        .for_each(|other| world.kill(other));
    world.start(node);
    world.run_for(SECOND * 6);
    assert_eq!((status(&world, node).damage.holes, world.damaged(node)), (0, 0));
    assert_eq!(length(&mut world, node, 1000), Some(20));
}

#[test]
fn the_only_node_there_is_goes_on_from_its_own_state() {
    let (mut world, node) = led_world(1);
    for id in 1..=20 {
        world.request(node, id, &["XADD", "log", "*", "v", &id.to_string()]);
        world.run_for(Duration::from_millis(1));
    }
    world.take_snapshot(node);
    world.run_for(SECOND);
    world.kill(node);
    world.damage(node, [10]);
    world.start(node);
    world.run_for(SECOND * 3);
    assert_eq!(world.damaged(node), 0);
    assert_eq!(length(&mut world, node, 1000), Some(20));
}

#[test]
fn random_damage_within_the_budget_is_repaired_under_loss_and_kills() {
    for seed in 0..40 {
        let faults = Faults {
            loss: 50,
            duplicate: 50,
            reorder: seed % 2 == 0,
            delay_max: 3000,
            sync_max: 3000,
            compact: false,
        };
        let mut world = World::new(seed, 3, faults);
        world.run_for(SECOND * 2);
        let mut id = 0;
        for round in 0..6u64 {
            for _ in 0..15 {
                id += 1;
                world.request(1 + id % 3, id, &["XADD", "log", "*", "v", &id.to_string()]);
                world.run_for(Duration::from_millis(3));
            }
            let (victim, share) = (1 + round % 3, 1 + world.prng.below(6));
            world.kill(victim);
            if (1..=3).all(|node| world.damaged(node) == 0) {
                world.damage(victim, (1..200).filter(|index| index % share == 0));
            }
            world.run_for(Duration::from_millis(200));
            world.start(victim);
            world.run_for(SECOND * 2);
        }
        world.heal();
        world.run_for(SECOND * 5);
        let applied: Vec<u64> = (1..=3)
            .map(|node| status(&world, node).log.applied_index.get())
            .collect();
        assert!(
            applied.iter().all(|index| *index == applied[0] && *index > 20),
            "REPLICA_SEED={seed}: {applied:?}"
        );
        let hashes = (1..=3).map(|node| world.replica(node).map(|replica| replica.machine().state_hash()));
        let hashes: Vec<_> = hashes.collect();
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "seed {seed}");
        for node in 1..=3 {
            assert_eq!(world.damaged(node), 0, "seed {seed}: node {node}");
        }
    }
}

/// What has rotted in its memory would be refused by every other node, with the connection that it comes over.
#[test]
fn an_entry_that_has_rotted_in_memory_is_read_again_before_it_is_sent() {
    let mut node = Alone::new(3, Abstain::No);
    let body = request(&["SET", "k", "v"]).body;
    let first = Record::new(at(2, 3), RecordKind::Term, Stamp::default(), bytes::Bytes::new());
    let whole = Record::new(at(2, 4), RecordKind::Command, Stamp::default(), body);
    let mut payload = whole.payload.to_vec();
    payload[0] ^= 1;
    let rotten = Record {
        payload: payload.into(),
        ..whole.clone()
    };
    let append = PeerMessage::Append {
        term: Term::new(2),
        commit_index: LogIndex::ZERO,
        prev: TAIL,
        chain: None,
        records: vec![first.clone(), rotten],
        round: 1,
        last_index: LogIndex::new(4),
    };
    node.hear(2, append);
    node.disk.extend([first, whole.clone()]);
    let term = node.lead();
    let lacks_it = PeerMessage::Appended {
        term: Term::new(term),
        generation: 1,
        last_position: TAIL,
        round: 1,
    };
    let said = node.hear(3, lacks_it);
    let of_all = said.iter().filter_map(|message| match message {
        PeerMessage::Append { records, .. } => Some(records),
        _ => None,
    });
    let sent: Vec<&Record> = of_all
        .flatten()
        .filter(|record| record.position == at(2, 4))
        .collect();
    assert_eq!(sent, [&whole], "and not as it is in memory");
}

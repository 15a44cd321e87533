//! Disks whose every sync takes long: votes do not wait for batches, and elections end.

use std::time::Duration;

use noraft::{Log, LogEntries, LogEntry, LogIndex, LogPosition, NodeId, Term};
use noraftd::protocol::peer::PeerMessage;
use noraftd::record::{Abstain, Batch, BatchId, HardState, Record, RecordKind, genesis_config};
use noraftd::recovered::Recovered;
use noraftd::replica::event::{Input, Output};
use noraftd::replica::{Replica, ReplicaConfig};
use noraftd::time::{Instant, Stamp};

use super::SECOND;
use super::driven::{Setup, messages, term_begins, write};
use super::world::{Faults, World};

/// Node 1 of three, in term 1, whose disk answers when the test says so.
struct Follower {
    replica: Replica,
    now: Instant,
}

impl Follower {
    fn new() -> Self {
        let config = genesis_config((1..=3).map(NodeId::new));
        let recovered = Recovered {
            hard_state: HardState {
                term: 1,
                voted_for: Some(2),
            },
            log: Log::new(
                config,
                LogEntries::from_iter(LogPosition::ZERO, [LogEntry::Term(Term::new(1))]),
            ),
            abstain: Abstain::No,
            holes: Vec::new(),
            chain: noraftd::chain::Chain::after(LogIndex::ZERO, None),
            stamp: noraftd::time::Stamp::default(),
        };
        let mut settings = ReplicaConfig::new(NodeId::new(1));
        settings.members = (1..=3).map(NodeId::new).collect();
        Self {
            replica: Replica::recover(&settings, 1, recovered, None),
            now: Instant::ZERO,
        }
    }

    fn handle(&mut self, input: Input) -> Vec<Output> {
        self.replica.handle(self.now, Stamp::default(), input);
        std::iter::from_fn(|| self.replica.poll()).collect()
    }

    fn hear(&mut self, from: u64, message: PeerMessage) -> Vec<Output> {
        let from = NodeId::new(from);
        self.handle(Input::Peer { from, message })
    }

    /// The leader of `term`, `from`, sends the entry at `index`; gives the batch that it is written in.
    fn append(&mut self, from: u64, term: u64, prev: (u64, u64)) -> Batch {
        let prev = at(prev.0, prev.1);
        let position = at(term, prev.index.get() + 1);
        let kind = if term > prev.term.get() {
            RecordKind::Term
        } else {
            RecordKind::Command
        };
        let payload = match kind {
            RecordKind::Term => bytes::Bytes::new(),
            RecordKind::Command | RecordKind::Config => bytes::Bytes::from_static(b"x"),
        };
        let outputs = self.hear(
            from,
            PeerMessage::Append {
                term: Term::new(term),
                commit_index: LogIndex::new(1),
                prev,
                chain: None,
                records: vec![Record::new(position, kind, Stamp::default(), payload)],
                round: 1,
                last_index: position.index,
            },
        );
        let mut batches = outputs.into_iter().filter_map(|output| match output {
            Output::Persist(batch) => Some(batch),
            _ => None,
        });
        batches.next().expect("an entry is written")
    }
}

fn at(term: u64, index: u64) -> LogPosition {
    LogPosition::new(Term::new(term), LogIndex::new(index))
}

fn request(term: u64, last_position: LogPosition) -> PeerMessage {
    PeerMessage::RequestVote {
        term: Term::new(term),
        last_position,
        unanimous: false,
    }
}

/// The votes that are being written, and the answers to candidates: to which one, in which term, and whether they are votes.
fn votes(outputs: &[Output]) -> (Vec<HardState>, Vec<(u64, u64, bool)>) {
    let (mut written, mut said) = (Vec::new(), Vec::new());
    for output in outputs {
        match output {
            Output::PersistVote(state) => written.push(*state),
            Output::Send {
                to,
                message: PeerMessage::Vote { term, granted },
            } => said.push((to.get(), term.get(), *granted)),
            _ => {}
        }
    }
    (written, said)
}

fn vote_for(term: u64, voted_for: u64) -> HardState {
    HardState {
        term,
        voted_for: Some(voted_for),
    }
}

#[test]
fn a_vote_overtakes_the_batch_in_flight_leaves_when_it_is_durable_and_is_in_the_next_batch_again() {
    let mut follower = Follower::new();
    let first = follower.append(2, 1, (1, 1));
    let asked = follower.hear(3, request(2, at(1, 2)));
    assert_eq!(votes(&asked), (vec![vote_for(2, 3)], vec![]));
    let synced = follower.handle(Input::VoteSynced);
    assert_eq!(
        votes(&synced),
        (vec![], vec![(3, 2, true)]),
        "the batch is still in flight"
    );
    let again = follower.hear(3, request(2, at(1, 2)));
    assert_eq!(
        votes(&again),
        (vec![], vec![(3, 2, true)]),
        "nothing is to be written"
    );
    follower.handle(Input::Synced(first.id));
    let next = follower.append(3, 2, (1, 2));
    assert_eq!(next.hard_state, Some(vote_for(2, 3)));
    follower.handle(Input::Synced(next.id));
    let last = follower.append(3, 2, (2, 3));
    assert_eq!((last.id, last.hard_state), (BatchId(next.id.0 + 1), None));
}

#[test]
fn a_vote_compares_logs_with_what_is_in_flight() {
    let mut follower = Follower::new();
    let batch = follower.append(2, 1, (1, 1));
    let asked = follower.hear(3, request(2, at(1, 1)));
    let (written, said) = votes(&asked);
    let term_only = HardState {
        term: 2,
        voted_for: None,
    };
    assert_eq!(
        (written, said),
        (vec![term_only], vec![]),
        "the candidate lacks an entry"
    );
    assert_eq!(votes(&follower.handle(Input::VoteSynced)), (vec![], vec![]));
    let other = follower.hear(2, request(2, at(1, 2)));
    assert_eq!(votes(&other), (vec![vote_for(2, 2)], vec![]), "this one has it");
    // A vote is being written, and so is the batch: the next request waits for both.
    assert_eq!(votes(&follower.hear(3, request(3, at(1, 2)))), (vec![], vec![]));
    assert_eq!(votes(&follower.handle(Input::Synced(batch.id))), (vec![], vec![]));
    let synced = follower.handle(Input::VoteSynced);
    assert_eq!(votes(&synced), (vec![vote_for(3, 3)], vec![(2, 2, true)]));
}

#[test]
fn a_term_that_is_in_the_batch_in_flight_is_not_named_before_it_is_durable() {
    let mut follower = Follower::new();
    let batch = follower.append(3, 2, (1, 1));
    assert_eq!(batch.hard_state, Some(vote_for(2, 3)));
    let refused = follower.hear(2, request(1, at(1, 1)));
    assert_eq!(votes(&refused), (vec![], vec![]));
    let synced = follower.handle(Input::Synced(batch.id));
    assert_eq!(votes(&synced), (vec![], vec![(2, 2, false)]));
}

/// Whatever of term and vote is new is written before the answer leaves, beside a batch too.
#[test]
fn what_overtakes_the_batch_in_flight_is_written_if_only_the_vote_or_only_the_term_is_new() {
    let later = HardState {
        term: 2,
        voted_for: None,
    };
    let granted = vec![(3, 1, true)];
    // One that lacks entries gets no answer, and its term is written.
    for (term, last, state, said) in [
        (1, at(1, 5), vote_for(1, 3), granted),
        (2, at(1, 1), later, vec![]),
    ] {
        let mut setup = Setup::new(3, 4);
        setup.disk.damaged = [3].into();
        let mut follower = setup.start();
        follower.is_disk_held = true;
        let (base, records) = (LogIndex::ZERO, vec![write(1, 3)]);
        let repaired = follower.hear(2, PeerMessage::Repair { base, records });
        assert!(
            repaired
                .iter()
                .any(|output| matches!(output, Output::Patch { .. }))
        );
        let asked = follower.hear(3, request(term, last));
        assert_eq!(votes(&asked), (vec![state], vec![]));
        follower.sync();
        assert_eq!(votes(&follower.sync()), (vec![], said));
        assert_eq!(follower.disk.hard_state, state);
    }
}

/// Its disk was slow; that is a reason to wait for votes, and none to wait for a leader that falls silent.
#[test]
fn a_node_that_has_a_leader_campaigns_after_the_usual_time_however_slow_its_disk() {
    let mut follower = Setup::new(3, 0).start();
    follower.is_disk_held = true;
    follower.append(2, 1, at(1, 1), vec![write(1, 2)], 1);
    follower.now = follower.now + SECOND * 2;
    follower.sync();
    // The next leader: its term has to be written.
    follower.append(3, 2, at(1, 2), vec![term_begins(2, 3)], 1);
    follower.sync();
    let said = messages(&follower.pass(SECOND));
    assert!(
        said.iter()
            .any(|message| matches!(message, PeerMessage::PreVote { .. })),
        "two election timeouts have passed: {said:?}"
    );
}

/// One slow sync is no slow disk; when most are, it is said, until they are fast for some time.
#[test]
fn a_disk_is_said_to_be_too_slow_for_the_election_timeout_while_it_is() {
    let mut follower = Follower::new();
    let mut sync = |takes: u64| {
        let prev = follower.replica.node().log().last_position();
        let batch = follower.append(2, 1, (1, prev.index.get()));
        follower.now = follower.now + Duration::from_millis(takes);
        follower.handle(Input::Synced(batch.id));
        follower.replica.status().elections.disk_too_slow
    };
    assert!(!sync(5) && !sync(1000) && !sync(5));
    assert!((0..20).any(|_| sync(300)));
    assert!(sync(300) && sync(5), "it is said until it is certain");
    assert!((0..40).any(|_| !sync(5)));
    assert!(!sync(5));
}

/// The world's time until another node than `old` leads.
fn time_to_another_leader(world: &mut World, old: u64, max: Duration) -> Duration {
    let begun = world.now;
    let is_led = |world: &World| world.leader().is_some_and(|leader| leader != old);
    while !is_led(world) && Duration::from_nanos(world.now - begun) < max {
        world.run_for(Duration::from_millis(5));
    }
    Duration::from_nanos(world.now - begun)
}

/// In virtual time: three election timeouts, and three syncs of the slow disks.
#[test]
fn slow_disks_of_any_one_or_two_nodes_delay_an_election_by_their_syncs_only() {
    for millis in [100, 200, 300, 600] {
        let sync = Duration::from_millis(millis);
        for slow in [&[1][..], &[2], &[3], &[1, 2], &[1, 3], &[2, 3]] {
            for seed in 1..=4 {
                let mut world = World::new(seed, 3, Faults::NONE);
                world.run_for(SECOND * 3);
                slow.iter().for_each(|node| world.slow_disk(*node, sync));
                let leader = world.leader().expect("a calm cluster elects a leader");
                // Batches are under way, and the disks' time is known.
                for id in 1..=200 {
                    world.request(leader, id, &["SET", "k", "v"]);
                    world.run_for(Duration::from_millis(10));
                }
                let Some(leader) = world.leader() else { continue };
                world.kill(leader);
                let takes = time_to_another_leader(&mut world, leader, SECOND * 30);
                let most = 3 * Duration::from_millis(500) + 3 * sync;
                assert!(takes <= most, "seed {seed}, {slow:?} take {sync:?}: {takes:?}");
            }
        }
    }
}

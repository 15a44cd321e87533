//! Whole clusters under random schedules, every invariant checked after every step.
//!
//! A failure prints its seed and the command that repeats it. `NORAFT_SEEDS=100000` makes a campaign of
//! it, `NORAFT_STEPS` sets the length of a run. The faults seeded into the driver prove that the checks
//! find what they are for.
use std::cell::Cell;

use noraft::invariants::{Invariant, Violation};
use noraft::{LogIndex, Node, NodeId};

use crate::support::cluster::{Bug, Cluster, id};
use crate::support::rng::Rng;
use crate::support::schedule::Weights;
use crate::support::ticks::Timers;
use crate::support::{env_number, for_each_seed};

const STEPS: u64 = 1500;

/// Ticks within which a healed cluster of few nodes must have settled.
const HEAL_TICKS_MAX: u64 = 60_000;

/// A cluster, its schedule and its way of working, all drawn from the seed.
fn drawn(seed: u64, bug: Bug) -> (Cluster, Weights) {
    let mut rng = Rng::new(seed ^ 0xc1u64);
    let voters = rng.within(1, 5);
    let servers = (voters + rng.below(3)).min(6);
    let weights = Weights::draw(&mut rng);
    let mut cluster = Cluster::new(seed, servers, voters);
    cluster.early_appends = rng.chance(50);
    cluster.links.shorten_percent = rng.below(3) * 30;
    cluster.bug = bug;
    (cluster, weights)
}

fn run_steps(cluster: &mut Cluster, weights: &Weights, steps: u64) -> Result<(), Violation> {
    (0..steps).try_for_each(|_| cluster.step(weights))
}

/// Brings all nodes back and expects that a new proposal gets committed everywhere.
fn heals(cluster: &mut Cluster) -> Result<(), String> {
    for server in cluster.ids() {
        cluster
            .restart(server)
            .map_err(|violation| violation.to_string())?;
    }
    cluster.links.shorten_percent = 0;
    let mut timers = Timers::for_latency(1);
    if !cluster.run_until(&mut timers, HEAL_TICKS_MAX, Cluster::is_settled)? {
        return Err(format!(
            "the healed cluster does not settle\n{}",
            cluster.report()
        ));
    }
    let leader = cluster.leader().ok_or("a settled cluster has a leader")?;
    cluster
        .propose(leader)
        .map_err(|violation| violation.to_string())?;
    let position = *cluster.proposals.last().ok_or("a leader accepts a proposal")?;
    let committed = move |cluster: &Cluster| {
        cluster.is_settled()
            && cluster
                .status_at_leader(position)
                .is_some_and(|status| !status.is_in_progress())
    };
    if cluster.run_until(&mut timers, HEAL_TICKS_MAX, committed)? {
        Ok(())
    } else {
        Err(cluster.report())
    }
}

/// Runs a seed; if it fails, runs it again to report what happened.
fn safety_run(seed: u64, steps: u64) -> Result<u64, String> {
    let run = |cluster: &mut Cluster, weights: &Weights| {
        run_steps(cluster, weights, steps)
            .map_err(|violation| format!("{violation}\n{}", cluster.report()))?;
        heals(cluster)
    };
    let (mut cluster, weights) = drawn(seed, Bug::None);
    if run(&mut cluster, &weights).is_ok() {
        return Ok(cluster.committed_count());
    }
    let (mut cluster, weights) = drawn(seed, Bug::None);
    cluster.record_trace();
    run(&mut cluster, &weights)?;
    Err("a second run of the seed went another way: the driver is not deterministic".into())
}

/// Contract 44.
#[test]
fn invariants_hold_under_random_schedules() {
    let steps = env_number("NORAFT_STEPS").unwrap_or(STEPS);
    let (runs, committed) = (Cell::new(0u64), Cell::new(0u64));
    for_each_seed("random", "invariants_hold_under_random_schedules", 150, |seed| {
        let count = safety_run(seed, steps)?;
        runs.set(runs.get() + 1);
        committed.set(committed.get() + count);
        Ok(())
    });
    println!(
        "{} runs of {steps} steps, {} entries committed",
        runs.get(),
        committed.get()
    );
    assert!(
        committed.get() >= runs.get() * 10,
        "schedules that commit next to nothing prove nothing"
    );
}

/// Runs seeds with a fault in the driver until one of `expected` is violated.
fn assert_caught(bug: Bug, ignored: &[Invariant], expected: &[Invariant]) {
    const SEEDS_MAX: u64 = 1500;
    for seed in 0..SEEDS_MAX {
        let (mut cluster, mut weights) = drawn(seed, bug);
        match bug {
            Bug::ForgetVote | Bug::KeepConflicts => weights = Weights::of_elections(),
            Bug::VoteBeforeSync => weights = Weights::of_lost_votes(),
            Bug::LeaderCountsUnsynced => weights = Weights::of_lost_writes(),
            Bug::None | Bug::ForgetTerm | Bug::LoseTail | Bug::AckBeforeSync | Bug::SnapshotUncommitted => {}
        }
        if matches!(
            bug,
            Bug::ForgetVote | Bug::VoteBeforeSync | Bug::LeaderCountsUnsynced
        ) {
            // Each of these needs another node to vote or to count with.
            cluster = Cluster::new(seed, 3, 3);
            (cluster.bug, cluster.early_appends) = (bug, bug == Bug::LeaderCountsUnsynced);
        }
        cluster.ignored = ignored.to_vec();
        if let Err(violation) = run_steps(&mut cluster, &weights, STEPS) {
            println!("{bug:?}: seed {seed}, step {}: {violation}", cluster.steps);
            assert!(
                expected.contains(&violation.invariant),
                "{bug:?} shows as {violation}"
            );
            return;
        }
    }
    panic!("{bug:?} is not found in {SEEDS_MAX} runs");
}

/// What a broken promise leads to, when the promise itself is not looked at.
const CONSEQUENCES: [Invariant; 5] = [
    Invariant::ElectionSafety,
    Invariant::LogMatching,
    Invariant::LeaderCompleteness,
    Invariant::StateMachineSafety,
    Invariant::MatchIndex,
];

#[test]
fn a_vote_forgotten_over_a_restart_is_caught() {
    assert_caught(Bug::ForgetVote, &[], &[Invariant::Durability, Invariant::Vote]);
    assert_caught(
        Bug::ForgetVote,
        &[Invariant::Durability, Invariant::Vote],
        &CONSEQUENCES,
    );
}

#[test]
fn a_term_forgotten_over_a_restart_is_caught() {
    assert_caught(Bug::ForgetTerm, &[], &[Invariant::Durability]);
    let ignored = [Invariant::Durability, Invariant::Vote, Invariant::Term];
    assert_caught(Bug::ForgetTerm, &ignored, &CONSEQUENCES);
}

#[test]
fn a_tail_lost_over_a_restart_is_caught() {
    assert_caught(Bug::LoseTail, &[], &[Invariant::Durability]);
    assert_caught(Bug::LoseTail, &[Invariant::Durability], &CONSEQUENCES);
}

#[test]
fn an_acknowledgement_before_the_sync_is_caught() {
    assert_caught(Bug::AckBeforeSync, &[], &[Invariant::Durability]);
    assert_caught(Bug::AckBeforeSync, &[Invariant::Durability], &CONSEQUENCES);
}

#[test]
fn a_vote_announced_before_the_sync_is_caught() {
    assert_caught(Bug::VoteBeforeSync, &[], &[Invariant::Durability]);
    assert_caught(
        Bug::VoteBeforeSync,
        &[Invariant::Durability, Invariant::Vote],
        &CONSEQUENCES,
    );
}

#[test]
fn a_leader_that_counts_itself_before_its_sync_is_caught() {
    let expected = [Invariant::LeaderCompleteness, Invariant::StateMachineSafety];
    assert_caught(Bug::LeaderCountsUnsynced, &[], &expected);
}

#[test]
fn a_snapshot_of_uncommitted_entries_is_caught() {
    let expected = [
        Invariant::SnapshotBoundary,
        Invariant::StateMachineSafety,
        Invariant::LogMatching,
        Invariant::LeaderCompleteness,
    ];
    assert_caught(Bug::SnapshotUncommitted, &[], &expected);
}

#[test]
fn a_disk_that_keeps_conflicting_entries_is_caught() {
    let expected = [
        Invariant::Durability,
        Invariant::LogMatching,
        Invariant::SnapshotBoundary,
        Invariant::StateMachineSafety,
    ];
    assert_caught(Bug::KeepConflicts, &[], &expected);
}

/// A cluster of `voters` in ticks, with a leader.
fn ticking(
    seed: u64,
    servers: u64,
    voters: u64,
    loss: u64,
    latency: u64,
) -> Result<(Cluster, Timers), String> {
    let mut cluster = Cluster::new(seed, servers, voters);
    cluster.links.loss_percent = loss;
    cluster.links.latency_max = latency;
    let mut timers = Timers::for_latency(latency);
    if cluster.run_until(&mut timers, 1000 * latency.max(10), Cluster::is_settled)? {
        return Ok((cluster, timers));
    }
    Err(format!("no leader\n{}", cluster.report()))
}

fn propose_at_leader(cluster: &mut Cluster) -> Result<(), String> {
    let Some(leader) = cluster.leader() else {
        return Ok(());
    };
    cluster.propose(leader).map_err(|violation| violation.to_string())
}

/// Expects all proposals decided, and on loss-free links without an election committed.
fn expect_terminal(cluster: &mut Cluster, timers: &mut Timers, limit: u64) -> Result<(), String> {
    let decided = |cluster: &Cluster| {
        let decided = |position| {
            cluster
                .status_at_leader(position)
                .is_some_and(|status| !status.is_in_progress())
        };
        cluster.is_settled() && cluster.proposals.iter().all(|position| decided(*position))
    };
    if cluster.run_until(timers, limit, decided)? {
        return Ok(());
    }
    Err(format!("proposals are left undecided\n{}", cluster.report()))
}

fn expect_all_committed(cluster: &Cluster) -> Result<(), String> {
    let lost = cluster
        .proposals
        .iter()
        .find(|position| !cluster.invariants.committed().contains(**position));
    lost.map_or(Ok(()), |position| {
        Err(format!("{position:?} was lost\n{}", cluster.report()))
    })
}

/// Contract 45.
#[test]
fn without_loss_every_proposal_commits_in_the_first_term() {
    for_each_seed(
        "random",
        "without_loss_every_proposal_commits_in_the_first_term",
        20,
        |seed| {
            let (mut cluster, mut timers) = ticking(seed, 3, 3, 0, 5)?;
            for _ in 0..50 {
                propose_at_leader(&mut cluster)?;
                cluster.run_until(&mut timers, seed % 7, |_| false)?;
            }
            expect_terminal(&mut cluster, &mut timers, 1000)?;
            expect_all_committed(&cluster)?;
            assert_eq!(cluster.term_max().get(), 1);
            Ok(())
        },
    );
}

/// Contract 45.
#[test]
fn with_a_third_of_the_messages_lost_every_proposal_is_decided() {
    for_each_seed(
        "random",
        "with_a_third_of_the_messages_lost_every_proposal_is_decided",
        10,
        |seed| {
            let (mut cluster, mut timers) = ticking(seed, 5, 5, 30, 10)?;
            for _ in 0..50 {
                propose_at_leader(&mut cluster)?;
                cluster.run_until(&mut timers, 20, |_| false)?;
            }
            expect_terminal(&mut cluster, &mut timers, 100_000)
        },
    );
}

/// Contract 45.
#[test]
fn pipelined_proposals_and_heartbeats_merge_and_commit() {
    for_each_seed(
        "random",
        "pipelined_proposals_and_heartbeats_merge_and_commit",
        20,
        |seed| {
            let (mut cluster, mut timers) = ticking(seed, 3, 3, 0, 5)?;
            for _ in 0..20 {
                for _ in 0..10 {
                    propose_at_leader(&mut cluster)?;
                    if cluster.rng.chance(30) {
                        let leader = cluster.leader().ok_or("no leader")?;
                        cluster
                            .call(leader, Node::heartbeat)
                            .map_err(|violation| violation.to_string())?;
                    }
                }
                cluster.run_until(&mut timers, 3, |_| false)?;
            }
            expect_terminal(&mut cluster, &mut timers, 2000)?;
            expect_all_committed(&cluster)
        },
    );
}

/// Contract 45.
#[test]
fn a_node_restarted_again_and_again_catches_up() {
    for_each_seed(
        "random",
        "a_node_restarted_again_and_again_catches_up",
        20,
        |seed| {
            let (mut cluster, mut timers) = ticking(seed, 3, 3, 0, 5)?;
            let victim = id(seed % 3);
            for _ in 0..10 {
                cluster.crash(victim);
                cluster.run_until(&mut timers, 300, |cluster| cluster.leader().is_some())?;
                propose_at_leader(&mut cluster)?;
                cluster
                    .restart(victim)
                    .map_err(|violation| violation.to_string())?;
                cluster.run_until(&mut timers, 300, |_| false)?;
            }
            expect_terminal(&mut cluster, &mut timers, 20_000)
        },
    );
}

/// Contract 45.
#[test]
fn an_isolated_leader_rejoins() {
    for_each_seed("random", "an_isolated_leader_rejoins", 20, |seed| {
        let (mut cluster, mut timers) = ticking(seed, 3, 3, 0, 5)?;
        let old = cluster.leader().ok_or("no leader")?;
        for other in cluster.ids() {
            cluster.links.cut.extend([(old, other), (other, old)]);
        }
        for _ in 0..5 {
            cluster.propose(old).map_err(|violation| violation.to_string())?;
        }
        let replaced = move |cluster: &Cluster| cluster.leader().is_some_and(|leader| leader != old);
        if !cluster.run_until(&mut timers, 20_000, replaced)? {
            return Err("no other node becomes leader".into());
        }
        cluster.links.cut.clear();
        let overruled = cluster.proposals.clone();
        propose_at_leader(&mut cluster)?;
        expect_terminal(&mut cluster, &mut timers, 20_000)?;
        let rejected = |position| {
            cluster
                .node(old)
                .is_some_and(|node| node.get_commit_status(position).is_rejected())
        };
        assert!(
            overruled.into_iter().all(rejected),
            "what the isolated leader took is rejected, also by itself"
        );
        Ok(())
    });
}

/// Contract 26: a follower that lost its disk under a living leader is fed from the start.
#[test]
fn a_wiped_follower_of_a_new_generation_is_fed_again() {
    for_each_seed(
        "random",
        "a_wiped_follower_of_a_new_generation_is_fed_again",
        20,
        |seed| {
            let (mut cluster, mut timers) = ticking(seed, 3, 3, 0, 3)?;
            let with_snapshot = seed % 2 == 1;
            for round in 0..6 {
                propose_at_leader(&mut cluster)?;
                expect_terminal(&mut cluster, &mut timers, 2000)?;
                let leader = cluster.leader().ok_or("no leader")?;
                if with_snapshot {
                    let index = cluster.commit_index(leader).unwrap_or(LogIndex::ZERO);
                    cluster
                        .snapshot(leader, index)
                        .map_err(|violation| violation.to_string())?;
                }
                let followers: Vec<NodeId> = cluster.ids().into_iter().filter(|id| *id != leader).collect();
                cluster
                    .wipe(followers[round % 2])
                    .map_err(|violation| violation.to_string())?;
                if !cluster.run_until(&mut timers, 2000, Cluster::is_settled)? {
                    return Err(format!("the wiped follower is not fed\n{}", cluster.report()));
                }
            }
            assert_eq!(cluster.term_max().get(), 1, "no node had a reason to campaign");
            expect_all_committed(&cluster)
        },
    );
}

/// Contract 32.
#[test]
fn membership_changes_settle_over_lossy_slow_links() {
    for_each_seed(
        "random",
        "membership_changes_settle_over_lossy_slow_links",
        6,
        |seed| {
            let (mut cluster, mut timers) = ticking(seed, 6, 3, 30, 1000)?;
            // A learner, its promotion together with a removal, and the next learner.
            for (learner, removed) in [(id(3), id(1)), (id(4), id(2)), (id(5), id(3))] {
                change(&mut cluster, &mut timers, |node| {
                    let mut config = node.config().clone();
                    config.non_voters.insert(learner);
                    node.propose_config(config)
                })?;
                let campaigns = |cluster: &Cluster| {
                    cluster
                        .node(learner)
                        .is_some_and(|node| !node.role().is_follower())
                };
                assert!(!campaigns(&cluster), "a learner stays a follower");
                change(&mut cluster, &mut timers, |node| {
                    let config = node.config().to_joint_consensus(&[learner], &[removed]);
                    node.propose_config(config)
                })?;
                let config = cluster
                    .leader()
                    .and_then(|id| cluster.node(id))
                    .map(Node::config)
                    .cloned();
                let config = config.ok_or("no leader")?;
                assert!(
                    config.voters.contains(&learner)
                        && !config.contains(removed)
                        && !config.is_joint_consensus()
                );
                cluster.crash(removed);
            }
            propose_at_leader(&mut cluster)?;
            expect_terminal(&mut cluster, &mut timers, 2_000_000)
        },
    );
}

/// Proposes a change until one is accepted and done everywhere.
fn change(
    cluster: &mut Cluster,
    timers: &mut Timers,
    propose: impl Fn(&mut Node) -> noraft::LogPosition,
) -> Result<(), String> {
    for _ in 0..20 {
        cluster.run_until(timers, 200_000, |cluster| cluster.leader().is_some())?;
        let leader = cluster.leader().ok_or("no leader")?;
        let position = cluster
            .call(leader, &propose)
            .map_err(|violation| violation.to_string())?;
        let Some(position) = position.filter(|position| !position.is_invalid()) else {
            continue;
        };
        let done = |cluster: &Cluster| {
            let simple = |node: &Node| !node.config().is_joint_consensus();
            cluster.is_settled()
                && cluster
                    .leader()
                    .and_then(|id| cluster.node(id))
                    .is_some_and(simple)
        };
        if cluster.run_until(timers, 2_000_000, done)? && cluster.invariants.committed().contains(position) {
            return Ok(());
        }
    }
    Err(format!("a membership change is not done\n{}", cluster.report()))
}

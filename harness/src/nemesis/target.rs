//! From roles to nodes and links: which ones a fault affects, given which nodes are there.
//!
//! Invariant: pure; the same roll and the same circumstances give the same targets.

use noraftd::prng::Prng;
use serde::{Deserialize, Serialize};

use super::race::halves;
use crate::plan::{FaultKind, Shape, Target};

/// What a fault can choose from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circumstances {
    /// Every node.
    pub nodes: Vec<u64>,
    /// Nodes whose process no other fault has in hand.
    pub free: Vec<u64>,
    /// The leader, when there is one.
    pub leader: Option<u64>,
}

/// Whom a fault hits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// Processes; empty for a partition.
    pub nodes: Vec<u64>,
    /// Directed links; empty for a process fault.
    pub links: Vec<(u64, u64)>,
    /// Nodes that cannot take part while the fault lasts.
    pub impaired: Vec<u64>,
}

/// Chooses the targets of `fault`; `None` when there are not enough nodes for it at the moment.
pub fn choose(fault: FaultKind, roll: u64, circumstances: &Circumstances) -> Option<Targets> {
    let mut prng = Prng::new(roll);
    match fault {
        FaultKind::Kill(target)
        | FaultKind::Pause(target)
        | FaultKind::Restart(target)
        | FaultKind::DiskStall(target)
        | FaultKind::Power(target)
        | FaultKind::Wipe(target)
        | FaultKind::Mistake(target)
        | FaultKind::MistakeClone(target)
        | FaultKind::MistakeForeign(target)
        | FaultKind::CrashAt(target, _)
        | FaultKind::CrashLoop(target)
        | FaultKind::CrashStorm(target)
        | FaultKind::DiskAt(target, ..)
        | FaultKind::Damage(target, _)
        | FaultKind::Starve(target, _)
        | FaultKind::Upgrade(target)
        | FaultKind::Disk(target, _) => {
            let nodes = processes(target, &mut prng, circumstances)?;
            Some(Targets {
                impaired: nodes.clone(),
                nodes,
                links: Vec::new(),
            })
        }
        FaultKind::Clock(target, _) => Some(Targets {
            nodes: processes(target, &mut prng, circumstances)?,
            impaired: Vec::new(),
            links: Vec::new(),
        }),
        FaultKind::Partition(shape, _) | FaultKind::Flap(shape, _) | FaultKind::Link(shape, _) => {
            let mut targets = links(shape, &mut prng, circumstances)?;
            targets.links.sort_unstable();
            targets.impaired.sort_unstable();
            Some(targets)
        }
        FaultKind::Coup(_) => coup(circumstances),
        // Which node is asked, and for what, does not depend on which nodes are free.
        FaultKind::Voters | FaultKind::Member | FaultKind::Quiet | FaultKind::Snapshot => Some(Targets {
            nodes: Vec::new(),
            links: Vec::new(),
            impaired: Vec::new(),
        }),
        FaultKind::Transfer => Some(transfer(&mut prng, circumstances)),
        FaultKind::StallKill | FaultKind::Roll => leader_first(circumstances),
        FaultKind::VoteRace => vote_race(circumstances),
    }
}

/// The leader, if it is free and is to stop; else none, for any node may be asked.
fn transfer(prng: &mut Prng, circumstances: &Circumstances) -> Targets {
    let leader = circumstances
        .leader
        .filter(|leader| circumstances.free.contains(leader));
    let stops = leader.filter(|_| prng.chance(1, STOPS_ONE_IN));
    let nodes: Vec<u64> = stops.into_iter().collect();
    Targets {
        impaired: nodes.clone(),
        nodes,
        links: Vec::new(),
    }
}

/// The leader and its links; `None` unless one leads, and no other fault has its process.
fn coup(circumstances: &Circumstances) -> Option<Targets> {
    let leader = circumstances.leader?;
    let is_free = circumstances.free.contains(&leader);
    let mut targets = isolate(leader, &circumstances.nodes, Way::Both);
    targets.links.sort_unstable();
    targets.nodes.push(leader);
    is_free.then_some(targets)
}

/// Every process, the leader first; `None` unless all are free and one leads.
fn leader_first(circumstances: &Circumstances) -> Option<Targets> {
    let leader = circumstances.leader?;
    if circumstances.free.len() < circumstances.nodes.len() {
        return None;
    }
    let others = circumstances.nodes.iter().copied().filter(|node| *node != leader);
    let nodes: Vec<u64> = std::iter::once(leader).chain(others).collect();
    Some(Targets {
        impaired: nodes.clone(),
        nodes,
        links: Vec::new(),
    })
}

/// The leader of the moment is the voter: its log is as long as any, and the others are about to campaign.
fn vote_race(circumstances: &Circumstances) -> Option<Targets> {
    let mut targets = leader_first(circumstances)?;
    let (one, other) = halves(targets.nodes.get(1..)?)?;
    targets.links = between(one, other);
    Some(targets)
}

fn processes(target: Target, prng: &mut Prng, circumstances: &Circumstances) -> Option<Vec<u64>> {
    let nodes = circumstances.nodes.len();
    let free = &circumstances.free;
    let leader = circumstances.leader.filter(|leader| free.contains(leader));
    let mut chosen = match target {
        Target::One => vec![*prng.choose(free)?],
        Target::Leader => vec![leader.or_else(|| prng.choose(free).copied())?],
        Target::Follower => {
            let followers: Vec<u64> = free
                .iter()
                .copied()
                .filter(|node| Some(*node) != circumstances.leader)
                .collect();
            vec![*prng.choose(&followers)?]
        }
        Target::Minority => some_of(free, minority(nodes), prng)?,
        Target::Majority => some_of(free, nodes - minority(nodes), prng)?,
        Target::All => some_of(free, free.len().max(1), prng)?,
    };
    chosen.sort_unstable();
    Some(chosen)
}

/// The most nodes that can be missed: a quorum is more than half.
fn minority(nodes: usize) -> usize {
    nodes.saturating_sub(1) / 2
}

fn some_of(nodes: &[u64], count: usize, prng: &mut Prng) -> Option<Vec<u64>> {
    let mut shuffled = nodes.to_vec();
    prng.shuffle(&mut shuffled);
    shuffled.truncate(count);
    (shuffled.len() == count).then_some(shuffled)
}

/// The links to cut, and the nodes that this keeps from taking part.
fn links(shape: Shape, prng: &mut Prng, circumstances: &Circumstances) -> Option<Targets> {
    let mut nodes = circumstances.nodes.clone();
    prng.shuffle(&mut nodes);
    let any = *nodes.first()?;
    let leader = circumstances.leader.unwrap_or(any);
    Some(match shape {
        Shape::IsolateOne => isolate(any, &nodes, Way::Both),
        Shape::IsolateLeader | Shape::LeaderFirstLane | Shape::LeaderUrgentLane => {
            isolate(leader, &nodes, Way::Both)
        }
        Shape::OneWayIn => isolate(any, &nodes, Way::In),
        Shape::OneWayOut => isolate(any, &nodes, Way::Out),
        Shape::LeaderOneWayIn => isolate(leader, &nodes, Way::In),
        Shape::LeaderOneWayOut => isolate(leader, &nodes, Way::Out),
        Shape::Halves => {
            let (small, large) = nodes.split_at(nodes.len() / 2);
            cut(between(small, large), small.to_vec())
        }
        Shape::Bridge => {
            let (small, large) = nodes.get(1..)?.split_at((nodes.len() - 1) / 2);
            cut(between(small, large), Vec::new())
        }
        Shape::MajorityRing => cut(beyond_ring(&nodes), Vec::new()),
    })
}

#[derive(Clone, Copy)]
enum Way {
    In,
    Out,
    Both,
}

fn isolate(node: u64, nodes: &[u64], way: Way) -> Targets {
    let others = nodes.iter().copied().filter(|other| *other != node);
    let links = others.flat_map(|other| match way {
        Way::In => vec![(other, node)],
        Way::Out => vec![(node, other)],
        Way::Both => vec![(other, node), (node, other)],
    });
    cut(links.collect(), vec![node])
}

fn cut(links: Vec<(u64, u64)>, impaired: Vec<u64>) -> Targets {
    Targets {
        nodes: Vec::new(),
        links,
        impaired,
    }
}

/// Every link from one group to the other, both ways.
fn between(one: &[u64], other: &[u64]) -> Vec<(u64, u64)> {
    one.iter()
        .flat_map(|a| other.iter().flat_map(move |b| [(*a, *b), (*b, *a)]))
        .collect()
}

/// Every link between nodes that are too far apart on a ring to be in each other's majority.
fn beyond_ring(ring: &[u64]) -> Vec<(u64, u64)> {
    // A majority is a node and half of the ring, half of them on either side.
    let reach = (ring.len() / 2).div_ceil(2);
    let far = |a: usize, b: usize| {
        let apart = a.abs_diff(b);
        apart.min(ring.len() - apart) > reach
    };
    let pairs = (0..ring.len()).flat_map(|a| (0..ring.len()).map(move |b| (a, b)));
    pairs
        .filter(|(a, b)| far(*a, *b))
        .filter_map(|(a, b)| Some((*ring.get(a)?, *ring.get(b)?)))
        .collect()
}

/// Of the transfers of leadership, one in so many is that of a leader that stops.
const STOPS_ONE_IN: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::CutMode;

    fn there(nodes: u64, leader: Option<u64>) -> Circumstances {
        let nodes: Vec<u64> = (1..=nodes).collect();
        Circumstances {
            free: nodes.clone(),
            nodes,
            leader,
        }
    }

    fn cut_of(shape: Shape, roll: u64, circumstances: &Circumstances) -> Targets {
        choose(FaultKind::Partition(shape, CutMode::Drop), roll, circumstances).unwrap()
    }

    /// The nodes that `node` still exchanges messages with, itself included.
    fn friends(node: u64, nodes: u64, links: &[(u64, u64)]) -> usize {
        (1..=nodes)
            .filter(|other| !links.contains(&(node, *other)) && !links.contains(&(*other, node)))
            .count()
    }

    #[test]
    fn process_faults_hit_as_many_as_they_say() {
        let five = there(5, Some(4));
        for (target, count) in [
            (Target::One, 1),
            (Target::Leader, 1),
            (Target::Follower, 1),
            (Target::Minority, 2),
            (Target::Majority, 3),
            (Target::All, 5),
        ] {
            for roll in 0..20 {
                let targets = choose(FaultKind::Kill(target), roll, &five).unwrap();
                assert_eq!(targets.nodes.len(), count, "{target:?}");
                assert_eq!(targets.nodes, targets.impaired);
                assert!(target != Target::Leader || targets.nodes == [4]);
                assert!(target != Target::Follower || targets.nodes != [4]);
            }
        }
        let three = there(3, None);
        assert_eq!(
            choose(FaultKind::Pause(Target::Majority), 0, &three)
                .unwrap()
                .nodes
                .len(),
            2
        );
    }

    #[test]
    fn nodes_in_the_hands_of_another_fault_are_left_alone() {
        let mut three = there(3, Some(1));
        three.free = vec![2, 3];
        for roll in 0..20 {
            let leader = choose(FaultKind::Kill(Target::Leader), roll, &three).unwrap();
            assert!(
                three.free.contains(&leader.nodes[0]),
                "any other while the leader is taken"
            );
        }
        three.free = vec![2];
        assert_eq!(choose(FaultKind::Kill(Target::Majority), 0, &three), None);
        three.free.clear();
        assert_eq!(choose(FaultKind::Kill(Target::All), 0, &three), None);
    }

    #[test]
    fn an_isolated_node_has_no_friend_and_the_others_keep_theirs() {
        let targets = cut_of(Shape::IsolateLeader, 5, &there(3, Some(2)));
        assert_eq!(targets.links, [(1, 2), (2, 1), (2, 3), (3, 2)]);
        assert_eq!(targets.impaired, [2]);
        assert_eq!(friends(1, 3, &targets.links), 2);
    }

    #[test]
    fn a_coup_stops_and_cuts_off_the_same_node_and_no_node_while_none_leads() {
        let coup = FaultKind::Coup(CutMode::Drop);
        let targets = choose(coup, 1, &there(3, Some(2))).unwrap();
        assert_eq!(targets.links, [(1, 2), (2, 1), (2, 3), (3, 2)]);
        assert_eq!((&targets.nodes[..], &targets.impaired[..]), (&[2][..], &[2][..]));
        assert_eq!(choose(coup, 1, &there(3, None)), None);
        let mut taken = there(3, Some(2));
        taken.free = vec![1, 3];
        assert_eq!(choose(coup, 1, &taken), None);
    }

    #[test]
    fn one_way_cuts_are_one_way() {
        let three = there(3, Some(2));
        assert_eq!(cut_of(Shape::LeaderOneWayIn, 1, &three).links, [(1, 2), (3, 2)]);
        assert_eq!(cut_of(Shape::LeaderOneWayOut, 1, &three).links, [(2, 1), (2, 3)]);
    }

    #[test]
    fn halves_leave_one_majority() {
        for roll in 0..20 {
            let targets = cut_of(Shape::Halves, roll, &there(5, None));
            let mut sizes: Vec<usize> = (1..=5).map(|node| friends(node, 5, &targets.links)).collect();
            sizes.sort_unstable();
            assert_eq!(sizes, [2, 2, 3, 3, 3]);
            assert_eq!(targets.impaired.len(), 2);
        }
    }

    #[test]
    fn a_bridge_hears_everyone_and_the_sides_do_not_hear_each_other() {
        let targets = cut_of(Shape::Bridge, 9, &there(3, None));
        let mut sizes: Vec<usize> = (1..=3).map(|node| friends(node, 3, &targets.links)).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [2, 2, 3]);
    }

    #[test]
    fn on_a_majority_ring_every_node_has_a_majority_and_no_two_the_same() {
        for nodes in [5, 7, 9] {
            let targets = cut_of(Shape::MajorityRing, 3, &there(nodes, None));
            let group = |node: u64| -> Vec<u64> {
                (1..=nodes)
                    .filter(|other| !targets.links.contains(&(node, *other)))
                    .collect()
            };
            let groups: std::collections::BTreeSet<Vec<u64>> = (1..=nodes).map(group).collect();
            assert_eq!(groups.len() as u64, nodes);
            assert!(
                groups
                    .iter()
                    .all(|group| group.len() as u64 > nodes / 2 && (group.len() as u64) < nodes)
            );
        }
    }
}

//! What is done to a node from outside: which of its links are cut, and how its clocks run.
//!
//! Invariant: two nodes are linked where each hears the other, over the connection for entries and over the one for what is
//! urgent; what is seen is the cuts, not what they lead to.

use noraftd::protocol::peer::Lane;

use super::dimensions::{ClockRate, Links, WallClock};
use crate::sim::parts::network::{LANES, Network};
use crate::sim::parts::node::{NORMAL, NodeClock};

/// How much of one direction is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Nothing,
    OneLane,
    Whole,
}

/// How many of the others are cut in which way.
#[derive(Debug, Default)]
struct Tally {
    others: usize,
    one_lane: usize,
    unheard: usize,
    unhearing: usize,
    apart: usize,
}

/// The links of the node at this place; `cut` is where any link is cut at all.
pub(super) fn links(cut: Option<&Network>, at: usize, leads: bool) -> Links {
    let Some(network) = cut else { return Links::Whole };
    let tally = tally(network, at);
    let Tally {
        others,
        one_lane,
        unheard,
        unhearing,
        apart,
    } = tally;
    let linked = others - unheard - unhearing - apart;
    if others == 0 {
        Links::Whole
    } else if apart == others {
        either(leads, Links::LeaderIsolated, Links::Isolated)
    } else if apart + unheard == others {
        either(leads, Links::LeaderHearsNone, Links::HearsNone)
    } else if apart + unhearing == others {
        either(leads, Links::LeaderHeardByNone, Links::HeardByNone)
    } else if 2 * (linked + 1) <= others + 1 {
        either(leads, Links::LeaderNoMajority, Links::NoMajority)
    } else if is_bridge(network, at) {
        Links::Bridge
    } else if apart > 0 {
        Links::BothWays
    } else if unheard + unhearing > 0 {
        Links::OneWay
    } else if one_lane > 0 {
        Links::OneLane
    } else {
        Links::Whole
    }
}

fn either(leads: bool, leading: Links, other: Links) -> Links {
    if leads { leading } else { other }
}

fn tally(network: &Network, at: usize) -> Tally {
    let mut tally = Tally::default();
    for other in (0..network.nodes()).filter(|other| *other != at) {
        tally.others += 1;
        match (cut_of(network, other, at), cut_of(network, at, other)) {
            (Cut::Whole, Cut::Whole) => tally.apart += 1,
            (Cut::Whole, Cut::OneLane | Cut::Nothing) => tally.unheard += 1,
            (Cut::OneLane | Cut::Nothing, Cut::Whole) => tally.unhearing += 1,
            (Cut::Nothing, Cut::Nothing) => {}
            (Cut::OneLane, Cut::OneLane | Cut::Nothing) | (Cut::Nothing, Cut::OneLane) => tally.one_lane += 1,
        }
    }
    tally
}

fn cut_of(network: &Network, from: usize, to: usize) -> Cut {
    let is_cut = |lane: &Lane| network.is_cut(from, to, *lane);
    match LANES.iter().filter(|lane| is_cut(lane)).count() {
        0 => Cut::Nothing,
        1 => Cut::OneLane,
        _ => Cut::Whole,
    }
}

fn are_linked(network: &Network, one: usize, other: usize) -> bool {
    cut_of(network, one, other) != Cut::Whole && cut_of(network, other, one) != Cut::Whole
}

/// True when two nodes are linked to this one and not to each other.
fn is_bridge(network: &Network, at: usize) -> bool {
    let others = (0..network.nodes()).filter(|other| *other != at);
    let linked: Vec<usize> = others.filter(|other| are_linked(network, at, *other)).collect();
    let pairs = linked.iter().enumerate();
    let apart = |one: usize, other: &usize| !are_linked(network, one, *other);
    pairs
        .into_iter()
        .any(|(place, one)| linked[place + 1..].iter().any(|other| apart(*one, other)))
}

pub(super) fn clock_rate(clock: &NodeClock) -> ClockRate {
    match (clock.rate(), clock.rate().abs_diff(NORMAL)) {
        (_, 0) => ClockRate::Normal,
        (_, ..=DRIFT_MAX) => ClockRate::Drifts,
        (..NORMAL, _) => ClockRate::Slow,
        (NORMAL.., _) => ClockRate::Fast,
    }
}

pub(super) fn wall_clock(clock: &NodeClock) -> WallClock {
    match clock.wall_offset_ms() {
        offset if offset.unsigned_abs() <= SECOND_MS => WallClock::Right,
        offset if offset.unsigned_abs() <= FAR_MS => WallClock::Off,
        ..0 => WallClock::FarBehind,
        0.. => WallClock::FarAhead,
    }
}

/// What a clock that was not disturbed is off at most, in thousandths.
const DRIFT_MAX: u64 = 100;
const SECOND_MS: u64 = 1000;
/// Beyond what clocks are off at a start.
const FAR_MS: u64 = 6000;

#[cfg(test)]
mod tests {
    use noraftd::prng::Prng;

    use super::*;
    use crate::plan::{CutMode, NetworkPlan};

    fn network(nodes: usize, pairs: &[(usize, usize)]) -> Network {
        lanes_cut(nodes, pairs, &LANES)
    }

    fn lanes_cut(nodes: usize, pairs: &[(usize, usize)], lanes: &[Lane]) -> Network {
        let mut network = Network::new(nodes, &NetworkPlan::default(), &Prng::new(1));
        for (from, to) in pairs {
            for lane in lanes {
                let at = network.lane_between(*from, *to, *lane);
                network.link(at).cut(0, CutMode::Drop);
            }
        }
        network
    }

    fn both(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
        pairs
            .iter()
            .flat_map(|(one, other)| [(*one, *other), (*other, *one)])
            .collect()
    }

    fn all(network: &Network) -> Vec<Links> {
        (0..network.nodes())
            .map(|at| links(Some(network), at, at == 0))
            .collect()
    }

    #[test]
    fn each_node_sees_the_worst_of_its_cuts() {
        assert!(!network(3, &[]).has_cuts());
        assert_eq!(all(&network(3, &[])), [Links::Whole; 3]);
        let apart = network(3, &both(&[(0, 1), (0, 2)]));
        assert!(apart.has_cuts());
        assert_eq!(
            all(&apart),
            [Links::LeaderIsolated, Links::BothWays, Links::BothWays]
        );
        let deaf = network(3, &[(1, 0), (2, 0)]);
        assert_eq!(all(&deaf), [Links::LeaderHearsNone, Links::OneWay, Links::OneWay]);
        let mute = network(3, &[(1, 0), (1, 2)]);
        assert_eq!(all(&mute), [Links::OneWay, Links::HeardByNone, Links::OneWay]);
        let bridge = network(3, &both(&[(0, 1)]));
        assert_eq!(all(&bridge), [Links::BothWays, Links::BothWays, Links::Bridge]);
        let lane = lanes_cut(3, &both(&[(0, 1)]), &[Lane::Urgent]);
        assert_eq!(all(&lane), [Links::OneLane, Links::OneLane, Links::Whole]);
        let halves = both(&[(0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4)]);
        let expected = [
            Links::LeaderNoMajority,
            Links::NoMajority,
            Links::BothWays,
            Links::BothWays,
            Links::BothWays,
        ];
        assert_eq!(all(&network(5, &halves)), expected);
        assert_eq!(all(&network(1, &[])), [Links::Whole]);
    }

    #[test]
    fn clocks_have_a_rate_and_an_offset() {
        let of = |rate, offset| {
            let clock = NodeClock::new(rate, offset);
            (clock_rate(&clock), wall_clock(&clock))
        };
        assert_eq!(of(NORMAL, 0), (ClockRate::Normal, WallClock::Right));
        assert_eq!(of(950, -5000), (ClockRate::Drifts, WallClock::Off));
        assert_eq!(of(500, -6001), (ClockRate::Slow, WallClock::FarBehind));
        assert_eq!(of(2000, 30_000), (ClockRate::Fast, WallClock::FarAhead));
    }
}

//! Links: two for each ordered pair of nodes, each a connection over which messages go one way: the first, and one for
//! what is urgent.
//!
//! Invariant: every decision about a message is one draw of the link's own generator, so what one link does
//! never depends on what goes over another. A message that was sent on a connection that is gone does not
//! arrive.

use noraftd::prng::Prng;
use noraftd::protocol::peer::{Lane, PeerMessage};

use super::crossing::Crossing;
use super::rot::rotten;
use super::stale::{Echo, Stale};
use crate::plan::{CutMode, NetworkPlan};

/// Every lane.
pub(crate) const LANES: [Lane; 2] = [Lane::First, Lane::Urgent];

/// All links.
#[derive(Debug)]
pub(crate) struct Network {
    nodes: usize,
    links: Vec<Link>,
    /// What links do at the moment: as the plan says, until all is healed.
    pub(crate) conditions: NetworkPlan,
    /// Answers that come too late.
    pub(crate) stale: Stale,
    /// What outlives its connection.
    pub(crate) crossing: Crossing,
    /// Decides what rots before it is sent.
    rot: Prng,
}

/// One directed link.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) lane: Lane,
    /// Whether the sender has a connection.
    pub(crate) is_open: bool,
    /// Counts connections: what was sent on an earlier one is lost.
    pub(crate) epoch: u64,
    /// Cuts in force, by the lane that made them.
    cuts: Vec<(usize, CutMode)>,
    /// Held back by a link that stalls.
    pub(crate) held: Vec<PeerMessage>,
    /// When the last message that keeps its place arrives.
    last_arrival: u64,
    /// Messages that a cut kept from passing.
    pub(crate) kept_back: u64,
    prng: Prng,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// It arrives then.
    Arrives(u64),
    /// It arrives twice.
    Twice(u64, u64),
    /// It arrives garbled.
    Garbled(u64),
    /// It arrives as it was sent; a part of it had rotted before.
    Rotten(u64),
    /// It does not arrive, for this reason.
    Lost(Loss),
    /// It is held back until the link is healed.
    Held,
}

/// Why a message does not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    NoConnection,
    Cut,
    Chance,
}

impl Loss {
    /// The word for it in a trace.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NoConnection => "no connection",
            Self::Cut => "cut",
            Self::Chance => "lost",
        }
    }
}

impl Network {
    pub(crate) fn new(nodes: usize, conditions: &NetworkPlan, prng: &Prng) -> Self {
        let pairs = || (0..nodes).flat_map(move |from| (0..nodes).map(move |to| (from, to)));
        let all = LANES.map(|lane| pairs().map(move |pair| (lane, pair)));
        let links = (0..)
            .zip(all.into_iter().flatten())
            .map(|(at, (lane, (from, to)))| Link {
                from,
                to,
                lane,
                is_open: false,
                epoch: 0,
                cuts: Vec::new(),
                held: Vec::new(),
                last_arrival: 0,
                kept_back: 0,
                prng: prng.fork(at),
            })
            .collect();
        Self {
            nodes,
            links,
            conditions: conditions.clone(),
            stale: Stale::new(prng.fork(FORK_STALE), conditions.cross_permille > 0),
            crossing: Crossing::new(prng.fork(FORK_CROSSING)),
            rot: prng.fork(FORK_ROT),
        }
    }

    /// Draws from `root` from now on.
    pub(crate) fn branch_off(&mut self, root: &Prng) {
        for (at, link) in (0..).zip(&mut self.links) {
            link.prng = root.fork(at);
        }
        self.stale.branch_off(root.fork(FORK_STALE));
        self.crossing.branch_off(root.fork(FORK_CROSSING));
        self.rot = root.fork(FORK_ROT);
    }

    /// Decides what becomes of a message that is sent over a link at `now`.
    pub(crate) fn send(&mut self, at: usize, now: u64) -> Way {
        self.links[at].send(now, &self.conditions)
    }

    /// A message that will arrive may rot before it is sent: it, and its way.
    pub(crate) fn rot(&mut self, way: Way, message: PeerMessage) -> (Way, PeerMessage) {
        let share = self.conditions.rotten_permille;
        let Way::Arrives(at) = way else {
            return (way, message);
        };
        let rots = share > 0 && self.rot.chance(share, 1000);
        match rots.then(|| rotten(&message, &mut self.rot)).flatten() {
            Some(rotten) => (Way::Rotten(at), rotten),
            None => (way, message),
        }
    }

    /// The last echoes that were sent over these links, on the connections that they have now.
    pub(crate) fn last_echoes(&self, links: &[usize]) -> Vec<Echo> {
        self.stale
            .last_echoes(links, |link, epoch| self.links[link].epoch == epoch)
    }

    /// Nothing is disturbed any more.
    pub(crate) fn calm(&mut self) {
        self.conditions = NetworkPlan {
            delay_us: self.conditions.delay_us,
            ..NetworkPlan::default()
        };
    }

    /// The number of the first link between two nodes. The node that it leads to is its remainder by the number of nodes.
    pub(crate) fn between(&self, from: usize, to: usize) -> usize {
        self.lane_between(from, to, Lane::First)
    }

    /// The number of a link between two nodes.
    pub(crate) fn lane_between(&self, from: usize, to: usize, lane: Lane) -> usize {
        let before = match lane {
            Lane::First => 0,
            Lane::Urgent => self.nodes * self.nodes,
        };
        before + from * self.nodes + to
    }

    /// The links that this message takes, as it does between real nodes.
    pub(crate) fn ways_of(&self, from: usize, to: usize, message: &PeerMessage) -> Vec<usize> {
        let urgent = self.lane_between(from, to, Lane::Urgent);
        let lanes = message.lanes(self.links[urgent].is_open);
        lanes
            .iter()
            .map(|lane| self.lane_between(from, to, *lane))
            .collect()
    }

    /// The link with this number.
    pub(crate) fn link(&mut self, at: usize) -> &mut Link {
        &mut self.links[at]
    }

    /// Numbers of the links from or to `node`.
    pub(crate) fn of(&self, node: usize) -> Vec<usize> {
        let others = (0..self.nodes).filter(|other| *other != node);
        others
            .flat_map(|other| [(node, other), (other, node)])
            .flat_map(|(from, to)| LANES.map(|lane| self.lane_between(from, to, lane)))
            .collect()
    }

    /// How many nodes there are.
    pub(crate) fn nodes(&self) -> usize {
        self.nodes
    }

    /// True when this link is cut.
    pub(crate) fn is_cut(&self, from: usize, to: usize, lane: Lane) -> bool {
        let link = &self.links[self.lane_between(from, to, lane)];
        !link.cuts.is_empty()
    }

    /// True when any link is cut.
    pub(crate) fn has_cuts(&self) -> bool {
        self.links.iter().any(|link| !link.cuts.is_empty())
    }

    /// Messages that cuts have kept from passing over these links.
    pub(crate) fn kept_back(&self, links: &[usize]) -> u64 {
        links.iter().map(|at| self.links[*at].kept_back).sum()
    }
}

impl Link {
    pub(crate) fn cut(&mut self, lane: usize, mode: CutMode) {
        self.cuts.push((lane, mode));
        if mode == CutMode::Reset {
            self.close();
        }
    }

    /// Takes back the cut of `lane`; true when there was one.
    pub(crate) fn heal(&mut self, lane: usize) -> bool {
        let before = self.cuts.len();
        self.cuts.retain(|(of, _)| *of != lane);
        self.cuts.len() < before
    }

    /// The strongest cut in force.
    pub(crate) fn cut_mode(&self) -> Option<CutMode> {
        let strength = |mode: &CutMode| match mode {
            CutMode::Reset => 3,
            CutMode::Drop => 2,
            CutMode::Stall => 1,
        };
        self.cuts.iter().map(|(_, mode)| *mode).max_by_key(strength)
    }

    /// The connection is gone, with everything on it.
    pub(crate) fn close(&mut self) {
        self.is_open = false;
        self.epoch += 1;
        self.held.clear();
    }

    /// Decides what becomes of a message sent at `now`.
    fn send(&mut self, now: u64, plan: &NetworkPlan) -> Way {
        if !self.is_open {
            return Way::Lost(Loss::NoConnection);
        }
        match self.cut_mode() {
            Some(CutMode::Stall) => {
                self.kept_back += 1;
                return Way::Held;
            }
            Some(CutMode::Drop | CutMode::Reset) => {
                self.kept_back += 1;
                return Way::Lost(Loss::Cut);
            }
            None => {}
        }
        let roll = self.prng.below(1000);
        let arrival = self.arrival(now, plan);
        let [loss, garbled, twice] = [plan.loss_permille, plan.corrupt_permille, plan.duplicate_permille];
        if roll < loss {
            Way::Lost(Loss::Chance)
        } else if roll < loss + garbled {
            Way::Garbled(arrival)
        } else if roll < loss + garbled + twice {
            let again = now + delay(&mut self.prng, plan.delay_us * 10);
            Way::Twice(arrival, again.max(arrival))
        } else {
            Way::Arrives(arrival)
        }
    }

    fn arrival(&mut self, now: u64, plan: &NetworkPlan) -> u64 {
        let mut takes = delay(&mut self.prng, plan.delay_us);
        if self.prng.chance(plan.late_permille, 1000) {
            takes *= self.prng.between(10, 100);
        }
        let arrival = now + takes;
        if self.prng.chance(plan.reorder_permille, 1000) {
            return arrival;
        }
        self.last_arrival = self.last_arrival.max(arrival);
        self.last_arrival
    }

    /// Flips a few bits of `bytes`.
    pub(crate) fn garble(&mut self, bytes: &mut [u8]) {
        if bytes.is_empty() {
            return;
        }
        let at = self.prng.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << self.prng.below(8);
        for _ in 0..self.prng.below(4) {
            let other = self.prng.below(bytes.len() as u64) as usize;
            if other != at {
                bytes[other] ^= self.prng.next_u64() as u8;
            }
        }
    }
}

/// A time around `median_us`, in nanoseconds, with the long tail of real delays: each of eight fair coins
/// moves it up or down by a factor, which approximates a log-normal distribution without floating point.
pub(crate) fn delay(prng: &mut Prng, median_us: u64) -> u64 {
    const PERCENT: [u64; 9] = [30, 40, 55, 75, 100, 135, 185, 260, 400];
    let bits = prng.next_u64();
    let factor = PERCENT[(bits & 0xff).count_ones() as usize];
    // Never two of a kind: times that are equal by accident hide races.
    median_us * factor * 10 + (bits >> 8) % (median_us * 100 + 100)
}

/// Separates the draws of answers that come too late from those of links, which count from zero.
const FORK_STALE: u64 = 0x0073_7461_6c65;
/// Separates those of what outlives its connection.
const FORK_CROSSING: u64 = 0x0063_726f_7373;
/// Separates those of what rots.
const FORK_ROT: u64 = 0x0072_6f74;

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> NetworkPlan {
        NetworkPlan::default()
    }

    fn open_link(seed: u64) -> Link {
        let mut network = Network::new(2, &plan(), &Prng::new(seed));
        let at = network.between(0, 1);
        let mut link = network.links.swap_remove(at);
        link.is_open = true;
        link
    }

    #[test]
    fn a_calm_link_keeps_order_and_loses_nothing() {
        let mut link = open_link(1);
        let mut last = 0;
        for now in 0..1000 {
            match link.send(now, &plan()) {
                Way::Arrives(at) => {
                    assert!(at >= last && at > now);
                    last = at;
                }
                other => panic!("{other:?} on a calm link"),
            }
        }
    }

    #[test]
    fn delays_scatter_around_their_median() {
        let mut prng = Prng::new(2);
        let mut drawn: Vec<u64> = (0..2001).map(|_| delay(&mut prng, 200)).collect();
        drawn.sort_unstable();
        assert!((150_000..280_000).contains(&drawn[1000]), "{}", drawn[1000]);
        assert!(drawn[0] < 100_000 && drawn[2000] > 500_000);
    }

    #[test]
    fn a_cut_keeps_back_what_is_sent_until_every_cut_is_healed() {
        let mut link = open_link(3);
        link.cut(0, CutMode::Drop);
        link.cut(1, CutMode::Stall);
        assert_eq!(link.send(0, &plan()), Way::Lost(Loss::Cut));
        assert!(link.heal(0));
        assert_eq!(link.send(0, &plan()), Way::Held);
        assert!(link.heal(1) && !link.heal(1));
        assert!(matches!(link.send(0, &plan()), Way::Arrives(_)));
        assert_eq!(link.kept_back, 2);
    }

    #[test]
    fn garbling_changes_something() {
        let mut link = open_link(4);
        for length in 1..100 {
            let mut bytes = vec![0; length];
            link.garble(&mut bytes);
            assert_ne!(bytes, vec![0; length]);
        }
    }
}

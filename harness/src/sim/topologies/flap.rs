//! A link that comes and goes, about as often as elections take.
//!
//! Invariant: it is a link that the topology lacks, so what is demanded of the topology is demanded all the time.

use noraftd::prng::Prng;

use super::digraph::Digraph;
use super::limits::TIMEOUT;

#[derive(Debug)]
pub(super) struct Flap {
    /// The link, or both directions of one.
    links: Vec<(usize, usize)>,
    is_open: bool,
    next: u64,
    prng: Prng,
}

impl Flap {
    /// One of the links that `graph` lacks, and half the time the other direction with it.
    pub(super) fn draw(graph: &Digraph, prng: &mut Prng) -> Option<Self> {
        let absent: Vec<(usize, usize)> = graph
            .pairs()
            .filter(|(from, to)| !graph.has(*from, *to))
            .collect();
        let (from, to) = *prng.choose(&absent)?;
        let mut links = vec![(from, to)];
        if prng.chance(1, 2) && !graph.has(to, from) {
            links.push((to, from));
        }
        Some(Self {
            links,
            is_open: false,
            next: 0,
            prng: prng.fork(FORK_STAYS),
        })
    }

    /// The topology from now on, where it changes.
    pub(super) fn look(&mut self, now: u64, graph: &Digraph) -> Option<Digraph> {
        if now < self.next {
            return None;
        }
        self.is_open = !self.is_open;
        self.next = now + self.prng.between(TIMEOUT / 2, TIMEOUT * 3);
        let links = self.links.iter();
        Some(links.fold(*graph, |graph, (from, to)| graph.with(*from, *to, self.is_open)))
    }
}

const FORK_STAYS: u64 = 0x7374_6179;

//! Directed topologies: which node can send to which, up to the names of the nodes.
//!
//! Invariant: a bit for each ordered pair of two nodes; of the topologies that differ in the nodes' names only, the one
//! with the smallest number is listed. There are 16 of three nodes and 9,608 of five (OEIS A000273).

use std::fmt;

/// Which node can send to which. Nodes are counted from zero, and written A, B, C.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digraph {
    nodes: usize,
    links: u32,
}

impl Digraph {
    /// Every topology of so many nodes, each once up to the nodes' names, in a fixed order.
    ///
    /// # Panics
    ///
    /// For more than [`NODES_MAX`] nodes.
    pub fn all(nodes: usize) -> Vec<Self> {
        assert!((1..=NODES_MAX).contains(&nodes), "{nodes} nodes are too many");
        let count = 1_u32 << (nodes * (nodes - 1));
        let namings = permutations(nodes);
        let mut is_known = vec![false; count as usize];
        let mut found = Vec::new();
        for links in 0..count {
            if is_known[links as usize] {
                continue;
            }
            let one = Self { nodes, links };
            found.push(one);
            for naming in &namings {
                is_known[one.renamed(naming).links as usize] = true;
            }
        }
        found
    }

    /// How many nodes.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Whether `from` can send to `to`; a node always reaches itself.
    pub fn has(&self, from: usize, to: usize) -> bool {
        from == to || self.links & self.bit(from, to) != 0
    }

    /// The same with this link, or without it.
    #[must_use]
    pub fn with(mut self, from: usize, to: usize, is_open: bool) -> Self {
        let bit = self.bit(from, to);
        self.links = if is_open {
            self.links | bit
        } else {
            self.links & !bit
        };
        self
    }

    /// Whether two nodes can send to each other.
    pub fn are_linked(&self, one: usize, other: usize) -> bool {
        self.has(one, other) && self.has(other, one)
    }

    /// The ordered pairs of nodes, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let nodes = self.nodes;
        (0..nodes).flat_map(move |from| (0..nodes).filter(move |to| *to != from).map(move |to| (from, to)))
    }

    /// The nodes that `node` is linked to both ways, and itself.
    pub fn linked_to(&self, node: usize) -> Vec<usize> {
        (0..self.nodes)
            .filter(|other| self.are_linked(node, *other))
            .collect()
    }

    /// Whether `node` is linked both ways to a quorum, itself counted.
    pub fn reaches_quorum(&self, node: usize) -> bool {
        self.linked_to(node).len() >= self.majority()
    }

    /// The smallest sets of nodes that are a quorum and linked pairwise, both ways.
    pub fn quorums(&self) -> Vec<Vec<usize>> {
        let sets = (0..1_usize << self.nodes).filter(|set| set.count_ones() as usize == self.majority());
        let members = sets.map(|set| {
            (0..self.nodes)
                .filter(|node| set >> node & 1 == 1)
                .collect::<Vec<_>>()
        });
        members
            .filter(|quorum| {
                let mut pairs = quorum
                    .iter()
                    .flat_map(|one| quorum.iter().map(move |other| (*one, *other)));
                pairs.all(|(one, other)| self.are_linked(one, other))
            })
            .collect()
    }

    /// The renamings that leave it as it is.
    pub fn symmetries(&self) -> Vec<Vec<usize>> {
        let mut namings = permutations(self.nodes);
        namings.retain(|naming| self.renamed(naming) == *self);
        namings
    }

    /// How many nodes are a quorum.
    pub fn majority(&self) -> usize {
        self.nodes / 2 + 1
    }

    /// Node `n` becomes node `naming[n]`.
    fn renamed(&self, naming: &[usize]) -> Self {
        let mut renamed = Self { links: 0, ..*self };
        for (from, to) in self.pairs().filter(|(from, to)| self.has(*from, *to)) {
            renamed.links |= self.bit(naming[from], naming[to]);
        }
        renamed
    }

    fn bit(&self, from: usize, to: usize) -> u32 {
        let skipped = usize::from(to > from);
        1 << (from * (self.nodes - 1) + to - skipped)
    }
}

impl fmt::Display for Digraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut links = Vec::new();
        for (from, to) in self.pairs().filter(|(from, to)| self.has(*from, *to)) {
            match (self.has(to, from), from < to) {
                (true, true) => links.push(format!("{}={}", letter(from), letter(to))),
                (true, false) => {}
                (false, _) => links.push(format!("{}>{}", letter(from), letter(to))),
            }
        }
        if links.is_empty() {
            links.push("no link".to_owned());
        }
        f.write_str(&links.join(" "))
    }
}

/// How a node of a topology is written.
pub fn letter(node: usize) -> char {
    char::from(b'A' + u8::try_from(node).expect("a topology has a few nodes"))
}

/// Every order of the first `count` numbers.
fn permutations(count: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![Vec::new()];
    for next in 0..count {
        let longer = orders.iter().flat_map(|order: &Vec<usize>| {
            (0..=order.len()).map(move |place| {
                let mut order = order.clone();
                order.insert(place, next);
                order
            })
        });
        orders = longer.collect();
    }
    orders
}

/// Six nodes would have 1,540,944 topologies, and a number for each of a billion links.
pub const NODES_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topology_is_listed_once() {
        let counts: Vec<usize> = (1..=NODES_MAX).map(|nodes| Digraph::all(nodes).len()).collect();
        assert_eq!(counts, [1, 3, 16, 218, 9608]);
    }

    #[test]
    fn the_topologies_of_three_nodes_and_their_renamings_are_all_there_are() {
        let namings = permutations(3);
        let orbit = |one: &Digraph| {
            let mut orbit: Vec<Digraph> = namings.iter().map(|naming| one.renamed(naming)).collect();
            orbit.sort_unstable();
            orbit.dedup();
            assert_eq!(orbit.len() * one.symmetries().len(), namings.len(), "{one}");
            orbit
        };
        let mut all: Vec<Digraph> = Digraph::all(3).iter().flat_map(orbit).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 64);
    }

    #[test]
    fn a_quorum_is_linked_pairwise_and_both_ways() {
        let none = Digraph { nodes: 5, links: 0 };
        let both = |graph: Digraph, one, other| graph.with(one, other, true).with(other, one, true);
        let star = (1..5).fold(none, |graph, leaf| both(graph, 0, leaf));
        assert!(star.quorums().is_empty() && star.reaches_quorum(0) && !star.reaches_quorum(1));
        let triangle = both(star, 1, 2);
        assert_eq!(triangle.quorums(), [[0, 1, 2]]);
        assert!(triangle.with(1, 2, false).quorums().is_empty());
        assert_eq!(triangle.to_string(), "A=B A=C A=D A=E B=C");
        assert_eq!(triangle.with(1, 2, false).to_string(), "A=B A=C A=D A=E C>B");
    }
}

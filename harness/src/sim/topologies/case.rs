//! Cases: a topology, which of its nodes leads at the start, and which has the longest log.
//!
//! Invariant: of the cases that a renaming of the nodes makes equal there is one. What is drawn, of a case or for it, is
//! a function of the seed and of the case alone, so a case is repeated without the others.

use std::fmt;

use noraftd::prng::Prng;

use super::digraph::{Digraph, letter};

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Which of the topologies of so many nodes.
    pub number: usize,
    /// The topology.
    pub graph: Digraph,
    /// The node that leads when the links are cut.
    pub leader: usize,
    /// The node that shares the leader's last entry with it; the leader itself, where no other has it.
    pub longest: usize,
}

/// Which cases of a topology are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// One, drawn by the seed.
    One,
    /// Every leader, each with one longest log, drawn by the seed.
    Leaders,
    /// Every leader with every longest log.
    Every,
}

impl Case {
    /// Every case of a topology, each once up to the nodes' names.
    pub fn all_of(number: usize, graph: Digraph) -> Vec<Self> {
        let symmetries = graph.symmetries();
        let nodes = graph.nodes();
        let marks = (0..nodes).flat_map(|leader| (0..nodes).map(move |longest| (leader, longest)));
        let is_first = |(leader, longest): &(usize, usize)| {
            let mut images = symmetries
                .iter()
                .map(|naming| (naming[*leader], naming[*longest]));
            images.all(|image| image >= (*leader, *longest))
        };
        let case = |(leader, longest)| Self {
            number,
            graph,
            leader,
            longest,
        };
        marks.filter(is_first).map(case).collect()
    }

    /// The cases of a topology that `placement` chooses.
    pub fn chosen(number: usize, graph: Digraph, placement: Placement, seed: u64) -> Vec<Self> {
        let all = Self::all_of(number, graph);
        let prng = &mut Prng::new(seed).fork(FORK_PLACEMENT).fork(number as u64);
        match placement {
            Placement::Every => all,
            Placement::One => prng.choose(&all).copied().into_iter().collect(),
            Placement::Leaders => {
                let leaders = all.chunk_by(|one, other| one.leader == other.leader);
                leaders.filter_map(|cases| prng.choose(cases).copied()).collect()
            }
        }
    }
}

/// So many topologies, drawn by the seed, in order.
pub(super) fn sample(topologies: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..topologies).collect();
    Prng::new(seed).fork(FORK_SAMPLE).shuffle(&mut numbers);
    numbers.truncate(count);
    numbers.sort_unstable();
    numbers
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (leader, longest) = (letter(self.leader), letter(self.longest));
        write!(
            f,
            "topology {} ({}), {leader} leads, the log of {longest} is longest",
            self.number, self.graph
        )
    }
}

/// Separates the draws from each other, and from those of the world.
const FORK_PLACEMENT: u64 = 0x706c_6163;
const FORK_SAMPLE: u64 = 0x7361_6d70;

#[cfg(test)]
mod tests {
    use super::*;

    fn cases(nodes: usize, placement: Placement) -> usize {
        let graphs = Digraph::all(nodes).into_iter().enumerate();
        graphs
            .map(|(number, graph)| Case::chosen(number, graph, placement, 1).len())
            .sum()
    }

    /// Digraphs with one node marked: 2, 6, 36 of one more node than that have a marked one (by Burnside's lemma).
    #[test]
    fn cases_are_counted_up_to_the_names_of_the_nodes() {
        assert_eq!(cases(2, Placement::One), 3);
        assert_eq!(cases(2, Placement::Leaders), 4);
        assert_eq!(cases(3, Placement::Leaders), 36);
        // Two marks, which may be on one node: (9 * 64 + 3 * 8) / 6 of three nodes.
        assert_eq!(cases(3, Placement::Every), 100);
    }

    #[test]
    fn a_sample_is_drawn_by_its_seed() {
        assert_eq!(sample(9608, 200, 7), sample(9608, 200, 7));
        assert_ne!(sample(9608, 200, 7), sample(9608, 200, 8));
        assert_eq!(sample(16, 200, 7), (0..16).collect::<Vec<_>>());
    }
}

//! Every directed topology of a few nodes, held while clients write: what the protocol promises while links are broken.
//!
//! | file | what it owns |
//! |-|-|
//! | `digraph` | topologies up to the names of the nodes |
//! | `case` | which node leads, which has the longest log; what is drawn of all cases |
//! | `trial` | one case, simulated and judged |
//! | `clients` | who writes |
//! | `flap` | a link that comes and goes |
//! | `limits` | what is demanded |
//! | `tally` | what came of many cases, and the table of them |
//!
//! Invariant: a case and a seed name one trace, whichever other cases are tried.

mod case;
mod clients;
mod digraph;
mod flap;
mod limits;
mod tally;
mod trial;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};

use crate::shard::Shard;

pub use case::{Case, Placement};
pub use digraph::{Digraph, NODES_MAX, letter};
pub use limits::{HELD, LEADS_WITHIN, SERVES_WITHIN, TERMS_MAX};
pub use tally::Tally;
pub use trial::{Kind, Tried, attempt};

use super::campaign::thread_cpu_ns;
use super::journal::trace::Lines;

/// What to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topologies {
    /// How many nodes.
    pub nodes: usize,
    /// The seed of everything that is drawn.
    pub seed: u64,
    /// Which cases of each topology.
    pub placement: Placement,
    /// Whether a link comes and goes.
    pub flaps: bool,
    /// Which part of the topologies; all, when absent.
    pub shard: Option<Shard>,
    /// How many topologies, drawn by the seed; all, when absent.
    pub sample: Option<usize>,
    /// The one topology to try; all, when absent.
    pub only: Option<usize>,
}

impl Topologies {
    /// The cases to try, in order.
    pub fn cases(&self) -> Vec<Case> {
        let graphs = Digraph::all(self.nodes);
        let sampled = case::sample(graphs.len(), self.sample.unwrap_or(graphs.len()), self.seed);
        let is_wanted = |number: &usize| {
            self.shard.is_none_or(|shard| shard.has(*number as u64))
                && self.only.is_none_or(|only| only == *number)
        };
        let numbers = sampled.into_iter().filter(is_wanted);
        numbers
            .flat_map(|number| Case::chosen(number, graphs[number], self.placement, self.seed))
            .collect()
    }

    /// Tries `cases` on so many threads. `show` gets the state after each case.
    pub fn run(&self, cases: &[Case], jobs: usize, mut show: impl FnMut(&Tally)) -> Tally {
        let next = AtomicUsize::new(0);
        let (send, receive) = channel();
        let mut tally = Tally::default();
        std::thread::scope(|scope| {
            for _ in 0..jobs.max(1) {
                let send = send.clone();
                let next = &next;
                scope.spawn(move || self.work(cases, next, &send));
            }
            drop(send);
            for (tried, cpu_ns) in receive {
                tally.add(tried, cpu_ns);
                show(&tally);
            }
        });
        tally.sort();
        tally
    }

    fn work(&self, cases: &[Case], next: &AtomicUsize, send: &Sender<(Tried, u64)>) {
        let mut before = thread_cpu_ns();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let tried = attempt(*case, self.seed, self.flaps, Lines::None);
            let now = thread_cpu_ns();
            if send.send((tried, now.saturating_sub(before))).is_err() {
                return;
            }
            before = now;
        }
    }

    /// The command that repeats a case.
    pub fn repeat(&self, case: &Case) -> String {
        let flaps = if self.flaps { " --flaps" } else { "" };
        format!(
            "harness topologies --nodes {}{flaps} --seed {} --only {} --leader {} --longest {}",
            self.nodes,
            self.seed,
            case.number,
            letter(case.leader),
            letter(case.longest)
        )
    }
}

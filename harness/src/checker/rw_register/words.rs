//! Why one transaction on registers precedes another, in words.

use super::link::{Because, Link};
use super::versions::Versions;
use crate::checker::precedence::{Draft, Edge, Graph, Kind, SHOWN_MAX, Words, path};
use crate::checker::violation::mention;

/// The versions, and what followed from them.
pub(super) struct VersionWords<'a> {
    pub(super) versions: &'a Versions<'a>,
    pub(super) links: &'a [Link],
}

impl Words for VersionWords<'_> {
    fn id(&self, txn: u32) -> u32 {
        self.versions.id(txn)
    }

    fn explain(&self, leaves: Edge, arrives: Edge, out: &mut Draft) {
        let (one, other) = (
            mention(out.mentions(self.id(leaves.from))),
            mention(out.mentions(self.id(arrives.to))),
        );
        let version = leaves.about.0;
        let sentence = match leaves.kind {
            Kind::Wr => format!("{other} read {}, which {one} wrote.", self.versions.show(version)),
            Kind::Ww | Kind::Rw => {
                let verb = if leaves.kind == Kind::Ww { "wrote" } else { "read" };
                let link = arrives.about.1;
                out.open.push(link);
                let link = self.links[link as usize];
                let (own, later) = (self.versions.show(version), self.versions.show(link.later));
                match link.because {
                    Because::Replaced => {
                        format!("{one} {verb} {own}, and {other} read that and replaced it by {later}.")
                    }
                    Because::Beginning => {
                        format!("{one} {verb} {own}, as it was at the beginning, and {other} wrote {later}.")
                    }
                    Because::Precedes(..) => {
                        format!("{one} {verb} {own}, and {other} wrote {later}, which came later.")
                    }
                }
            }
            Kind::Realtime | Kind::Free | Kind::Inferred => {
                out.uses_time = true;
                format!("{one} returned before {other} was called.")
            }
        };
        out.why.push(sentence);
    }

    fn explain_rest(&self, graph: &Graph, out: &mut Draft) {
        let mut explained: Vec<u32> = Vec::new();
        while let Some(at) = out.open.pop() {
            let link = self.links[at as usize];
            let Because::Precedes(from, to) = link.because else {
                continue;
            };
            if explained.contains(&at) {
                continue;
            }
            explained.push(at);
            let names = (self.versions.show(link.later), self.versions.show(link.earlier));
            if out.operations.len() >= SHOWN_MAX {
                out.why.push(format!(
                    "That {} came later than {} follows from other transactions in the same way.",
                    names.0, names.1
                ));
                continue;
            }
            out.why
                .push(format!("That {} came later than {}:", names.0, names.1));
            let is_older = |edge: &Edge| edge.kind != Kind::Inferred || edge.about.1 < at;
            let way = path(graph, from, to, is_older).unwrap_or_default();
            self.explain_way(graph, &way, out);
            let (from, to) = (out.mentions(self.id(from)), out.mentions(self.id(to)));
            out.why.push(format!(
                "- {}, and {}.",
                self.role(from, link.earlier),
                self.role(to, link.later)
            ));
        }
    }
}

impl VersionWords<'_> {
    fn explain_way(&self, graph: &Graph, way: &[Edge], out: &mut Draft) {
        let mut leaves: Option<Edge> = None;
        for edge in way {
            let first = *leaves.get_or_insert(*edge);
            if graph.is_txn(edge.to) {
                self.explain(first, *edge, out);
                let sentence = out.why.pop().expect("it was just said");
                out.why.push(format!("- {sentence}"));
                leaves = None;
            }
        }
    }

    /// What an operation has to do with a version, or with one that was put directly behind or before it.
    fn role(&self, id: u32, version: u32) -> String {
        let is = |txn: &u32| self.id(*txn) == id;
        let near = std::iter::successors(Some(version), |at| self.versions.all[*at as usize].before)
            .chain(self.versions.run(version));
        for at in near {
            let known = &self.versions.all[at as usize];
            if known.writer.as_ref().is_some_and(is) {
                return format!("{} wrote {}", mention(id), self.versions.show(at));
            }
            if known.readers.iter().any(is) {
                return format!("{} read {}", mention(id), self.versions.show(at));
            }
        }
        format!("{} has to do with {}", mention(id), self.versions.show(version))
    }
}
